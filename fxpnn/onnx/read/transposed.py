"""Read transposed convolutions: convolutions of stuffed maps with the kernels turned around.

A map is stuffed when ``stride - 1`` zeros follow each of its rows and columns. A reshape, a padding
and a reshape do that, so that nothing behind the reader has a layer to learn: the accumulator adds
its products as a convolution of the stuffed map does, taps ascending in the turned kernel.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from fxpnn.errors import ModelError
from fxpnn.network.layers import Array, Conv2D, Pad, Reshape, Slice, Window
from fxpnn.onnx.graph.normal import Op
from fxpnn.onnx.read.linear import bias_of, floats_of
from fxpnn.onnx.read.trace import Handler, Trace, Value

MODES = ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")


class Side(NamedTuple):
    """How many zeros stand before and after a stuffed map along one axis; fewer than 0 are cut."""

    before: int
    after: int


def _conv_transpose(trace: Trace, op: Op) -> Value:
    """Compute ``y[i * stride + m * dilation - before] += x[i] * w[m]`` as a convolution."""
    x, weight = trace.maps(trace.value(op)), floats_of(trace.constant(op, 1))
    rank = len(x.shape) - 1
    if weight.ndim - 2 != rank or len(x.held) != 3:
        raise ModelError(
            "its kernel must have the one axis of rows or the two of maps, "
            f"not {max(weight.ndim - 2, 0)} on {x.shape}"
        )
    groups, kernel = op.get("group", 1), tuple(op.get("kernel_shape", weight.shape[2:]))
    if kernel != weight.shape[2:]:
        raise ModelError(f"kernel_shape must be the weight's {weight.shape[2:]}, not {kernel}")
    turned = _turned(weight.reshape(*weight.shape[:2], *_both(kernel, 1)), groups, x.shape[0])
    bare = Window(
        _both(kernel, 1),
        _both(_counts(op, "strides", rank, 1), 1),
        dilation=_both(_counts(op, "dilations", rank, 1), 1),
    )
    sides = _sides(op, bare, x)
    (top, bottom), (left, right) = ([max(count, 0) for count in side] for side in sides)
    window = Window(bare.kernel, (1, 1), (top, left, bottom, right), bare.dilation)
    layer = Conv2D(turned, bias_of(trace, op, turned.shape[:1]), window, groups)
    y = trace.emit(op, layer, _stuffed(trace, op, x, bare.stride, sides))
    return replace(y, shape=(y.held[0], y.held[2]), maps=True) if x.maps else y


def _both(values: Sequence[int], flat: int) -> tuple[int, int]:
    """Return the values of both axes of maps; that of rows' height is ``flat``."""
    height, width = (*[flat] * (2 - len(values)), *values)
    return height, width


def _counts(op: Op, name: str, length: int, default: int) -> tuple[int, ...]:
    """Return an attribute with as many counts as the operator needs."""
    counts = tuple(op.get(name, (default,) * length))
    if len(counts) != length or min(counts) < 0:
        raise ModelError(f"{name} must be {length} counts of {default} or more, not {counts}")
    return counts


def _turned(weight: Array, groups: int, maps: int) -> Array:
    """Return ``(in, out / groups, height, width)`` as a convolution's kernels, turned around."""
    inputs, outputs, *kernel = weight.shape
    if inputs != maps:
        raise ModelError(f"input must have {inputs} maps, not {maps}")
    if groups < 1 or inputs % groups:
        raise ModelError(f"group must divide the {inputs} input maps, not be {groups}")
    grouped = weight.reshape(groups, inputs // groups, outputs, *kernel).swapaxes(1, 2)
    return grouped[..., ::-1, ::-1].reshape(groups * outputs, inputs // groups, *kernel)


def _sides(op: Op, bare: Window, x: Value) -> tuple[Side, Side]:
    """Say what stands around the stuffed map, (vertical, horizontal).

    The whole output has ``stride * (size - 1) + span`` places and what ``output_padding`` adds
    behind. Its first place is the window that ends on the map's first one: ``span - 1`` zeros
    stand before the map, and as many behind, of which stuffing has put ``stride - 1``. The places
    that ``pads`` takes off the output are as many zeros less.
    """
    beyond = _both(_counts(op, "output_padding", len(x.shape) - 1, 0), 0)
    whole = [
        stride * (size - 1) + span + more
        for size, stride, span, more in zip(x.held[1:], bare.stride, bare.span, beyond, strict=True)
    ]
    height, width = (
        Side(span - 1 - before, span - 1 - after + more - (stride - 1))
        for span, stride, more, (before, after) in zip(
            bare.span, bare.stride, beyond, _taken_off(op, bare, x, whole), strict=True
        )
    )
    return height, width


def _taken_off(op: Op, bare: Window, x: Value, whole: Sequence[int]) -> Sequence[Side]:
    """Return how many places of the whole output are left out before and after, for each axis.

    Where the output's size is given, or is the input's times the stride (SAME), those are left out
    that are too many, and an odd one at the end (UPPER) or at the start (all other modes); what a
    given size has more is added at the end. Where SAME would add some, ONNX Runtime does not.
    """
    rank, mode = len(x.shape) - 1, op.get("auto_pad", "NOTSET")
    if mode not in MODES:
        raise ModelError(f"auto_pad must be {', '.join(MODES[:3])} or {MODES[3]}, not {mode}")
    given = tuple(op.get("output_shape", ()))
    if not given and not mode.startswith("SAME"):
        pads = _counts(op, "pads", 2 * rank, 0) if mode == "NOTSET" else (0,) * 2 * rank
        before, after = _both(pads[:rank], 0), _both(pads[rank:], 0)
        return [Side(*ends) for ends in zip(before, after, strict=True)]
    if given and len(given) != rank:
        raise ModelError(f"output_shape must be {rank} sizes, not {given}")
    same = [stride * size for stride, size in zip(bare.stride, x.held[1:], strict=True)]
    wanted = _both(given, 1) if given else same
    surplus = [made - size for made, size in zip(whole, wanted, strict=True)]
    if min(surplus) < 0 and not given:
        raise ModelError(
            f"auto_pad must not add to an output of {tuple(whole)[-rank:]}, not {mode}"
        )
    return [_split(count, mode) for count in surplus]


def _split(count: int, mode: str) -> Side:
    small, large = count // 2, count - count // 2
    if count < 0:
        return Side(0, count)
    return Side(small, large) if mode == "SAME_UPPER" else Side(large, small)


def _stuffed(
    trace: Trace, op: Op, x: Value, stride: tuple[int, int], sides: tuple[Side, Side]
) -> Value:
    """Emit what puts zeros behind each row and column, and cuts off what is too much."""
    channels, height, width = x.held
    if stride != (1, 1):
        x = trace.emit(op, Reshape((channels, height, width, 1)), x, part=".apart")
        rows, columns = (stride[0] - 1) * width, stride[1] - 1  # whole rows go behind each row
        x = trace.emit(op, Pad(((0, 0), (0, 0), (0, rows), (0, columns))), x, part=".gaps")
        height, width = height * stride[0], width * stride[1]
        x = trace.emit(op, Reshape((channels, height, width)), x, part=".stuffed")
    for axis, (side, size) in enumerate(zip(sides, (height, width), strict=True), start=1):
        start, stop = max(-side.before, 0), size - max(-side.after, 0)
        if not 0 <= start < stop <= size:
            raise ModelError("pads must leave some of its output")
        if stop - start < size:
            x = trace.emit(op, Slice(axis, start, stop), x, part=f".axis{axis}")
    return x


HANDLERS: Mapping[str, Handler] = {"ConvTranspose": _conv_transpose}
