"""Own the passage between ONNX files and networks; nothing else in fxpnn imports ``onnx``."""

from fxpnn.onnx.read.model import from_model, load, load_quantized
from fxpnn.onnx.write.model import save, to_model

__all__ = ["from_model", "load", "load_quantized", "save", "to_model"]
