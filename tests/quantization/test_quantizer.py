"""The quantizer chooses formats that hold their values, and turns every parameter exactly."""

import re
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxpnn.engine.inference import infer
from fxpnn.errors import FormatError, ModelError
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, QFormat, Rounding
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.graph import INPUT, Network, Node, Scaling, chain
from fxpnn.network.layers import (
    Abs,
    Add,
    AvgPool2D,
    Clip,
    Concat,
    Conv2D,
    Dense,
    Elu,
    Flatten,
    HardSigmoid,
    HardSwish,
    L2Pool2D,
    Layer,
    LeakyRelu,
    MaxPool2D,
    Mul,
    Pad,
    PRelu,
    Quantize,
    Relu,
    Sigmoid,
    Silu,
    Slice,
    Softmax,
    Softplus,
    Step,
    Tanh,
    Window,
)
from fxpnn.network.normalisation import Normalisation
from fxpnn.proofs.bounds import prove
from fxpnn.quantization.quantizer import quantize
from fxpnn.quantization.settings import Method, Plan, Settings
from fxpnn.reference import predict

RNG = np.random.default_rng(3)
WEIGHT = RNG.normal(0, 0.3, (4, 6)).astype(np.float32)
BIAS = np.array([0.5, -0.25, 1.0, 0.0], np.float32)
IMAGES = RNG.integers(0, 256, (64, 1, 2, 3), np.uint8)
BY_METHOD = [Settings(method=method) for method in Method]


def small(scaling: Scaling | None = None) -> Network:
    """Build a 6-4-2 network."""
    return chain(
        "small",
        (1, 2, 3),
        {
            "flat": Flatten(),
            "hidden": Dense(WEIGHT, BIAS),
            "relu": Relu(),
            "output": Dense(WEIGHT[:2, :4], BIAS[:2]),
            "softmax": Softmax(),
        },
        scaling,
    )


def every_layer() -> Network:
    """Build a network of convolutional layers with a branch, every activation and every pool."""
    conv = Conv2D(
        RNG.normal(0, 0.4, (3, 1, 3, 3)),
        RNG.normal(0, 0.2, 3),
        Window((3, 3), padding=(1, 1, 1, 1)),
    )
    pool = Window((2, 2), (2, 2))
    layers: Mapping[str, Layer] = {
        "conv": conv,
        "prelu": PRelu(np.array([0.25, -0.5, 1.5], np.float32)),
        "max": MaxPool2D(pool),
        "silu": Silu(),
        "elu": Elu(),
        "softplus": Softplus(),
        "abs": Abs(),
        "slice": Slice(1, 0, 4),
        "pad": Pad(((0, 0), (1, 0), (0, 1)), 0.5),
        "l2": L2Pool2D(Window((2, 2))),
        "leaky": LeakyRelu(0.1),
        "swish": HardSwish(),
        "clip": Clip(-0.25, 1.5),
        "average": AvgPool2D(Window((2, 2))),
        "hard": HardSigmoid(),
        "tanh": Tanh(),
        "sigmoid": Sigmoid(),
    }
    trunk = chain("all", (1, 10, 10), layers)
    size = trunk.shapes["sigmoid"]
    tail = (
        Node("again", Relu(), ("sigmoid",)),
        Node("sum", Add(), ("again", "tanh")),
        Node("pooled", AvgPool2D(Window((size[1], size[2]))), ("sum",)),
        Node("scaled", Mul(), ("sum", "pooled")),
        Node("both", Concat(), ("scaled", "hard")),
        Node("flat", Flatten(), ("both",)),
        Node("narrow", Quantize(), ("flat",)),
        Node(
            "dense", Dense(RNG.normal(0, 0.3, (3, 2 * int(np.prod(size)))), BIAS[:3]), ("narrow",)
        ),
        Node("step", Step(0.125), ("dense",)),
    )
    return Network("all", (1, 10, 10), trunk.nodes + tail)


def floats(fixed: FixedNetwork, x: np.ndarray, name: str) -> np.ndarray:
    """Run images and return a node's values."""
    raw = infer(fixed, x, keep=[name]).tensors[name]
    return np.asarray(raw * fixed.formats[name].lsb)


@pytest.mark.parametrize("settings_", BY_METHOD, ids=lambda s: s.method.value)
def test_sixteen_bits_are_close_by_every_method(settings_: Settings) -> None:
    """Every method's logits stay within a few counts of the float network's."""
    network = small()
    fixed = quantize(network, IMAGES, settings_)
    exact = predict(network, IMAGES, keep=["output"], dtype=np.float64)["output"]
    error = np.abs(floats(fixed, IMAGES, "output") - exact)
    assert error.max() < 8 * fixed.formats["output"].lsb


@pytest.mark.parametrize("settings_", BY_METHOD, ids=lambda s: s.method.value)
def test_every_layer_is_quantized(settings_: Settings) -> None:
    """All layers follow the float network to a thousandth, by every method."""
    network = every_layer()
    images = RNG.integers(0, 256, (20, 1, 10, 10), np.uint8)
    fixed = quantize(network, images, settings_)
    exact = predict(network, images, keep=["dense", "step"], dtype=np.float64)
    assert np.abs(floats(fixed, images, "dense") - exact["dense"]).max() < 4e-3
    clear = np.abs(exact["dense"] - 0.125) > 4e-3
    assert (floats(fixed, images, "step")[clear] == exact["step"][clear]).all()


def test_what_is_proved_saturates_nowhere() -> None:
    """Formats from proved ranges can overflow for no input at all."""
    for network in (small(), every_layer()):
        fixed = quantize(network, None, Settings(method=Method.PROVED))
        assert not any(proof.saturates for proof in prove(fixed).values())


@settings(max_examples=25)
@given(word=st.integers(2, 16), per_channel=st.booleans(), method=st.sampled_from(list(Method)))
def test_every_word_can_be_asked_for(word: int, per_channel: bool, method: Method) -> None:
    """Words of 2 to 16 bits give tensors of that word, and results inside their formats."""
    fixed = quantize(small(), IMAGES, Settings(word, per_channel=per_channel, method=method))
    hidden = fixed["hidden"]
    assert {fmt.word for fmt in hidden.weight_formats} == {word}
    assert len(hidden.weight_formats) == (4 if per_channel else 1)
    assert hidden.output_format.word == word
    assert fixed.input_format.word == min(word, 8)
    raw = infer(fixed, IMAGES, keep=["hidden"]).tensors["hidden"]
    assert hidden.output_format.min <= raw.min() <= raw.max() <= hidden.output_format.max


def test_weights_and_biases_are_rounded_once() -> None:
    """Each word is the float parameter at its format, to nearest even; the bias at Fx + Fw."""
    for per_channel in (False, True):
        hidden = quantize(small(), IMAGES, Settings(per_channel=per_channel))["hidden"]
        assert isinstance(hidden.layer, Dense)
        fracs = hidden.fracs(4).tolist()
        for o, frac in enumerate(fracs):
            words = [round(Fraction(float(w)) * 2**frac) for w in WEIGHT[o]]
            assert hidden.layer.weight[o].tolist() == words
            assert hidden.layer.bias[o] == round(Fraction(float(BIAS[o])) * 2 ** (frac + 8))
        assert hidden.layer.weight.dtype == np.int16


def test_a_channel_of_its_own_format_is_finer() -> None:
    """A channel of small weights keeps bits that the largest channel takes from it otherwise."""
    weight = np.array([[8.0, 4.0], [0.01, -0.02]], np.float32)
    network = chain("n", (2,), {"d": Dense(weight, BIAS[:2])})
    x = np.array([[0.5, 0.25]])
    together = quantize(network, x)["d"].weight_formats
    apart = quantize(network, x, Settings(per_channel=True))["d"].weight_formats
    assert [fmt.frac for fmt in together] == [11]
    assert [fmt.frac for fmt in apart] == [11, 20]


def test_pixels_keep_their_grid() -> None:
    """Pixels scaled by a power of two are words themselves; else the input is calibrated."""
    assert str(quantize(small(), IMAGES).input_format) == "UQ0.8"
    assert str(quantize(small(), IMAGES, Settings(word=5)).input_format) == "UQ1.4"
    assert str(quantize(small(Scaling(1.0)), IMAGES).input_format) == "UQ8.0"
    scaled = small(Scaling(1 / 255, (0.13,), (0.31,)))
    assert str(quantize(scaled, IMAGES).input_format) == "Q2.13"
    assert str(quantize(scaled, None, Settings(method=Method.PROVED)).input_format) == "Q2.13"


@pytest.mark.parametrize("word", range(2, 17))
@pytest.mark.parametrize("scale", [1 / 256, -1 / 256, 2.0, -1.0])
def test_no_pixel_saturates_unless_a_format_is_given(scale: float, word: int) -> None:
    """255 may be rounded up to a power of two; a format with one bit more of fraction loses it."""
    network = chain("n", (1,), {"d": Dense(BIAS[None, :1], BIAS[:1])}, Scaling(scale))
    pixels = np.arange(256, dtype=np.uint8)[:, None]
    fmt = quantize(network, pixels, Settings(word=word)).input_format
    finer = replace(fmt, frac=fmt.frac + 1)
    for chosen, lost in ((None, 0), (finer, 1)):
        plan = Plan(Settings(word=word), {INPUT: Settings(word=word, output=chosen)})
        found = infer(quantize(network, pixels, plan), pixels).layers[INPUT].saturations
        assert (found > 0) == lost
    if word >= 8 + (scale < 0):
        assert fmt.lsb == abs(scale)


def test_a_format_that_is_kept_is_set_where_it_is_chosen() -> None:
    """However many layers keep it: what the refusal names takes it."""
    layers = {"d": Dense(np.eye(2), np.zeros(2)), "r": Relu(), "f": Flatten()}
    network, x = chain("n", (2,), layers), np.ones((1, 2))
    wanted = Settings(output=QFormat(16, 12))
    message = r"^layer f \(Flatten\) must keep the Q1.14 of r, not have Q3.12; set the output of d$"
    with pytest.raises(FormatError, match=message):
        quantize(network, x, Plan(layers={"f": wanted}))
    assert quantize(network, x, Plan(layers={"d": wanted})).formats["f"] == wanted.output


def test_without_data_a_normalisation_is_a_layer_for_pixels() -> None:
    """Its range is proved like that of each; a format that is given for the input is behind it."""
    begin = Normalisation((2.0,), (-1.0,))
    layers = {"r": Relu(), "d": Dense(np.eye(2), np.zeros(2))}
    network = replace(chain("n", (2,), layers), normalisation=begin)
    message = (
        "calibration data must be given to choose the format of input.add; without it use the "
        "method proved, or give every format"
    )
    with pytest.raises(FormatError, match=f"^{message}$"):
        quantize(network, None)
    proved = Settings(method=Method.PROVED)
    fixed = quantize(network, None, proved)
    assert [str(fixed.formats[name]) for name in (INPUT, "input.add")] == ["UQ0.8", "Q0.15"]
    given = Plan(proved, {INPUT: Settings(output=QFormat(16, 12))})
    assert quantize(network, None, given).input_format == QFormat(16, 12)


def test_wide_words_leave_headroom() -> None:
    """What calibration did not see may be a little larger; pixels end where they end."""
    network = chain("n", (1,), {"d": Dense(np.ones((1, 1), np.float32), np.zeros(1, np.float32))})
    x = np.array([[0.9], [-0.9]])
    wide, short = quantize(network, x), quantize(network, x, Settings(word=8))
    assert [str(wide.formats[name]) for name in (INPUT, "d")] == ["Q1.14"] * 2
    assert [str(short.formats[name]) for name in (INPUT, "d")] == ["Q0.7"] * 2
    pixels = replace(network, scaling=Scaling(0.9 / 255))
    assert str(quantize(pixels, np.array([[0], [255]], np.uint8)).input_format) == "Q0.15"


def test_given_formats_and_modes_are_kept() -> None:
    """What the plan fixes is not calibrated; other layers are."""
    own = Settings(
        weight=QFormat(12, 9),
        output=QFormat(10, 5),
        rounding=Rounding.FLOOR,
        overflow=Overflow.WRAP,
        accumulator=Accumulator(20, Overflow.WRAP),
    )
    fixed = quantize(
        small(), IMAGES, Plan(layers={"hidden": own, INPUT: Settings(output=QFormat(9, 8))})
    )
    hidden = fixed["hidden"]
    assert hidden.weight_formats == (QFormat(12, 9),)
    assert hidden.output_format == QFormat(10, 5) == fixed["relu"].output_format
    assert (hidden.rounding, hidden.overflow) == (Rounding.FLOOR, Overflow.WRAP)
    assert str(hidden.accumulator) == "20 wrap"
    assert fixed.input_format == QFormat(9, 8)
    assert str(fixed["output"].accumulator) == "48 saturate"


def test_a_proved_format_holds_what_its_register_does() -> None:
    """Eight products of -1/128, each floored to -1/8, are -1; a register's ends bound its sums."""
    dense = Dense(np.full((1, 8), 2.0**-7, np.float32), np.zeros(1, np.float32))
    network = chain("n", (8,), {"d": dense})
    plan = {INPUT: Settings(output=QFormat(8, 7))}
    chosen = {}
    for text in ("48", "Q20.3", "Q-6.13"):
        register: Any = text
        settings = Settings(
            weight=QFormat(8, 7), word=8, method=Method.PROVED, accumulator=register
        )
        fixed = quantize(network, plan=Plan(settings, plan))
        assert fixed["d"].accumulator == Accumulator.parse(text)
        chosen[text] = str(fixed["d"].output_format)
    assert chosen == {"48": "Q-4.11", "Q20.3": "Q0.7", "Q-6.13": "Q-6.13"}


def test_softmax_variants() -> None:
    """The maximum, nothing, or a constant at the logits' scale is subtracted."""
    assert quantize(small(), IMAGES)["softmax"].softmax_shift is None
    assert quantize(small(), IMAGES, Settings(softmax=0.0))["softmax"].softmax_shift == 0
    fixed = quantize(small(), IMAGES, Settings(softmax=0.5))
    assert fixed["softmax"].softmax_shift == 2 ** (fixed.formats["output"].frac - 1)


def test_an_l2_pools_input_format_holds_its_output() -> None:
    """A root of squares shares the format of its input, which has room for it."""
    conv = Conv2D(np.ones((1, 1, 1, 1), np.float32), np.zeros(1, np.float32), Window((1, 1)))
    network = chain("n", (1, 4, 4), {"conv": conv, "l2": L2Pool2D(Window((4, 4)))})
    x = np.full((2, 1, 4, 4), 0.7)
    for method in (Method.MINMAX, Method.PROVED):
        fixed = quantize(
            network, x, Plan(Settings(method=method), {INPUT: Settings(output=QFormat(16, 15))})
        )
        run = infer(fixed, x)
        assert run.layers["l2"].saturations == 0
        assert abs(run.raw * fixed.formats["l2"].lsb - 2.8).max() < 1e-3


POOLS = {"average": AvgPool2D(Window((2, 2), (2, 2))), "l2": L2Pool2D(Window((2, 2), (2, 2)))}


@pytest.mark.parametrize("name", POOLS)
def test_a_pool_heeds_format_and_modes(name: str) -> None:
    """One that is given is its own; by default it is the input's, with the modes of all layers."""
    network = chain("n", (1, 4, 4), {"r": Relu(), name: POOLS[name]})
    x = np.random.default_rng(1).uniform(0, 1, (3, 1, 4, 4))
    everywhere = Settings(rounding=Rounding.FLOOR, overflow=Overflow.WRAP)
    for output in (None, QFormat(12, 10), QFormat(8, 8, signed=False)):
        fixed = quantize(network, x, Plan(everywhere, {name: replace(everywhere, output=output)}))
        pool = fixed[name]
        assert pool.output_format == (output or fixed.formats["r"])
        assert (pool.rounding, pool.overflow) == (Rounding.FLOOR, Overflow.WRAP)
    assert {"output", "rounding", "overflow"} == POOLS[name].traits.heeds


def test_an_l2_pool_of_another_format_takes_no_room_before_it() -> None:
    """Only what shares a format must fit it."""
    network = chain("n", (1, 4, 4), {"r": Relu(), "l2": L2Pool2D(Window((4, 4)))})
    x, wide = np.full((2, 1, 4, 4), 0.7), Settings(output=QFormat(16, 12))
    shared, own = (quantize(network, x, Plan(layers=plan)) for plan in ({}, {"l2": wide}))
    assert (str(shared.formats["r"]), str(own.formats["r"])) == ("Q2.13", "Q0.15")


def test_a_raw_threshold_decides_as_the_float_one() -> None:
    """The raw threshold decides as the float one for every word, whatever its place between two."""
    for threshold in (0.3, -0.3, 0.5, 100.0, -100.0):
        network = chain("n", (1,), {"r": Relu(), "s": Step(threshold)})
        plan = Plan(layers={INPUT: Settings(output=QFormat(5, 2))})
        fixed = quantize(network, np.array([[1.0]]), plan)
        words = np.arange(0, 16, dtype=np.int16).reshape(-1, 1)
        expected = words * 0.25 >= threshold
        assert (infer(fixed, words).raw > 0).tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("plan", "calibration", "error", "message"),
    [
        (Settings(), None, FormatError, "calibration data must be given to choose the format of "
         "hidden; without it use the method proved, or give every format"),
        (Plan(layers={"nose": Settings(), "ear": Settings()}), IMAGES, FormatError,
         "settings must name layers of small, not nose, ear; it has input, flat, hidden, relu, "
         "output, softmax"),
        (Plan(layers={"relu": Settings(output=QFormat(8, 4))}), IMAGES, FormatError,
         "layer relu (Relu) must keep the Q1.14 of hidden, not have Q3.4; set the output of "
         "hidden"),
        (Plan(layers={"flat": Settings(output=QFormat(8, 4))}), IMAGES, FormatError,
         "layer flat (Flatten) must keep the UQ0.8 of input, not have Q3.4; set the output of "
         "input"),
        (Plan(layers={"hidden": Settings(weight=QFormat(16, 70))}), IMAGES, ModelError,
         "layer hidden (Dense): bias must fit 62 bits at the accumulator's scale, not reach 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_quantized(
    plan: Plan | Settings, calibration: np.ndarray | None, error: type[Exception], message: str
) -> None:
    """Each ends in one line that says what and where."""
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        quantize(small(), calibration, plan)


def test_provenance_and_scaling_are_carried() -> None:
    """The integers know their version and how pixels become numbers."""
    scaling = Scaling(1 / 128)
    fixed = quantize(small(scaling), IMAGES)
    assert fixed.provenance.version
    assert fixed.scaling == scaling
    assert replace(fixed).outputs == ("softmax",)
