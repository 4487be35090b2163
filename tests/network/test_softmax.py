"""A softmax of a run of places of each vector: what is hidden, and what may not be said."""

import re

import numpy as np
import pytest

from fxpnn.errors import ModelError
from fxpnn.network.graph import chain
from fxpnn.network.layers import MaskedSoftmax
from fxpnn.reference import forward


def test_vectors_take_spans_in_turn() -> None:
    """Along any axis: the vectors are counted with the last of the other axes the fastest."""
    layer = MaskedSoftmax(0, ((0, 1), (1, 3)))
    visible = layer.visible((3, 2, 2))
    assert visible.shape == (3, 2, 2)
    for vector, (start, end) in enumerate(layer.spans_of((3, 2, 2))):
        shown = visible.reshape(3, 4)[:, vector]
        assert shown.tolist() == [start <= place < end for place in range(3)]


def test_what_is_hidden_is_0_and_takes_no_part() -> None:
    """However large it is."""
    network = chain("m", (2, 3), {"p": MaskedSoftmax(-1, ((0, 1), (0, 2)))})
    found = forward(network, np.array([[[0, 1e9, 1e9], [1, 1, 1e9]]]))["p"]
    assert found.tolist() == [[[1, 0, 0], [0.5, 0.5, 0]]]


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ((), "spans must be as many as (3, 4) has vectors, 3, or a divisor of that, not 0"),
        (
            ((0, 1), (0, 1)),
            "spans must be as many as (3, 4) has vectors, 3, or a divisor of that, not 2",
        ),
        (((0, 5),), "spans must lie inside the 4 places, not 0 to 5"),
        (((-1, 2),), "spans must lie inside the 4 places, not -1 to 2"),
        (((2, 2),), "spans must lie inside the 4 places, not 2 to 2"),
    ],
)
def test_spans_that_cannot_be(spans: tuple[tuple[int, int], ...], message: str) -> None:
    """Each vector has one place that counts, or more, and its own or one that others have."""
    with pytest.raises(ModelError, match=re.escape(message)):
        chain("m", (3, 4), {"p": MaskedSoftmax(-1, spans)})
