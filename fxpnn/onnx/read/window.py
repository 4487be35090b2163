"""Read the operators that slide a window, and how ONNX describes windows."""

from collections.abc import Mapping, Sequence
from typing import cast

from fxpnn.errors import ModelError
from fxpnn.network.layers import AvgPool2D, L2Pool2D, MaxPool2D, Window
from fxpnn.onnx.graph.normal import Op
from fxpnn.onnx.read.trace import Handler, Trace, Value


def window(op: Op, kernel: Sequence[int], x: Value) -> Window:
    """Return the window of a convolution or pool on maps, or on rows held as maps of height 1."""
    if len(kernel) != len(x.shape) - 1 or len(x.held) != 3:
        raise ModelError(
            "its kernel must have the one axis of rows or the two of maps, "
            f"not {len(kernel)} on {x.shape}"
        )
    flat = (1,) * (2 - len(kernel))
    bare = Window(
        _pair(flat, kernel),
        _pair(flat, op.get("strides", (1,) * len(kernel))),
        dilation=_pair(flat, op.get("dilations", (1,) * len(kernel))),
        ceil_mode=op.flag("ceil_mode"),
    )
    padding = _padding(op, bare, x)
    return Window(bare.kernel, bare.stride, padding, bare.dilation, bare.ceil_mode)


def _pair(flat: tuple[int, ...], values: Sequence[int]) -> tuple[int, int]:
    return cast(tuple[int, int], (*flat, *values))


def _padding(op: Op, bare: Window, x: Value) -> tuple[int, int, int, int]:
    """Return (top, left, bottom, right), ONNX's own order.

    SAME pads so that the output is the input over the stride, rounded up; an odd count goes to the
    end (UPPER) or the start (LOWER). Where that would take more than one pixel away, ONNX Runtime
    and ONNX's own reference differ.
    """
    mode = op.get("auto_pad", "NOTSET")
    if mode == "NOTSET":
        pads = tuple(op.get("pads", (0,) * 2 * (len(x.shape) - 1)))
        if x.maps and len(pads) == 2:
            return 0, pads[0], 0, pads[1]
        return cast(tuple[int, int, int, int], pads)
    if mode == "VALID":
        return 0, 0, 0, 0
    if mode not in ("SAME_UPPER", "SAME_LOWER"):
        raise ModelError(f"auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER, not {mode}")
    totals = [
        (-(-size // stride) - 1) * stride + span - size
        for size, stride, span in zip(x.held[1:], bare.stride, bare.span, strict=True)
    ]
    if min(totals) < -1:
        raise ModelError(f"auto_pad must pad where a stride skips pixels, not {mode}")
    small = [max(total, 0) // 2 for total in totals]
    large = [max(total + 1, 0) // 2 for total in totals]
    before, after = (small, large) if mode == "SAME_UPPER" else (large, small)
    return before[0], before[1], after[0], after[1]


def _max_pool(trace: Trace, op: Op) -> Value:
    x = trace.maps(trace.value(op))
    return trace.emit(op, MaxPool2D(window(op, op.get("kernel_shape", ()), x)), x)


def _average_pool(trace: Trace, op: Op) -> Value:
    x = trace.maps(trace.value(op))
    counted = op.flag("count_include_pad")
    layer = AvgPool2D(window(op, op.get("kernel_shape", ()), x), counted)
    return trace.emit(op, layer, x)


def _lp_pool(trace: Trace, op: Op) -> Value:
    x = trace.maps(trace.value(op))
    if op.get("p", 2) != 2:
        raise ModelError(f"p must be 2, not {op.get('p')}")
    return trace.emit(op, L2Pool2D(window(op, op.get("kernel_shape", ()), x)), x)


def _global_average_pool(trace: Trace, op: Op) -> Value:
    x = trace.maps(trace.value(op))
    return trace.emit(op, AvgPool2D(window(op, x.shape[1:], x)), x)


def _global_max_pool(trace: Trace, op: Op) -> Value:
    x = trace.maps(trace.value(op))
    return trace.emit(op, MaxPool2D(window(op, x.shape[1:], x)), x)


HANDLERS: Mapping[str, Handler] = {
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "LpPool": _lp_pool,
    "GlobalAveragePool": _global_average_pool,
    "GlobalMaxPool": _global_max_pool,
}
