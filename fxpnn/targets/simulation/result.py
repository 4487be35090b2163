"""What a simulation found: the first word that differs, what overflowed, and what it took."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from fxpnn.engine.program import Words
from fxpnn.network.fixed import Counts
from fxpnn.targets.vectors import Vectors


@dataclass(frozen=True)
class Difference:
    """The first word in which a simulation and the engine differ: by image, step, then element.

    ``step`` is a step's name, ``element`` counts the words of its tensor from 0, last axis
    fastest; ``got`` is the simulation's raw word, ``wanted`` the engine's.
    """

    image: int
    step: str
    element: int
    got: int
    wanted: int


@dataclass(frozen=True)
class Simulated:
    """A run of all images, or of those before the first in which a word differs.

    ``words`` counts the words of steps that were compared in these. ``counts`` holds what
    overflowed, by the step's name, for all images together; it is empty where the run ended at a
    difference. ``cycles`` are those of each step for one image and ``image_cycles`` those of a
    whole image, where the simulation has a clock. ``seconds`` are those of the run alone, not of
    the build; ``instructions`` those of all images together, where a simulated processor counts.
    ``fault`` is what went wrong beside words, in one line: a stream that breaks its protocol, a
    step that never ends.
    """

    images: int
    words: int
    differs: Difference | None
    counts: Mapping[str, Counts]
    cycles: Mapping[str, int]
    image_cycles: int | None
    seconds: float
    instructions: int | None = None
    fault: str | None = None


def first_difference(
    steps: Iterable[str], found: Mapping[str, Words], vectors: Vectors
) -> Difference | None:
    """Compare words, int16 ``(images, words)`` by step, with golden ones; ``steps`` is their order.

    A tensor that is missing or has another shape is no difference but an error of the caller.
    """
    first: Difference | None = None
    for step in steps:
        got, wanted = found[step], vectors.words[step]
        assert got.shape == wanted.shape, f"{step}: {got.shape}, not {wanted.shape}"
        places = np.flatnonzero(got != wanted)
        if places.size:
            image, element = map(int, divmod(int(places[0]), wanted.shape[1]))
            if first is None or image < first.image:
                words = int(got[image, element]), int(wanted[image, element])
                first = Difference(image, step, element, *words)
    return first
