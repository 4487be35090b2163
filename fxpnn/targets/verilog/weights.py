"""What the ROMs of the core hold: weights and biases a word for all units, and tables.

A group of units computes as many output channels of one position. Groups never cross the groups of
a convolution; where channels are fewer than units, or the last group of them is not full, the words
of the others are 0.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from fxpnn.network.fixed import RawArray
from fxpnn.network.layers import Array


class Lanes(NamedTuple):
    """How the output channels of a layer are shared out: ``groups`` of ``full`` units.

    ``convolutions`` are the groups of a convolution, each with its own ``groups``; the last of
    these has ``last`` channels.
    """

    convolutions: int
    groups: int
    full: int
    last: int


def lanes(channels: int, convolutions: int, macs: int) -> Lanes:
    """Share out ``channels``, those of all groups of a convolution.

    >>> lanes(10, 1, 4)
    Lanes(convolutions=1, groups=3, full=4, last=2)
    """
    each = channels // convolutions
    full = min(macs, each)
    groups = -(-each // full)
    return Lanes(convolutions, groups, full, each - (groups - 1) * full)


def spread(values: Array, shared: Lanes, macs: int) -> RawArray:
    """Lay values ``(channels, K)`` out as the units read them: ``(groups * K, macs)``.

    Unit u of a group is its channel u; each group has K words.
    """
    terms = values.shape[1]
    laid = np.zeros((shared.convolutions, shared.groups * shared.full, terms), np.int64)
    each = values.shape[0] // shared.convolutions
    laid[:, :each] = values.reshape(shared.convolutions, each, terms)
    words = laid.reshape(-1, shared.full, terms).transpose(0, 2, 1).reshape(-1, shared.full)
    return np.pad(words, ((0, 0), (0, macs - shared.full)))


@dataclass
class Roms:
    """The ROMs as they grow, step by step; each method returns the address of what it adds.

    ``weights`` are int64 ``(words, macs)``, ``biases`` and ``beside`` likewise; ``tables`` hold
    an entry and the difference to the next, ``(words, 2)``.
    """

    macs: int
    _weights: list[RawArray] = field(default_factory=list)
    _biases: list[RawArray] = field(default_factory=list)
    _beside: list[RawArray] = field(default_factory=list)
    _tables: dict[bytes, tuple[int, RawArray]] = field(default_factory=dict)

    def add_sums(
        self,
        weights: Array,
        biases: Array,
        shifts: Array,
        shared: Lanes,
        limits: tuple[int, int] | None = None,
    ) -> tuple[int, int]:
        """Add weights ``(channels, K)``, and a bias and shift for each channel.

        A bias beyond the accumulator's limits begins every sum as the limit, which is counted.
        """
        at = sum(map(len, self._weights)), sum(map(len, self._biases))
        kept = biases if limits is None else np.clip(biases, *limits)
        beside = 2 * shifts + (kept != biases)
        self._weights.append(spread(weights, shared, self.macs))
        self._biases.append(spread(kept.reshape(-1, 1), shared, self.macs))
        self._beside.append(spread(beside.reshape(-1, 1), shared, self.macs))
        return at

    def add_table(self, table: Array) -> int:
        """Add a table; one that is there already is found."""
        entries = table.astype(np.int64)
        key = entries.tobytes()
        if key not in self._tables:
            at = sum(len(words) for _, words in self._tables.values())
            steps = np.append(np.diff(entries), 0)
            self._tables[key] = at, np.stack([entries, steps], axis=1)
        return self._tables[key][0]

    @property
    def weights(self) -> RawArray:
        """Give the words of weights."""
        return np.concatenate([np.zeros((0, self.macs), np.int64), *self._weights])

    @property
    def biases(self) -> RawArray:
        """Give the words of biases."""
        return np.concatenate([np.zeros((0, self.macs), np.int64), *self._biases])

    @property
    def beside(self) -> RawArray:
        """Give what stands beside each bias: twice the shift, and 1 where the bias was clamped."""
        return np.concatenate([np.zeros((0, self.macs), np.int64), *self._beside])

    @property
    def tables(self) -> RawArray:
        """Give all tables, one behind the other."""
        made = (words for _, words in self._tables.values())
        return np.concatenate([np.zeros((0, 2), np.int64), *made])
