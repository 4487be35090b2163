"""Reading and writing ONNX: ``load``, ``load_quantized`` and ``save``.

Nothing else in fxpnn imports ``onnx``. ``graph`` checks and simplifies a file's operators, ``read``
turns them into layers, ``write`` turns layers into operators.
"""

from fxpnn.onnx.read.model import from_model, load, load_quantized
from fxpnn.onnx.write.model import save, to_model

__all__ = ["from_model", "load", "load_quantized", "save", "to_model"]
