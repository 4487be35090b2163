"""Quantization-aware training: what is trained is what runs, and it can be stopped anywhere."""

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fxpnn
from fxpnn import golden
from fxpnn.errors import FxpnnError, ModelError
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, QFormat, Rounding
from fxpnn.network.fixed import FixedNetwork, raw_weights
from fxpnn.network.graph import INPUT, Network, Node, chain
from fxpnn.network.layers import (
    Add,
    Array,
    AvgPool2D,
    Concat,
    Conv2D,
    Dense,
    Flatten,
    MaxPool2D,
    PRelu,
    Relu,
    Softmax,
    Tanh,
    Window,
)
from fxpnn.network.rounded import WEIGHTS_SATURATE, WeightRounding
from fxpnn.onnx import load_quantized
from fxpnn.onnx.write.dialects import Qonnx
from fxpnn.quantization.dequantizer import dequantize
from fxpnn.quantization.settings import Method, Plan, Settings
from fxpnn.targets.quantized_onnx import export
from fxpnn.training import LOGITS_CROSS_ENTROPY, Qat, QatStep, Recipe, checkpoint, parameters
from fxpnn.training.fake import Grid
from fxpnn.training.gradients import backpropagate
from fxpnn.training.losses import one_hot

RECIPE = Recipe(epochs=2, batch=10, rate=0.05, momentum=0.5)
FOUR = Settings(weight_word=4, output_word=4, method=Method.MSE)
TERNARY = replace(FOUR, weight_word=2, weight_overflow=Overflow.SATURATE_SYMMETRIC)
ENDS = {"out": Settings(weight_word=4, output_word=8, method=Method.MSE)}


def network(seed: int = 0) -> Network:
    """Build a small network of all that sums, joins and pools."""
    rng = np.random.default_rng(seed)

    def conv(out: int, maps: int) -> Conv2D:
        weight = rng.normal(0, 0.5, (out, maps, 3, 3)).astype(np.float32)
        return Conv2D(
            weight, rng.normal(0, 0.3, out).astype(np.float32), Window((3, 3), padding=(1,) * 4)
        )

    halve = Window((2, 2), stride=(2, 2))
    nodes = (
        Node("conv", conv(3, 1), (INPUT,)),
        Node("relu", Relu(), ("conv",)),
        Node("largest", MaxPool2D(halve), ("relu",)),
        Node("second", conv(3, 3), ("largest",)),
        Node("prelu", PRelu(np.full(3, 0.3, np.float32)), ("second",)),
        Node("add", Add(), ("prelu", "largest")),
        Node("tanh", Tanh(), ("add",)),
        Node("both", Concat(0), ("tanh", "largest")),
        Node("mean", AvgPool2D(halve), ("both",)),
        Node("flat", Flatten(), ("mean",)),
        Node(
            "out",
            Dense(rng.normal(0, 0.5, (4, 6)).astype(np.float32), np.zeros(4, np.float32)),
            ("flat",),
        ),
        Node("softmax", Softmax(), ("out",)),
    )
    return Network("small", (1, 4, 4), nodes)


def images(count: int = 45, seed: int = 1) -> tuple[Array, Array]:
    """Draw pixels, and a class for each by where they are bright."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 256, (count, 1, 4, 4)).astype(np.uint8)
    return x, x.reshape(count, 4, 4).astype(int).sum(2).argmax(1)


def steps(settings: Settings = FOUR, **options: Any) -> Iterator[QatStep]:
    """Train the small network."""
    qat = Qat(plan=Plan(settings, ENDS), every=3)
    return qat.descend(network(), *images(), RECIPE, seed=3, **options)


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_what_is_trained_is_what_runs(data: st.DataObject) -> None:
    """After any number of steps all integers of all layers are those of the golden model."""
    word = st.integers(2, 8)
    chosen = Settings(
        weight_word=data.draw(word),
        output_word=data.draw(word),
        per_channel=data.draw(st.booleans()),
        rounding=data.draw(st.sampled_from(Rounding)),
        overflow=data.draw(st.sampled_from(Overflow)),
        weight_overflow=data.draw(st.sampled_from(WEIGHTS_SATURATE)),
        method=Method.MSE,
        accumulator=Accumulator(data.draw(st.sampled_from([48, 12, 10]))),
    )
    seed = data.draw(st.integers(0, 9))
    qat = Qat(plan=Plan(chosen), every=2)
    x, y = images(12, seed)
    descent = qat.descend(network(seed), x, y, RECIPE, seed=seed)
    step = [*islice(descent, data.draw(st.integers(1, 4)))][-1]
    grid = Grid(step.formats)
    found = grid.run(grid.with_parameters(parameters(step.network)), grid.enter(x))
    fmt = step.fixed.input_format
    raw = np.ldexp(found.values[INPUT].astype(np.float64), fmt.frac).astype(np.int64)
    truth = golden.run(step.fixed, raw)
    for name, expected in truth.raw.items():
        counts = np.ldexp(found.values[name].astype(np.float64), step.fixed.formats[name].frac)
        assert np.array_equal(counts, expected), name


def test_the_engine_and_files_have_the_same_integers(tmp_path: Path) -> None:
    """The engine, the .fxp file and the floats on the grid give the trained words again."""
    x, _ = images()
    *_, last = steps(TERNARY)
    fixed = last.fixed
    grid = Grid(last.formats)
    found = grid.run(grid.with_parameters(parameters(last.network)), grid.enter(x))
    run = fxpnn.infer(fixed, x, keep=fixed.shapes)
    for name, words in run.tensors.items():
        counts = np.ldexp(found.values[name].astype(np.float64), fixed.formats[name].frac)
        assert np.array_equal(counts, words), name
    fixed.save(tmp_path / "a.fxp")
    fxpnn.save_onnx(dequantize(fixed), tmp_path / "a.onnx")
    again = (fxpnn.load(tmp_path / "a.fxp"), _requantized(tmp_path / "a.onnx", last))
    assert all(_words(one) == _words(fixed) for one in again)


def _requantized(path: Path, step: QatStep) -> FixedNetwork:
    """Round the floats on the grid to their formats."""
    return replace(step, network=fxpnn.load_onnx(path)).fixed


def _words(fixed: FixedNetwork) -> list[object]:
    parts = ((raw_weights(n.layer), getattr(n.layer, "bias", None)) for n in fixed.nodes)
    return [None if a is None else np.asarray(a).tolist() for part in parts for a in part]


def test_qonnx_keeps_what_was_trained(tmp_path: Path) -> None:
    """Exported and read again, the integers are the same."""
    x, y = images()
    net = chain(
        "d",
        (1, 4, 4),
        {"flat": Flatten(), "hidden": _dense(6, 16), "relu": Relu(), "out": _dense(4, 6)},
    )
    qat = Qat(plan=Plan(TERNARY, ENDS))
    *_, last = qat.descend(net, x, y, RECIPE, loss=LOGITS_CROSS_ENTROPY)
    export(last.fixed, tmp_path / "q.onnx", Qonnx)
    read, plan = load_quantized(tmp_path / "q.onnx")
    assert _words(fxpnn.quantize(read, None, plan)) == _words(last.fixed)


def _dense(out: int, inputs: int) -> Dense:
    weight = np.random.default_rng(out).normal(0, 0.5, (out, inputs)).astype(np.float32)
    return Dense(weight, np.zeros(out, np.float32))


def test_it_learns() -> None:
    """Ternary weights learn from nothing: a guess would be right once in four times."""
    x, y = images(400)
    net = chain(
        "d",
        (1, 4, 4),
        {
            "flat": Flatten(),
            "hidden": _dense(32, 16),
            "relu": Relu(),
            "out": _dense(4, 32),
            "softmax": Softmax(),
        },
    )
    recipe = Recipe(epochs=20, batch=20, rate=0.05, momentum=0.9)
    plan = Plan(TERNARY, {"input": Settings(output_word=8), **ENDS})
    *_, last = Qat(plan=plan).descend(net, x, y, recipe, seed=2)
    tested, classes = images(300, seed=5)
    assert (fxpnn.infer(last.fixed, tested).predictions == classes).mean() > 0.55


def test_formats_stay_at_the_end() -> None:
    """Weights' formats are chosen every so many steps until 70 %, outputs' once."""
    seen = [step.formats for step in steps()]
    places = [i for i in range(1, len(seen)) if seen[i] is not seen[i - 1]]
    assert places == [3, 6]  # of 10 steps; the first choice is that of the start
    assert len({tuple(f.formats.values()) for f in seen}) == 1


def test_straight_through() -> None:
    """A clamped output passes no derivative on; one in range passes it as it is, 0 included."""
    net = chain(
        "d",
        (1,),
        {
            "d": Dense(np.ones((4, 1), np.float32), np.array([-1, 0, 0.4, 9], np.float32)),
            "relu": Relu(),
            "out": Dense(np.ones((1, 4), np.float32), np.zeros(1, np.float32)),
        },
    )
    made = {"d": Settings(weight=QFormat(4, 2), output=QFormat(2, 0, signed=False))}
    made |= {
        INPUT: Settings(output=QFormat(8, 4)),
        "out": Settings(weight=QFormat(4, 2), output=QFormat(8, 2)),
    }
    fixed = fxpnn.quantize(net, None, Plan(layers=made))
    grid = Grid(fixed)
    rounded = grid.with_parameters(parameters(net))
    found = grid.run(rounded, grid.enter(np.zeros((1, 1))))
    assert found.values["d"].tolist() == [[0, 0, 0, 3]]
    assert found.followed["d"].tolist() == [[False, True, True, False]]
    ones = {"out": np.ones((1, 1), np.float32)}
    deltas = backpropagate(rounded, found.values, ones, followed=found.followed)
    assert deltas.parameters["d.bias"].tolist() == [0, 1, 1, 0]


def test_a_resumed_run_gives_the_same_bits(tmp_path: Path) -> None:
    """From any step, through a file, the rest of the training is the same."""
    whole = [*steps()]
    begin = Qat(plan=Plan(FOUR, ENDS), every=3).start(network(), images()[0])
    for number in (1, 3, 4, 7, 9):
        checkpoint.save(whole[number - 1], tmp_path / "c.safetensors", {"seed": "3"})
        start = checkpoint.load(tmp_path / "c.safetensors", begin, {"seed": "3"})
        rest = [*steps(start=start)]
        assert [step.number for step in rest] == [*range(number + 1, 11)]
        for ours, theirs in zip(rest, whole[number:], strict=True):
            mine, other = parameters(ours.network), parameters(theirs.network)
            assert all(mine[name].tobytes() == other[name].tobytes() for name in other)
            assert (ours.cost, ours.formats.formats) == (theirs.cost, theirs.formats.formats)
        assert _words(rest[-1].fixed) == _words(whole[-1].fixed)


def test_a_checkpoint_that_cannot_be_used(tmp_path: Path) -> None:
    """Of another training or network, cut or altered, it is refused in one line."""
    path = tmp_path / "c.safetensors"
    step = next(steps())
    checkpoint.save(step, path, {"seed": "3"})
    content = path.read_bytes()
    begin = Qat(plan=Plan(FOUR, ENDS)).start(network(), images()[0])

    def refusal(content: bytes, start: QatStep = begin, seed: str = "3") -> str:
        path.write_bytes(content)
        with pytest.raises(ModelError) as caught:
            checkpoint.load(path, start, {"seed": seed})
        return str(caught.value).removeprefix(f"{path}: ")

    same = "must be of a training with the same seed, 4, not 3"
    assert refusal(content, seed="4") == same
    assert refusal(content[:-9]).startswith("is no checkpoint or is damaged (")
    assert refusal(b"") == "must not be empty"
    altered = bytearray(content)
    altered[-1] ^= 1
    assert refusal(bytes(altered)) == "has been altered: its sha256 does not fit its content"
    later = content.replace(b'number\\":1', b'number\\":2')
    assert refusal(later) == "has been altered: its sha256 does not fit its content"
    newer = content.replace(b'schema\\":1,\\"number', b'schema\\":7,\\"number')
    assert refusal(newer) == "has schema 7; this fxpnn reads 1"
    other = chain("o", (1, 4, 4), {"flat": Flatten(), "out": _dense(4, 16)})
    start = Qat().start(other, images()[0])
    assert refusal(content, start) == "must hold a value for every parameter of the network"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Qat(every=0), "every must be 1 or more steps, not 0"),
        (lambda: Qat(settled=1.5), "settled must be 0 to 1, not 1.5"),
        (
            lambda: next(steps(replace(FOUR, weight_rounding=WeightRounding.FEEDBACK))),
            "input: training must round weights to nearest and correct no biases: it does better",
        ),
        (
            lambda: next(steps(Settings(weight=QFormat(4, -9), output_word=4))),
            "layer conv (Conv2D): every weight rounds to 0 in Q12.-9; give it a finer format",
        ),
    ],
)
def test_what_cannot_be_trained(make: object, message: str) -> None:
    """It is refused before a step is taken."""
    assert callable(make)
    with pytest.raises(FxpnnError, match=f"^{re.escape(message)}$"):
        make()


def test_divergence_is_told() -> None:
    """A rate that sends weights to infinity ends in one line."""
    qat = Qat(plan=Plan(FOUR, ENDS))
    with pytest.raises(ModelError, match=r"^training diverged in epoch 1, lower the rate: .+$"):
        [*qat.descend(network(), *images(), replace(RECIPE, rate=1e38, epochs=9))]


def test_logits_cost_what_their_softmax_costs() -> None:
    """Value and slope are those of the cross-entropy behind a softmax."""
    a, y = np.array([[1.0, -2.0, 0.5], [900.0, 0.0, -900.0]]), one_hot(np.array([2, 0]), 3)
    shares = np.exp(a - a.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    assert LOGITS_CROSS_ENTROPY.value(a, y) == pytest.approx([-np.log(shares[0, 2]), 0])
    assert LOGITS_CROSS_ENTROPY.slope(a, y) == pytest.approx(shares - y)
