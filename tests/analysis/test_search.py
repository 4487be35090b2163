"""A search finds small words that hold a loss, decides on one half, and tells of the other."""

import math
import pickle
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fxpnn
from fxpnn import Settings
from fxpnn.analysis import points, search
from fxpnn.analysis.cost import Cost, bits
from fxpnn.analysis.explanation import Effect
from fxpnn.analysis.halves import Split, check_size, halves, loss_of, standard_error
from fxpnn.analysis.judging import Target, target_of
from fxpnn.analysis.points import Point, Words
from fxpnn.analysis.search import Search, Task, identity, observed_registers, proved, with_registers
from fxpnn.engine.inference import Engine, infer
from fxpnn.errors import DataError, FormatError
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.layers import (
    Array,
    AvgPool2D,
    Conv2D,
    Dense,
    Flatten,
    MaxPool2D,
    Relu,
    Softmax,
    Window,
)
from fxpnn.network.normalisation import Normalisation
from fxpnn.proofs.bounds import prove
from fxpnn.quantization.quantizer import observe, quantize

IMAGES, LABELS = fxpnn.load_data("mnist")
CALIBRATION = fxpnn.load_data("mnist:calibration").x
assert LABELS is not None
NETWORK = fxpnn.load_onnx("models/mlp-784-100-10.onnx")
OBSERVED = observe(NETWORK, CALIBRATION[:200], moments=True)
SPLIT = halves(LABELS, 0)
FEW = 600


def target(part: int, count: int = FEW) -> Target:
    """Give the first images of a half."""
    places = SPLIT[part][:count]
    assert LABELS is not None
    return target_of(NETWORK, quantize(NETWORK, OBSERVED), IMAGES[places], LABELS[places], 1)


def task(
    max_loss: float = 0.01, cost: str = "weights + activations", settings: Settings | None = None
) -> Task:
    """Make a search of the bundled network."""
    return Task(NETWORK, OBSERVED, settings or Settings(), max_loss, Cost.parse(cost))


def small() -> FixedNetwork:
    """Quantize a network of a convolution, pools and a dense layer, whose costs are known."""
    layers = {
        "conv": Conv2D(np.ones((3, 2, 2, 2)), np.zeros(3), Window((2, 2))),
        "relu": Relu(),
        "max": MaxPool2D(Window((2, 2), (2, 2))),
        "mean": AvgPool2D(Window((2, 1), (2, 1))),
        "flatten": Flatten(),
        "dense": Dense(np.ones((4, 6)), np.zeros(4)),
        "softmax": Softmax(),
    }
    network = fxpnn.chain("small", (2, 5, 5), layers)
    plan = Settings(word=8, weight_word=5, accumulator=fxpnn.Accumulator(20))
    return quantize(network, np.random.default_rng(0).random((9, 2, 5, 5)), plan)


def test_costs_are_counted_by_hand() -> None:
    """Each of the four, and a sum."""
    fixed = small()
    assert bits(fixed, "weights") == (24 + 24) * 5
    # The input has 50 values; relu, max and flatten pass words on; softmax has its own cast.
    assert bits(fixed, "activations") == 3 * 16 * 8 + 3 * 2 * 8 + 4 * 8
    conv, dense = 3 * 16 * 8, 4 * 6
    word = fixed.input_format.word
    assert bits(fixed, "multipliers") == conv * word * 5 + dense * 8 * 5
    assert bits(fixed, "accumulators") == (3 * 16 + 4) * 20
    assert Cost.parse("weights+ 4 *activations + 0.5*weights").of(fixed) == (
        1.5 * bits(fixed, "weights") + 4 * bits(fixed, "activations")
    )
    assert Cost.parse("activations * 2").of(fixed) == 2 * bits(fixed, "activations")
    cost = Cost.parse("weights")
    assert pickle.loads(pickle.dumps(cost)) == cost


@pytest.mark.parametrize(
    "text",
    [
        "",
        "weight",
        "weights +",
        "2**weights",
        "weights - activations",
        "weights(1)",
        "1e999*weights",
        "__import__('os')",
        "weights + " * 60 + "weights",
        "1.2.3*weights",
    ],
)
def test_what_is_no_cost(text: str) -> None:
    """One line says what is one; nothing is evaluated."""
    with pytest.raises(FormatError, match=r"^a cost"):
        Cost.parse(text)


@given(labels=st.lists(st.integers(0, 4), min_size=1, max_size=60), seed=st.integers(0, 99))
def test_halves_hold_each_image_once_and_each_class_evenly(labels: list[int], seed: int) -> None:
    """In the data set's order; the seed alone decides."""
    y = np.array(labels)
    split = halves(y, seed)
    assert sorted([*split.deciding, *split.reporting]) == list(range(len(y)))
    assert abs(len(split.deciding) - len(split.reporting)) <= 1
    for label in set(labels):
        counts = [(y[places] == label).sum() for places in split]
        assert abs(counts[0] - counts[1]) <= 1
    assert all((np.diff(places) > 0).all() for places in split)
    again = halves(y, seed)
    assert all(np.array_equal(a, b) for a, b in zip(split, again, strict=True))


def test_the_bundled_images_are_halved() -> None:
    """5,000 each; another seed draws others."""
    assert LABELS is not None
    assert [len(part) for part in SPLIT] == [5000, 5000]
    assert not np.array_equal(halves(LABELS, 1).deciding, SPLIT.deciding)


def test_a_half_must_be_able_to_tell_the_loss() -> None:
    """Five images for each that may be lost."""
    check_size(SPLIT, 0.001)
    few = Split(np.arange(5000), np.arange(4999))
    with pytest.raises(DataError, match=r"^the reporting half must have 5,000 images for a loss"):
        check_size(few, 0.001)
    check_size(few, 0.0)


@given(lost=st.integers(0, 50), gained=st.integers(0, 50), images=st.integers(100, 1000))
def test_the_standard_error_is_that_of_the_images(lost: int, gained: int, images: int) -> None:
    """Of a value of 1, 0 or -1 for each image."""
    each = np.zeros(images)
    each[:lost], each[lost : lost + gained] = 1, -1
    effect = Effect(None, None, None, lost, gained)
    assert loss_of(effect, images) == pytest.approx(each.mean())
    assert standard_error(effect, images) == pytest.approx(
        each.std() / math.sqrt(images), abs=1e-12
    )


def test_a_search_holds_the_loss_by_fewer_bits() -> None:
    """Each point is what its words give; the best holds, and no single bit less does."""
    told: list[Point] = []
    run = Search(task(), target(0), 1, tell=told.append)
    found = run.run()
    assert told == [*found.points]
    assert run.holds(found.best)
    shared = [p for p in found.points if run.holds(p) and len({*p.words.weights.values()}) == 1]
    assert found.best.cost < min(p.cost for p in shared if p.words.outputs["hidden"] == 16)
    assert found.best.cost == run.task.cost.of(found.fixed)
    words = found.best.words
    for name, word in words.outputs.items():
        less = words.with_words("outputs", {name: word - 1})
        assert word == 2 or not run.holds(run._judged([less])[0])
    for node in found.fixed.nodes:
        if node.name in words.weights:
            assert node.weight_formats[0].word == words.weights[node.name]
        if node.name in words.outputs:
            assert node.output_format.word == words.outputs[node.name]


def test_accumulators_are_proved_and_tight() -> None:
    """One bit less is no longer proved; what suffices for the images is no wider."""
    fixed = proved(quantize(NETWORK, OBSERVED, Settings(word=6)))
    proofs = prove(fixed)
    words = {n.name: n.accumulator.word for n in fixed.nodes if n.accumulator is not None}
    for name, word in words.items():
        assert proofs[name].proved
        assert not prove(with_registers(fixed, {name: word - 1}))[name].proved
    images = target(0)
    seen = observed_registers(fixed, images, 1)
    assert all(seen[name] <= words[name] for name in words)
    narrow = with_registers(fixed, seen)
    assert not any(c.accumulator_overflows for c in Engine(narrow).run(images.x).layers.values())
    for name, word in seen.items():
        less = Engine(with_registers(fixed, {**seen, name: word - 1})).run(images.x)
        assert word == 8 or less.layers[name].accumulator_overflows


@pytest.mark.parametrize(
    ("cost", "settings", "kinds"),
    [
        ("weights", Settings(), ["weights"]),
        ("activations", Settings(), ["outputs"]),
        ("multipliers", Settings(), ["weights", "outputs"]),
        ("weights + activations", Settings(output_word=8), ["weights"]),
        ("weights + activations", Settings(weight_word=5), ["outputs"]),
        ("weights", Settings(weight_word=5), []),
    ],
)
def test_what_costs_nothing_or_is_given_is_not_searched(
    cost: str, settings: Settings, kinds: list[str]
) -> None:
    """A cost names what is to be small; a word that is given stays."""
    made = task(cost=cost, settings=settings)
    assert [*made.searched()] == kinds
    found = Search(made, target(0, 200), 1).run()
    if settings.output_word is not None:
        assert {*found.best.words.outputs.values()} == {8}
    if settings.weight_word is not None:
        assert {*found.best.words.weights.values()} == {5}
    if not kinds:
        assert len(found.points) == 1


def test_a_loss_that_no_word_holds() -> None:
    """One line says the best that was found."""
    with pytest.raises(
        DataError, match=r"no words of 2 to 3 bits hold a loss of 0; the best found"
    ):
        Search(task(0.0, settings=Settings(3)), target(0), 1).run()


def test_what_is_known_is_not_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that goes on comes to the same points in the same order."""
    whole = Search(task(), target(0, 300), 1).run()
    judged: list[int] = []

    def judge_all(target: Target, networks: Sequence[FixedNetwork], *_: object) -> list[Effect]:
        judged.append(len(networks))
        return []

    with monkeypatch.context() as patch:
        patch.setattr(search, "judge_all", judge_all)
        again = Search(task(), target(0, 300), 1, None, whole.points).run()
    assert {*judged} == {0}
    assert (again.points, again.best) == (whole.points, whole.best)
    half = Search(task(), target(0, 300), 1, None, whole.points[:9]).run()
    assert half.points == whole.points
    with ThreadPoolExecutor(3) as executor:
        assert Search(task(), target(0, 300), 1, executor).run().points == whole.points


def test_stepping_back_takes_a_point_that_holds_on_both_halves() -> None:
    """Only where it is asked for, and marked."""
    run = Search(task(0.004), target(0, 500), 1)
    found = run.run()
    half = target(1, 5000)
    assert half.classes is not None
    wrong = infer(found.fixed, half.x).predictions != half.y
    lost = np.flatnonzero(wrong & (half.classes == half.y))[:5]
    assert len(lost) == 5
    reporting = part_of(half, np.union1d(lost, np.arange(495)))
    plain = run.reported(found, reporting, False)
    assert (plain.best, plain.stepped_back) == (found.best, False)
    assert loss_of(plain.effect, len(reporting.x)) > 0.004
    back = run.reported(found, reporting, True)
    assert back.stepped_back
    assert loss_of(back.effect, len(reporting.x)) <= 0.004
    assert back.best.cost > found.best.cost
    assert run.holds(back.best)


def part_of(whole: Target, places: Array) -> Target:
    """Give some of the images."""
    assert whole.y is not None
    assert whole.classes is not None
    return Target(whole.x[places], whole.y[places], whole.logits[places], whole.classes[places])


words = st.dictionaries(st.text(max_size=5), st.integers(2, 16), max_size=3)
counts = st.integers(0, 10_000)


@given(
    made=st.lists(
        st.builds(
            Point,
            st.builds(Words, words, words),
            st.floats(0, 1e12),
            st.builds(Effect, st.floats(0, 1), counts, st.floats(), counts, counts),
        )
    )
)
def test_points_come_back_from_their_table(made: list[Point]) -> None:
    """To the bit, whatever the layers are called."""
    name = "0123456789abcdef"
    lines = [points.line(points.cells(point, name, 0.5)) for point in made]
    content = points.line(points.HEAD) + b"".join(lines)
    found = points.read(content, name, "p.csv")
    assert [msgspec.json.encode(p) for p in found] == [msgspec.json.encode(p) for p in made]


def test_a_table_that_is_not_of_the_search() -> None:
    """One line each: cut, another search, damaged, no table."""
    point = Point(Words({"a": 3}, {"a": 4}), 7.0, Effect(0.5, 1, 2.0, 1, 0))
    name = identity(task(), "model", "data")
    good = points.line(points.HEAD) + points.line(points.cells(point, name, 0.1))
    assert points.read(good, name, "p.csv") == [point]
    for content, message in (
        (good[:-5], "line 2 is cut"),
        (good.replace(name.encode(), b"x" * 16), "line 2 is of another search"),
        (good.replace(b"7.0", b"seven"), "line 2 must be a point"),
        (good.replace(b",1,0,", b",1,"), "line 2 must be a point"),
        (b"a,b\n", "must begin with the columns search, weights"),
        (b"\xff\n", "must be a table of points"),
        (b"", "line 1 is cut"),
    ):
        with pytest.raises(DataError, match=message):
            points.read(content, name, "p.csv")
    assert identity(task(0.02), "model", "data") != name
    assert identity(task(), "model", "other") != name


def test_a_layer_that_normalises_pixels_is_searched() -> None:
    """Its words are the search's own as those of each layer; in front of floats it is none."""
    conv = Conv2D(np.ones((2, 1, 3, 3)) / 8, np.zeros(2), Window((3, 3), padding=(1, 1, 1, 1)))
    begin = fxpnn.chain("small", (1, 6, 6), {"c": conv, "f": Flatten()})
    network = replace(begin, normalisation=Normalisation((2.0,), (-0.5,)))
    x = np.random.default_rng(0).integers(0, 256, (20, 1, 6, 6), np.uint8)
    for images, names in ((x, {"input.add", "c"}), (x / 256, {"c"})):
        made = Task(network, observe(network, images), Settings(), 0.0, Cost.parse("weights"))
        words = made.start({"weights": 5, "outputs": 6})
        assert words.weights.keys() == words.outputs.keys() == names
        fixed = made.fixed(words)
        assert {fixed[name].weight_formats[0].word for name in names} == {5}
