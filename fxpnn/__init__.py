"""Know what a neural network computes in 16-bit fixed point, to the bit, before hardware exists.

A float network is quantized into integers, run exactly as hardware would run them, and compared
with the floats, layer by layer::

    network = fxpnn.load_onnx("mlp.onnx")
    images, labels = fxpnn.load_data("mnist")
    fixed = fxpnn.quantize(network, fxpnn.load_data("mnist:calibration").x)
    run = fxpnn.infer(fixed, images)
    report = fxpnn.compare(network, fixed, images, labels)
    fixed.save("mlp.fxp")

Formats are written in Q notation or as ``ap_fixed``:

>>> import fxpnn
>>> str(fxpnn.QFormat.parse("ap_fixed<16,4>"))
'Q3.12'

Errors that a user can cause are ``FxpnnError`` and its children ``FormatError``, ``ModelError`` and
``DataError``; each message is one line.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from fxpnn.analysis.comparison import Report, compare
    from fxpnn.datasets import load_data
    from fxpnn.engine.inference import Engine, Run, infer
    from fxpnn.errors import DataError, FormatError, FxpnnError, ModelError
    from fxpnn.fixedpoint.casting import cast, from_float, to_float
    from fxpnn.fixedpoint.qformat import Accumulator, Overflow, QFormat, Rounding
    from fxpnn.network.fixed import FixedNetwork
    from fxpnn.network.fxp import load, save
    from fxpnn.network.graph import Network, Node, Scaling, chain
    from fxpnn.onnx import load as load_onnx
    from fxpnn.onnx import load_quantized
    from fxpnn.onnx import save as save_onnx
    from fxpnn.onnx.write.quantized import Target
    from fxpnn.quantization.quantizer import quantize
    from fxpnn.quantization.settings import Method, Plan, Settings
    from fxpnn.targets.quantized_onnx import export

_HOMES = {
    "Accumulator": "fixedpoint.qformat",
    "DataError": "errors",
    "Engine": "engine.inference",
    "FixedNetwork": "network.fixed",
    "FormatError": "errors",
    "FxpnnError": "errors",
    "Method": "quantization.settings",
    "ModelError": "errors",
    "Network": "network.graph",
    "Node": "network.graph",
    "Overflow": "fixedpoint.qformat",
    "Plan": "quantization.settings",
    "QFormat": "fixedpoint.qformat",
    "Report": "analysis.comparison",
    "Rounding": "fixedpoint.qformat",
    "Run": "engine.inference",
    "Scaling": "network.graph",
    "Settings": "quantization.settings",
    "Target": "onnx.write.quantized",
    "cast": "fixedpoint.casting",
    "chain": "network.graph",
    "compare": "analysis.comparison",
    "export": "targets.quantized_onnx",
    "from_float": "fixedpoint.casting",
    "infer": "engine.inference",
    "load": "network.fxp",
    "load_data": "datasets",
    "load_onnx": "onnx:load",
    "load_quantized": "onnx",
    "quantize": "quantization.quantizer",
    "save": "network.fxp",
    "save_onnx": "onnx:save",
    "to_float": "fixedpoint.casting",
}
"""Where each public name lives (``module:name`` where it is called otherwise there)."""

__all__ = [
    "Accumulator",
    "DataError",
    "Engine",
    "FixedNetwork",
    "FormatError",
    "FxpnnError",
    "Method",
    "ModelError",
    "Network",
    "Node",
    "Overflow",
    "Plan",
    "QFormat",
    "Report",
    "Rounding",
    "Run",
    "Scaling",
    "Settings",
    "Target",
    "cast",
    "chain",
    "compare",
    "export",
    "from_float",
    "infer",
    "load",
    "load_data",
    "load_onnx",
    "load_quantized",
    "quantize",
    "save",
    "save_onnx",
    "to_float",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: compiling loops is not the price of a format."""
    if name not in _HOMES:
        raise AttributeError(f"module 'fxpnn' has no attribute {name!r}")
    module, _, inner = _HOMES[name].partition(":")
    return getattr(import_module(f"fxpnn.{module}"), inner or name)
