"""Halves of a data set, one that decides and one that is reported on, and how sure a loss is."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fxpnn.analysis.explanation import Effect
from fxpnn.errors import DataError
from fxpnn.network.layers import Array

PER_LOSS = 5
"""A half must hold so many images for one that the loss may cost."""


class Split(NamedTuple):
    """Which images decide, and which are reported on: places in the data set, in order."""

    deciding: npt.NDArray[np.int64]
    reporting: npt.NDArray[np.int64]


def halves(y: Array, seed: int) -> Split:
    """Draw half of the images of every class; ``seed`` alone decides which."""
    rng = np.random.default_rng(seed)
    drawn = [rng.permutation(np.flatnonzero(y == label)) for label in np.unique(y)]
    # Odd classes give their last image in turn to this half and to that.
    odd = np.cumsum([len(places) % 2 for places in drawn]) % 2
    ends = [
        len(places) // 2 + int(len(places) % 2 and o) for places, o in zip(drawn, odd, strict=True)
    ]
    first = [places[:end] for places, end in zip(drawn, ends, strict=True)]
    second = [places[end:] for places, end in zip(drawn, ends, strict=True)]
    return Split(np.sort(np.concatenate(first)), np.sort(np.concatenate(second)))


def table(split: Split) -> bytes:
    """Spell which images were which: a line of CSV for each, in the data set's order."""
    named = [(int(i), name) for name, places in split._asdict().items() for i in places]
    return "".join(["image,half\n", *(f"{i},{name}\n" for i, name in sorted(named))]).encode()


def check_size(split: Split, max_loss: float) -> None:
    """Check that each half can tell the loss.

    Raises:
        DataError: it has too few images.
    """
    needed = math.ceil(PER_LOSS / max_loss) if max_loss else 1
    for name, places in zip(("deciding", "reporting"), split, strict=True):
        if len(places) < needed:
            raise DataError(
                f"the {name} half must have {needed:,} images for a loss of {max_loss:g}, not "
                f"{len(places):,}; allow a larger loss, or give more images"
            )


def loss_of(effect: Effect, images: int) -> float:
    """Return the accuracy that is lost on images with labels."""
    loss = effect.loss(images)
    assert loss is not None
    return loss


def standard_error(effect: Effect, images: int) -> float:
    """Return that of the loss, from images that one of the two networks alone has right.

    Each image's difference is 1, 0 or -1: their variance is ``(b + c)/n - ((b - c)/n)**2``, of the
    paired proportions of McNemar (1947).
    """
    assert effect.lost is not None
    assert effect.gained is not None
    share = (effect.lost + effect.gained) / images
    return math.sqrt(max(share - loss_of(effect, images) ** 2, 0.0) / images)
