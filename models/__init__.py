"""Trained float networks, as ONNX files beside a README of how each was made."""
