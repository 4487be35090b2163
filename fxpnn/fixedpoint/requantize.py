"""The cast behind a sum: from an exact value to the words of the output's format, in one step.

``Shift`` is the one kind: it drops (or adds) fraction bits. A further kind, such as a multiplier
and a shift, has the same methods; golden model, proofs, engine, files and exporters ask nothing
else of a cast.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fxpnn.fixedpoint.casting import Flags, Raw, from_float_counted, limits, requantize
from fxpnn.fixedpoint.integers import cast_raw
from fxpnn.fixedpoint.qformat import Overflow, QFormat, Rounding


@dataclass(frozen=True, slots=True)
class Shift:
    """A cast that shifts: the value is rounded once, then overflow is judged once.

    Two fraction bits become one: 7 counts of ``2**-2`` are 3.5 counts of ``2**-1``, a tie, which
    goes to the even 4. 254 counts are 127, the most that 8 bits have; 255 are rounded to 128, which
    is out of range and saturates.

    >>> [Shift(QFormat(8, 1)).raw(count, 2) for count in (7, 254, 255)]
    [(4, False), (127, False), (127, True)]
    """

    format: QFormat
    rounding: Rounding = Rounding.NEAREST_EVEN
    overflow: Overflow = Overflow.SATURATE

    def raw(
        self, value: int, frac: int, source: QFormat | None = None, count: int = 1
    ) -> tuple[int, bool]:
        """Cast the exact ``value / count @ frac`` of Python integers; also tell of an overflow.

        Where the value has a format of its own, ``source``, and that is the target's, nothing
        changes.
        """
        return cast_raw(value, frac, self.format, self.rounding, self.overflow, source, count)

    def array(self, values: Raw, fracs: int | Raw) -> tuple[Raw, Flags]:
        """Cast int64 counts of ``2**-fracs``, below ``2**62``; also tell which overflowed."""
        return requantize(values, fracs, self.format, self.rounding, self.overflow)

    def floats(self, values: npt.ArrayLike, name: str = "values") -> Raw:
        """Cast floats, whose exact value is rounded once; infinities saturate.

        Raises:
            DataError: a value is NaN; it names the tensor and the index.
        """
        return self.counted(values, name)[0]

    def counted(self, values: npt.ArrayLike, name: str = "values") -> tuple[Raw, Flags]:
        """Do as ``floats`` and also tell which values overflowed."""
        return from_float_counted(values, self.format, self.rounding, self.overflow, name)

    def dropped(self, fracs: Raw) -> Raw:
        """Return how many bits are dropped of counts of ``2**-fracs``; fewer than 0 are added."""
        return np.asarray(fracs - self.format.frac)

    @property
    def limits(self) -> tuple[int, int]:
        """Give the smallest and largest raw value that is not an overflow."""
        return limits(self.format, self.overflow)

    @property
    def clamps(self) -> bool:
        """Tell whether what overflows becomes the nearest end of the range."""
        return self.overflow in (Overflow.SATURATE, Overflow.SATURATE_SYMMETRIC)
