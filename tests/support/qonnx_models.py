"""Small models with quantizing operators for tests, and what QONNX says that these compute."""

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from fxpnn import golden
from fxpnn.fixedpoint.casting import from_float
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.graph import Network
from fxpnn.network.layers import Array
from fxpnn.onnx.read.model import read_model
from fxpnn.quantization.quantizer import quantize
from fxpnn.quantization.settings import Plan
from tests.support.oracle_sums import sign

QONNX, BREVITAS = "qonnx.custom_op.general", "onnx.brevitas"
HALF = Fraction(1, 2)
MODES: Mapping[str, Callable[[Fraction], int]] = {
    "ROUND": round,
    "HALF_EVEN": round,
    "CEIL": math.ceil,
    "FLOOR": math.floor,
    "UP": lambda v: sign(v) * math.ceil(abs(v)),
    "DOWN": lambda v: sign(v) * math.floor(abs(v)),
    "HALF_UP": lambda v: sign(v) * math.floor(abs(v) + HALF),
    "HALF_DOWN": lambda v: sign(v) * math.ceil(abs(v) - HALF),
}
"""QONNX's table of rounding modes, on rationals."""


class Quant(OpRun):
    """QONNX's operator: divide, clip to the word, round, multiply; in rationals."""

    op_domain = QONNX

    def _run(self, x: Array, scale: Array, zero: Array, bits: Array, **modes: Any) -> tuple[Array]:
        signed, narrow = bool(modes["signed"]), bool(modes["narrow"])
        low, high = (
            (-(2 ** (int(bits) - 1)), 2 ** (int(bits) - 1)) if signed else (0, 2 ** int(bits))
        )
        low, high = low + (narrow and signed), high - 1 - (narrow and not signed)
        scales = np.broadcast_to(scale, x.shape)
        y = np.empty(x.shape, np.float32)
        for at, value in np.ndenumerate(x):
            step = Fraction(float(scales[at]))
            word = sorted((Fraction(low), Fraction(float(value)) / step, Fraction(high)))[1]
            y[at] = float(MODES[modes["rounding_mode"].upper()](word) * step)
        return (y,)


def computed(model: onnx.ModelProto, x: Array) -> list[Array]:
    """Return what a model computes, in float32 but for its quantizing operators."""
    name = model.graph.input[0].name
    return list(ReferenceEvaluator(model, new_ops=[Quant]).run(None, {name: x}))


def quant(
    reads: str,
    gives: str,
    scale: float | Array,
    bits: float = 8.0,
    domain: str = QONNX,
    **modes: Any,
) -> list[onnx.NodeProto]:
    """Make a Quant with its parameters in Constants before it."""
    values = {"scale": scale, "zero": modes.pop("zero", 0.0), "bits": bits}
    constants = [constant(f"{gives}.{name}", value) for name, value in values.items()]
    kind = modes.pop("kind", "Quant")
    modes = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND", **modes}
    inputs = [reads, *(node.output[0] for node in constants)]
    return [*constants, helper.make_node(kind, inputs, [gives], gives, domain=domain, **modes)]


def constant(name: str, value: float | Array) -> onnx.NodeProto:
    """Make a Constant of float32."""
    tensor = numpy_helper.from_array(np.asarray(value, np.float32), name)
    return helper.make_node("Constant", [], [name], name, value=tensor)


def read(model: onnx.ModelProto) -> tuple[Network, Plan]:
    """Read a network and the formats that the model fixes."""
    network, given = read_model(model)
    return network, Plan().completed(given)


def fixed_of(model: onnx.ModelProto) -> FixedNetwork:
    """Quantize a model without calibration data."""
    network, plan = read(model)
    return quantize(network, plan=plan)


def fixed_values(fixed: FixedNetwork, x: Array) -> Mapping[str, Array]:
    """Run images in the golden model and return what the raw outputs mean."""
    raw = golden.run(fixed, from_float(x, fixed.input_format)).raw
    return {name: raw[name] * fixed.formats[name].lsb for name in fixed.outputs}
