"""Calibration chooses words without a sign where a ReLU cuts what is below 0."""

from dataclasses import replace

import numpy as np
import pytest

from fxpnn.engine.inference import infer
from fxpnn.fixedpoint.qformat import Overflow
from fxpnn.network.graph import Network, Node, chain
from fxpnn.network.layers import (
    AvgPool2D,
    Clip,
    Conv2D,
    Dense,
    Flatten,
    Layer,
    LeakyRelu,
    MaxPool2D,
    Pad,
    Relu,
    Window,
)
from fxpnn.quantization.quantizer import quantize
from fxpnn.quantization.settings import Method, Plan, Settings

RNG = np.random.default_rng(3)
IMAGES = RNG.uniform(-1, 1, (64, 1, 6, 6)).astype(np.float32)
CONV = Conv2D(RNG.normal(0, 1, (2, 1, 3, 3)), np.array([-2.0, 0.5]), Window((3, 3)))
DENSE = Dense(RNG.normal(0, 1, (3, 8)), np.zeros(3))
POOL = MaxPool2D(Window((2, 2), (2, 2)))


def network(*between: Layer) -> Network:
    """Build a convolution and a pool, what is given behind them, and a dense layer."""
    layers = {"conv": CONV, "pool": POOL} | {f"b{i}": layer for i, layer in enumerate(between)}
    size = int(np.prod(chain("n", (1, 6, 6), layers).shapes[[*layers][-1]]))
    weight = RNG.normal(0, 1, (3, size))
    return chain("n", (1, 6, 6), {**layers, "flat": Flatten(), "d": Dense(weight, np.zeros(3))})


@pytest.mark.parametrize("word", range(2, 17))
@pytest.mark.parametrize("method", Method)
def test_words_in_front_of_a_relu_have_no_sign_up_to_15_bits(method: Method, word: int) -> None:
    """They are one bit finer where the values above 0 reach as far; nothing above 0 saturates."""
    relu = network(Relu())
    fixed = quantize(relu, IMAGES, Settings(word=word, method=method))
    signed = quantize(relu, IMAGES, Settings(word=word, method=method, signed=True))
    for name in ("conv", "pool", "b0"):
        assert fixed.formats[name].signed == (word == 16)
        assert signed.formats[name].signed
    assert fixed.formats["d"].signed
    assert fixed.formats["conv"].frac >= signed.formats["conv"].frac + (word < 16)
    if method in (Method.MINMAX, Method.PROVED):
        counts = infer(fixed, IMAGES).layers["conv"]
        assert counts.saturations == 0
        assert (counts.below_zero > 0) == (word < 16)


WITH_SIGN = {
    "nothing": (),
    "a leaky ReLU": (LeakyRelu(0.1),),
    "a clip below 0": (Clip(-1.0, 1.0),),
    "an average": (AvgPool2D(Window((2, 2))), Relu()),
    "padding below 0 behind the ReLU": (Relu(), Pad(((0, 0), (1, 1), (1, 1)), -1.0)),
    "a clip below 0 behind the ReLU": (Relu(), Clip(-3.0, -1.0)),
}
WITHOUT = {
    "a ReLU": (Relu(),),
    "a clip at 0": (Clip(0.0, 6.0),),
    "padding with 1 behind the ReLU": (Relu(), Pad(((0, 0), (1, 1), (1, 1)), 1.0)),
    "a clip to 1 at most behind the ReLU": (Relu(), Clip(-np.inf, 1.0)),
    "a leaky ReLU behind the ReLU": (Relu(), LeakyRelu(0.1)),
}


@pytest.mark.parametrize("name", [*WITH_SIGN, *WITHOUT])
def test_a_sign_stays_where_something_below_zero_is_wanted(name: str) -> None:
    """By a reader that is no ReLU, or by a layer behind it that keeps the format."""
    fixed = quantize(network(*(WITH_SIGN | WITHOUT)[name]), IMAGES, Settings(word=8))
    assert fixed.formats["conv"].signed == (name in WITH_SIGN)


def test_a_word_that_wraps_or_is_an_output_keeps_its_sign() -> None:
    """What is below 0 would come round to the top of the range, or be lost."""
    relu = network(Relu())
    assert quantize(relu, IMAGES, Settings(word=8, overflow=Overflow.WRAP)).formats["conv"].signed
    seen = replace(relu, outputs=("conv", "d"))
    assert quantize(seen, IMAGES, Settings(word=8)).formats["conv"].signed
    zero = quantize(relu, IMAGES, Settings(word=8, overflow=Overflow.SATURATE_ZERO))
    assert not zero.formats["conv"].signed


def test_the_sign_of_one_layer_can_be_kept() -> None:
    """By the settings of that layer alone."""
    twice = chain("n", (1, 6, 6), {"c": CONV, "r": Relu(), "p": POOL, "f": Flatten(), "d": DENSE})
    nodes = (*twice.nodes, Node("last", Relu(), ("d",)))
    plan = Plan(Settings(word=8), {"c": Settings(word=8, signed=True)})
    fixed = quantize(Network("n", (1, 6, 6), nodes), IMAGES, plan)
    assert [fixed.formats[name].signed for name in ("c", "d")] == [True, False]


def test_values_below_zero_all_of_them_have_a_format() -> None:
    """A ReLU that is dead on the calibration images is 0 in any format."""
    dead = replace(CONV, bias=np.array([-100.0, -100.0]))
    layers = {"conv": dead, "relu": Relu(), "flat": Flatten()}
    for method in Method:
        fixed = quantize(chain("n", (1, 6, 6), layers), IMAGES, Settings(word=8, method=method))
        assert not fixed.formats["conv"].signed
        assert not infer(fixed, IMAGES).raw.any()
