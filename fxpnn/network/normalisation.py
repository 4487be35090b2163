"""The normalisation with which a network begins: part of how inputs become its numbers."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fxpnn.errors import ModelError
from fxpnn.network.layer import Array, Shape


@dataclass(frozen=True, slots=True)
class Normalisation:
    """Features become ``gain * x + offset``, in float64, before anything reads or casts them.

    Both hold one value, one for each place on the input's first axis, or one for each value.
    """

    gain: tuple[float, ...]
    offset: tuple[float, ...]

    def __post_init__(self) -> None:
        for name in ("gain", "offset"):
            object.__setattr__(self, name, tuple(map(float, getattr(self, name))))

    def apply(self, x: Array, dtype: npt.DTypeLike = np.float64) -> Array:
        """Normalise ``(N, *shape)``; both steps are rounded to float64, the result to ``dtype``."""
        gain, offset = self.arrays(x.shape[1:])
        with np.errstate(over="ignore", invalid="ignore"):  # judged where it is cast
            return np.asarray(np.multiply(x, gain, dtype=np.float64) + offset).astype(dtype)

    def arrays(self, shape: Shape) -> tuple[Array, Array]:
        """Return gain and offset as float64 that broadcast to an input's shape."""
        return _spread(self.gain, shape), _spread(self.offset, shape)

    def check(self, shape: Shape) -> None:
        """Raise ``ModelError`` unless gain and offset are finite and fit an input's shape."""
        for name, values in (("gain", self.gain), ("offset", self.offset)):
            if len(values) not in (1, shape[0], math.prod(shape)):
                raise ModelError(
                    f"{name} must hold 1, {shape[0]} or {math.prod(shape)} values, "
                    f"not {len(values)}"
                )
            if not all(map(math.isfinite, values)):
                raise ModelError(f"{name} must be finite")


def _spread(values: tuple[float, ...], shape: Shape) -> Array:
    array = np.array(values, np.float64)
    if array.size == math.prod(shape):
        return array.reshape(shape)
    return array.reshape(-1, *(1,) * (len(shape) - 1))
