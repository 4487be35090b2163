"""Own how one layer of a fixed network runs on a batch of raw tensors: the choice of its loops."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from fxpnn.fixed import Counts, FixedNode
from fxpnn.kernels import lookup, plain, pool, softmax
from fxpnn.kernels.arithmetic import Target, target
from fxpnn.layers import (
    Add,
    AvgPool2D,
    Concat,
    Conv2D,
    Dense,
    Flatten,
    L2Pool2D,
    MaxPool2D,
    Pad,
    PRelu,
    Relu,
    Reshape,
    Shape,
    Softmax,
    Transpose,
    Window,
)
from fxpnn.qformat import QFormat
from fxpnn.response import Response, response

Tensor: TypeAlias = npt.NDArray[np.int16]
Result: TypeAlias = tuple[Tensor, Counts]


def execute(
    node: FixedNode, inputs: Sequence[Tensor], formats: Sequence[QFormat], how: plain.Sum | None
) -> Result:
    """Run one layer on a batch.

    Args:
        node: the layer with its raw parameters.
        inputs: int16 arrays ``(N, *shape)``, C-contiguous.
        formats: the format of each.
        how: the way to sum products, for a layer that has an accumulator.

    Returns:
        int16 ``(N, *shape)`` counts of ``2**-node.output_format.frac``, and what overflowed.
    """
    layer, x = node.layer, inputs[0]
    shape = layer.shape(*(tensor.shape[1:] for tensor in inputs))
    match layer:
        case Dense() | Conv2D():
            assert how is not None
            return _accumulate(node, layer, x, formats[0], how, shape)
        case MaxPool2D() | AvgPool2D() | L2Pool2D():
            return _pool(node, layer, x, shape)
        case Softmax():
            return _softmax(node, layer, x, formats[0])
        case PRelu():
            return _slope(node, layer, x, formats[0])
        case Add():
            return _add(node, x, inputs[1], formats)
        case Concat():
            return _concat(node, layer, inputs, formats)
        case Relu():
            return np.maximum(x, 0), Counts()
        case Pad():
            around = ((0, 0), *layer.pads)
            return np.pad(x, around, constant_values=int(layer.value)), Counts()
        case Flatten() | Reshape():
            return x.reshape(len(x), *shape), Counts()
        case Transpose():
            axes = (0, *(axis + 1 for axis in layer.order))
            return np.ascontiguousarray(x.transpose(axes)), Counts()
    answers = response(node, formats[0])
    assert answers is not None, f"no way to run {node.op}"
    return _look_up(x, answers)


def _target(node: FixedNode) -> Target:
    return target(node.output_format, node.rounding, node.overflow)


def _accumulate(
    node: FixedNode, layer: Dense | Conv2D, x: Tensor, fmt: QFormat, how: plain.Sum, shape: Shape
) -> Result:
    channels = layer.weight.shape[0]
    out = np.empty((len(x), *shape), np.int16)
    shifts = fmt.frac + node.fracs(channels) - node.output_format.frac
    weight = np.ascontiguousarray(layer.weight.reshape(channels, -1), np.int16)
    if isinstance(layer, Dense):
        counts = plain.dense(x, weight, layer.bias, how, shifts, _target(node), out)
    else:
        window = geometry(layer.window)
        counts = plain.convolve(x, weight, layer.bias, window, how, shifts, _target(node), out)
    return out, Counts(*counts)


def geometry(window: Window) -> plain.Geometry:
    """Tell the kernels of a window."""
    return plain.Geometry(window.kernel, window.stride, window.padding[:2], window.dilation)


def _pool(
    node: FixedNode, layer: MaxPool2D | AvgPool2D | L2Pool2D, x: Tensor, shape: Shape
) -> Result:
    out = np.empty((len(x), *shape), np.int16)
    maps, results = x.reshape(-1, *x.shape[2:]), out.reshape(-1, *shape[1:])
    window, saturations = geometry(layer.window), 0
    match layer:
        case MaxPool2D():
            pool.max_pool(maps, window, node.output_format.min, results)
        case AvgPool2D():
            rim = layer.window.padding if layer.count_padding else (0, 0, 0, 0)
            pool.average_pool(maps, window, rim, results)
        case L2Pool2D():
            saturations = pool.l2_pool(maps, window, _target(node), results)
    return out, Counts(saturations=saturations)


def _softmax(node: FixedNode, layer: Softmax, x: Tensor, fmt: QFormat) -> Result:
    axis = layer.axis if layer.axis < 0 else layer.axis + 1
    rows = np.ascontiguousarray(np.moveaxis(x, axis, -1))
    out, saturations = np.empty_like(rows), 0
    flat, results = rows.reshape(-1, rows.shape[-1]), out.reshape(-1, rows.shape[-1])
    assert node.table is not None
    if node.softmax_shift is None:
        softmax.softmax(flat, node.table, fmt.frac + 2, results)
    else:
        saturations = softmax.shifted_softmax(
            flat, node.table, fmt.frac + 2, node.softmax_shift, results
        )
    return np.ascontiguousarray(np.moveaxis(out, -1, axis)), Counts(saturations=saturations)


def _slope(node: FixedNode, layer: PRelu, x: Tensor, fmt: QFormat) -> Result:
    channels = x.shape[1]
    out = np.empty_like(x)
    shifts = fmt.frac + node.fracs(channels) - node.output_format.frac
    flat, results = x.reshape(len(x), channels, -1), out.reshape(len(x), channels, -1)
    saturations = lookup.slope(flat, layer.slope.astype(np.int64), shifts, _target(node), results)
    return out, Counts(saturations=saturations)


def _add(node: FixedNode, a: Tensor, b: Tensor, formats: Sequence[QFormat]) -> Result:
    finer = max(fmt.frac for fmt in formats)
    lifts = [finer - fmt.frac for fmt in formats]
    out = np.empty_like(a)
    saturations = lookup.add(
        a.reshape(-1),
        b.reshape(-1),
        lifts[0],
        lifts[1],
        finer - node.output_format.frac,
        _target(node),
        out.reshape(-1),
    )
    return out, Counts(saturations=saturations)


def _concat(
    node: FixedNode, layer: Concat, inputs: Sequence[Tensor], formats: Sequence[QFormat]
) -> Result:
    parts, counts = [], Counts()
    for tensor, fmt in zip(inputs, formats, strict=True):
        answers = response(node, fmt)
        assert answers is not None
        part, more = _look_up(tensor, answers)
        parts.append(part)
        counts += more
    axis = layer.axis if layer.axis < 0 else layer.axis + 1
    return np.concatenate(parts, axis), counts


def _look_up(x: Tensor, answers: Response) -> Result:
    out = np.empty_like(x)
    lookup.look_up(x.reshape(-1), answers.raw, out.reshape(-1))
    saturations = lookup.count(x.reshape(-1), answers.over) if answers.over.any() else 0
    return out, Counts(saturations=saturations)
