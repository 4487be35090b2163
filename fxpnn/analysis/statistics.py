"""What a part of a data set showed, as exact sums: parts merge in any order to the same bits."""

import math
from collections.abc import Iterable, Mapping
from itertools import zip_longest

import msgspec

from fxpnn.analysis.report import Flip, SoftmaxReport
from fxpnn.errors import DataError
from fxpnn.network.fixed import Counts


class Squares(msgspec.Struct, frozen=True):
    """Sums of squares of a reference and of the errors, exact.

    They are integers in units of ``2**-1074``, of which every double is a multiple.
    """

    signal: int = 0
    noise: int = 0

    @property
    def sqnr_db(self) -> float:
        """Return the signal-to-quantization-noise ratio in dB."""
        if self.noise == 0:
            return math.inf
        # Python divides integers of any length with one rounding.
        return 10 * math.log10(self.signal / self.noise) if self.signal else -math.inf


class ErrorStatistics(Squares, frozen=True):
    """A tensor against its reference: sums of squares, the largest error, the reference's range.

    ``channels`` has the sums of each place on the first axis. All sums leave out an image's channel
    whose own sum is not finite; ``finite`` tells whether there was none.
    """

    largest: float = 0.0
    low: float = math.inf
    high: float = -math.inf
    finite: bool = True
    channels: tuple[Squares, ...] = ()

    def __add__(self, other: "ErrorStatistics") -> "ErrorStatistics":
        pairs = zip_longest(self.channels, other.channels, fillvalue=Squares())
        return ErrorStatistics(
            self.signal + other.signal,
            self.noise + other.noise,
            max(self.largest, other.largest),
            min(self.low, other.low),
            max(self.high, other.high),
            self.finite and other.finite,
            tuple(Squares(a.signal + b.signal, a.noise + b.noise) for a, b in pairs),
        )

    @property
    def sqnr_db(self) -> float:
        """Return the signal-to-quantization-noise ratio in dB; NaN where a sum is not finite."""
        return super().sqnr_db if self.finite else math.nan

    @property
    def exact(self) -> bool:
        """Return whether all was finite and nothing was lost."""
        return self.finite and self.noise == 0

    @property
    def worst_channel(self) -> int | None:
        """Return the first channel of the lowest ratio; ``None`` where none has lost any.

        A channel whose reference is always 0 has no signal to lose.
        """
        lossy = (i for i, sums in enumerate(self.channels) if sums.signal and sums.noise)
        return min(lossy, key=lambda i: self.channels[i].sqnr_db, default=None)


def error_statistics(
    largest: float, low: float, high: float, finite: bool, sums: Iterable[int]
) -> ErrorStatistics:
    """Make the statistics of one block from its range and the sums of its channels.

    ``sums`` holds the exact sums of squares in units of ``2**-1074``: the reference's and the
    errors' of the first channel, then of the next.
    """
    each = iter(sums)
    channels = tuple(Squares(signal, noise) for signal, noise in zip(each, each, strict=True))
    return ErrorStatistics(
        sum(channel.signal for channel in channels),
        sum(channel.noise for channel in channels),
        largest,
        low,
        high,
        finite,
        channels,
    )


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """What a part of a data set showed; ``a + b`` are those of both parts, in any order.

    ``spans`` are the images, as sorted ``(first, count)`` without neighbours. ``judged`` says that
    labels name classes; ``hits`` and ``reference_hits`` count right predictions. ``flips`` counts
    and ``flipped`` lists predictions that differ from the reference's. ``errors`` is empty without
    a reference. ``seconds`` of the integer engine add up. ``matches`` says whether the reference is
    the file that the fixed network came from, ``None`` where that is not known.
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
    matches: bool | None = None

    @property
    def images(self) -> int:
        """Count the images."""
        return sum(count for _, count in self.spans)

    def __add__(self, other: "Statistics") -> "Statistics":
        """Merge two parts.

        Raises:
            DataError: the parts overlap, or are not of one comparison.
        """
        if self._of() != other._of():
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
            matches=self.matches,
        )

    def _of(self) -> tuple[object, ...]:
        """Tell of which networks the part is."""
        return self.compared, self.matches, [*self.counts]


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
