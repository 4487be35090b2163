"""The report says what was lost, where and why."""

import math
import re
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from fxpnn.analysis.channels import lost_channel
from fxpnn.analysis.comparison import compare, examine
from fxpnn.analysis.matching import class_count
from fxpnn.analysis.report import Accuracy, OutputReport, weight_text
from fxpnn.engine.inference import infer
from fxpnn.errors import DataError, ModelError
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, QFormat
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.graph import Network, Node, chain
from fxpnn.network.layers import (
    Concat,
    Conv2D,
    Dense,
    Flatten,
    Layer,
    Relu,
    Reshape,
    Sigmoid,
    Softmax,
    Window,
)
from fxpnn.quantization.quantizer import quantize
from fxpnn.quantization.settings import Plan, Settings
from fxpnn.reference import predict

RNG = np.random.default_rng(5)
IMAGES = RNG.integers(0, 256, (700, 1, 2, 4), np.uint8)


def network() -> Network:
    """Build an 8-6-3 classifier."""
    return chain(
        "small",
        (1, 2, 4),
        {
            "flat": Flatten(),
            "hidden": Dense(RNG.normal(0, 1, (6, 8)).astype(np.float32), np.zeros(6, np.float32)),
            "relu": Relu(),
            "output": Dense(RNG.normal(0, 1, (3, 6)).astype(np.float32), np.zeros(3, np.float32)),
            "softmax": Softmax(),
        },
    )


FLOAT = network()


def labels(fixed: FixedNetwork) -> np.ndarray:
    """Take the fixed network's own predictions as the truth."""
    return examine(None, fixed, IMAGES)[1].predictions


def test_sixteen_bits_lose_nothing() -> None:
    """Per layer: formats, proof, counts and an SQNR that 16 bits promise."""
    fixed = quantize(FLOAT, IMAGES)
    report = compare(FLOAT, fixed, IMAGES, labels(fixed))
    assert report.accuracy == Accuracy(1.0, 1.0, 0.0, 0)
    assert report.flipped == ()
    layers = {layer.name: layer for layer in report.layers}
    assert list(layers) == ["input", "flat", "hidden", "relu", "output", "softmax"]
    assert layers["flat"].sqnr_db == math.inf
    hidden = layers["hidden"]
    assert (hidden.op, hidden.input_format, hidden.accumulator) == ("Dense", "UQ0.8", "48 saturate")
    assert hidden.proved
    assert hidden.saturations == hidden.accumulator_overflows == 0
    assert hidden.sqnr_db is not None
    assert hidden.sqnr_db > 60
    assert report.softmax is not None
    assert report.softmax.max_abs_error <= 2**-15
    assert report.softmax.argmax_lost == 0
    assert report.timing.images_per_second == pytest.approx(700 / report.timing.seconds)


def test_loss_and_flips_at_three_bits() -> None:
    """Predictions that changed are counted and listed with their label and both classes."""
    exact = quantize(FLOAT, IMAGES)
    rough = quantize(FLOAT, IMAGES, Settings(word=3))
    y = labels(exact)
    report = compare(FLOAT, rough, IMAGES, y)
    predicted = examine(None, rough, IMAGES)[1].predictions
    changed = np.flatnonzero(predicted != y)
    assert changed.size > 0
    assert report.accuracy.flips == changed.size
    assert report.accuracy.reference == 1.0
    assert report.accuracy.loss == changed.size / len(IMAGES)
    assert [flip.index for flip in report.flipped] == changed.tolist()
    assert [flip.fixed for flip in report.flipped] == predicted[changed].tolist()
    assert [flip.reference for flip in report.flipped] == y[changed].tolist()
    assert [flip.label for flip in report.flipped] == y[changed].tolist()


def test_error_is_measured_against_the_reference() -> None:
    """SQNR and the largest error are those of the values, computed here in one piece."""
    fixed = quantize(FLOAT, IMAGES, Settings(word=6, signed=True))
    hidden = next(layer for layer in compare(FLOAT, fixed, IMAGES).layers if layer.name == "hidden")
    exact = predict(FLOAT, IMAGES, keep=["hidden"])["hidden"].astype(np.float64)
    raw = infer(fixed, IMAGES, keep=["hidden"]).tensors["hidden"]
    error = raw * fixed.formats["hidden"].lsb - exact
    assert hidden.max_abs_error == np.abs(error).max()
    ratio = np.square(exact).sum() / np.square(error).sum()
    assert hidden.sqnr_db == pytest.approx(10 * math.log10(ratio), rel=1e-9)


def test_the_format_that_would_have_fitted() -> None:
    """A format too narrow saturates; the report names the one that holds the float values."""
    plan = Plan(layers={"hidden": Settings(output=QFormat(16, 15))})
    layers = compare(FLOAT, quantize(FLOAT, IMAGES, plan), IMAGES).layers
    hidden = next(layer for layer in layers if layer.name == "hidden")
    assert hidden.saturations > 0
    fitted = Plan(layers={"hidden": Settings(output=QFormat.parse(str(hidden.fitting_format)))})
    layers = compare(FLOAT, quantize(FLOAT, IMAGES, fitted), IMAGES).layers
    assert next(layer for layer in layers if layer.name == "hidden").saturations == 0


def test_an_unsigned_word_before_a_relu_is_compared_with_what_the_relu_leaves() -> None:
    """What is below 0 is counted apart; errors are those of the ReLU's output, and no format gone.

    Where the layer is an output too, the words below 0 are lost, and a format with a sign would do.
    """
    plan = Plan(layers={"hidden": Settings(output=QFormat(15, 11, signed=False))})
    layers = {x.name: x for x in compare(FLOAT, quantize(FLOAT, IMAGES, plan), IMAGES).layers}
    hidden, relu = layers["hidden"], layers["relu"]
    below = predict(FLOAT, IMAGES, keep=["hidden"])["hidden"] < 0
    assert hidden.below_zero == pytest.approx(below.sum(), abs=5)
    assert (hidden.saturations, relu.below_zero) == (0, 0)
    assert (hidden.sqnr_db, hidden.max_abs_error) == (relu.sqnr_db, relu.max_abs_error)
    assert hidden.sqnr_db is not None
    assert hidden.sqnr_db > 60
    assert str(hidden.fitting_format).startswith("UQ")
    seen = replace(FLOAT, outputs=("hidden", "softmax"))
    layers = {x.name: x for x in compare(seen, quantize(seen, IMAGES, plan), IMAGES).layers}
    assert (layers["hidden"].saturations, layers["hidden"].below_zero) == (hidden.below_zero, 0)
    assert str(layers["hidden"].fitting_format).startswith("Q")


def test_an_accumulator_too_short_is_counted() -> None:
    """Overflows are counted, and the needed bits cure them."""
    fine = QFormat(16, 12)  # given: a fraction that is chosen leaves the register room
    short = Settings(weight=fine, accumulator=Accumulator(16))
    layers = compare(None, quantize(FLOAT, IMAGES, short), IMAGES).layers
    hidden = next(layer for layer in layers if layer.name == "hidden")
    assert hidden.accumulator_overflows > 0
    assert not hidden.proved
    assert hidden.accumulator_bits_needed is not None
    bits = hidden.accumulator_bits_needed
    cured = Settings(weight=fine, accumulator=Accumulator(bits, Overflow.WRAP))
    layers = compare(None, quantize(FLOAT, IMAGES, cured), IMAGES).layers
    hidden = next(layer for layer in layers if layer.name == "hidden")
    assert hidden.proved
    assert hidden.accumulator_overflows == 0


def test_the_naive_softmax_is_seen() -> None:
    """Without the maximum subtracted large logits lose the class, and the report says so."""
    loud = chain("loud", (3,), {"relu": Relu(), "softmax": Softmax()})
    x = np.array([[7.0, 6.5, 0.0], [5.0, 7.5, 7.0], [0.0, 0.1, 0.2]])
    naive = compare(loud, quantize(loud, x, Settings(softmax=0.0)), x)
    assert naive.softmax is not None
    assert naive.softmax.argmax_lost == 1
    assert naive.softmax.max_abs_error > 0.1
    assert next(layer for layer in naive.layers if layer.name == "softmax").saturations == 5
    safe = compare(loud, quantize(loud, x), x)
    assert safe.softmax is not None
    assert safe.softmax.argmax_lost == 0


def test_without_labels_or_reference() -> None:
    """What cannot be known is None; a network without a softmax has no softmax report."""
    fixed = quantize(FLOAT, IMAGES)
    assert compare(None, fixed, IMAGES).accuracy == Accuracy()
    assert compare(FLOAT, fixed, IMAGES).accuracy == Accuracy(flips=0)
    report = compare(None, fixed, IMAGES, labels(fixed))
    assert report.accuracy == Accuracy(1.0, None, None, None)
    assert {layer.sqnr_db for layer in report.layers} == {None}
    bare = chain("bare", (1, 2, 4), {"flat": Flatten()})
    assert compare(bare, quantize(bare, IMAGES), IMAGES).softmax is None


def test_progress_counts_both_runs() -> None:
    """The callback hears of each image once for the integers and once for the reference."""
    seen: list[int] = []
    compare(FLOAT, quantize(FLOAT, IMAGES), IMAGES, progress=seen.append)
    assert sum(seen) == 2 * len(IMAGES)


def test_labels_of_another_length() -> None:
    """Labels must be one per image."""
    message = "labels must be an array (700,), one per image, not (699,)"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        compare(FLOAT, quantize(FLOAT, IMAGES), IMAGES, np.zeros(699, np.int64))


def test_a_reference_of_other_layers() -> None:
    """The float network must be the one that was quantized."""
    other = replace(FLOAT, nodes=FLOAT.nodes[:-1], outputs=("output",))
    message = (
        "the reference must be the network that small was quantized from; they differ in softmax"
    )
    with pytest.raises(ModelError, match=f"^{re.escape(message)}$"):
        compare(other, quantize(FLOAT, IMAGES), IMAGES)


def test_formats_per_channel_are_a_range() -> None:
    """The report names the coarsest and the finest."""
    formats = (QFormat(16, 15), QFormat(16, 12), QFormat(16, 15))
    assert weight_text(formats) == "Q3.12..Q0.15"
    assert weight_text(formats[:1]) == "Q0.15"
    assert weight_text(()) is None


# Networks without classes, and with several outputs


def regressor(*last: Node) -> Network:
    """Build a 8-6-3 network without a softmax, and further nodes."""
    nodes = FLOAT.nodes[:-1]
    return Network("regressor", (1, 2, 4), (*nodes, *last), ("output", *(n.name for n in last)))


def test_outputs_are_told_one_by_one() -> None:
    """Each has its format, its SQNR and its largest error; these are the layers' own."""
    scaled = regressor(Node("scaled", Relu(), ("output",)), Node("hint", Sigmoid(), ("hidden",)))
    fixed = quantize(scaled, IMAGES)
    report, run = examine(scaled, fixed, IMAGES)
    layers = {layer.name: layer for layer in report.layers}
    assert [output.name for output in report.outputs] == ["output", "scaled", "hint"]
    for output in report.outputs:
        layer = layers[output.name]
        assert output == OutputReport(
            layer.name, layer.output_format, layer.sqnr_db, layer.max_abs_error, exact=False
        )
        assert output.sqnr_db is not None
        assert output.sqnr_db > 60
        raw = infer(fixed, IMAGES, keep=[output.name]).tensors[output.name]
        assert run.tensors[output.name].tolist() == raw.tolist()
    alone = compare(None, fixed, IMAGES).outputs[0]
    assert alone == OutputReport("output", layers["output"].output_format, None, None)


def test_labels_that_are_no_classes_tell_nothing() -> None:
    """A row of three numbers has classes 0 to 2 at most; other labels are not judged."""
    network, count = regressor(), len(IMAGES)
    fixed = quantize(network, IMAGES)
    guesses = examine(None, fixed, IMAGES)[1].predictions
    assert compare(network, fixed, IMAGES, guesses).accuracy == Accuracy(1.0, 1.0, 0.0, 0)
    for odd in (np.full(count, 3), np.full(count, -1), np.full(count, 0.5)):
        assert compare(network, fixed, IMAGES, odd).accuracy == Accuracy(flips=0)


def test_flips_need_no_labels() -> None:
    """They are counted as with labels, and listed without any."""
    fixed = quantize(FLOAT, IMAGES, Settings(word=3))
    known = compare(FLOAT, fixed, IMAGES, labels(fixed))
    alone = compare(FLOAT, fixed, IMAGES)
    assert alone.accuracy == Accuracy(flips=known.accuracy.flips)
    assert len(alone.flipped) == known.accuracy.flips != 0
    assert {flip.label for flip in alone.flipped} == {None}


def test_a_map_of_one_pixel_is_a_row_of_classes() -> None:
    """Its largest value is the class."""
    network = replace(regressor(Node("map", Reshape((3, 1, 1)), ("output",))), outputs=("map",))
    fixed = quantize(network, IMAGES, Settings(word=3))
    report = compare(network, fixed, IMAGES, np.zeros(len(IMAGES), int))
    assert class_count(fixed) == 3
    assert report.accuracy.fixed is not None
    assert len(report.flipped) == report.accuracy.flips


@pytest.mark.parametrize("last", [Reshape((1, 3, 1)), Dense(np.ones((1, 3)), np.zeros(1))])
def test_maps_and_single_numbers_have_no_classes(last: Layer) -> None:
    """Whatever the labels, nothing is counted as right, and no prediction changes."""
    twice = Node("twice", Concat(-1), ("last", "last"))
    nodes = (Node("last", last, ("output",)), *([twice] if isinstance(last, Reshape) else []))
    network = regressor(*nodes)
    network = replace(network, outputs=network.outputs[-1:])
    fixed = quantize(network, IMAGES, Settings(word=3))
    assert class_count(fixed) is None
    report = compare(network, fixed, IMAGES, np.zeros((len(IMAGES), 5)))
    assert (report.accuracy, report.flipped) == (Accuracy(), ())
    assert report.outputs[0].sqnr_db is not None


def test_each_layer_names_its_worst_channel() -> None:
    """It is the place on the output's first axis with the lowest ratio of sums of squares."""
    rng = np.random.default_rng(8)
    weight = rng.normal(0, 1, (5, 1, 2, 2)) * np.array([1, 2, 0.01, 3, 0.5]).reshape(5, 1, 1, 1)
    layers: dict[str, Layer] = {
        "conv": Conv2D(weight.astype(np.float32), np.zeros(5, np.float32), Window((2, 2))),
        "relu": Relu(),
        "flat": Flatten(),
    }
    net = chain("n", (1, 3, 4), layers)
    x = rng.integers(0, 256, (300, 1, 3, 4), np.uint8)
    fixed = quantize(net, x, Settings(8))
    report = compare(net, fixed, x)
    floats = predict(net, x, keep=fixed.shapes)
    raw = infer(fixed, x, keep=fixed.shapes).tensors
    for layer in report.layers:
        lsb, axis = fixed.formats[layer.name].lsb, fixed.shapes[layer.name][0]
        exact = floats[layer.name].astype(np.float64).reshape(300, axis, -1)
        exact = np.maximum(exact, 0) if layer.name in fixed.rectified else exact
        errors = raw[layer.name].reshape(exact.shape) * lsb - exact
        signal, noise = (np.square(a).sum((0, 2)) for a in (exact, errors))
        if not noise.any():
            assert (layer.worst_channel, layer.worst_channel_sqnr_db) == (None, None)
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            ratios = np.where(signal > 0, 10 * np.log10(signal / noise), np.inf)
        assert layer.worst_channel == ratios.argmin()
        assert layer.worst_channel_sqnr_db == pytest.approx(ratios.min(), abs=1e-6)
    assert report.layers[1].worst_channel == 2


def test_a_lost_channel_that_others_hide_is_told() -> None:
    """The first layer that loses one is named, with how many follow; a loud one is no news."""
    net = chain("n", (2,), {"d": Dense(np.diag([100, 0.1]), np.zeros(2)), "r": Relu()})
    x = np.random.default_rng(1).uniform(-1, 1, (200, 2))
    layers = compare(net, quantize(net, x, Settings(8)), x).layers
    told = lost_channel(layers)
    assert told is not None
    pattern = (
        r"^d \(Dense\) is the first layer to lose a channel: 1 has -?\d\.\d dB, the layer "
        r"4\d\.\d dB; so do 1 after it$"
    )
    assert re.search(pattern, told), told
    assert lost_channel(layers[:1]) is None
    assert lost_channel(layers[2:]) == re.sub("; .*", "", lost_channel(layers[2:]) or "")
    assert lost_channel(compare(net, quantize(net, x), x).layers) is None
    assert lost_channel(compare(None, quantize(net, x, Settings(8)), x).layers) is None


def test_a_lost_channel_without_a_signal() -> None:
    """The reference is 0 there and the words are not: no dB say that."""
    net = chain("n", (2,), {"d": Dense(np.eye(2), np.zeros(2))})
    (layer, *_) = compare(net, quantize(net, np.eye(2)), np.eye(2)).layers
    changed = {"sqnr_db": 40.0, "worst_channel": 1, "worst_channel_sqnr_db": -math.inf}
    told = lost_channel([msgspec.structs.replace(layer, name="d", op="Dense", **changed)])
    assert told == (
        "d (Dense) is the first layer to lose a channel: 1 has an error and no signal, the layer "
        "40.0 dB"
    )


@pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered:RuntimeWarning")
def test_a_reference_beyond_float32_is_no_number() -> None:
    """Its layer has neither a fitting format nor an SQNR, and is drawn without; others have."""
    net = chain("n", (2,), {"d": Dense(np.full((2, 2), 1e30), np.zeros(2))})
    x = np.random.default_rng(1).uniform(-1, 1, (20, 2))
    fixed = quantize(net, x)
    x[3] = 3e38
    report = compare(net, fixed, x)
    d = report.layers[1]
    assert (d.name, d.fitting_format, math.isnan(d.sqnr_db or 0)) == ("d", None, True)
    assert report.layers[0].fitting_format is not None
    told = re.sub(r"\s+", " ", str(report))
    assert "SQNR unknown: its reference leaves the range of float32" in told
    assert "lost" not in told
