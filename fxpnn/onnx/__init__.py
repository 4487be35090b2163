"""Own the passage between ONNX files and networks; nothing else in fxpnn imports ``onnx``."""

from fxpnn.onnx.read import from_model, load
from fxpnn.onnx.write import save, to_model

__all__ = ["from_model", "load", "save", "to_model"]
