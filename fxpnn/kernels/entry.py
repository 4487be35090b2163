"""Loops by which images become words, pixels by table, floats by a cast."""

import numpy as np
import numpy.typing as npt

from fxpnn.kernels.arithmetic import I16, I64, Bools
from fxpnn.kernels.build.decorators import loop
from fxpnn.kernels.build.memory import empty, free


@loop
def pixels(
    x: npt.NDArray[np.uint8], raws: I16, over: Bools, places: I64, words: int, out: I16
) -> int:
    """Look each pixel up in its channel's table; return how many saturated.

    ``x`` is ``(N, values)``, channel by channel, ``raws`` and ``over`` ``(channels, 256)``; value
    ``v`` of an image goes to ``places[v]``, or to ``v`` where there are no places.
    """
    saturations = 0
    size = x.shape[1] // raws.shape[0]
    for channel in range(raws.shape[0]):
        table, flags, first = raws[channel], over[channel], channel * size
        even, begin, step = _evenly(table)
        counted = size if _any(flags) else 0
        for image in range(x.shape[0]):
            here, values = out[image * words :], x[image, first : first + size]
            if places.size:
                for i in range(size):
                    here[places[first + i]] = table[values[i]]
            elif even:  # as most are; vectors know how to multiply, not how to look up
                for i in range(size):
                    here[first + i] = begin + step * np.int64(values[i])
            else:
                for i in range(size):
                    here[first + i] = table[values[i]]
            for i in range(counted):
                saturations += flags[values[i]]
    return saturations


@loop
def _evenly(table: I16) -> tuple[bool, int, int]:
    """Say whether a table's words are the same step apart; return the first, and the step."""
    begin, even = np.int64(table[0]), True
    step = np.int64(table[1]) - begin
    for pixel in range(table.size):
        even &= table[pixel] == begin + step * pixel
    return even, begin, step


@loop
def _any(flags: Bools) -> bool:
    found = False
    for i in range(flags.size):
        found |= flags[i]
    return found


@loop
def floats(
    x: npt.NDArray[np.floating],
    scale: float,
    low: float,
    high: float,
    places: I64,
    words: int,
    out: I16,
) -> tuple[int, int]:
    """Cast each float to nearest even and saturate; return how many saturated, how many are NaN.

    ``x`` is ``(N, values)``; ``scale`` is a power of two, so that the product is exact, or so large
    or small that its cast is the same; ``low`` and ``high`` have 16 bits. All three are of the type
    of ``x``: float32 fills twice the lanes of float64.
    """
    factor, least, most = x.dtype.type(scale), x.dtype.type(low), x.dtype.type(high)
    nothing = x.dtype.type(0)
    saturations, strange = 0, 0
    apart = empty(places.size, np.int16)  # vectors know how to cast, not how to put in places
    for image in range(x.shape[0]):
        here, values = out[image * words : (image + 1) * words], x[image]
        made = apart if places.size else here
        saturated, nans = np.int32(0), np.int32(0)
        for value in range(values.size):
            rounded = np.rint(values[value] * factor)
            kept = rounded if rounded == rounded else nothing  # NaN alone is not itself
            kept = min(max(kept, least), most)
            saturated = np.int32(saturated + (kept != rounded))
            nans = np.int32(nans + (rounded != rounded))
            made[value] = np.int16(kept)
        for value in range(places.size):
            here[places[value]] = apart[value]
        saturations += saturated
        strange += nans
    free((apart,))
    return saturations, strange


@loop
def words(x: npt.NDArray[np.int16], places: I64, words: int, out: I16) -> int:
    """Put each raw word in its place, as ``pixels`` does; return that none saturated."""
    for image in range(x.shape[0]):
        here, values = out[image * words :], x[image]
        if places.size:
            for i in range(places.size):
                here[places[i]] = values[i]
        else:
            for i in range(values.size):
                here[i] = values[i]
    return 0
