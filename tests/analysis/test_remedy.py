"""What is told to keep a layer from overflowing does, when a user follows it."""

import re
from dataclasses import replace

import numpy as np
import pytest

import fxpnn
from fxpnn.analysis.report import LayerReport
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, QFormat
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Dense, Flatten, LeakyRelu, Relu, Softmax, Tanh
from fxpnn.network.normalisation import Normalisation
from fxpnn.quantization.settings import Plan, Settings

RNG = np.random.default_rng(7)
X = RNG.normal(0, 1, (50, 6))
LAYERS = {
    "first": Dense(RNG.normal(0, 1, (5, 6)), RNG.normal(0, 1, 5)),
    "relu": Relu(),
    "second": Dense(RNG.normal(0, 1, (4, 5)), np.zeros(4)),
    "softmax": Softmax(),
}
NETWORK = fxpnn.chain("n", (6,), LAYERS)


def overflowed(plan: Plan, reference: bool) -> LayerReport:
    """Return the first layer that overflows."""
    fixed = fxpnn.quantize(NETWORK, X, plan)
    report = fxpnn.compare(NETWORK if reference else None, fixed, X)
    return next(x for x in report.layers if x.saturations or x.accumulator_overflows)


@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize(
    ("name", "narrow"),
    [
        (INPUT, Settings(output=QFormat(16, 15))),
        ("first", Settings(output=QFormat(16, 14))),
        ("second", Settings(output=QFormat(8, 7), overflow=Overflow.WRAP)),
        ("first", Settings(weight=QFormat(16, 13), accumulator=Accumulator(20, Overflow.WRAP))),
        ("first", Settings(output=QFormat(16, 15), accumulator=Accumulator(20))),
    ],
)
def test_what_is_told_helps(name: str, narrow: Settings, reference: bool) -> None:
    """The layer that is given what the line says overflows no more on these images."""
    layer = overflowed(Plan(layers={name: narrow}), reference)
    assert layer.name == name
    told = re.fullmatch(
        r"(?:an accumulator of (\d+) bits)?(?: and )?(?:(\S+) at its output)? would have fitted",
        str(layer.remedy),
    )
    assert told is not None
    better = narrow
    if told[1]:
        better = replace(better, accumulator=Accumulator(int(told[1]), narrow.accumulator.overflow))
    if told[2]:
        assert told[2] != layer.output_format
        better = replace(better, output=QFormat.parse(told[2]))
    assert better != narrow
    fixed = fxpnn.quantize(NETWORK, X, Plan(layers={name: better}))
    counts = fxpnn.infer(fixed, X).layers[name]
    assert (counts.accumulator_overflows, counts.saturations) == (0, 0)


def test_a_naive_softmax_is_answered_by_the_maximum() -> None:
    """No format is told: it has but one."""
    plan = Plan(layers={"second": Settings(output=QFormat(16, 4)), "softmax": Settings(softmax=0)})
    loud = fxpnn.chain("n", (6,), {**LAYERS, "second": Dense(np.eye(4, 5) * 40, np.zeros(4))})
    naive = fxpnn.quantize(loud, X, plan)
    layer = fxpnn.compare(loud, naive, X).layers[-1]
    assert layer.saturations > 0
    assert layer.remedy == "with --softmax max, which subtracts the largest logit, it cannot"


@pytest.mark.parametrize("reference", [True, False])
@pytest.mark.parametrize("first", [INPUT, "first"])
def test_a_layer_that_keeps_a_format_names_where_it_was_chosen(first: str, reference: bool) -> None:
    """A leaky ReLU that is too steep for its input's word; that word is given another format."""
    before = {"first": LAYERS["first"]} if first != INPUT else {}
    steep = fxpnn.chain("n", (6,), {**before, "move": Flatten(), "leaky": LeakyRelu(40.0)})
    plan = Plan(layers={first: Settings(output=QFormat(16, 12))})
    fixed = fxpnn.quantize(steep, X, plan)
    layer = fxpnn.compare(steep if reference else None, fixed, X).layers[-1]
    assert (layer.name, layer.saturations > 0) == ("leaky", True)
    told = re.fullmatch(
        rf"(\S+) as the format of {first}, which it keeps, would have fitted", str(layer.remedy)
    )
    assert told is not None
    better = fxpnn.quantize(steep, X, Plan(layers={first: Settings(output=QFormat.parse(told[1]))}))
    assert not any(counts.saturations for counts in fxpnn.infer(better, X).layers.values())


def test_a_format_that_loses_more_than_overflows_is_not_told() -> None:
    """Three values just above the top of 9 bits cost less than a bit of all others does."""
    x = np.concatenate([RNG.uniform(-0.9, 0.9, (4000, 1)), np.full((3, 1), 1.001)])
    net = fxpnn.chain("n", (1,), {"d": Dense(np.full((1, 1), 0.37), np.zeros(1))})

    def told(word: int) -> LayerReport:
        fmt = QFormat(word, word - 1)
        plan = Plan(layers={INPUT: Settings(output=QFormat(16, 12)), "d": Settings(output=fmt)})
        return fxpnn.compare(net, fxpnn.quantize(net, x / 0.37, plan), x / 0.37).layers[-1]

    wide = told(9)
    assert (wide.saturations, wide.remedy) == (3, "Q1.8 at its output would have fitted")
    loud = told(16)
    assert (loud.saturations, loud.remedy) == (3, "Q1.14 at its output would have fitted")
    x[-3:] = 1.0001
    none = told(16)
    assert (none.saturations, none.remedy) == (3, None)


@pytest.mark.parametrize("clamps", [True, False])
def test_an_unsigned_output_is_answered(clamps: bool) -> None:
    """In front of a ReLU it stays unsigned; elsewhere what is below 0 asks for a sign."""
    layers = {"d": LAYERS["first"], "next": Relu() if clamps else Tanh()}
    net = fxpnn.chain("n", (6,), layers)
    fixed = fxpnn.quantize(net, X, Plan(layers={"d": Settings(output=QFormat(8, 8, signed=False))}))
    layer = fxpnn.compare(net, fixed, X).layers[1]
    assert layer.saturations > 0
    told = str(layer.remedy).removesuffix(" at its output would have fitted")
    assert told.startswith("UQ") == clamps
    better = fxpnn.quantize(net, X, Plan(layers={"d": Settings(output=QFormat.parse(told))}))
    assert fxpnn.infer(better, X).layers["d"].saturations == 0


def test_the_input_s_format_is_that_behind_its_normalisation() -> None:
    """Floats are judged as they are cast; raw words are in their format already."""
    begin = Normalisation((0.001,), (3.0,))
    net = replace(fxpnn.chain("n", (6,), {"r": Relu()}), normalisation=begin)
    fixed = fxpnn.quantize(net, X, Plan(layers={INPUT: Settings(output=QFormat(16, 14))}))
    assert fxpnn.compare(net, fixed, X).layers[0].remedy == "Q2.13 at its output would have fitted"
    steep = fxpnn.chain("n", (6,), {"leaky": LeakyRelu(4.0)})
    words = np.full((1, 6), -(2**15), np.int16)
    layer = fxpnn.compare(None, fxpnn.quantize(steep, X), words).layers[-1]
    assert (layer.saturations, layer.remedy) == (6, None)


def test_a_register_with_a_fraction_keeps_it() -> None:
    """Told is the format of a register that holds every step, and it does."""
    weight = QFormat(16, 13)
    narrow = Settings(weight=weight, accumulator=Accumulator.parse("Q2.10 saturate"))
    layer = overflowed(Plan(layers={"first": narrow}), reference=False)
    assert layer.accumulator_overflows > 0
    told = re.fullmatch(r"an accumulator of (.+) would have fitted", str(layer.remedy))
    assert told is not None
    wide = Settings(weight=weight, accumulator=Accumulator.parse(told[1]))
    assert wide.accumulator.frac == narrow.accumulator.frac
    fixed = fxpnn.quantize(NETWORK, X, Plan(layers={"first": wide}))
    assert fxpnn.infer(fixed, X).layers["first"].accumulator_overflows == 0
