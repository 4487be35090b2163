"""Compare the engine with the golden model, in every value and every count."""

import numpy as np

from fxpnn import golden
from fxpnn.engine.inference import infer
from fxpnn.network.fixed import Counts
from tests.support.strategies import NetworkCase

COPIES = 9
"""Of each image, so that dense layers fill a tile of rows, and another in part."""


def agree(case: NetworkCase) -> None:
    """Assert that engine and golden model agree in every value and count of every node."""
    x = np.concatenate([case.raw.astype(np.int16)] * COPIES)
    ours = infer(case.fixed, x, keep=case.fixed.shapes)
    truth = golden.run(case.fixed, case.raw)
    for name, raw in truth.raw.items():
        assert ours.tensors[name].tolist() == raw.tolist() * COPIES, name
        assert ours.layers[name] == sum([truth.counts[name]] * COPIES, Counts()), name
    alone = infer(case.fixed, x).raw  # layers that become one in a program that keeps no others
    assert alone.tolist() == ours.raw.tolist()
