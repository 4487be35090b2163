"""What parameters lose when they become integers is counted, told and kept."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fxpnn
from fxpnn.analysis.losses import parameter_losses
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.fixed import FixedNetwork, Losses
from fxpnn.network.fxp import dumps, loads
from fxpnn.network.graph import INPUT, chain
from fxpnn.network.layers import (
    Clip,
    Conv2D,
    Dense,
    HardSigmoid,
    Layer,
    LeakyRelu,
    Pad,
    PRelu,
    Softmax,
    Step,
    Window,
)
from fxpnn.quantization.quantizer import quantize
from fxpnn.quantization.settings import Method, Plan, Settings

Q0_7, Q3_12 = QFormat(8, 7), QFormat(16, 12)


def quantized(layer: Layer, source: QFormat = Q3_12, **choices: Any) -> FixedNetwork:
    """Quantize one layer behind an input of a given format."""
    sizes: dict[type[Layer], tuple[int, ...]] = {Dense: (4,), Conv2D: (1, 2, 2), PRelu: (2, 3, 3)}
    shape = sizes.get(type(layer), (2,))
    plan = Plan(layers={INPUT: Settings(output=source), "it": Settings(**choices)})
    images = np.linspace(-1, 1, 3 * int(np.prod(shape))).reshape(3, *shape)
    return quantize(chain("one", shape, {"it": layer}), images, plan)


def losses(layer: Layer, source: QFormat = Q3_12, **choices: Any) -> Losses:
    """Return what the layer loses."""
    return quantized(layer, source, **choices)["it"].losses


def beside(fmt: QFormat) -> st.SearchStrategy[float]:
    """Draw a value whose count is at, or a part of one beside, an end of a format, 0 or a tie."""
    places = st.sampled_from([fmt.min, fmt.max, 0, 1, -1])
    parts = st.sampled_from([-1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0])
    return st.builds(lambda place, part: (place + part) * fmt.lsb, places, parts)


@given(
    rows=st.lists(st.lists(beside(Q0_7), min_size=4, max_size=4), min_size=1, max_size=3),
    word=st.sampled_from([Q0_7, QFormat(7, 7, signed=False), QFormat(8, 5)]),
    conv=st.booleans(),
)
def test_counts_are_those_of_fractions(rows: list[list[float]], word: QFormat, conv: bool) -> None:
    """Clipped are weights whose nearest count is no word; a channel vanishes where all become 0."""
    counts = [[round(Fraction(w) * 2**word.frac) for w in row] for row in rows]
    clipped = sum(not word.min <= count <= word.max for row in counts for count in row)
    words = [[min(max(count, word.min), word.max) for count in row] for row in counts]
    vanished = sum(any(row) and not any(kept) for row, kept in zip(rows, words, strict=True))
    weight, bias = np.array(rows), np.zeros(len(rows))
    layer: Layer = Dense(weight, bias)
    if conv:
        layer = Conv2D(weight.reshape(-1, 1, 2, 2), bias, Window((2, 2)))
    assert losses(layer, weight=word) == Losses(clipped, 0, vanished)


def test_slopes_and_alphas_are_weights() -> None:
    """Each slope is a channel of its own; an alpha is one."""
    slopes = PRelu(np.array([1.5, 1e-4]))
    assert losses(slopes, weight=Q0_7) == Losses(1, 0, 1)
    assert losses(LeakyRelu(0.001), weight=Q0_7) == Losses(0, 0, 1)
    assert losses(LeakyRelu(0.25), weight=Q0_7) == Losses()
    assert losses(HardSigmoid(1.25), weight=Q0_7) == Losses(1)


def test_a_format_that_its_input_forces_on_an_alpha_clips_it() -> None:
    """Products of a coarse input could not hold 1; an alpha of so many fraction bits is small."""
    assert losses(HardSigmoid(), QFormat(16, -20)) == Losses(clipped_weights=1)


def test_a_given_format_of_an_alpha_is_kept_or_refused() -> None:
    """It is not changed in silence so that products hold 1."""
    message = (
        r"^layer it \(HardSigmoid\): fraction bits of input and alpha must add up to 0 to 46, not "
        r"-1; change the weight format, Q7.8$"
    )
    with pytest.raises(fxpnn.ModelError, match=message):
        quantized(HardSigmoid(), QFormat(16, -9), weight=QFormat(16, 8))


def test_what_rounds_to_zero_among_others_is_no_loss() -> None:
    """A channel keeps its largest weights."""
    weight = np.array([[1.0, 1e-6, 1e-6, 0.0], [0.0, 0.0, 0.0, 0.0]])
    assert losses(Dense(weight, np.zeros(2))) == Losses()


def test_a_channel_vanishes_in_a_chosen_format_too() -> None:
    """It is told, whoever chose the format; a format for each channel keeps it."""
    layer = Dense(np.array([[8.0] * 4, [1e-5] * 4]), np.zeros(2))
    assert losses(layer) == Losses(vanished_channels=1)
    assert losses(layer, per_channel=True) == Losses()


def test_what_a_choice_by_error_clips_is_no_loss() -> None:
    """The mean squared error weighs it; so the choice is the best one."""
    weight = np.array([[0.251, 0.0625, 0.0625, 0.0625]])
    network = quantized(Dense(weight, np.zeros(1)), word=3, method=Method.MSE)
    assert network["it"].weight_formats[0].max * network["it"].weight_formats[0].lsb < 0.25
    assert not network["it"].losses


@pytest.mark.parametrize(
    ("layer", "lost"),
    [
        (Pad(((1, 0),), 9.0), 1),
        (Pad(((1, 0),), -8.0), 0),
        (Clip(-9.0, 9.0), 0),
        (Clip(-9.0, 0.5), 0),
        (Clip(8.5, 9.0), 1),
        (Clip(-10.0, -9.0), 1),
        (Clip(8.0, 8.0), 1),
        (Clip(-np.inf, np.inf), 0),
        (Step(100.0), 0),
    ],
)
def test_constants_outside_their_input_s_format(layer: Layer, lost: int) -> None:
    """A bound that clamps nothing is none; a step decides by any threshold as it should."""
    assert losses(layer) == Losses(clipped_constants=lost)


def test_the_constant_of_a_softmax() -> None:
    """Its words are the input's."""
    assert losses(Softmax(), softmax=8.5) == Losses(clipped_constants=1)
    assert losses(Softmax(), softmax=-8.0) == Losses()
    assert losses(Softmax()) == Losses()


def lossy() -> FixedNetwork:
    """Quantize a layer that loses weights and a channel."""
    weight = np.array([[1.5, 2.0, 0.0, 0.0], [1e-4] * 4])
    return quantized(Dense(weight, np.zeros(2)), weight=Q0_7)


def test_losses_are_kept() -> None:
    """The file holds them; one that lost nothing says nothing of them."""
    assert loads(dumps(lossy()))["it"].losses == Losses(2, 0, 1)
    assert b"losses" in dumps(lossy())
    assert b"losses" not in dumps(quantized(LeakyRelu(0.25)))


def test_losses_are_told() -> None:
    """By the report and by the inspection, in the same words."""
    line = (
        "it (Dense): Q0.7 clips 2 of its weights, "
        "Q0.7 turns all weights of 1 of its channels into 0"
    )
    report = fxpnn.compare(None, lossy(), np.zeros((1, 4)))
    assert [*parameter_losses(report.layers)] == [line]
    assert [*parameter_losses(fxpnn.inspect(lossy()).layers)] == [line]
    padded = fxpnn.inspect(quantized(Pad(((1, 0),), 9.0))).layers
    assert [*parameter_losses(padded)] == ["it (Pad): its input's format clips 1 of its constants"]
    assert [*parameter_losses(fxpnn.inspect(quantized(LeakyRelu(0.25))).layers)] == []
