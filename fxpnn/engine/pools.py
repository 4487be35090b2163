"""How pools are computed: where their windows find their pixels, and by which loop."""

import math

from fxpnn.engine.program import Fields, Places
from fxpnn.fixedpoint.qformat import QFormat, Rounding
from fxpnn.kernels.layout import instructions, packing
from fxpnn.network import layers
from fxpnn.network.fixed import FixedNode
from fxpnn.network.layers import Shape, Window

KINDS: dict[type[layers.Layer], int] = {
    layers.MaxPool2D: instructions.MAX,
    layers.AvgPool2D: instructions.AVERAGE,
    layers.L2Pool2D: instructions.L2,
}


def taps(window: Window, made: Shape, share: int) -> Places | None:
    """Return where each window finds its pixels, or None where one has none on its map."""
    shape = (window.kernel, window.stride, window.padding[:2], window.dilation)
    pooled = window.output(made[1], made[2])
    return packing.pool_windows(shape, (made[1], made[2]), pooled, share, made[0])


def mean_windows(node: FixedNode, shape: Shape, source: QFormat) -> Places | None:
    """Return where the windows of an average find their words, if vectors may average them.

    Windows lie inside the map of ``shape``, hold a power of two of values, and are cast by default:
    to the input's format, ties to even. No average is out of its range then.
    """
    layer, cast = node.layer, node.requantize
    if not isinstance(layer, layers.AvgPool2D):
        return None
    window, count = layer.window, math.prod(layer.window.kernel)
    inside = not (any(window.padding) or window.ceil_mode)
    default = cast.rounding is Rounding.NEAREST_EVEN and cast.format.frac == source.frac
    fits = cast.limits[0] <= source.min and source.max <= cast.limits[1]
    if not (inside and default and fits and 2 <= count < 1 << 15 and count & (count - 1) == 0):
        return None
    found = taps(window, shape, 1)
    assert found is not None, "a window that needs no padding lies on its map"
    return found // packing.LANES * shape[0]


def pool(node: FixedNode, shape: Shape, made: Shape, source: QFormat) -> Fields:
    """Return the fields of any pool that makes a map of ``made`` from one of ``shape``."""
    layer = node.layer
    assert isinstance(layer, layers.MaxPool2D | layers.AvgPool2D | layers.L2Pool2D)
    window = layer.window
    counted = isinstance(layer, layers.AvgPool2D) and layer.count_padding
    rim = window.padding if counted else (0, 0, 0, 0)
    names = ("kernel", "stride", "origin", "dilation")
    pairs = (window.kernel, window.stride, window.padding[:2], window.dilation)
    fields = {
        f"{n}_{a}": v
        for n, p in zip(names, pairs, strict=True)
        for a, v in zip("hw", p, strict=True)
    }
    fields |= {f"rim_{side}": v for side, v in zip("tlbr", rim, strict=True)}
    fields |= dict(zip(("channels", "height", "width"), shape, strict=True))
    fields |= {"pooled_h": made[1], "pooled_w": made[2]}
    fields |= {"kind": KINDS[type(layer)], "shift": source.frac - node.output_format.frac}
    if isinstance(layer, layers.MaxPool2D):  # outside its map lies the least word
        fields |= {"low": source.min}
    return fields
