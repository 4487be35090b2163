"""Pools: the largest of a window, its average, its root of squares."""

import math

from fxpnn.network.layers import AvgPool2D, L2Pool2D, MaxPool2D
from fxpnn.targets.c import windows
from fxpnn.targets.c.casts import Cast, cast, limits
from fxpnn.targets.c.place import Place, Written
from fxpnn.targets.c.text import Lines, loop
from fxpnn.targets.c.windows import Axis, Sliding

PoolLayer = MaxPool2D | AvgPool2D | L2Pool2D


def max_pool(place: Place, layer: MaxPool2D) -> Written:
    """Write a pool that keeps the largest; padding is never it."""
    slide, keep = _sliding(place, layer), limits(place)
    taps = [f"const int16_t v = {slide.word};", "if (v > best) best = v;"]
    body = [f"int16_t best = {place.step.sources[0].format.min};", *_taps(place, slide, taps)]
    return Written([*keep.code, *_pool(place, slide, body, keep.of("best"))])


def avg_pool(place: Place, layer: AvgPool2D) -> Written:
    """Write a pool that averages: the exact quotient is cast once.

    Where all windows count the same power of 2, dividing by it is a part of the cast's shift.
    """
    slide, source, fmt = _sliding(place, layer), place.step.sources[0].format, place.step.format
    padded = [layer.window.padding[axis + 2] if layer.count_padding else None for axis in (0, 1)]
    rows, columns = (
        _counted(a, p) for a, p in zip((slide.rows, slide.columns), padded, strict=True)
    )
    counts = {a * b or 1 for a in rows for b in columns}
    low, high = place.bounds[0].limits
    most = math.prod(layer.window.kernel) * max(-low, high)
    finer = max(fmt.frac - source.frac, 0)
    taps = _taps(place, slide, [f"sum += {slide.word};"])
    if len(counts) == 1 and (count := min(counts)) & (count - 1) == 0:
        body = [f"int{32 if most < 1 << 30 else 64}_t sum = 0;", *taps]
        shift = source.frac + count.bit_length() - 1 - fmt.frac
        found = cast(place, shift, (-most, most), f"Cast a sum of {count} words to {fmt}.")
        return _cast_pool(place, slide, body, found, found.of("sum"))
    bits = 32 if most << finer < 1 << 28 else 64
    body = [f"int{bits}_t sum = 0;", *taps]
    total = f"sum * {1 << finer}" if finer else "sum"
    if len(counts) == 1:
        count_text = str(min(counts))
    else:
        sides = (
            _count_text(a, p) for a, p in zip((slide.rows, slide.columns), padded, strict=True)
        )
        body.append(f"const int{bits}_t count = (int{bits}_t)({' * '.join(sides)});")
        count_text = "count > 0 ? count : 1" if min(rows) * min(columns) == 0 else "count"
    shift, reach = source.frac + finer + 2 - fmt.frac, (most << finer) * 4 + 3
    found = cast(place, shift, (-reach, reach), f"Cast four times an average to {fmt}.")
    value = found.of(f"quarters_{bits}({total}, {count_text})")
    return _cast_pool(place, slide, body, found, value)


def l2_pool(place: Place, layer: L2Pool2D) -> Written:
    """Write a pool that takes the root of the sum of squares, cast once.

    Two bits behind the root's floor tell how the root lies to it and to the middle of the next.
    """
    slide, source, fmt = _sliding(place, layer), place.step.sources[0].format, place.step.format
    finer = max(fmt.frac - source.frac, 0)
    coarser = min(max(source.frac - fmt.frac, 0), 32)
    drop = min(2 * coarser, 62)
    taps = [f"const int32_t v = {slide.word};", "sum += v * v;"]
    square = f"sum * {1 << 2 * finer}" if finer else "sum"

    def up(text: str) -> str:
        return f"({text} << {drop})" if drop else text

    body = [
        "int64_t sum = 0;",
        *_taps(place, slide, taps),
        f"const int64_t square = {square};",
        f"const int64_t floor = root((uint64_t)square{f' >> {drop}' if drop else ''});",
        f"const int64_t rest = square - {up('floor * floor')};",
        f"const int64_t middle = {up('floor')} + {1 << 2 * coarser >> 2};",
        # Only a coarser format has words in whose middle a root can lie.
        f"const int above = rest > middle{', reached = rest >= middle' if coarser else ''};",
    ]
    found = cast(place, 2, (0, 1 << 34), f"Cast four times a root to {fmt}.")
    behind = "reached + above" if coarser else "2 * above"
    value = found.of(f"4 * floor + (rest > 0) + {behind}")
    return _cast_pool(place, slide, body, found, value)


def _sliding(place: Place, layer: PoolLayer) -> Sliding:
    return windows.sliding(layer.window, place.step.sources[0].shape, place.step.shape)


def _channel(place: Place) -> str:
    return "c" if place.step.shape[0] > 1 else "0"


def _taps(place: Place, slide: Sliding, body: Lines) -> Lines:
    return slide.taps("x", _channel(place), body)


def _cast_pool(place: Place, slide: Sliding, body: Lines, found: Cast, value: str) -> Written:
    return Written([*found.code, *_pool(place, slide, body, value)])


def _pool(place: Place, slide: Sliding, body: Lines, value: str) -> Lines:
    channels, *area = place.step.shape
    where = slide.output((_channel(place), math.prod(area)))
    positions = slide.positions([*body, f"y[{where}] = {value};"])
    return place.function(loop(_channel(place), channels, positions))


def _counted(axis: Axis, padding: int | None) -> list[int]:
    """Count the taps of each position that an average counts; ``padding`` counts behind the map."""
    if padding is None:
        return axis.seen
    end = axis.before + axis.size + padding
    starts = (place * axis.stride for place in range(axis.positions))
    return [sum(start + tap * axis.dilation < end for tap in range(axis.taps)) for start in starts]


def _count_text(axis: Axis, padding: int | None) -> str:
    """Write how many taps an average counts at a position."""
    if len(set(counted := _counted(axis, padding))) == 1:
        return str(counted[0])
    if padding is None:
        return axis.count
    at, end = axis.at, axis.before + axis.size + padding
    return f"taps_to({at}, {end}, {axis.taps}, {axis.dilation})"
