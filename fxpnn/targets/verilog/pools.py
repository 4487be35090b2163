"""Pools: the largest of a window, or its average."""

import math

from fxpnn.network import layers
from fxpnn.targets.lowering import Step
from fxpnn.targets.verilog.instruction import Fields, Kind, Loop, cast, reads, writes
from fxpnn.targets.verilog.step import Offsets, instructions, refused
from fxpnn.targets.verilog.sums import alone
from fxpnn.targets.verilog.weights import Roms
from fxpnn.targets.verilog.windows import slide

FINER = 16
"""By so many fraction bits an average can be finer than what it is of."""
COUNTED = 1 << 16
"""An average counts the positions of a window in a word of 16 bits."""
QUOTIENT = 16
"""Bits of an average's magnitude, and so the steps that find it, at the scale of its words."""


@instructions.register
def _max_pool(layer: layers.MaxPool2D, step: Step, offsets: Offsets, roms: Roms) -> list[Fields]:
    source = step.sources[0]
    return [
        {
            "kind": Kind.POOL,
            "pad": step.format.min,
            **_windows(layer, step, offsets),
            **writes(offsets[step.name], step.size),
            **cast(step, source=source.format),
        }
    ]


@instructions.register
def _avg_pool(layer: layers.AvgPool2D, step: Step, offsets: Offsets, roms: Roms) -> list[Fields]:
    """Sum a window and shift where all count a power of two of positions; else divide."""
    finer = step.format.frac - step.sources[0].format.frac
    count = _count(layer, step)
    if count is not None and count & (count - 1) == 0:
        bits = count.bit_length() - 1
        fields = alone(step, offsets, roms, [1], 0, bits - finer)
        return [fields | _windows(layer, step, offsets) | {"acc_word": 17 + bits}]
    return [_divided(layer, step, offsets, finer)]


def _divided(layer: layers.AvgPool2D, step: Step, offsets: Offsets, finer: int) -> Fields:
    """Divide by as many steps as the quotient has bits; windows wait for the one before them."""
    if finer > FINER:
        raise refused(step, f"output must have at most {FINER} fraction bits more than the input")
    window = math.prod(layer.window.kernel)
    if window >= COUNTED:
        raise refused(step, f"a window must have fewer than {COUNTED} positions")
    up = max(0, finer)
    return {
        "kind": Kind.POOL,
        "average": 1,
        "divide_steps": QUOTIENT + up,
        "pause": max(0, QUOTIENT + up + 1 - window),
        **_windows(layer, step, offsets),
        **writes(offsets[step.name], step.size),
        **cast(step, up + 2 - finer),
    }


def _windows(layer: layers.MaxPool2D | layers.AvgPool2D, step: Step, offsets: Offsets) -> Fields:
    """Read window after window, map after map; an average may count the padding."""
    source, (_, _, bottom, right) = step.sources[0], layer.window.padding
    maps, height, width = source.shape
    slid = slide(layer.window, source.shape, step.shape[1:])
    loops = [*slid.taps, Loop(), *slid.positions, Loop(maps, height * width)]
    counts = isinstance(layer, layers.AvgPool2D) and layer.count_padding
    counted = (height + bottom, width + right) if counts else None
    base = offsets[source.tensor] + slid.address
    return reads(base, loops, slid.first, (height, width), counted)


def _count(layer: layers.AvgPool2D, step: Step) -> int | None:
    """Return how many positions every window counts, or ``None`` where that varies."""
    window, (_, height, width) = layer.window, step.sources[0].shape
    whole = window.reach(height, width) == window.padding  # no window hangs over the padded edge
    padded = any(window.padding) and not layer.count_padding
    return math.prod(window.kernel) if whole and not padded else None
