"""The fast step equals the golden one in every word, whatever is drawn, cut or shared."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxpnn.golden import learning as golden
from fxpnn.training.fixed.step import Stepped, step
from tests.support.strategies.learning import Lesson, lessons


def assert_same(done: Stepped, expected: golden.Learned, bits_of: tuple[str, ...]) -> None:
    """Compare all tensors of a step by their words."""
    for kind in bits_of:
        found, wanted = getattr(done, kind), getattr(expected, kind)
        for name in found:
            assert found[name].tolist() == wanted[name].tolist(), (kind, name)
    assert done.saturations == expected.saturations


TENSORS = ("activations", "deltas", "gradients", "velocity", "words")


@pytest.mark.parametrize("maps", [False, True])
@settings(max_examples=25)
@given(data=st.data())
def test_a_step_is_the_golden_one(maps: bool, data: st.DataObject) -> None:
    """In every tensor and count: ties, saturation, all roundings, draws of few and many bits."""
    lesson: Lesson = data.draw(lessons(maps))
    expected = golden.step(*lesson)
    done = step(*lesson, keep=True)
    assert done.words.keys() == expected.words.keys()
    assert_same(done, expected, TENSORS)
    cut = step(*lesson, keep=True, block=2)
    assert_same(cut, expected, TENSORS)
