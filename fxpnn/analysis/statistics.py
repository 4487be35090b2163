"""What a part of a data set showed, as exact sums: parts merge in any order to the same bits."""

import math
from collections.abc import Mapping

import msgspec

from fxpnn.analysis.report import Flip, SoftmaxReport
from fxpnn.errors import DataError
from fxpnn.network.fixed import Counts

UNIT_BITS = 1074
"""Sums of squares are integers in units of ``2**-1074``, of which every double is a multiple."""


class ErrorStatistics(msgspec.Struct, frozen=True):
    """A tensor against its reference: sums of squares, the largest error, the reference's range.

    ``signal`` and ``noise`` are exact integer sums in units of ``2**-1074``. They leave out blocks
    whose sums are not ``finite``.
    """

    signal: int = 0
    noise: int = 0
    largest: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    finite: bool = True

    def __add__(self, other: "ErrorStatistics") -> "ErrorStatistics":
        return ErrorStatistics(
            self.signal + other.signal,
            self.noise + other.noise,
            max(self.largest, other.largest),
            min(self.low, other.low),
            max(self.high, other.high),
            self.finite and other.finite,
        )

    @property
    def sqnr_db(self) -> float:
        """Return the signal-to-quantization-noise ratio in dB; NaN where a sum is not finite."""
        if not self.finite:
            return math.nan
        if self.noise == 0:
            return math.inf
        # Python divides integers of any length with one rounding.
        return 10 * math.log10(self.signal / self.noise) if self.signal else -math.inf


def error_statistics(
    signal: float, noise: float, largest: float, low: float, high: float
) -> ErrorStatistics:
    """Make the statistics of one block from its sums of squares and its range."""
    finite = math.isfinite(signal) and math.isfinite(noise)
    sums = (_units(signal), _units(noise)) if finite else (0, 0)
    return ErrorStatistics(*sums, largest, low, high, finite)


def _units(value: float) -> int:
    """Return a double as an integer in units of ``2**-1074``."""
    numerator, denominator = value.as_integer_ratio()
    return numerator * ((1 << UNIT_BITS) // denominator)


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """What a part of a data set showed; ``a + b`` are those of both parts, in any order.

    ``spans`` are the images, as sorted ``(first, count)`` without neighbours. ``judged`` says that
    labels name classes; ``hits`` and ``reference_hits`` count right predictions. ``flips`` counts
    and ``flipped`` lists predictions that differ from the reference's. ``errors`` is empty without
    a reference. ``seconds`` of the integer engine add up.
    """

    spans: tuple[tuple[int, int], ...]
    judged: bool
    compared: bool
    hits: int
    reference_hits: int
    flipped: tuple[Flip, ...]
    counts: Mapping[str, Counts]
    errors: Mapping[str, ErrorStatistics]
    softmax: SoftmaxReport | None
    seconds: float
    threads: int

    @property
    def images(self) -> int:
        """Count the images."""
        return sum(count for _, count in self.spans)

    def __add__(self, other: "Statistics") -> "Statistics":
        """Merge two parts.

        Raises:
            DataError: the parts overlap, or are not of one comparison.
        """
        if (self.compared, [*self.counts]) != (other.compared, [*other.counts]):
            raise DataError("parts must be of the same networks to be merged")
        return Statistics(
            spans=_joined(sorted((*self.spans, *other.spans))),
            judged=self.judged and other.judged,
            compared=self.compared,
            hits=self.hits + other.hits,
            reference_hits=self.reference_hits + other.reference_hits,
            flipped=tuple(sorted((*self.flipped, *other.flipped), key=lambda flip: flip.index)),
            counts={name: found + other.counts[name] for name, found in self.counts.items()},
            errors={name: found + other.errors[name] for name, found in self.errors.items()},
            softmax=_worse(self.softmax, other.softmax),
            seconds=self.seconds + other.seconds,
            threads=max(self.threads, other.threads),
        )


def _joined(spans: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Join spans that are neighbours."""
    joined: list[tuple[int, int]] = []
    for first, count in spans:
        end = sum(joined[-1]) if joined else -1
        if first < end:
            raise DataError(f"parts must not overlap, as they do at image {first}")
        if first == end:
            joined[-1] = joined[-1][0], joined[-1][1] + count
        else:
            joined.append((first, count))
    return tuple(joined)


def _worse(one: SoftmaxReport | None, other: SoftmaxReport | None) -> SoftmaxReport | None:
    if one is None or other is None:
        return one or other
    lost = one.argmax_lost + other.argmax_lost
    return SoftmaxReport(max(one.max_abs_error, other.max_abs_error), lost)
