"""Loops that are written for LLVM, lane by lane."""
