"""Compare the engine with the golden model, in every value and every count."""

from unittest import mock

import numpy as np
import numpy.typing as npt

from fxpnn import golden
from fxpnn.engine import workspace
from fxpnn.engine.inference import Engine, infer
from fxpnn.engine.program import LINE, aligned
from fxpnn.network.fixed import Counts
from fxpnn.network.layers import Array
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


def agree_in_dirty_memory(case: NetworkCase, poison: int) -> None:
    """Assert that it agrees whatever its memory held before, and writes no word beside it.

    All tensors are kept, or none but the outputs. The workspace and a line before and behind it are
    filled with one word.
    """
    truth = golden.run(case.fixed, case.raw)
    for keep in ((), tuple(case.fixed.shapes)):
        program = Engine(case.fixed).program(keep)
        around = aligned(program.size + 2 * LINE, np.int16)
        around[:] = poison

        def inside(size: int, dtype: npt.DTypeLike, around: Array = around) -> Array:
            assert size == around.size - 2 * LINE
            assert dtype is np.int16
            return around[LINE:-LINE]

        with mock.patch.object(workspace, "aligned", inside):
            space = workspace.Workspace(program)
        space.enter(case.raw.astype(np.int16))
        space.run(len(case.raw))
        for name in program.tensors:
            if name in truth.raw:
                found = space.fetch(name, len(case.raw))
                assert found.tolist() == truth.raw[name].tolist(), name
        counts = workspace.counts(program, space.counts)
        assert counts == {name: truth.counts[name] for name in counts}
        assert (around[:LINE] == poison).all()
        assert (around[-LINE:] == poison).all()
