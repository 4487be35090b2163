"""Calibration: the way from a range of values, observed or proved, to the format that holds it."""

import math
from collections.abc import Iterable

import numpy as np

from fxpnn.errors import DataError, FormatError
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.graph import Network
from fxpnn.network.images import check_images
from fxpnn.network.layers import Array
from fxpnn.quantization.settings import Method
from fxpnn.reference import forward, scale

PERCENTILE = 99.99
"""The share of magnitudes that ``percentile`` covers."""
SAMPLE = 1 << 18
"""The most values of a tensor that a choice by percentile or error looks at."""
BLOCK = 64
FINER = 6
"""How many fraction bits beyond the range's own ``mse`` tries."""
HEADROOM, ROOMY_WORD = 1.25, 12
"""Words this wide leave room beyond what calibration saw: an integer bit costs them nothing."""


def fitting(low: float, high: float, word: int, signed: bool = True) -> QFormat:
    """Return the finest format of ``word`` bits in which ``low..high`` saturates nowhere.

    >>> str(fitting(-1.0, 0.5, 16)), str(fitting(-1.0, 1.0, 16)), str(fitting(0, 100, 8))
    ('Q0.15', 'Q1.14', 'Q7.0')

    Raises:
        FormatError: an end is not finite, or beyond every format.
    """
    largest = max(abs(low), abs(high))
    if not (math.isfinite(low) and math.isfinite(high)):
        raise FormatError(f"a range must be finite to have a format, not {low} to {high}")
    if largest == 0:
        return QFormat(word, word - signed, signed)
    exponent = math.frexp(largest)[1]  # largest < 2**exponent
    for frac in range(word - signed - exponent + 1, word - signed - exponent - 2, -1):
        fmt = QFormat(word, max(-1000, min(1000, frac)), signed)
        if (
            round(math.ldexp(high, fmt.frac)) <= fmt.max
            and round(math.ldexp(low, fmt.frac)) >= fmt.min
        ):
            return fmt
    raise FormatError(f"a range must fit {word} bits of some format, not be {low} to {high}")


def choose(values: Array, word: int, method: Method, room: float = 1.0) -> QFormat:
    """Choose the format of ``word`` bits for observed values (or weights).

    ``minmax`` covers them all, ``percentile`` all but the largest, ``mse`` has the smallest mean
    squared error, of equals the widest range. ``room`` widens the range where the data to come may
    exceed it.
    """
    if method is Method.PERCENTILE:
        limit = float(np.percentile(np.abs(values), PERCENTILE))
        values = np.clip(values, -limit, limit)
    widest = fitting(float(values.min()) * room, float(values.max()) * room, word)
    if method is not Method.MSE:
        return widest
    finer = [QFormat(word, min(widest.frac + extra, 1000)) for extra in range(FINER + 1)]
    return min(finer, key=lambda fmt: _squared_error(values, fmt))


def observe(network: Network, x: Array, names: Iterable[str]) -> dict[str, Array]:
    """Return what each named tensor took on for the images: all of it, or an even sample of it.

    The smallest and largest value are always in the sample, which is flat and float32.

    Raises:
        DataError: the images are not the network's, or a tensor takes on infinity or NaN.
    """
    check_images(network, x)
    _check_finite(x)
    wanted = tuple(names)
    share = max(1, len(x) // BLOCK)
    seen: dict[str, list[Array]] = {name: [] for name in wanted}
    for start in range(0, len(x), BLOCK):
        with np.errstate(over="ignore", invalid="ignore"):  # judged below
            block = scale(x[start : start + BLOCK], network.scaling)
            taken = forward(network, block, keep=wanted)
        for name, values in taken.items():
            if not np.isfinite(values).all():
                raise DataError(f"{name} must be finite for every calibration image, not overflow")
            seen[name].append(_sample(values.reshape(-1), SAMPLE // share))
    return {name: np.concatenate(parts) for name, parts in seen.items()}


def _check_finite(x: Array) -> None:
    """Raise ``DataError`` that names the first image and element that is NaN or infinite."""
    for start in range(0, len(x), BLOCK):
        block = x[start : start + BLOCK]
        if not np.isfinite(block).all():
            image, *element = (int(i) for i in np.argwhere(~np.isfinite(block))[0])
            value = block[(image, *element)]
            raise DataError(
                f"calibration image {start + image}, element {element} must be finite, not {value}"
            )


def _sample(values: Array, most: int) -> Array:
    stride = max(1, values.size // max(most, 1))
    return np.append(values[::stride], [values.min(), values.max()])


def _squared_error(values: Array, fmt: QFormat) -> float:
    scaled = np.ldexp(values.astype(np.float64), fmt.frac)
    errors = scaled - np.clip(np.rint(scaled), fmt.min, fmt.max)
    return float(np.ldexp(np.square(errors).mean(), -2 * fmt.frac))
