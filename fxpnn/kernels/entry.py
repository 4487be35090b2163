"""Own the loops by which images become words: pixels by table, floats by the exact cast."""

import numpy as np
import numpy.typing as npt

from fxpnn.kernels.arithmetic import I16, I64, Bools, loop


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
    for image in range(x.shape[0]):
        for channel in range(raws.shape[0]):
            table, flags = raws[channel], over[channel]
            for value in range(channel * size, (channel + 1) * size):
                pixel = x[image, value]
                place = places[value] if places.size else value
                out[image * words + place] = table[pixel]
                saturations += flags[pixel]
    return saturations


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
    or small that its cast is the same.
    """
    saturations, strange = 0, 0
    for image in range(x.shape[0]):
        here = out[image * words : (image + 1) * words]
        for value in range(x.shape[1]):
            rounded = np.rint(np.float64(x[image, value]) * scale)
            kept = min(max(rounded, low), high) if rounded == rounded else 0.0
            saturations += kept != rounded
            strange += rounded != rounded  # NaN alone is not itself
            here[places[value] if places.size else value] = np.int16(kept)
    return saturations, strange
