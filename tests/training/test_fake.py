"""The forward pass of training gives every integer that the engine and the golden model give."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

import fxpnn
from fxpnn import golden
from fxpnn.errors import FormatError, ModelError
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, QFormat, Rounding
from fxpnn.fixedpoint.softmax import softmax
from fxpnn.network import layers
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.graph import INPUT, Scaling
from fxpnn.network.layers import Array
from fxpnn.network.normalisation import Normalisation
from fxpnn.network.tables import table_for
from fxpnn.quantization.dequantizer import dequantize
from fxpnn.training import parameters
from fxpnn.training.fake import Grid, Pass
from tests.support.strategies import NetworkCase, fixed_networks


def passed(fixed: FixedNetwork, raw: Array, parts: dict[str, Array] | None = None) -> Pass:
    """Run raw images; ``parts`` are float parameters, by default what the words mean."""
    grid = Grid(fixed)
    network = grid.with_parameters(parameters(dequantize(fixed)) if parts is None else parts)
    fmt = fixed.input_format
    return grid.run(network, np.ldexp(raw.astype(grid.dtype), -fmt.frac))


def words(found: Pass, fixed: FixedNetwork, name: str) -> Array:
    """Return the words of a tensor, which must be whole."""
    counts = np.ldexp(found.values[name].astype(np.float64), fixed.formats[name].frac)
    assert (counts == np.rint(counts)).all()
    return counts.astype(np.int64)


def trainable(fixed: FixedNetwork) -> FixedNetwork:
    """Return the network with accumulators that hold all sums, and softmaxes of the maximum."""
    wide = (
        replace(node, accumulator=node.accumulator and Accumulator(62), softmax_shift=None)
        for node in fixed.nodes
    )
    return replace(fixed, nodes=tuple(wide))


def check(case: NetworkCase) -> None:
    """Compare every layer with the golden model, and a cast in range with one that is counted."""
    case = case._replace(fixed=trainable(case.fixed))
    try:
        found = passed(case.fixed, case.raw)
    except ModelError:
        reject()  # a bias that no float holds
    truth = golden.run(case.fixed, case.raw)
    for name, raw in truth.raw.items():
        assert words(found, case.fixed, name).tolist() == raw.tolist(), name
        node, counts = case.fixed[name], truth.counts[name]
        if name in found.followed and not node.clips_one:
            outside = int((~found.followed[name]).sum())
            assert outside == counts.saturations + counts.below_zero, name


Q34 = QFormat(8, 4)
FEW = settings(max_examples=25, suppress_health_check=[*HealthCheck], deadline=None)


@FEW
@given(case=fixed_networks())
def test_networks_of_all_layers(case: NetworkCase) -> None:
    """Every word of every layer is the golden model's: all modes, ties and limits."""
    check(case)


@pytest.mark.parametrize(
    "kind",
    [
        *(
            layers.Dense,
            layers.Conv2D,
            layers.Add,
            layers.Concat,
            layers.AvgPool2D,
            layers.L2Pool2D,
        ),
        *(layers.PRelu, layers.Tanh, layers.Softmax, layers.MaxPool2D, layers.Quantize),
        layers.MaskedSoftmax,
    ],
)
def test_layers_that_round(kind: type[layers.Layer]) -> None:
    """Each kind on its own, in formats that overflow."""

    @settings(FEW, max_examples=6)
    @given(case=fixed_networks((kind,), max_layers=2))
    def run(case: NetworkCase) -> None:
        check(case)

    run()


@FEW
@given(data=st.data())
def test_softmax_is_the_golden_one(data: st.DataObject) -> None:
    """So it is for every fraction of its input."""
    x = data.draw(st.lists(st.integers(-(2**15), 2**15 - 1), min_size=1, max_size=9))
    frac = data.draw(st.integers(-30, 60))
    table = table_for(layers.Softmax)
    assert table is not None
    node = replace(_softmax(frac).nodes[0], table=table)
    fixed = FixedNetwork("s", (len(x),), QFormat(16, frac), (node,))
    truth = golden.run(fixed, np.array([x])).raw["softmax"]
    assert softmax(np.array([x], np.int64), frac, table).tolist() == truth.tolist()


def _softmax(frac: int, constant: float | None = None) -> FixedNetwork:
    network = fxpnn.network.graph.chain("s", (3,), {"softmax": layers.Softmax()})
    plan = fxpnn.Settings(softmax=constant)
    inputs = fxpnn.Settings(output=QFormat(16, frac))
    return fxpnn.quantize(network, None, fxpnn.Plan(plan, {INPUT: inputs}))


def dense(
    weight: Array, bias: Array, /, word: int = 8, out: QFormat = Q34, **modes: Any
) -> FixedNetwork:
    """Return a dense layer of 8-bit inputs at F = 4 and weights of a word at F = 3."""
    network = fxpnn.network.graph.chain("d", (weight.shape[1],), {"d": layers.Dense(weight, bias)})
    given: dict[str, Any] = {"weight": QFormat(word, 3), "output": out, **modes}
    inputs = fxpnn.Settings(output=QFormat(8, 4))
    plan = fxpnn.Plan(layers={INPUT: inputs, "d": fxpnn.Settings(**given)})
    return fxpnn.quantize(network, None, plan)


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("overflow", Overflow)
def test_sums_on_ties_and_limits(rounding: Rounding, overflow: Overflow) -> None:
    """All sums around the ties and the ends of a short word, in every mode."""
    bias = np.arange(-40, 40) / 64  # sixteenths of the output's counts and less
    fixed = dense(np.zeros((80, 1)), bias, out=QFormat(3, 2), rounding=rounding, overflow=overflow)
    check(NetworkCase(fixed, np.zeros((1, 1), np.int64)))


def test_wide_sums_are_float64() -> None:
    """Where counts leave 24 bits a sum is still exact: its last bit decides here."""
    weight = np.full((1, 3), 127.875)
    fixed = dense(weight, np.array([2.0**-7]), word=11, out=QFormat(16, -5), rounding="floor")
    grid = Grid(fixed)
    assert grid.dtype == np.float32
    raw = np.array([[127, 127, 127], [-128, -128, -128]])
    check(NetworkCase(fixed, raw))
    large = dense(np.full((1, 700), 127.875), np.array([2.0**-7]), word=11, out=QFormat(16, -5))
    check(NetworkCase(large, np.full((1, 700), 127)))


@pytest.mark.parametrize(
    "scaling", [Scaling(), Scaling(1 / 255), Scaling(1 / 255, (0.13,), (0.3,))]
)
def test_pixels_become_the_engine_s_words(scaling: Scaling) -> None:
    """Every pixel, by any scale, is the word that the engine makes of it; floats too."""
    network = replace(_softmax(3), input_shape=(1, 2, 128), scaling=scaling)
    x = np.arange(256, dtype=np.uint8).reshape(1, 1, 2, 128)
    for fmt in (QFormat(8, 8, signed=False), QFormat(4, 2), QFormat(16, 12)):
        node = replace(network.nodes[0], layer=layers.Flatten(), output_format=fmt, table=None)
        fixed = replace(network, input_format=fmt, nodes=(node,), outputs=("softmax",))
        each: tuple[Array, ...] = (x, x / 100.0, (x / 77).astype(np.float32))
        for values in each:
            made = np.ldexp(Grid(fixed).enter(values), fmt.frac).reshape(-1)
            assert made.tolist() == fxpnn.infer(fixed, values).raw.reshape(-1).tolist()


def test_an_input_that_is_normalised() -> None:
    """Its conversion is the engine's."""
    fixed = dense(np.ones((1, 2)), np.zeros(1))
    fixed = replace(fixed, normalisation=Normalisation((0.3, 3.0), (0.1, -1.0)))
    x = np.array([[0.25, 0.5], [3.0, -7.0]])
    grid = Grid(fixed)
    found = grid.run(grid.with_parameters(parameters(dequantize(fixed))), grid.enter(x))
    assert words(found, fixed, "d").tolist() == fxpnn.infer(fixed, x).raw.tolist()


def test_a_bias_of_its_own_format_is_cast_first() -> None:
    """It is rounded to that, then to the products' scale."""
    weight, bias = np.ones((3, 1)), np.array([0.3, -0.7, 9.0])
    fixed = dense(weight, bias, bias=QFormat(4, 2))
    found = passed(fixed, np.zeros((1, 1)), {"d.weight": weight, "d.bias": bias})
    assert (
        words(found, fixed, "d").tolist()
        == golden.run(fixed, np.zeros((1, 1), int)).raw["d"].tolist()
    )


@pytest.mark.parametrize(
    ("fixed", "message"),
    [
        (
            dense(np.ones((1, 1)), np.zeros(1), accumulator=Accumulator(24, frac=3)),
            "layer d (Dense): the accumulator must hold every bit of a product in training, not be "
            "Q20.3 floor saturate fused",
        ),
        (
            _softmax(3, 1.0),
            "layer softmax (Softmax): softmax must be max in training, not subtract a constant",
        ),
        (_softmax(401), "formats must have at most 400 fraction bits in training, not 401"),
    ],
)
def test_what_is_not_trained(fixed: FixedNetwork, message: str) -> None:
    """It is refused, and says what would be."""
    with pytest.raises(FormatError, match=f"^{re.escape(message)}$"):
        Grid(fixed)


def test_an_accumulator_that_could_overflow() -> None:
    """Training says how many bits its sums take; one that suffices is taken."""
    weight = np.full((1, 4), 15.0)
    small = dense(weight, np.zeros(1), accumulator=Accumulator(16, Overflow.WRAP))
    message = (
        "layer d (Dense): the accumulator must hold every sum in training, which takes up to 17 "
        "bits, not 16"
    )
    with pytest.raises(ModelError, match=f"^{re.escape(message)}$"):
        passed(small, np.zeros((1, 4)))
    passed(dense(weight, np.zeros(1), accumulator=Accumulator(17)), np.zeros((1, 4)))
    wide = dense(weight, np.array([2.0**46]), accumulator=Accumulator(62))
    message = "layer d (Dense): sums must stay below 54 bits in training, not take up to 55"
    with pytest.raises(ModelError, match=f"^{re.escape(message)}$"):
        passed(wide, np.zeros((1, 4)))
