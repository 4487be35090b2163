"""Weights rounded with feedback are words of their format, and cost the output no more."""

import copy
import pickle
import re
from dataclasses import replace
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import fxpnn
from fxpnn.errors import FormatError, ModelError
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.fixed import FixedNetwork, Losses
from fxpnn.network.fxp import dumps, loads
from fxpnn.network.graph import INPUT, Network, Node, chain
from fxpnn.network.layers import Array, Conv2D, Dense, Flatten, Relu, Softmax, Window
from fxpnn.network.normalisation import Normalisation
from fxpnn.network.rounded import Rounded, WeightRounding
from fxpnn.quantization import feedback, observation
from fxpnn.quantization.dequantizer import dequantize
from fxpnn.quantization.feedback import finest, rounded
from fxpnn.quantization.formats_file import formats_toml, load_plan
from fxpnn.quantization.moments import Moments
from fxpnn.quantization.quantizer import quantize
from fxpnn.quantization.settings import Method, Plan, Settings
from fxpnn.reference import compute, forward
from tests.support.parameters import bias as bias_of
from tests.support.parameters import weight as weight_of

FED = Settings(weight_word=4, output_word=8, weight_rounding=WeightRounding.FEEDBACK)


def case(seed: int, groups: int = 1) -> tuple[Array, Moments]:
    """Draw rows of weights, and moments of inputs that depend on each other; some are dead."""
    rng = np.random.default_rng(seed)
    inputs, places = int(rng.integers(1, 12)), int(rng.integers(1, 40))
    mixed = rng.normal(0, 1, (groups, inputs, inputs)) * 10.0 ** rng.uniform(-3, 3)
    x = np.maximum(mixed @ rng.normal(0, 1, (groups, inputs, places)) + rng.normal(), 0)
    x[:, rng.random(inputs) < 0.2] = 0
    rows = rng.normal(0, 10.0 ** rng.uniform(-3, 3), (groups * int(rng.integers(1, 5)), inputs))
    return rows, Moments(places, x.sum(2), x @ x.swapaxes(1, 2))


def weighed(rows: Array, raw: Array, formats: list[QFormat], moments: Moments) -> list[Fraction]:
    """Return the sum of squares by which the calibration outputs of each row are off, exactly."""
    assert moments.second is not None
    errors = []
    each = len(rows) // len(moments.second)
    for i, (row, words) in enumerate(zip(rows.tolist(), raw.tolist(), strict=True)):
        scale = Fraction(2) ** -formats[i].frac
        off = [Fraction(w) - int(q) * scale for w, q in zip(row, words, strict=True)]
        second = moments.second[i // each].tolist()
        pairs = product(enumerate(off), repeat=2)
        errors.append(sum((a * b * Fraction(second[j][k]) for (j, a), (k, b) in pairs), Fraction()))
    return errors


seeds = st.integers(0, 2**32)


@given(seed=seeds, groups=st.integers(1, 3), word=st.integers(2, 8), finer=st.integers(0, 3))
def test_words_fit_and_cost_no_more_than_the_nearest(
    seed: int, groups: int, word: int, finer: int
) -> None:
    """For each row, whatever its format; equal inputs give equal words."""
    rows, moments = case(seed, groups)
    widest = finest(rows, word, True, moments)
    formats = [QFormat(word, fmt.frac + finer) for fmt in widest]
    found = rounded(rows, formats, moments)
    assert (found.raw == np.rint(found.raw)).all()
    assert formats[0].min <= found.raw.min() <= found.raw.max() <= formats[0].max
    fracs = np.array([fmt.frac for fmt in formats])[:, None]
    nearest = np.clip(np.rint(np.ldexp(rows, fracs)), formats[0].min, formats[0].max)
    mine, theirs = (weighed(rows, raw, formats, moments) for raw in (found.raw, nearest))
    assert all(a <= b * Fraction(1 + 1e-9) for a, b in zip(mine, theirs, strict=True))
    assert found.errors == pytest.approx(list(map(float, mine)), rel=1e-6, abs=1e-9 * sum(mine))
    again = rounded(rows.copy(), formats, Moments(1, moments.first, moments.second))
    assert (again.raw == found.raw).all()


@given(seed=seeds)
def test_errors_are_passed_on_as_gptq_does(seed: int) -> None:
    """By the rows of the Cholesky factor of the inverse, its formula, the words are the same."""
    rows, moments = case(seed)
    assert moments.second is not None
    assume(moments.second.any())
    fmt = finest(rows, 3, False, moments)[0]
    order, triangle = moments.factors[0]
    inverse = np.linalg.cholesky(np.linalg.inv(triangle @ triangle.T)).T
    left = np.ldexp(rows, fmt.frac)[:, order]
    words = np.empty_like(left)
    for j in range(left.shape[1]):
        assume((np.abs(np.abs(left[:, j] - np.floor(left[:, j])) - 0.5) > 1e-6).all())
        words[:, j] = np.clip(np.rint(left[:, j]), fmt.min, fmt.max)
        left[:, j:] -= np.outer((left[:, j] - words[:, j]) / inverse[j, j], inverse[j, j:])
    raw = np.empty_like(words)
    raw[:, order] = words
    found = rounded(rows, [fmt] * len(rows), moments)
    nearest = np.clip(np.rint(np.ldexp(rows, fmt.frac)), fmt.min, fmt.max)
    kept = (found.raw == nearest).all(1)  # where feedback does not gain
    assert ((found.raw == raw).all(1) | kept).all()


def test_what_was_made_is_kept_with_the_moments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another network of one observation rounds only what no other had; a copy rounds again."""
    network, x = images()
    seen = fxpnn.observe(network, x, moments=True)
    first = quantize(network, seen, FED)
    monkeypatch.setattr(feedback, "_fed", None)
    other = quantize(network, seen, replace(FED, output_word=5))
    for node, twin in zip(first.nodes, other.nodes, strict=True):
        if node.layer.traits.sums:
            assert np.array_equal(weight_of(node), weight_of(twin))
    for observed, chosen in ((seen, replace(FED, weight_word=3)), (copy.deepcopy(seen), FED)):
        with pytest.raises(TypeError, match=r"^'NoneType' object is not callable$"):
            quantize(network, observed, chosen)


def test_feedback_gains_where_inputs_depend_on_each_other() -> None:
    """The error of the outputs is a small part of that of nearest words, on data of its own too."""
    rng = np.random.default_rng(2)
    mixing, weight = rng.normal(0, 1, (6, 40)), rng.normal(0, 1, (10, 40)).astype(np.float32)
    x, other = (rng.normal(0, 1, (n, 6)) @ mixing for n in (400, 300))
    net = chain("n", (40,), {"d": Dense(weight, np.zeros(10, np.float32))})
    errors = []
    for rounding in WeightRounding:
        node = quantize(net, x, replace(FED, weight_rounding=rounding))["d"]
        off = weight - np.ldexp(weight_of(node), -node.fracs(10)[:, None])
        errors.append(float(np.square(other @ off.T).sum()))
    assert errors[1] < errors[0] / 8


def test_dead_inputs_are_rounded_to_nearest() -> None:
    """Where all are, and none overflows or is divided by 0; so is one that depends on no other."""
    rows = np.array([[0.3, -0.9, 0.26], [2.4, 0.1, -1.1]])
    formats = [QFormat(4, 2)] * 2
    nearest = np.rint(rows * 4)
    nearest = np.clip(nearest, -8, 7)
    for sizes in ([0, 0, 0], [1, 1, 1], [1e30, 0, 1e-30], [1e-200, 0, 0]):
        moments = Moments(5, np.zeros((1, 3)), np.diag(np.array(sizes, float))[None])
        assert (rounded(rows, formats, moments).raw == nearest).all()


@settings(max_examples=25)
@given(seed=seeds, groups=st.sampled_from([1, 2, 4]), stride=st.integers(1, 2))
def test_moments_are_those_of_what_weights_meet(seed: int, groups: int, stride: int) -> None:
    """A convolution's mean square output is its kernels' form with the second moments."""
    rng = np.random.default_rng(seed)
    window = Window((3, 2), (stride, 1), (1, 0, 0, 1))
    conv = Conv2D(rng.normal(0, 1, (8, 4 // groups, 3, 2)), np.zeros(8), window, groups)
    x = rng.normal(0.5, 1, (5, 4, 6, 7))
    net = Network("n", x.shape[1:], (Node("c", conv, (INPUT,)),))
    y = forward(net, x, np.float64)["c"]
    found = Moments.of(conv, x, True).joined(Moments.of(conv, x[:2], True))
    kernels = conv.weight.reshape(groups, 8 // groups, -1)
    assert found.second is not None
    power = np.einsum("gok,gkl,gol->go", kernels, found.second, kernels).reshape(-1)
    total = np.einsum("gok,gk->go", kernels, found.first).reshape(-1)
    both = np.concatenate([y, y[:2]])
    assert power == pytest.approx(np.square(both).sum((0, 2, 3)))
    assert total == pytest.approx(both.sum((0, 2, 3)))
    assert found.count == both[:, 0].size


def images(seed: int = 0) -> tuple[Network, Array]:
    """Build a network of grouped and depthwise convolutions, and pixels for it."""
    rng = np.random.default_rng(seed)

    def some(*shape: int) -> Array:
        return rng.normal(0, 0.5, shape).astype(np.float32)

    window = Window((3, 3), padding=(1, 1, 1, 1))
    layers = {
        "first": Conv2D(some(6, 1, 3, 3), some(6), window),
        "relu": Relu(),
        "depthwise": Conv2D(some(6, 1, 3, 3), some(6), window, 6),
        "grouped": Conv2D(some(4, 3, 3, 3), np.zeros(4, np.float32), window, 2),
        "flat": Flatten(),
        "dense": Dense(some(3, 4 * 6 * 6), some(3)),
        "softmax": Softmax(),
    }
    return chain("images", (1, 6, 6), layers), rng.integers(0, 256, (40, 1, 6, 6), np.uint8)


def mean_error(network: Network, fixed: FixedNetwork, x: Array, name: str) -> float:
    """Return by how much the means of a layer's outputs are off, before its cast, on its inputs."""
    inputs = forward(network, x / 256, np.float64, [network[name].inputs[0]])
    outputs = [
        compute(layer, *inputs.values())
        for layer in (network[name].layer, dequantize(fixed)[name].layer)
    ]
    off = outputs[0] - outputs[1]
    return float(np.abs(off.mean((0, *range(2, off.ndim)))).max())


@pytest.mark.parametrize("per_channel", [False, True])
def test_corrected_biases_move_the_mean_error(per_channel: bool) -> None:
    """To what rounding the bias leaves; one of zeros alone stays, unless it is asked for."""
    network, x = images()
    plain = quantize(network, x, replace(FED, per_channel=per_channel))
    chosen = replace(FED, per_channel=per_channel, bias_correction=True)
    fixed, asked = (quantize(network, x, p) for p in (chosen, Plan(FED, {"grouped": chosen})))
    for name in ("first", "depthwise", "dense"):
        assert fixed[name].rounded == Rounded(WeightRounding.FEEDBACK, True)
        errors = [mean_error(network, net, x, name) for net in (fixed, plain)]
        assert errors[0] < errors[1] / 2
        assert errors[0] < 0.5001 * 2.0 ** -fixed.product_fracs(fixed[name]).min()
    assert not fixed["grouped"].rounded.bias_corrected
    assert not bias_of(fixed["grouped"]).any()
    assert asked["grouped"].rounded.bias_corrected
    errors = [mean_error(network, net, x, "grouped") for net in (asked, plain)]
    assert errors[0] < errors[1] / 2


def test_how_words_were_rounded_is_told(tmp_path: Path) -> None:
    """A .fxp knows it, and the format of biases; inspect tells it of layers with sums."""
    network, x = images()
    plan = Plan(replace(FED, bias_correction=True), {"dense": Settings(bias=QFormat(12, 8))})
    fixed = quantize(network, x, plan)
    again = loads(dumps(fixed))
    assert [node.rounded for node in again.nodes] == [node.rounded for node in fixed.nodes]
    assert fixed["dense"].rounded == Rounded(bias_format=QFormat(12, 8))
    assert not fixed["relu"].rounded
    told = [(layer.weight_rounding, layer.bias_corrected) for layer in fxpnn.inspect(fixed).layers]
    fed = ("feedback", True)
    kept = [fed, (None, False), fed, ("feedback", False), (None, False), ("nearest", False)]
    assert told == [*kept, (None, False)]


@pytest.mark.parametrize(
    ("name", "told", "message"),
    [
        (
            "relu",
            Rounded(WeightRounding.FEEDBACK),
            "layer relu (Relu): weights must be nearest, and no bias corrected, where no sums are",
        ),
        (
            "flat",
            Rounded(bias_corrected=True),
            "layer flat (Flatten): weights must be nearest, and no bias corrected, where no sums "
            "are",
        ),
        (
            "relu",
            Rounded(bias_format=QFormat(8, 4)),
            "layer relu (Relu): bias format must be none where there is no bias",
        ),
    ],
)
def test_nothing_is_told_of_parameters_that_are_not(name: str, told: Rounded, message: str) -> None:
    """A layer without sums has no weights that could be rounded so."""
    network, x = images()
    fixed = quantize(network, x)
    nodes = (replace(n, rounded=told) if n.name == name else n for n in fixed.nodes)
    with pytest.raises(ModelError, match=f"^{re.escape(message)}$"):
        replace(fixed, nodes=tuple(nodes))


@pytest.mark.parametrize("per_channel", [False, True])
def test_the_file_of_formats_makes_it_anew(per_channel: bool, tmp_path: Path) -> None:
    """By the same data, weights fed back and biases corrected as they were, and cast."""
    network, x = images()
    chosen = replace(FED, per_channel=per_channel, bias_correction=True)
    plan = Plan(chosen, {"dense": replace(chosen, bias=QFormat(12, 8))})
    fixed = quantize(network, x, plan)
    (tmp_path / "f.toml").write_text(formats_toml(fixed, network))
    again = quantize(network, x, load_plan(tmp_path / "f.toml", Settings()))
    lossless = [
        dumps(replace(net, nodes=tuple(replace(node, losses=Losses()) for node in net.nodes)))
        for net in (fixed, again)
    ]
    assert lossless[0] == lossless[1]


def test_an_observation_has_moments_if_they_are_asked_for() -> None:
    """By a plan, or for any; with them it is as good as the images."""
    network, x = images()
    bias_only = Settings(bias_correction=True)
    for plan in (FED, bias_only, replace(FED, bias_correction=True)):
        fixed = dumps(quantize(network, x, plan))
        for seen in (fxpnn.observe(network, x, plan), fxpnn.observe(network, x, moments=True)):
            assert dumps(quantize(network, pickle.loads(pickle.dumps(seen)), plan)) == fixed
    message = "the observation must have the moments of first; observe for this plan"
    for seen in (fxpnn.observe(network, x), fxpnn.observe(network, x, bias_only)):
        with pytest.raises(FormatError, match=f"^{message}$"):
            quantize(network, seen, FED)


def test_moments_of_pixels_are_not_those_behind_a_normalisation() -> None:
    """An observation for a folded one cannot round weights that are not."""
    layer = Dense(np.array([[0.5, -1.5, 0.25]]), np.array([0.5]))
    begin = Normalisation((2.0,), (-0.5,))
    network = Network("n", (3,), (Node("d", layer, (INPUT,)),), normalisation=begin)
    x = np.arange(30, dtype=np.uint8).reshape(10, 3)
    seen = fxpnn.observe(network, x, moments=True)
    behind = Plan(FED, {INPUT: Settings(output=QFormat(8, 6))})
    with pytest.raises(FormatError, match=r"^the observation must have the moments of d; "):
        quantize(network, seen, behind)
    assert quantize(network, x, behind)["d"].rounded


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        (
            Settings(method=Method.PROVED, weight_rounding=WeightRounding.FEEDBACK),
            "calibration data must be given to round the weights of first with feedback",
        ),
        (
            Settings(method=Method.PROVED, bias_correction=True),
            "calibration data must be given to correct the bias of first",
        ),
    ],
)
def test_data_must_be_given(chosen: Settings, message: str) -> None:
    """Also where formats need none."""
    network, x = images()
    with pytest.raises(FormatError, match=f"^{message}$"):
        quantize(network, None, chosen)
    assert quantize(network, x, chosen)["first"].rounded


def test_second_moments_take_a_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """More are refused in a line that says what to do."""
    monkeypatch.setattr(observation, "PRODUCTS", 21_000)
    network, x = images()
    message = (
        "second moments must be at most 21000 in all layers, not 22761; round the weights of "
        "dense, which has 20736, to nearest"
    )
    with pytest.raises(FormatError, match=f"^{message}$"):
        quantize(network, x, FED)
    assert quantize(network, x, Plan(FED, {"dense": Settings(word=8)}))["first"].rounded


@pytest.mark.slow
@pytest.mark.parametrize(("name", "least"), [("mlp-784-100-10", 0.9795), ("lenet5-relu", 0.992)])
def test_four_bits_are_enough(name: str, least: float) -> None:
    """Of weights, with outputs of 8: what the bundled networks keep of their accuracy."""
    network = fxpnn.load_onnx(Path(fxpnn.__file__).parent.parent / "models" / f"{name}.onnx")
    x, y = fxpnn.load_data("mnist")
    seen = fxpnn.observe(network, fxpnn.load_data("mnist:calibration").x, moments=True)
    fixed = quantize(network, seen, replace(FED, bias_correction=True))
    assert (fxpnn.infer(fixed, x).predictions == y).mean() >= least
