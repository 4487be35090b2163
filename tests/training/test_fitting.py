"""Weights are kept so small that no input makes their sums leave the accumulator."""

import re
from dataclasses import replace
from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fxpnn
from fxpnn.errors import FormatError, FxpnnError
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, QFormat
from fxpnn.network.graph import Network, chain
from fxpnn.network.layers import Dense
from fxpnn.proofs.bounds import prove
from fxpnn.quantization.settings import Method, Plan, Settings
from fxpnn.training import LOGITS_CROSS_ENTROPY, Qat, Recipe, parameters
from fxpnn.training.fake import Grid
from fxpnn.training.fitting import fitting_counts

SOURCES = QFormat(4, 0), QFormat(4, 0, signed=False), QFormat(8, 3)


def reached(words: list[int], bias: int, source: QFormat) -> tuple[int, int]:
    """Return the least and the largest sum, each input at the end that its weight asks for."""
    ends = [(w * source.min, w * source.max) for w in words]
    return bias + sum(map(min, ends)), bias + sum(map(max, ends))


@given(data=st.data())
def test_words_fit(data: st.DataObject) -> None:
    """No channel can leave the register, no word grows or turns, and what fits stays as it is."""
    source = data.draw(st.sampled_from(SOURCES))
    register = Accumulator(data.draw(st.integers(9, 12)))
    count = st.floats(-128, 127, width=32)
    counts = np.array(data.draw(st.lists(st.lists(count, min_size=3, max_size=3), min_size=1)))
    most = st.integers(register.min, register.max)
    bias = np.array([data.draw(most) for _ in counts], np.float64)
    made = fitting_counts(counts, bias, source, register)
    for before, after, b in zip(counts, made, bias, strict=True):
        old, new = ([*map(round, row.tolist())] for row in (before, after))
        low, high = reached(new, int(b), source)
        assert register.min <= low
        assert high <= register.max
        assert all(abs(n) <= abs(o) and n * o >= 0 for n, o in zip(new, old, strict=True))
        held = [a for a, n, o in zip(after, new, old, strict=True) if n == o]
        assert held == [a for a, n, o in zip(before, new, old, strict=True) if n == o]
        low, high = reached(old, int(b), source)
        if register.min <= low and high <= register.max:
            assert np.array_equal(before, after)
        elif any(new):  # not smaller than they must be: less than one input and 1 is left over
            low, high = reached(new, int(b), source)
            left = min(register.max - high, low - register.min)
            assert left < max(-source.min, source.max)


@given(
    counts=st.lists(st.floats(-3, 3, width=32), min_size=3, max_size=3),
    bias=st.integers(-127, 127),
)
def test_they_are_the_nearest_that_fit(counts: list[float], bias: int) -> None:
    """Of all words whose sums fit, none are nearer to the counts: inputs have no sign."""
    source, register = QFormat(5, 0, signed=False), Accumulator(8)
    made = fitting_counts(np.array([counts]), np.array([float(bias)]), source, register)

    def error(words: tuple[int, ...]) -> Fraction:
        return sum(((Fraction(c) - w) ** 2 for c, w in zip(counts, words, strict=True)), Fraction())

    fitting = (
        words
        for words in product(range(-3, 4), repeat=3)
        if register.min <= (ends := reached([*words], bias, source))[0] and ends[1] <= register.max
    )
    assert error(tuple(map(round, made[0].tolist()))) == min(map(error, fitting))


def dense(bias: float = 0.0, out: int = 5) -> Network:
    """Build two layers whose sums take all that a register has."""
    rng = np.random.default_rng(3)
    weights = (rng.normal(0, 1, (rows, out)).astype(np.float32) for rows in (out, 2))
    hidden, last = (Dense(w, np.full(len(w), bias, np.float32)) for w in weights)
    return chain("d", (out,), {"hidden": hidden, "out": last})


def grid(network: Network, register: Accumulator) -> Grid:
    """Give the formats of words of 6 bits, inputs with a sign."""
    settings = Settings(word=6, accumulator=register, weight=QFormat(6, 3))
    calibration = np.random.default_rng(1).normal(0, 1, (20, *network.input_shape))
    return Grid(fxpnn.quantize(network, calibration, settings))


@pytest.mark.parametrize("overflow", [Overflow.SATURATE, Overflow.WRAP])
def test_every_step_is_proved(overflow: Overflow) -> None:
    """After any step the proof, which knows more, says that no accumulator can overflow."""
    rng = np.random.default_rng(5)
    x, y = rng.normal(0, 1, (60, 5)), rng.integers(0, 2, 60)
    for word in (9, 10, 11):
        register = Accumulator(word, overflow)
        chosen = Settings(weight_word=5, output_word=5, method=Method.MSE, accumulator=register)
        qat = Qat(plan=Plan(replace(chosen, per_channel=word == 10)), every=2)
        recipe = Recipe(epochs=2, batch=10, rate=0.3)
        taken = [*qat.descend(dense(0.5), x, y, recipe, loss=LOGITS_CROSS_ENTROPY)]
        assert all(p.proved for step in taken for p in prove(step.fixed).values())
        assert max(p.bits or 0 for step in taken for p in prove(step.fixed).values()) == word


def test_a_bias_beyond_the_register_is_held() -> None:
    """It becomes the last that the register holds, and no weight has room beside it."""
    network = dense(1000.0)
    made = grid(dense(), Accumulator(12))
    after = made.rounded(made.fitted(parameters(network)))
    counts = after["hidden.bias"] * made._scales["hidden"].bias
    assert counts.tolist() == [2047.0] * 5
    assert (after["hidden.weight"] <= 0).all()


def test_what_fits_stays_the_same_object() -> None:
    """A register that holds all that the words can be costs no copy."""
    values = parameters(dense())
    after = grid(dense(), Accumulator(48)).fitted(values)
    assert all(after[name] is value for name, value in values.items())


@pytest.mark.parametrize(
    ("bias", "message"),
    [
        (
            np.inf,
            "layer hidden (Dense): bias must fit 62 bits at the accumulator's scale, not reach inf",
        ),
        (
            1e30,
            "layer hidden (Dense): bias must fit 62 bits at the accumulator's scale, not "
            "reach 1e+30",
        ),
    ],
)
def test_a_bias_that_runs_away(bias: float, message: str) -> None:
    """It is told, not held."""
    values = {**parameters(dense())}
    values["hidden.bias"] = np.full(5, bias, np.float32)
    with pytest.raises(FxpnnError, match=f"^{re.escape(message)}$"):
        grid(dense(), Accumulator(12)).fitted(values)


def test_a_register_for_no_product() -> None:
    """Weights of 0 alone would fit it, so it is refused."""
    plan = Plan(Settings(word=12, accumulator=Accumulator(8)))
    message = (
        "layer hidden (Dense): an accumulator must hold the largest input times the smallest "
        "weight, 13 bits, not 8"
    )
    with pytest.raises(FormatError, match=f"^{re.escape(message)}$"):
        Qat(plan=plan).start(dense(), np.ones((3, 5)))
