"""Biases and the fractions of weights are chosen with each other and the register in view."""

import math
import re
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fxpnn.analysis.comparison import compare
from fxpnn.errors import FormatError
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, QFormat
from fxpnn.network.fixed import FixedNetwork, Losses, raw_bias
from fxpnn.network.fxp import dumps
from fxpnn.network.graph import INPUT, Network, Node, chain
from fxpnn.network.layers import (
    Array,
    Conv2D,
    Dense,
    Flatten,
    HardSigmoid,
    Layer,
    Step,
    Window,
)
from fxpnn.quantization import calibration, parameters
from fxpnn.quantization.parameters import raw_layer
from fxpnn.quantization.quantizer import quantize
from fxpnn.quantization.settings import Method, Plan, Settings

RNG = np.random.default_rng(9)
X = RNG.uniform(-1, 1, (200, 6))
WEIGHT = RNG.normal(0, 1, (4, 6))


def network(*layers: Layer, shape: tuple[int, ...] = (6,)) -> Network:
    """Build a chain of layers a, b and on."""
    return chain("n", shape, dict(zip("abc", layers, strict=False)))


def judged(net: Network, fixed: FixedNetwork, x: Array, name: str) -> tuple[int, int, float]:
    """Return a layer's overflows and saturations, and its largest error in counts."""
    row = next(row for row in compare(net, fixed, x).layers if row.name == name)
    assert row.max_abs_error is not None
    return (
        row.accumulator_overflows,
        row.saturations,
        row.max_abs_error / fixed.formats[name].lsb,
    )


@settings(max_examples=25)
@given(
    shrink=st.lists(st.integers(-40, 3), min_size=4, max_size=4),
    bias=st.floats(0.01, 300),
    per_channel=st.booleans(),
    register=st.sampled_from([Accumulator(), Accumulator(40), Accumulator(32, Overflow.WRAP)]),
    method=st.sampled_from(list(Method)),
)
def test_a_bias_far_above_its_weights(
    shrink: list[int], bias: float, per_channel: bool, register: Accumulator, method: Method
) -> None:
    """Whatever the gains of channels, no register overflows and outputs are a count or two off."""
    gains = np.ldexp(1.0, shrink)[:, None]
    signs = np.array([bias, -bias, 0.5 * bias, bias])
    net = network(Dense((WEIGHT * gains).astype(np.float32), signs.astype(np.float32)))
    chosen = Settings(16, register, method=method, per_channel=per_channel)
    overflows, saturations, error = judged(net, quantize(net, X, chosen), X, "a")
    assert overflows == 0
    if method in (Method.MINMAX, Method.PROVED):
        assert saturations == 0
        if register.word > 32:
            assert error < 8


def test_a_pruned_channel_keeps_its_bias() -> None:
    """A channel of zeros, or of nearly nothing, gives its bias."""
    weight = WEIGHT.copy()
    weight[1], weight[2] = 0, 1e-30
    bias = np.array([0.5, 7.0, -3.0, 0.25])
    for per_channel in (False, True):
        net = network(Dense(weight, bias))
        fixed = quantize(net, X, Settings(per_channel=per_channel))
        assert judged(net, fixed, X, "a")[:2] == (0, 0)
        assert judged(net, fixed, X, "a")[2] < 2


def test_a_convolution_with_tiny_gains() -> None:
    """Kernels of a folded batch norm may be far below its shift."""
    weight = (RNG.normal(0, 1, (3, 2, 2, 2)) * [[[[1e-9]]], [[[1]]], [[[1e-4]]]]).astype(np.float32)
    conv = Conv2D(weight, np.array([40, -1, 0.001], np.float32), Window((2, 2)))
    net = network(conv, shape=(2, 3, 3))
    x = RNG.uniform(-1, 1, (50, 2, 3, 3))
    for per_channel in (False, True):
        fixed = quantize(net, x, Settings(per_channel=per_channel))
        overflows, saturations, error = judged(net, fixed, x, "a")
        assert (overflows, saturations) == (0, 0)
        assert error < 2


def test_weights_keep_their_finest_fraction_where_there_is_room() -> None:
    """A bias that fits changes nothing; one that does not costs no more bits than it must."""
    fracs = []
    for bias in (0.0, 2.0**16, 2.0**18, 2.0**20):
        net = network(Dense(np.full((1, 6), 0.75), np.array([bias])))
        plan = Settings(16, Accumulator(48))
        fixed = quantize(net, np.full((2, 6), 0.5), plan)
        fracs.append(fixed["a"].weight_formats[0].frac)
        total = fixed.product_fracs(fixed["a"])[0]
        assert (abs(bias) + 6) * 2.0**total < 2**47
    assert fracs[:2] == [15, 15]
    assert fracs[2] > fracs[3] > 8


@pytest.mark.parametrize("weight", [None, QFormat(16, 15)])
def test_parts_round_as_the_whole(monkeypatch: pytest.MonkeyPatch, weight: QFormat | None) -> None:
    """Words, formats and clipped weights are the same, however few are rounded at a time."""
    net = network(Dense(WEIGHT.astype(np.float32), WEIGHT[:, 0].astype(np.float32)))
    chosen = Settings(16, weight=weight, per_channel=weight is None)
    whole = quantize(net, X, chosen)
    monkeypatch.setattr(parameters, "BLOCK", 1)
    assert dumps(quantize(net, X, chosen)) == dumps(whole)
    clipped = 0 if weight is None else int((abs(WEIGHT) >= 1).sum())
    assert whole["a"].losses.clipped_weights == clipped


def test_rounding_takes_few_bytes_for_each_weight() -> None:
    """Beside the words, 2 bytes each, what is at hand at a time does not grow with the weights."""
    layer = Dense(np.full((1 << 11, 1 << 11), 0.1, np.float32), np.zeros(1 << 11, np.float32))
    net = network(layer, shape=(1 << 11,))
    tracemalloc.start()
    raw_layer(net.nodes[0], QFormat(16, 8), Settings(), 100.0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2 * 2**22 + 12 * 8 * parameters.BLOCK


def test_the_outputs_error_decides() -> None:
    """In a register too narrow for both, what it cuts off weighs against rounded weights."""
    net = network(Dense(np.array([[0.9, -0.7, 0.3, 0.2, 0.1, 0.05]]), np.array([3.0])))
    errors = {}
    for frac in range(15):
        given = Settings(8, Accumulator(16), weight=QFormat(8, frac))
        errors[frac] = compare(net, quantize(net, X, given), X).layers[-1].sqnr_db or 0.0
    chosen = quantize(net, X, Settings(8, Accumulator(16)))["a"].weight_formats[0].frac
    assert errors[chosen] >= max(errors.values()) - 1


def test_an_alpha_leaves_room_for_its_beta() -> None:
    """A hard sigmoid whose beta is far above its alpha is quantized too."""
    net = network(HardSigmoid(1e-6, 2.0**16), shape=(2,))
    assert judged(net, quantize(net, X[:, :2]), X[:, :2], "a")[:2] == (0, 0)


@given(st.floats(0, 1, width=32), st.integers(-4, 20))
@example(0.5 + 2.0**-24, 0)
def test_a_hard_sigmoid_without_a_slope_is_its_beta(beta: float, frac: int) -> None:
    """Where alpha is 0, its format holds beta exactly, as far as 46 fraction bits go."""
    plan = Plan(layers={INPUT: Settings(output=QFormat(16, frac))})
    node = quantize(network(HardSigmoid(0.0, beta), shape=(2,)), X[:, :2], plan=plan)["a"]
    total = int(node.product_fracs(QFormat(16, frac))[0])
    assert isinstance(node.layer, HardSigmoid)
    assert node.layer.beta == round(beta * 2**total)
    assert total == 46 or Fraction(int(node.layer.beta), 2**total) == Fraction(beta)


biases = st.lists(st.floats(-9, 9, width=32), min_size=4, max_size=4)


@given(biases, st.integers(2, 20), st.integers(-3, 20), st.booleans())
def test_a_bias_of_its_own_format(
    floats: list[float], word: int, frac: int, per_channel: bool
) -> None:
    """It is cast to it, to nearest even, clipped values are counted, then it is aligned."""
    own = QFormat(word, frac)
    net = network(Dense(WEIGHT, np.array(floats, np.float32)))
    node = quantize(net, X, Settings(bias=own, per_channel=per_channel))["a"]
    total = node.product_fracs(quantize(net, X).input_format)
    clipped = 0
    for value, raw, scale in zip(floats, raw_bias(node.layer), total.tolist(), strict=True):
        nearest = round(Fraction(value) * Fraction(2) ** frac)
        cast = min(max(nearest, own.min), own.max)
        clipped += cast != nearest
        assert raw == round(cast * Fraction(2) ** (scale - frac))
    assert node.losses == Losses(clipped_biases=clipped)


def test_a_bias_has_a_format_without_modes() -> None:
    """Modes behind it would have no effect."""
    message = "ap_fixed<16,4,AP_TRN> must be a format without rounding or overflow here"
    with pytest.raises(FormatError, match=f"^{re.escape(message)}$"):
        Settings(bias="ap_fixed<16,4,AP_TRN>")  # type: ignore[arg-type] # what a user may pass


def test_layers_without_a_bias_take_the_default_for_all() -> None:
    """A bias in the settings for all changes only those that have one."""
    net = network(Flatten(), Dense(WEIGHT, np.full(4, 0.1)), shape=(2, 3))
    fixed = quantize(net, X.reshape(-1, 2, 3), Settings(bias=QFormat(16, 12)))
    total = int(fixed.product_fracs(fixed["b"])[0])
    assert raw_bias(fixed["b"].layer).tolist() == [410 << total - 12] * 4


@pytest.mark.parametrize(
    ("threshold", "frac", "word"),
    [(5e-324, -10, 1), (-5e-324, -10, 0), (1e308, 15, 2**15), (-1e308, 15, -(2**15))],
)
def test_a_threshold_is_exact_where_no_double_holds_its_count(
    threshold: float, frac: int, word: int
) -> None:
    """The least word above it decides as it does, also where its product would be 0 or infinite."""
    step, *_ = raw_layer(Node("a", Step(threshold), ("input",)), QFormat(16, frac), Settings(), 1.0)
    assert isinstance(step, Step)
    assert step.threshold == word


@pytest.mark.parametrize(("size", "frac"), [(1.7e308, 15), (1e300, 15), (1e300, -10), (1.0, -1000)])
def test_parameters_beyond_every_register_are_clipped(size: float, frac: int) -> None:
    """Numbers whose counts no double holds saturate, and are counted where the format is given."""
    node = Node("a", Dense(np.full((1, 2), size), np.zeros(1)), ("input",))
    source, given = QFormat(16, frac), QFormat(16, 15)
    layer, formats, losses = raw_layer(node, source, Settings(weight=given), 1.0)
    assert (formats, losses) == ((given,), Losses(clipped_weights=2))
    assert isinstance(layer, Dense)
    assert layer.weight.tolist() == [[2**15 - 1] * 2]
    if size < 1e308:
        _, (chosen,), losses = raw_layer(node, source, Settings(), math.inf)
        assert chosen == calibration.fitting(size, size, 16)
        assert losses == Losses()
