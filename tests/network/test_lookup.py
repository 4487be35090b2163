"""What a layer answers to each word is what the golden model says of that word."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fxpnn import golden
from fxpnn.fixedpoint.qformat import Accumulator, QFormat
from fxpnn.network import lookup
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import (
    Abs,
    Clip,
    Dense,
    Elu,
    Gelu,
    GeluTanh,
    HardSigmoid,
    HardSwish,
    Layer,
    LeakyRelu,
    Mish,
    Quantize,
    Relu,
    Selu,
    Sigmoid,
    Silu,
    Softplus,
    Softsign,
    Step,
    Tanh,
)
from fxpnn.network.lookup import KEPT, response, words
from tests.support.strategies import fixed_networks

KINDS: tuple[type[Layer], ...] = (
    *(Relu, LeakyRelu, Clip, Quantize, Step, HardSigmoid, HardSwish, Sigmoid, Tanh, Silu),
    *(Elu, Softplus, Abs, Gelu, GeluTanh, Mish, Selu, Softsign),
)


@settings(max_examples=20)
@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_answers_are_the_golden_models(kind: type[Layer], data: st.DataObject) -> None:
    """For words at the limits, around 0 and in between: the same value, the same count."""
    fixed = data.draw(fixed_networks(kinds=(kind,), max_layers=1)).fixed
    fmt, node = fixed.input_format, fixed.nodes[0]
    assume(isinstance(node.layer, kind))  # not every format can be read by every kind
    answers = response(node, fmt)
    assert answers is not None
    chosen = {fmt.min, fmt.min + 1, -1, 0, 1, fmt.max - 1, fmt.max} | {
        data.draw(st.integers(fmt.min, fmt.max)) for _ in range(5)
    }
    for word in sorted(w for w in chosen if fmt.min <= w <= fmt.max):
        one = FixedNetwork("one", (1,), fmt, (node,))
        run = golden.run(one, np.array([[word]]))
        assert answers.raw[np.uint16(np.int16(word))] == run.raw[node.name].item()
        out = answers.over | answers.below  # no ReLU follows that would cut what is below 0
        assert out[np.uint16(np.int16(word))] == run.counts[node.name].saturations


def test_words_outside_the_format_count_as_no_overflow() -> None:
    """An 8-bit tensor cannot overflow by words that it never holds."""
    word = QFormat(8, 0)
    node = FixedNode("leaky", LeakyRelu(4), (INPUT,), word, (QFormat(16, 1),))
    answers = response(node, word)
    assert answers is not None
    assert {int(words()[i]) for i in np.flatnonzero(answers.over)} == set(range(-128, -64))


def test_a_layer_of_many_inputs_has_no_response() -> None:
    """A dense layer does not map single values."""
    word = QFormat(16, 0)
    layer = Dense(np.ones((1, 1), np.int16), np.zeros(1, np.int64))
    node = FixedNode("d", layer, (INPUT,), word, (word,), Accumulator())
    assert response(node, word) is None


def test_layers_that_are_alike_share_their_answers() -> None:
    """A chain of thousands of ReLUs is one list of 65,536 words; another format is another list."""
    word, finer = QFormat(16, 8), QFormat(16, 9)
    first, second = (FixedNode(name, Relu(), (INPUT,), word) for name in ("a", "b"))
    assert response(first, word) is response(second, word)
    assert response(FixedNode("c", Relu(), (INPUT,), finer), finer) is not response(first, word)
    clips = [FixedNode("d", Clip(0, high), (INPUT,), word) for high in (5, 6)]
    answers = [response(node, word) for node in clips]
    assert [a.raw.max() for a in answers if a is not None] == [5, 6]


def test_only_the_last_answers_are_kept() -> None:
    """Thousands of different layers do not fill the memory."""
    word = QFormat(16, 8)
    for high in range(KEPT + 10):
        response(FixedNode("d", Clip(-1, high), (INPUT,), word), word)
    assert len(lookup._ANSWERS) == KEPT
