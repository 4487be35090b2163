"""A simulation's words are compared with the engine's: the first that differs is named."""

from types import MappingProxyType

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fxpnn.engine.program import Words
from fxpnn.network.graph import INPUT
from fxpnn.targets.simulation.result import Difference, first_difference
from fxpnn.targets.vectors import Vectors

SIZES = {"conv": 5, "Conv": 2, "out\nput": 3}


def golden(images: int) -> Vectors:
    """Make vectors of three steps in which no two words are equal."""
    words: dict[str, Words] = {INPUT: np.zeros((images, 1), np.int16)}
    for place, (name, size) in enumerate(SIZES.items()):
        start = -1000 + 300 * place
        words[name] = np.arange(start, start + images * size, dtype=np.int16).reshape(images, size)
    return Vectors(MappingProxyType(words), MappingProxyType({}))


def test_equal_words_do_not_differ() -> None:
    """All words of all steps are compared, and none is named."""
    vectors = golden(3)
    assert first_difference(SIZES, vectors.words, vectors) is None


@given(
    wrong=st.sets(
        st.integers(0, 2).flatmap(
            lambda place: st.tuples(
                st.integers(0, 3), st.just(place), st.integers(0, [*SIZES.values()][place] - 1)
            )
        ),
        min_size=1,
    )
)
def test_the_first_difference_is_named(wrong: set[tuple[int, int, int]]) -> None:
    """The first image's, in it the first step's, in that the first element."""
    vectors, names = golden(4), [*SIZES]
    found = {name: vectors.words[name].copy() for name in names}
    for image, place, element in wrong:
        found[names[place]][image, element] += 7
    image, place, element = min(wrong)
    wanted = int(vectors.words[names[place]][image, element])
    first = Difference(image, names[place], element, wanted + 7, wanted)
    assert first_difference(names, found, vectors) == first
