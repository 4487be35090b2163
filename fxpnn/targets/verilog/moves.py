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
    return [_moved(step, offsets, axes, 0)]


@instructions.register
def _slice(layer: layers.Slice, step: Step, offsets: Offsets, roms: Roms) -> list[Fields]:
    shape, axis = step.sources[0].shape, layer.axis % len(step.shape)
    apart = [math.prod(shape[place + 1 :]) for place in range(len(shape))]
    axes = [
        Loop(size, apart[place] * (layer.step if place == axis else 1))
        for place, size in enumerate(step.shape)
    ]
    return [_moved(step, offsets, axes, layer.start * apart[axis])]


@instructions.register
def _take(layer: layers.Take, step: Step, offsets: Offsets, roms: Roms) -> list[Fields]:
    """Read the places of an axis by loops; those of turns that go nowhere repeat."""
    shape, turns = step.sources[0].shape, layer.loops()
    if turns is None:
        raise refused(step, "places must follow each other evenly")
    axis = layer.axis % len(shape)
    apart = [math.prod(shape[place + 1 :]) for place in range(len(shape))]
    axes = [Loop(size, pitch) for size, pitch in zip(shape, apart, strict=True)]
    taken = [Loop(length, further * apart[axis]) for length, further in turns]
    axes[axis : axis + 1] = taken
    return [_moved(step, offsets, axes, layer.places[0] * apart[axis])]


def _moved(step: Step, offsets: Offsets, axes: Sequence[Loop], first: int) -> Fields:
    """Read along axes, the outermost first, from the ``first`` value; write in a row."""
    source, joined = step.sources[0], list[Loop]()
    for axis in axes:
        if joined and joined[-1].address == axis.turns * axis.address:
            axis = Loop(joined.pop().turns * axis.turns, axis.address)
        joined.append(axis)
    if len(joined) > MOVED:
        raise refused(step, f"values must lie along at most {MOVED} axes")
    written = writes(offsets[step.name], step.size)
    return read_values(step, source, offsets[source.tensor] + first, joined[::-1], written)


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
