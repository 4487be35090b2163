"""Attribution names the layer and the part that lose, and what it proposes helps."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

import fxpnn
from fxpnn import Plan, Settings
from fxpnn.analysis.attribution import explain, repair
from fxpnn.analysis.comparison import compare
from fxpnn.analysis.explanation import Explanation
from fxpnn.analysis.proposals import change_of
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, QFormat
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.graph import Network
from fxpnn.network.layers import Array, Dense, Flatten, Relu
from fxpnn.network.rounded import WeightRounding
from fxpnn.quantization.changes import changed
from fxpnn.quantization.quantizer import quantize

LAYERS = ("c1", "c3", "c5", "f6", "output")
SHORT = 3
"""How many integer bits a faulty format lacks."""


@cache
def lenet() -> tuple[Network, Array, Array, Array]:
    """Give the bundled network, test images with labels, and calibration images."""
    network = fxpnn.load_onnx("models/lenet5-relu.onnx")
    x, y = fxpnn.load_data("mnist")
    assert y is not None
    return network, x, y, fxpnn.load_data("mnist:calibration").x


def faulty(word: int, *faults: tuple[str, str]) -> FixedNetwork:
    """Quantize the network with formats that lack integer bits."""
    network, _, _, calibration = lenet()
    settings = Settings(word=word)
    sane, layers = quantize(network, calibration, settings), {}
    for name, part in faults:
        node = sane[name]
        if part == "output":
            layers[name] = replace(settings, output=shorter(node.output_format))
        else:
            layers[name] = replace(settings, weight=shorter(node.weight_formats[0]))
    return quantize(network, calibration, Plan(settings, layers))


def shorter(fmt: QFormat) -> QFormat:
    """Return a format of the same word that lacks integer bits."""
    return replace(fmt, frac=fmt.frac + SHORT)


def explained(fixed: FixedNetwork, images: int) -> Explanation:
    """Explain on the first images."""
    network, x, y, calibration = lenet()
    return explain(network, fixed, x[:images], y[:images], calibration)


def check_named(word: int, name: str, part: str, images: int) -> None:
    """One fault: its layer and part come first, and the proposal undoes it."""
    found = explained(faulty(word, (name, part)), images)
    first = found.ranking[0]
    assert (first.name, first.part) == (name, part)
    assert first.proposal is not None
    assert first.proposal.effect.accuracy is not None
    assert found.reference_accuracy is not None
    assert found.reference_accuracy - first.proposal.effect.accuracy <= 0.0005
    assert first.proposal.bits == 0


@pytest.mark.parametrize(("name", "part"), [("c1", "weights"), ("output", "output")])
def test_a_fault_is_named(name: str, part: str) -> None:
    """Two that a small share of the images shows."""
    check_named(8, name, part, 2000)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["weights", "output"])
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("word", [16, 8])
def test_every_fault_is_named(word: int, name: str, part: str) -> None:
    """Each layer's weights or output three integer bits short."""
    check_named(word, name, part, 4000)


def test_two_faults_are_named_and_repaired() -> None:
    """What the first loses does not hide the second; applied one by one, proposals restore all."""
    network, x, y, calibration = lenet()
    fixed = faulty(8, ("c1", "weights"), ("c3", "output"))
    done = repair(network, fixed, x[:4000], y[:4000], 0.0005, calibration)
    first, second = done.explanation.ranking[:2]
    assert [(r.name, r.part) for r in (first, second)] == [("c1", "weights"), ("c3", "output")]
    assert done.reached
    assert {step.name for step in done.steps} >= {"c1", "c3"}
    report = compare(network, done.fixed, x[:4000], y[:4000])
    assert report.accuracy.loss is not None
    assert report.accuracy.loss <= 0.0005
    assert report.accuracy.fixed == done.effect.accuracy


def test_effects_are_those_of_the_changed_networks() -> None:
    """What was tried is what the change gives; what is lost is what a comparison says."""
    network, x, y, _ = lenet()
    fixed = faulty(8, ("f6", "output"))
    found = explained(fixed, 1000)
    report = compare(network, fixed, x[:1000], y[:1000])
    assert (found.given.accuracy, found.given.flips) == (
        report.accuracy.fixed,
        report.accuracy.flips,
    )
    assert found.reference_accuracy == report.accuracy.reference
    logits = next(layer for layer in report.layers if layer.name == "output")
    assert found.given.sqnr_db == pytest.approx(logits.sqnr_db, abs=1e-6)
    assert {flip.index for flip in found.flipped} == {flip.index for flip in report.flipped}
    margins = [flip.reference_margin for flip in found.flipped]
    assert margins == sorted(margins)
    assert all(margin >= 0 for margin in margins)
    for tried in found.tried:
        if tried.setting == "weight_rounding":
            continue
        other = changed(network, fixed, {"f6": change_of(fixed, "f6", tried)})
        again = compare(network, other, x[:1000], y[:1000]).accuracy
        assert (again.fixed, again.flips) == (tried.effect.accuracy, tried.effect.flips)


def test_weights_may_be_rounded_otherwise() -> None:
    """Feedback is tried where words are short, and is what the change of that name gives."""
    network, x, y, calibration = lenet()
    fixed = quantize(network, calibration, Settings(weight_word=2, output_word=8))
    found = explain(network, fixed, x[:300], y[:300], calibration)
    (tried,) = [t for t in found.tried if t.setting == "weight_rounding"]
    name = found.ranking[0].name
    assert (tried.part, tried.value, tried.bits) == ("weights", "feedback", 0)
    plan = Plan(
        Settings(weight_word=2, output_word=8),
        {
            name: Settings(
                weight=fixed[name].weight_formats,
                output_word=8,
                weight_rounding=WeightRounding.FEEDBACK,
            )
        },
    )
    again = compare(network, quantize(network, calibration, plan), x[:300], y[:300])
    assert (again.accuracy.fixed, again.accuracy.flips) == (
        tried.effect.accuracy,
        tried.effect.flips,
    )


def test_an_accumulator_is_a_part() -> None:
    """One that wraps too early is named, and a wider or saturating one proposed."""
    network, x, y, calibration = lenet()
    weight = quantize(network, calibration)["c3"].weight_formats
    layers = {"c3": Settings(weight=weight, accumulator=Accumulator(24, Overflow.WRAP))}
    fixed = quantize(network, calibration, Plan(Settings(), layers))
    found = explain(network, fixed, x[:500], y[:500], calibration)
    first = found.ranking[0]
    assert (first.name, first.part) == ("c3", "accumulator")
    assert first.proposal is not None
    assert first.proposal.effect.flips == 0
    assert first.proposal.setting == "accumulator"
    assert any((f.name, f.kind) == ("c3", "accumulator_overflows") for f in found.first_losses)


def test_where_nothing_is_lost_nothing_is_ranked() -> None:
    """A default quantization flips nothing."""
    network, x, y, calibration = lenet()
    found = explain(network, quantize(network, calibration), x[:500], y[:500], calibration)
    assert (found.given.flips, found.ranking, found.tried) == (0, (), ())
    assert found.first_losses == ()
    assert found.flipped == ()
    assert {layer.name for layer in found.layers} == {"input", *LAYERS}


def test_any_executor_and_any_threads_give_the_same() -> None:
    """Networks may be judged anywhere; the value travels."""
    network, x, y, calibration = lenet()
    fixed = faulty(8, ("c3", "output"))
    done = [0]

    def advance(images: int) -> None:
        done[0] += images

    one = explain(network, fixed, x[:300], y[:300], calibration, 1, progress=advance)
    assert done[0] >= 300 * 30
    with ThreadPoolExecutor(2) as executor:
        assert explain(network, fixed, x[:300], y[:300], calibration, 2, executor) == one
    assert pickle.loads(pickle.dumps(one)) == one


def test_the_first_image_and_element_are_found() -> None:
    """Where the output, the accumulator, the input overflow first; counted by hand."""
    weight = np.zeros((3, 4))
    weight[1, 2] = 1.0
    layers = {"flatten": Flatten(), "dense": Dense(weight, np.zeros(3)), "relu": Relu()}
    network = fxpnn.chain("small", (2, 2), layers)
    settings = Settings(weight=QFormat(8, 4), output=QFormat(8, 7), accumulator=Accumulator(8))
    plan = Plan(Settings(), {"dense": settings, "input": Settings(output=QFormat(8, 4))})
    fixed = quantize(network, plan=plan)
    x = np.zeros((9, 2, 2))
    x[4, 1, 0] = 0.25  # 4 * 16 = 64 counts in the accumulator, 32 at the output: all is well
    x[5, 1, 0] = 0.4375  # 7 * 16 = 112
    x[6, 1, 0] = 2.0  # 32 * 16 = 512, more than 127: 127 @ 8 is 64 @ 7
    x[7, 0, 1] = 20.0  # more than 127 * 2**-4
    found = explain(network, fixed, x, calibration=x)
    places = {(f.name, f.kind): (f.image, f.element) for f in found.first_losses}
    assert places == {
        ("dense", "accumulator_overflows"): (6, (1,)),
        ("input", "saturations"): (7, (0, 1)),
    }


def test_networks_without_classes_are_judged_by_sqnr() -> None:
    """A row of one number: no accuracy, no flips, the layer that loses most is still named."""
    rng = np.random.default_rng(3)
    layers = {
        "a": Dense(rng.normal(0, 1, (6, 4)), rng.normal(0, 1, 6)),
        "b": Dense(rng.normal(0, 1, (1, 6)), rng.normal(0, 1, 1)),
    }
    network, x = fxpnn.chain("regression", (4,), layers), rng.normal(0, 1, (200, 4))
    sane = quantize(network, x)
    short = shorter(sane["a"].output_format)
    fixed = quantize(network, x, Plan(Settings(), {"a": Settings(output=short)}))
    found = explain(network, fixed, x)
    assert (found.loss, found.given.flips, found.flipped) == (None, None, ())
    first = found.ranking[0]
    assert (first.name, first.part, first.flips_removed) == ("a", "output", None)
    assert first.sqnr_db_gained is not None
    assert first.sqnr_db_gained > 10
    assert first.proposal is not None
    assert first.proposal.bits == 0


def test_what_a_layer_adds_itself_is_told_apart() -> None:
    """Noise passes on: behind the fault the layers themselves are as good as ever."""
    own = {
        layer.name: layer.own_sqnr_db
        for layer in explained(faulty(16, ("c1", "output")), 500).layers
    }
    assert min(own, key=lambda name: own[name] or 999.0) == "c1"
    assert all((own[name] or 0) > 60 for name in LAYERS if name != "c1")
