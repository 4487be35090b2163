"""Tensors are read from a workspace wherever their values lie."""

import numpy as np
import pytest

from fxpnn.engine.program import Kept, Tensor
from fxpnn.network.layers import Array

MAPS = np.moveaxis(np.arange(24).reshape(2, 3, 4), -1, 0)


@pytest.mark.parametrize(
    ("places", "first", "steps"),
    [
        (np.arange(5), 0, (1,)),
        (MAPS, 0, (1, 12, 4)),
        (MAPS[1:3, :, ::2], 1, (1, 12, 8)),
        (MAPS[:, ::-1], 12, (1, -12, 4)),
        (np.broadcast_to(MAPS[:, :1, :1], (4, 5, 1)), 0, (1, 0, 0)),
        (np.array([[7]]), 7, (0, 0)),
    ],
)
def test_steps_stand_for_places(places: Array, first: int, steps: tuple[int, ...]) -> None:
    """Where each axis has a step of its own, no list of places is kept."""
    kept = Kept.of(Tensor(3, 24, places))
    assert (kept.base, kept.words, kept.shape) == (3, 24, places.shape)
    assert (kept.first, kept.steps, kept.order.size) == (first, steps, 0)
    assert np.array_equal(kept.places, places)


def test_places_without_steps_are_listed() -> None:
    """A map pixel by pixel that is laid flat has none."""
    flat = MAPS.reshape(-1)
    kept = Kept.of(Tensor(0, 24, flat))
    assert kept.order.tolist() == flat.tolist()
    assert np.array_equal(kept.places, flat)
