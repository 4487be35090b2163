"""Moves by runs put every word where places say, and touch no other."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxpnn.engine.moves import runs
from fxpnn.kernels import moves
from fxpnn.kernels.build.pipeline import alone
from tests.support.loops import in_python

KERNELS = pytest.mark.parametrize(
    "kernel", [alone(moves.move), in_python(moves.move)], ids=["jit", "python"]
)


def check(kernel: Any, sources: Any, targets: Any) -> int:
    """Move two images' words by runs and one by one; return how many runs there were."""
    sizes = int(sources.max()) + 2, int(targets.max()) + 3
    x = np.arange(2 * sizes[0], dtype=np.int16).reshape(2, -1)
    expected = np.full((2, sizes[1]), -1, np.int16)
    expected[:, targets.ravel()] = x[:, sources.ravel()]
    out, found = np.full(expected.size, -1, np.int16), runs(sources, targets)
    kernel(x.ravel(), sizes[0], found, out, sizes[1], 2)
    assert out.reshape(expected.shape).tolist() == expected.tolist()
    return len(found)


def standard(*shape: int) -> Any:
    """Return where the values of a map lie, pixel by pixel."""
    channels, *rest = shape
    return np.moveaxis(np.arange(np.prod(shape)).reshape(*rest, channels), -1, 0)


@st.composite
def ends(draw: Any) -> tuple[Any, Any]:
    """Draw parts of turned, repeated or shuffled maps, and parts of turned maps for them."""
    shape = tuple(draw(st.lists(st.integers(1, 9), min_size=1, max_size=4)))
    wide = tuple(size + draw(st.integers(0, 3)) for size in shape)
    part = tuple(slice(first, None) for first in np.subtract(wide, shape))

    def turned() -> Any:
        order = draw(st.permutations(range(len(wide))))
        places = np.arange(np.prod(wide)).reshape([wide[axis] for axis in order])
        return places.transpose(np.argsort(order))[part]

    sources, targets = turned(), turned()
    kind = draw(st.sampled_from(("as they are", "repeated", "shuffled", "in any order")))
    if kind == "repeated":
        axis = draw(st.integers(0, len(shape) - 1))
        sources = np.broadcast_to(sources.take([0], axis), shape)
    elif kind == "shuffled":
        sources = sources[draw(st.permutations(range(shape[0])))]
    elif kind == "in any order":
        seed = draw(st.integers(0, 2**32))
        sources = np.random.default_rng(seed).permutation(sources.ravel()).reshape(shape)
    return sources, targets


@KERNELS
@settings(max_examples=150)
@given(case=ends())
def test_words_go_where_places_say(kernel: Any, case: tuple[Any, Any]) -> None:
    """Whether places are steps of one size, of several or of none; a source may be read twice."""
    check(kernel, *case)


SHUFFLED = standard(12, 4, 5).reshape(3, 4, 20)
"""Three groups of four channels."""


@KERNELS
@pytest.mark.parametrize(
    ("sources", "targets"),
    [
        (standard(16, 3, 5), standard(20, 3, 5)[2:18]),  # a join of channels
        (standard(3, 4, 5), standard(3, 6, 7)[:, 1:5, 1:6]),  # padding
        (standard(3, 8, 8)[:, ::2, ::2], standard(3, 4, 4)),  # every second pixel
        (standard(3, 4, 5), np.arange(60).reshape(3, 4, 5)),  # a map turned to channels
        (standard(3, 13, 10), np.arange(390).reshape(3, 13, 10)),
        (standard(3, 13, 10)[:, ::-1, ::-1], np.arange(390).reshape(3, 13, 10)),
        (np.arange(192).reshape(3, 8, 8), standard(3, 8, 8)),
        (np.broadcast_to(np.arange(20).reshape(1, 4, 5), (6, 4, 5)), standard(6, 4, 5)),
        (np.broadcast_to(np.arange(2).reshape(2, 1, 1), (2, 10, 13)), standard(2, 10, 13)),
        (SHUFFLED.swapaxes(0, 1).reshape(12, 4, 5), standard(12, 4, 5)),
    ],
    ids=[
        *("joined", "padded", "thinned", "turned", "turned by blocks", "backwards by blocks"),
        *("one block", "repeated", "repeated by blocks", "shuffled"),
    ],
)
def test_what_networks_move_takes_one_run(kernel: Any, sources: Any, targets: Any) -> None:
    """Joins, padding, strides, maps turned or repeated, channels shuffled."""
    assert check(kernel, sources, targets) == 1


@KERNELS
def test_more_than_three_loops_are_written_out(kernel: Any) -> None:
    """Four axes turned round are as many runs as the last has steps."""
    places = np.arange(3 * 4 * 5 * 6).reshape(3, 4, 5, 6)
    assert check(kernel, places.T, np.arange(360).reshape(6, 5, 4, 3)) in (3, 4, 5, 6)


def test_many_neighbours_are_copied_as_such_and_few_along_a_longer_loop() -> None:
    """16 channels of 15 pixels are copied pixel by pixel, 3 channels one by one."""
    for channels, expected in ((16, [16, 1, 1]), (3, [15, 3, 5])):
        found = runs(standard(channels, 3, 5), standard(channels + 2, 3, 5)[:channels])
        assert found[0, 2:5].tolist() == expected
