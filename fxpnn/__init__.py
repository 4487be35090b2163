"""Know what a neural network computes in 16-bit fixed point, to the bit, before hardware exists.

>>> import fxpnn
>>> str(fxpnn.QFormat.parse("ap_fixed<16,4>"))
'Q3.12'
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from fxpnn.casting import cast, from_float, to_float
    from fxpnn.comparison import Report, compare
    from fxpnn.datasets import load_data
    from fxpnn.engine import Engine, Run, infer
    from fxpnn.errors import DataError, FormatError, FxpnnError, ModelError
    from fxpnn.exporter import export
    from fxpnn.fixed import FixedNetwork
    from fxpnn.fxp import load, save
    from fxpnn.network import Network, Node, Scaling, chain
    from fxpnn.onnx import load as load_onnx
    from fxpnn.onnx import load_quantized
    from fxpnn.onnx import save as save_onnx
    from fxpnn.onnx.export import Target
    from fxpnn.qformat import Accumulator, Overflow, QFormat, Rounding
    from fxpnn.quantizer import quantize
    from fxpnn.settings import Method, Plan, Settings

_HOMES = {
    "Accumulator": "qformat",
    "DataError": "errors",
    "Engine": "engine",
    "FixedNetwork": "fixed",
    "FormatError": "errors",
    "FxpnnError": "errors",
    "Method": "settings",
    "ModelError": "errors",
    "Network": "network",
    "Node": "network",
    "Overflow": "qformat",
    "Plan": "settings",
    "QFormat": "qformat",
    "Report": "comparison",
    "Rounding": "qformat",
    "Run": "engine",
    "Scaling": "network",
    "Settings": "settings",
    "Target": "onnx.export",
    "cast": "casting",
    "chain": "network",
    "compare": "comparison",
    "export": "exporter",
    "from_float": "casting",
    "infer": "engine",
    "load": "fxp",
    "load_data": "datasets",
    "load_onnx": "onnx:load",
    "load_quantized": "onnx",
    "quantize": "quantizer",
    "save": "fxp",
    "save_onnx": "onnx:save",
    "to_float": "casting",
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
