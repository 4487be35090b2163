"""Layers that move words, or cast each of them: joins, slices, frames, turns."""

from collections.abc import Sequence

import numpy as np

from fxpnn.network import layers
from fxpnn.network.layers import Shape
from fxpnn.targets.c.casts import cast, limits
from fxpnn.targets.c.place import Place, Written, inner
from fxpnn.targets.c.text import Lines, index, nest, shifted, strides
from fxpnn.targets.c.values import each


def _copied(
    shape: Shape,
    reads: Sequence[int],
    writes: Sequence[int],
    value: str,
    starts: tuple[int, int] = (0, 0),
    source: str = "x",
) -> Lines:
    """Write loops that read at some strides, and write ``value`` of each word at others.

    ``{}`` in ``value`` stands for the word; ``starts`` is where reading and writing begin.
    """
    x, y = (
        f"({shifted(name, str(start))})" if start else name
        for name, start in zip((source, "y"), starts, strict=True)
    )

    def body(read: str, write: str) -> Lines:
        return [f"{y}[{write}] = {value.format(f'{x}[{read}]')};"]

    return nest(shape, [reads, writes], body)


def quantize(place: Place) -> Written:
    """Write the cast of each word; a format is cast to itself by no change."""
    source, fmt = place.step.sources[0].format, place.step.format
    if source == fmt:
        keep, flat = limits(place), strides(place.step.shape)
        lines = _copied(place.step.shape, flat, flat, keep.of("{}"))
        return Written([*keep.code, *place.function(lines)])
    found = cast(place, source.frac - fmt.frac, place.bounds[0].limits, f"Cast a word to {fmt}.")
    return Written([*found.code, *each(place, found.of("v"))])


def concat(place: Place, layer: layers.Concat) -> Written:
    """Write the join of all sources, each cast to the output's format."""
    fmt, output = place.step.format, strides(place.step.shape)
    keep = limits(place)
    code, lines, start = list[str](), list[str](), 0
    alike = any(source.format == fmt for source in place.step.sources)
    code += keep.code if alike else []
    for number, source in enumerate(place.step.sources):
        value = keep.of("{}")
        if source.format != fmt:
            reach, note = place.bounds[number].limits, f"Cast a word of {source.format} to {fmt}."
            shift = source.format.frac - fmt.frac
            found = cast(place, shift, reach, note, suffix=f"cast_{number}")
            code, value = [*code, *found.code], found.of("{}")
        reads = strides(source.shape)
        lines += _copied(source.shape, reads, output, value, (0, start), f"x{number}")
        start += source.shape[layer.axis] * output[layer.axis]
    return Written([*code, *place.function(lines)])


def pad(place: Place, layer: layers.Pad) -> Written:
    """Write a frame of one value around each axis."""
    step, source, keep = place.step, place.step.sources[0].shape, limits(place)
    writes = strides(step.shape)
    value = min(max(int(layer.value), step.low), step.high)
    start = sum(before * pitch for (before, _), pitch in zip(layer.pads, writes, strict=True))
    lines = nest(step.shape, [writes], lambda k: [f"y[{k}] = {value};"], "k")
    lines += _copied(source, strides(source), writes, keep.of("{}"), (0, start))
    return Written([*keep.code, *place.function(lines)])


def cut(place: Place, layer: layers.Slice) -> Written:
    """Write the choice of every so many places along an axis."""
    step, keep, reads = place.step, limits(place), list(strides(place.step.sources[0].shape))
    start = layer.start * reads[layer.axis]
    reads[layer.axis] *= layer.step
    lines = _copied(step.shape, reads, strides(step.shape), keep.of("{}"), (start, 0))
    return Written([*keep.code, *place.function(lines)])


def take(place: Place, layer: layers.Take) -> Written:
    """Write the places of an axis side by side: what lies behind it is copied for each."""
    keep, source = limits(place), place.step.sources[0].shape
    before, size, behind = inner(source, layer.axis)
    taken = place.constant("places", "uint32_t", np.array(layer.places), "places")
    count = len(layer.places)

    def body(write: str, outer: str, turn: str, within: str) -> Lines:
        read = index((outer, 1), (f"places[{turn}]", behind), (within, 1))
        return [f"y[{write}] = {keep.of(f'x[{read}]')};"]

    pitches = [(count * behind, behind, 1), (size * behind, 0, 0), (0, 1, 0), (0, 0, 1)]
    lines = [f"const uint32_t *places = {taken.name};"]
    lines += nest((before, count, behind), pitches, body, "cik")
    return Written([*keep.code, *place.function(lines)], (taken,))


def transpose(place: Place, layer: layers.Transpose) -> Written:
    """Write the axes in another order."""
    step, keep = place.step, limits(place)
    pitches = strides(place.step.sources[0].shape)
    reads = [pitches[axis] for axis in layer.order]
    lines = _copied(step.shape, reads, strides(step.shape), keep.of("{}"))
    return Written([*keep.code, *place.function(lines)])
