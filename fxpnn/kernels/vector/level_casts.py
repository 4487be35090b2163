"""The code of a cast of sums that begin at the range's least value: what leaves it shows in a bit.

It costs half of what ``casts`` does, and counts nothing but words below 0: sums that are out of
range are left to that. ``rounding`` has its rules, and proves which sums may be cast so.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import TypeAlias

from fxpnn.kernels.build.llvm import Number, Variable, branch, integer
from fxpnn.kernels.vector.sums import Numbers

Part: TypeAlias = Callable[[list[Number]], list[Number]]
"""Makes one vector of words for each row, in order, of those of the sums."""


class LevelCast:
    """What the code of a cast is written from: the rule's numbers and the range, in registers.

    Args:
        mask: of a ``rounding.rule``, for each lane of the sums.
        keep: likewise.
        span: ``(low, high, least, most)``: the range, and what words are raised and lowered to.
        apart: whether words below 0 are counted.
        lanes: of a row's words.
    """

    def __init__(
        self, mask: Number, keep: Number, span: Numbers, apart: Number, lanes: int
    ) -> None:
        low, high, *ends = span
        self.mask, self.keep = mask, keep
        even = low & -2  # the format's least value, whatever the range is
        self.base, self.above = (
            number.sized(32).splat(mask.lanes) for number in (even, (high - even) ^ -1)
        )
        self.added, self.low, self.least, self.most = (
            number.sized(16).splat(lanes) for number in (even, low, *ends)
        )
        self.apart, self.fallen = apart.differs(0), Variable(integer(mask.b, 0))

    def write(
        self,
        totals: Sequence[Number],
        quotients: Sequence[Number],
        part: Part,
        put: Callable[[Number, int], None],
        sure: Number,
    ) -> Number:
        """Write the words of quotients that begin at the range's least; say if all are in range.

        ``sure`` says that the totals are what they seem. Words below 0 are counted if all is well.
        """
        rounded = [
            (total & self.mask).equals(0).choose(quotient & self.keep, quotient)
            for total, quotient in zip(totals, quotients, strict=True)
        ]
        made = [words + self.added for words in part(rounded)]
        for row, words in enumerate(made):
            put(words.max(self.least).min(self.most), row)
        beyond = (reduce(Number.__or__, quotients) & self.above).differs(0).count()
        fits = (beyond + (reduce(Number.min, made) < self.low).count()).equals(0) & sure

        def count() -> None:
            signs = reduce(Number.__add__, [words >> 15 for words in made])  # -1 of each below 0
            self.fallen.set(self.fallen.get() - signs.total())

        branch(fits & self.apart, count)
        return fits
