"""Read what quantizing operators say: which tensors are cast, which weights are words."""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from fxpnn.errors import FormatError, ModelError
from fxpnn.fixedpoint.qformat import Overflow, QFormat
from fxpnn.network.fixed import raw_weights
from fxpnn.network.layers import Array, Quantize
from fxpnn.onnx.graph.fold import fold
from fxpnn.onnx.graph.normal import Graph, Op
from fxpnn.onnx.graph.quant import (
    DELINEAR,
    LIMITS,
    LINEAR,
    PAIRED,
    QUANTIZERS,
    Quantizer,
    quantizer,
)
from fxpnn.onnx.read.refusals import RefusalError
from fxpnn.onnx.read.trace import Handler, Trace, Value
from fxpnn.quantization.settings import Given, held

REACH = 16
"""So many operators are looked back; no network has more between its words and their use."""

WEIGHTED, MOVERS = ("Gemm", "MatMul", "Conv", "PRelu"), ("Identity", "Transpose")


def pair(graph: Graph) -> Graph:
    """Return the graph with each QuantizeLinear and the DequantizeLinear behind it made one.

    A Clip between them, or before a DequantizeLinear of constants, says a narrower word.
    """
    makers = {op.outputs[0]: op for op in graph.ops}

    def joined(op: Op) -> Op:
        if op.kind not in DELINEAR or not op.inputs:
            return op
        first, limits = makers.get(op.inputs[0]), {}
        if first is not None and first.kind == "Clip":
            if (ends := _ends(graph, first)) is None:
                return op
            first, limits = makers.get(first.inputs[0]), {LIMITS: ends}
        if first is None or first.kind not in LINEAR or not _alike(graph, op, first):
            return replace(op, attributes={**op.attributes, **limits})
        given = {**first.attributes, **limits, PAIRED: 1}
        return replace(first, outputs=op.outputs, attributes=given)

    return replace(graph, ops=tuple(map(joined, graph.ops))).live()


def _ends(graph: Graph, clip: Op) -> tuple[int | None, int | None] | None:
    """Return the ends of a Clip of words, ``None`` for an open one; or no pair if not constant."""
    ends: list[int | None] = []
    for place in (1, 2):
        array = graph.constants.get(clip.inputs[place]) if clip.has(place) else None
        if clip.has(place) and (array is None or array.size != 1 or array.dtype.kind not in "iu"):
            return None
        ends.append(None if array is None else int(array.reshape(-1)[0]))
    return ends[0], ends[1]


def _alike(graph: Graph, op: Op, other: Op) -> bool:
    """Tell whether both have the same scale and zero point."""
    if len(op.inputs) != len(other.inputs) or op.get("axis", 1) != other.get("axis", 1):
        return False
    for ours, theirs in zip(op.inputs[1:], other.inputs[1:], strict=True):
        a, b = graph.constants.get(ours), graph.constants.get(theirs)
        if ours != theirs and (a is None or b is None or not np.array_equal(a, b)):
            return False
    return True


def _cast(trace: Trace, op: Op) -> Value:
    """Emit a layer that casts, and remember to what."""
    if op.kind in DELINEAR or (op.kind in LINEAR and not op.get(PAIRED)):
        raise ModelError("must stand in a pair with one scale and zero point, or read constants")
    x = trace.value(op)
    later = range(1, len(op.inputs))
    constants = (trace.constant(op, i) if op.has(i) else None for i in later)
    cast = quantizer(op, (None, *constants), 1 + len(x.shape)).cast()
    y = trace.emit(op, Quantize(), x)
    trace.casts[y.source] = cast
    return y


HANDLERS: Mapping[str, Handler] = dict.fromkeys(QUANTIZERS, _cast)


def weight_formats(graph: Graph, trace: Trace) -> dict[str, Given]:
    """Return the formats of weights that are words: one, or one per channel, by node.

    A weight into which something was folded that took it off its grid has none. Words too wide for
    a weight are refused in the trace.
    """
    makers, found = {op.outputs[0]: op for op in graph.ops}, {}
    for op in graph.ops:
        value = trace.tensors.get(op.outputs[0])
        if op.kind not in WEIGHTED or not isinstance(value, Value):
            continue
        if value.source not in trace.nodes:
            continue
        name, _ = trace.homes.get(value.source, (value.source, None))
        weight, ahead = raw_weights(trace.nodes[name].layer), _multiplies(trace, op)
        words = _words(op.inputs[0 if ahead else 1], makers, trace)
        if weight is None or words is None:
            continue
        turned = (op.kind == "MatMul" and not ahead) or (op.kind == "Gemm" and not op.get("transB"))
        formats = words.formats(turned, len(weight))
        try:
            if formats and _on_grid(weight, formats):
                lower = tuple(map(held, formats))  # constants show whether these suffice
                fit = lower if _on_grid(weight, lower) else formats
                narrow = words.quantizer.overflow is Overflow.SATURATE_SYMMETRIC
                fit = tuple(fmt.for_tensor() for fmt in fit)
                found[name] = Given(fit, narrow=narrow and fit == formats)
        except FormatError as error:
            refusal = RefusalError(words.op, str(error))
            trace.refusals.setdefault(words.op.name, refusal)
    return found


def _multiplies(trace: Trace, op: Op) -> bool:
    """Tell whether the weight stands before what it multiplies."""
    return op.kind == "MatMul" and not isinstance(trace.tensors.get(op.inputs[0]), Value)


class _Words(NamedTuple):
    """Constants that are words: the operator that says so, and the fraction bits of each."""

    op: Op
    quantizer: Quantizer
    fracs: Array

    def formats(self, turned: bool, channels: int) -> tuple[QFormat, ...]:
        """Return one format, or one for each channel; none where a channel has several."""
        if self.quantizer.fracs.size == 1:
            return self.quantizer.formats(self.quantizer.fracs)
        if self.fracs.size % channels:  # a matrix that is repeated for each group
            return ()
        rows = (self.fracs.swapaxes(-1, -2) if turned else self.fracs).reshape(channels, -1)
        return () if (rows != rows[:, :1]).any() else self.quantizer.formats(rows[:, 0])


def _words(name: str, makers: Mapping[str, Op], trace: Trace) -> _Words | None:
    """Look back from a constant to the operator that quantized it, through what only moves it."""
    moves: list[Op] = []
    while (op := makers.get(name)) and op.kind in MOVERS and len(moves) < REACH:
        moves.append(op)
        name = op.inputs[0]
    if op is None or op.kind not in HANDLERS or op.name in trace.refusals:
        return None
    inputs = [trace.tensors.get(name) for name in op.inputs]
    constants = tuple(tensor for tensor in inputs if not isinstance(tensor, Value))
    if len(constants) != len(inputs) or constants[0] is None:
        return None
    does = quantizer(op, constants, constants[0].ndim)
    fracs = np.broadcast_to(does.fracs, constants[0].shape)
    for move in reversed(moves):
        fracs = fold(move, (fracs,))
    return _Words(op, does, fracs)


def _on_grid(weight: Array, formats: tuple[QFormat, ...]) -> bool:
    fracs = np.array([fmt.frac for fmt in formats]).reshape(-1, *(1,) * (weight.ndim - 1))
    raw = np.ldexp(weight.astype(np.float64), fracs)
    fits = (raw == np.rint(raw)).all() and raw.min() >= formats[0].min
    return bool(fits and raw.max() <= formats[0].max)
