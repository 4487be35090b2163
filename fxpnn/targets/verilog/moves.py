"""Steps that take words one by one, and move, join or cast them: pools with windows of one tap."""

import math
from collections.abc import Sequence

from fxpnn.network import layers
from fxpnn.targets.lowering import Source, Step
from fxpnn.targets.verilog.instruction import Fields, Kind, Loop, cast, reads, writes
from fxpnn.targets.verilog.step import Offsets, instructions, refused
from fxpnn.targets.verilog.weights import Roms

MOVED = 4
"""Along so many axes values can be reordered."""
RUNS = 64
"""So many parts of an axis can be taken one by one."""


def read_values(
    step: Step, source: Source, offset: int, loops: Sequence[Loop], written: Fields
) -> Fields:
    """Read values one by one and cast them: windows of one tap each."""
    return {
        "kind": Kind.POOL,
        **reads(offset, [*[Loop()] * 3, *loops]),
        **written,
        **cast(step, source.format.frac - step.format.frac, source.format),
    }


@instructions.register
def _same(
    layer: layers.Quantize | layers.Relu | layers.Clip, step: Step, offsets: Offsets, roms: Roms
) -> list[Fields]:
    source = step.sources[0]
    written = writes(offsets[step.name], step.size)
    return [read_values(step, source, offsets[source.tensor], [Loop(step.size, 1)], written)]


@instructions.register
def _concat(layer: layers.Concat, step: Step, offsets: Offsets, roms: Roms) -> list[Fields]:
    """Write what follows the axis of each tensor as a row; the rows of all lie side by side."""
    axis = layer.axis % len(step.shape)
    whole, made, behind = math.prod(step.shape[axis:]), [], 0
    for source in step.sources:
        part, rows = math.prod(source.shape[axis:]), math.prod(source.shape[:axis])
        written = writes(offsets[step.name] + behind, part, rows, 1, whole)
        loops = [Loop(part * rows, 1)]
        made.append(read_values(step, source, offsets[source.tensor], loops, written))
        behind += part
    return made


@instructions.register
def _transpose(layer: layers.Transpose, step: Step, offsets: Offsets, roms: Roms) -> list[Fields]:
    shape = step.sources[0].shape
    apart = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    axes = [Loop(shape[axis], apart[axis]) for axis in layer.order]
    return _moved(step, offsets, axes, 0)


@instructions.register
def _slice(layer: layers.Slice, step: Step, offsets: Offsets, roms: Roms) -> list[Fields]:
    shape, axis = step.sources[0].shape, layer.axis % len(step.shape)
    apart = [math.prod(shape[place + 1 :]) for place in range(len(shape))]
    axes = [
        Loop(size, apart[place] * (layer.step if place == axis else 1))
        for place, size in enumerate(step.shape)
    ]
    return _moved(step, offsets, axes, layer.start * apart[axis])


@instructions.register
def _take(layer: layers.Take, step: Step, offsets: Offsets, roms: Roms) -> list[Fields]:
    """Read the places of an axis by loops, of which those that go nowhere repeat.

    Where no loops give them all, runs of even steps are written side by side, like what is joined.
    """
    source, axis = step.sources[0], layer.axis % len(step.shape)
    shape, turns, runs = source.shape, layer.loops(), layer.runs()
    before, behind = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
    outer, inner = Loop(before, shape[axis] * behind), Loop(behind, 1)
    if turns is not None:
        taken = [Loop(length, further * behind) for length, further in turns]
        return _moved(step, offsets, [outer, *taken, inner], layer.places[0] * behind)
    if len(runs) > RUNS:
        raise refused(step, f"places must lie in {RUNS} runs of even steps, not {len(runs)}")
    made, done = list[Fields](), 0
    for first, length, further in runs:
        part = length * behind
        written = writes(offsets[step.name] + done, part, before, 1, math.prod(step.shape[axis:]))
        loops = [inner, Loop(length, further * behind), outer]
        place = offsets[source.tensor] + first * behind
        made.append(read_values(step, source, place, loops, written))
        done += part
    return made


def _moved(step: Step, offsets: Offsets, axes: Sequence[Loop], first: int) -> list[Fields]:
    """Read along axes, the outermost first, from the ``first`` value; write in a row.

    Of one axis too many the innermost is taken apart: each of its places writes words so far apart.
    """
    source, joined = step.sources[0], list[Loop]()
    for axis in axes:
        if joined and joined[-1].address == axis.turns * axis.address:
            axis = Loop(joined.pop().turns * axis.turns, axis.address)
        joined.append(axis)
    inner = joined.pop() if len(joined) == MOVED + 1 and joined[-1].turns <= RUNS else Loop()
    if len(joined) > MOVED:
        raise refused(
            step, f"values must lie along {MOVED} axes, or one more of at most {RUNS} places"
        )
    begin, base, apart = offsets[source.tensor] + first, offsets[step.name], inner.turns
    return [
        read_values(
            step,
            source,
            begin + turn * inner.address,
            joined[::-1],
            writes(base + turn, step.size // apart, 1, apart),
        )
        for turn in range(apart)
    ]


@instructions.register
def _pad(layer: layers.Pad, step: Step, offsets: Offsets, roms: Roms) -> list[Fields]:
    """Fill the maps before, pad each map, fill those behind; axes that gain nothing are joined."""
    shape, pads = [1], [(0, 0)]
    for size, sides in zip(step.sources[0].shape, layer.pads, strict=True):
        if sides == pads[-1] == (0, 0):
            shape[-1] *= size
        else:
            shape.append(size)
            pads.append(sides)
    if pads[0] == (0, 0) and shape[0] == 1:
        shape, pads = shape[1:], pads[1:]
    shape, pads = [1] * (3 - len(shape)) + shape, [(0, 0)] * (3 - len(pads)) + pads
    if len(shape) > 3:
        raise refused(step, "values must be padded along at most 3 axes")
    (maps, height, width), ((before, behind), (top, bottom), (left, right)) = shape, pads
    rows, columns = top + height + bottom, left + width + right
    source, at, made = step.sources[0], offsets[step.name], list[Fields]()
    loops = [Loop(columns, 1, 0, 1), Loop(rows, width, 1, 0), Loop(maps, height * width)]
    base = offsets[source.tensor] - top * width - left
    for count, filled in ((before, True), (maps, False), (behind, True)):
        size = count * rows * columns
        if count:
            fields = read_values(step, source, base, [Loop(size)], writes(at, size))
            if filled:
                fields["height"] = 0
            else:
                windows = [*[Loop()] * 3, *loops]
                fields |= reads(base, windows, (-top, -left), (height, width))
            made.append({**fields, "pad": int(layer.value)})
        at += size
    return made
