"""What an epoch in fixed point is judged by: what moved, what saturated, how many bits are used."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from fxpnn.errors import ModelError
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.layers import Array
from fxpnn.network.learning import Kind, Learning
from fxpnn.training.fixed.step import Asked, Stepped

BITS = 17
"""A magnitude uses 0 to 16 bits."""
STUCK = 0.5
"""The share of a weight's words at the ends of their format from which on a training diverges."""


@dataclass(frozen=True)
class Epoch:
    """An epoch's record.

    ``accuracy`` is the share of its training images whose class was known before their step.
    ``lost_updates`` is the share of updates that rounded to 0: of the words whose gradient's exact
    sum or whose velocity was not 0, those that a step left as they were. ``saturations`` counts by
    kind, ``bits`` tells by kind how many words of the epoch's last step have a magnitude of 0, 1,
    ... 16 bits. ``unmoved`` names the parameters of which no word moved, though some were asked to.
    """

    number: int
    accuracy: float
    lost_updates: float
    saturations: Mapping[str, int]
    bits: Mapping[str, tuple[int, ...]]
    unmoved: tuple[str, ...]


@dataclass
class Tally:
    """What the steps of an epoch add up to, from the first one that is counted."""

    images: int = 0
    correct: int = 0
    saturations: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(Kind, 0))
    updates: dict[str, Asked] = field(default_factory=dict)

    def add(self, done: Stepped, images: int) -> None:
        """Add a step."""
        self.images += images
        self.correct += done.correct
        for kind, count in done.saturations.items():
            self.saturations[kind] += count
        for name, (asked, moved) in done.updates.items():
            before = self.updates.get(name, Asked(0, 0))
            self.updates[name] = Asked(before.asked + asked, before.moved + moved)

    def epoch(self, number: int, last: Stepped) -> Epoch:
        """Close the epoch of this number, from 1, with its last step, which kept all tensors."""
        asked = sum(update.asked for update in self.updates.values())
        moved = sum(update.moved for update in self.updates.values())
        tensors = {
            Kind.WEIGHTS: last.words,
            Kind.ACTIVATIONS: last.activations,
            Kind.DELTAS: last.deltas,
            Kind.GRADIENTS: last.gradients,
            Kind.VELOCITY: last.velocity,
        }
        return Epoch(
            number=number,
            accuracy=self.correct / self.images,
            lost_updates=1 - moved / asked if asked else 0.0,
            saturations={kind.value: count for kind, count in self.saturations.items()},
            bits={kind.value: used_bits(made.values()) for kind, made in tensors.items()},
            unmoved=tuple(n for n, u in self.updates.items() if u.asked and not u.moved),
        )


def used_bits(tensors: Iterable[Array]) -> tuple[int, ...]:
    """Count words by the bits of their magnitude: of 0 it is 0, of -32768 it is 16."""
    counts = np.zeros(BITS, np.int64)
    for words in tensors:
        bits = np.frexp(np.abs(words.astype(np.float64)))[1]
        counts += np.bincount(bits.ravel(), minlength=BITS)
    return tuple(counts.tolist())


def check_learns(epoch: Epoch, learning: Learning) -> None:
    """Raise ``ModelError`` where a weight does not move in the first epoch, for nothing is learned.

    In a later epoch a rate that falls may leave the words as they are: that is reported alone.
    """
    weights = [name for name in epoch.unmoved if name.endswith(".weight")]
    if epoch.number == 1 and weights:
        name = weights[0]
        raise ModelError(
            f"every update of {name} was 0 in the first epoch (gradients "
            f"{learning.gradients[name]}, weights {learning.weights[name]}); give them more "
            "fraction bits, raise the rate, or round stochastically"
        )


def check_inside(words: Mapping[str, Array], learning: Learning, epoch: int) -> None:
    """Raise ``ModelError`` where half of a weight's words or more stand at their format's ends."""
    for name, raw in words.items():
        fmt = learning.weights[name]
        at_end = int(np.count_nonzero(_at_ends(raw, fmt)))
        if name.endswith(".weight") and at_end >= STUCK * raw.size:
            raise ModelError(
                f"training diverged in epoch {epoch}: {at_end} of the {raw.size} words of {name} "
                f"stand at the ends of {fmt}; lower the rate or give them more integer bits"
            )


def _at_ends(raw: Array, fmt: QFormat) -> Array:
    return np.asarray((raw == fmt.max) | (raw == fmt.min))
