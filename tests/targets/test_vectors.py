"""Golden vectors are the golden model's words and counts."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import fxpnn
from fxpnn import golden
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Quantize
from fxpnn.targets.lowering import lower
from fxpnn.targets.vectors import default_images, vectors
from tests.support.cli_runner import tiny
from tests.support.strategies import NetworkCase, fixed_networks, tensor_formats


@given(case=fixed_networks())
def test_vectors_are_the_golden_words_and_counts(case: NetworkCase) -> None:
    """For the input and each step; a step's counts are those of the layer that casts."""
    lowering, run = lower(case.fixed), golden.run(case.fixed, case.raw)
    found = vectors(lowering, case.raw.astype(np.int16))
    assert found.images == len(case.raw)
    assert found.words[INPUT].tolist() == case.raw.reshape(len(case.raw), -1).tolist()
    for step in lowering.steps:
        assert (
            found.words[step.name].tolist()
            == run.raw[step.name].reshape(len(case.raw), -1).tolist()
        )
        assert found.counts[step.name] == run.counts[step.node.name]


def test_bundled_images_are_the_default() -> None:
    """The first of the test images, where the network takes them."""
    fixed = fxpnn.quantize(tiny(), fxpnn.load_data("mnist:calibration").x[:10])
    assert default_images(fixed, 3).tolist() == fxpnn.load_data("mnist").x[:3].tolist()


@given(fmt=tensor_formats(), count=st.integers(1, 40))
def test_other_networks_run_on_words_of_their_format(fmt: fxpnn.QFormat, count: int) -> None:
    """Always the same; both limits are among them, each more than once where there are many."""
    node = FixedNode("copy", Quantize(), (INPUT,), fmt)
    fixed = FixedNetwork("copy", (2, 3), fmt, (node,))
    found = default_images(fixed, count)
    assert found.shape == (count, 2, 3)
    assert found.dtype == np.int16
    assert (found.min(), found.max()) == (fmt.min, fmt.max)
    assert found.tolist() == default_images(fixed, count).tolist()
    if count == 40:
        assert min((found == fmt.min).sum(), (found == fmt.max).sum()) > 4
    assert (
        vectors(lower(fixed), found).words["copy"].reshape(found.shape).tolist() == found.tolist()
    )


def test_the_words_are_the_same_for_ever() -> None:
    """Of a version that is later, too: equal models give equal exports."""
    fmt = fxpnn.QFormat(16, 8)
    fixed = FixedNetwork("copy", (6,), fmt, (FixedNode("copy", Quantize(), (INPUT,), fmt),))
    assert default_images(fixed, 1).tolist() == [[-32768, 18861, -32768, 14370, -14571, 32767]]
