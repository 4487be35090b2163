"""Quantized networks for other tools."""
