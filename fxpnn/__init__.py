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

TYPE_CHECKING = False  # as type checkers know it; to import typing takes as long as all the rest

__version__ = "0.1.0"

if TYPE_CHECKING:
    from fxpnn import onnx as _onnx
    from fxpnn.analysis.attribution import explain as explain
    from fxpnn.analysis.comparison import compare as compare
    from fxpnn.analysis.inspection import inspect as inspect
    from fxpnn.analysis.summary import Report as Report
    from fxpnn.datasets import load_data as load_data
    from fxpnn.engine.inference import Engine as Engine
    from fxpnn.engine.inference import Run as Run
    from fxpnn.engine.inference import infer as infer
    from fxpnn.errors import DataError as DataError
    from fxpnn.errors import FormatError as FormatError
    from fxpnn.errors import FxpnnError as FxpnnError
    from fxpnn.errors import ModelError as ModelError
    from fxpnn.fixedpoint.casting import cast as cast
    from fxpnn.fixedpoint.casting import from_float as from_float
    from fxpnn.fixedpoint.casting import to_float as to_float
    from fxpnn.fixedpoint.qformat import Accumulator as Accumulator
    from fxpnn.fixedpoint.qformat import Overflow as Overflow
    from fxpnn.fixedpoint.qformat import QFormat as QFormat
    from fxpnn.fixedpoint.qformat import Rounding as Rounding
    from fxpnn.network.fixed import FixedNetwork as FixedNetwork
    from fxpnn.network.fxp import load as load
    from fxpnn.network.fxp import save as save
    from fxpnn.network.graph import Network as Network
    from fxpnn.network.graph import Node as Node
    from fxpnn.network.graph import Scaling as Scaling
    from fxpnn.network.graph import chain as chain
    from fxpnn.onnx import load_quantized as load_quantized
    from fxpnn.quantization.observation import Observation as Observation
    from fxpnn.quantization.quantizer import observe as observe
    from fxpnn.quantization.quantizer import quantize as quantize
    from fxpnn.quantization.settings import Method as Method
    from fxpnn.quantization.settings import Plan as Plan
    from fxpnn.quantization.settings import Settings as Settings
    from fxpnn.reference import forward as forward
    from fxpnn.targets.export import export as export
    from fxpnn.targets.target import Target as Target

    load_onnx = _onnx.load
    save_onnx = _onnx.save

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
    "Observation": "quantization.observation",
    "Overflow": "fixedpoint.qformat",
    "Plan": "quantization.settings",
    "QFormat": "fixedpoint.qformat",
    "Report": "analysis.summary",
    "Rounding": "fixedpoint.qformat",
    "Run": "engine.inference",
    "Scaling": "network.graph",
    "Settings": "quantization.settings",
    "Target": "targets.target",
    "cast": "fixedpoint.casting",
    "chain": "network.graph",
    "compare": "analysis.comparison",
    "explain": "analysis.attribution",
    "export": "targets.export",
    "forward": "reference",
    "from_float": "fixedpoint.casting",
    "infer": "engine.inference",
    "inspect": "analysis.inspection",
    "load": "network.fxp",
    "load_data": "datasets",
    "load_onnx": "onnx:load",
    "load_quantized": "onnx",
    "observe": "quantization.quantizer",
    "quantize": "quantization.quantizer",
    "save": "network.fxp",
    "save_onnx": "onnx:save",
    "to_float": "fixedpoint.casting",
}
"""Where each public name lives (``module:name`` where it is called otherwise there)."""

__all__ = sorted(_HOMES)


def __dir__() -> list[str]:
    """List the public names."""
    return [*__all__, "__version__"]


def __getattr__(name: str) -> object:
    """Import a public name when it is first used: compiling loops is not the price of a format."""
    if name not in _HOMES:
        raise AttributeError(f"module 'fxpnn' has no attribute {name!r}")
    module, _, inner = _HOMES[name].partition(":")
    return getattr(import_module(f"fxpnn.{module}"), inner or name)
