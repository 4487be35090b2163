"""Training in fixed point: many steps equal the golden ones, can be resumed, and run as trained."""

import math
import pickle
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from fxpnn.errors import DataError, FormatError, FxpnnError, ModelError
from fxpnn.fixedpoint.qformat import Rounding
from fxpnn.golden import learning as golden
from fxpnn.golden import run as run_golden
from fxpnn.network import layers
from fxpnn.network.graph import INPUT, Network, Node, chain
from fxpnn.network.layers import Array, Layer, Window
from fxpnn.network.learning import Learning
from fxpnn.training import Recipe, Schedule
from fxpnn.training.fixed import FixedState, FixedStep, Formats, Stochastic, train_fixed
from fxpnn.training.fixed.descent import learning_of, rate_words
from fxpnn.training.fixed.epoch import used_bits
from fxpnn.training.fixed.step import step

XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float64), np.array([0, 1, 1, 0])


def dense(generator: np.random.Generator, out: int, inputs: int) -> layers.Dense:
    """Draw a layer."""
    return layers.Dense(generator.normal(0, 1, (out, inputs)), generator.normal(0, 0.1, out))


def xor() -> Network:
    """Build 2-8-2."""
    generator = np.random.default_rng(2)
    body = {"hidden": dense(generator, 8, 2), "relu": layers.Relu(), "out": dense(generator, 2, 8)}
    return chain("xor", (2,), {**body, "softmax": layers.Softmax()})


def maps() -> tuple[Network, Array, Array]:
    """Build a convolution of 2x4x4 pixels with a pool behind it, and pixels to learn."""
    generator = np.random.default_rng(3)
    kernels = generator.normal(0, 0.3, (3, 2, 3, 3))
    body: dict[str, Layer] = {
        "conv": layers.Conv2D(kernels, np.zeros(3), Window((3, 3), padding=(1, 1, 1, 1))),
        "relu": layers.Relu(),
        "pool": layers.MaxPool2D(Window((2, 2), stride=(2, 2))),
        "flat": layers.Flatten(),
        "out": dense(generator, 3, 12),
    }
    x = generator.integers(0, 256, (10, 2, 4, 4), np.uint8)
    return chain("maps", (2, 4, 4), {**body, "softmax": layers.Softmax()}), x, np.arange(10) % 3


SIXTEEN = Formats.uniform(
    weights="Q3.12", activations="Q4.11", deltas="Q1.14", gradients="Q1.14", velocity="Q2.13"
)
RECIPE = Recipe(epochs=10, batch=3, rate=0.25, momentum=0.9, schedule=Schedule.COSINE)


def steps_of(name: str, rounding: Rounding | Stochastic, **more: Any) -> list[FixedStep]:
    """Train one of the networks for 20 steps."""
    network, x, y = (xor(), *XOR) if name == "xor" else maps()
    recipe = replace(RECIPE, epochs=20 // math.ceil(len(x) / 3))
    return list(train_fixed(network, x, y, SIXTEEN, recipe, rounding=rounding, seed=4, **more))


def words_of(state: FixedState) -> dict[str, list[Any]]:
    """Give words and velocities as lists."""
    kinds: dict[str, Mapping[str, Array]] = {"word": state.words, "velocity": state.velocity}
    return {f"{k} {n}": raw.tolist() for k, tensors in kinds.items() for n, raw in tensors.items()}


CHANCE = Stochastic(16, seed=4)


@pytest.mark.parametrize("rounding", [Rounding.NEAREST_EVEN, Stochastic(8, seed=1)], ids=str)
@pytest.mark.parametrize("name", ["xor", "maps"])
def test_twenty_steps_are_the_golden_ones(name: str, rounding: Rounding | Stochastic) -> None:
    """In every word and velocity, in an order of images that the seed decides."""
    network, x, y = (xor(), *XOR) if name == "xor" else maps()
    done = steps_of(name, rounding)
    learning = done[0].learning
    raw = np.ldexp(x, learning.fixed.input_format.frac)  # XOR's inputs are whole
    raw = x if x.dtype == np.uint8 else raw.astype(np.int64)
    words: Mapping[str, Array] = _start(network)
    velocity: Mapping[str, Array] = {n: np.zeros(w.shape, int) for n, w in words.items()}
    generator, batches = np.random.default_rng(4), math.ceil(len(x) / 3)
    order = np.arange(len(x))
    for made in done:
        batch = (made.number - 1) % batches
        if batch == 0:
            order = generator.permutation(len(x))
        chosen = order[3 * batch : 3 * batch + 3]
        expected = golden.step(learning, words, velocity, raw[chosen], y[chosen], made.number)
        words, velocity = expected.words, expected.velocity
        assert words_of(made.state) == words_of(FixedState(made.number, words, velocity))
    assert len(done) == 20


def _start(network: Network) -> dict[str, Array]:
    """Round a network's parameters to Q3.12."""
    return {
        f"{node.name}.{field}": np.rint(np.ldexp(getattr(node.layer, field), 12)).astype(int)
        for node in network.nodes
        for field in node.layer.arrays()
    }


def test_a_step_worked_by_hand() -> None:
    """Weights of 0 give p = 1/2; delta -1/2 times x = 1 is the gradient; half of it is added."""
    network = chain(
        "one", (1,), {"z": layers.Dense(np.eye(2)[:, :1], np.zeros(2)), "a": layers.Softmax()}
    )
    formats = Formats.uniform(
        weights="Q3.4", activations="Q3.4", deltas="Q0.15", gradients="Q3.8", velocity="Q3.6"
    )
    recipe = Recipe(epochs=1, batch=1, rate=0.5)
    learning = learning_of(network, formats, recipe, 1, rounding=Rounding.NEAREST_EVEN, floats=True)
    zeros = {"z.weight": np.zeros((2, 1), int), "z.bias": np.zeros(2, int)}
    done = golden.step(learning, zeros, zeros, np.array([[16]]), np.array([0]), 1)
    assert done.deltas["z"].tolist() == [[-16384, 16384]]
    assert done.gradients["z.weight"].tolist() == [[-128], [128]]
    assert done.velocity["z.weight"].tolist() == [[-32], [32]]
    assert done.words["z.weight"].tolist() == [[4], [-4]]
    assert done.words["z.bias"].tolist() == [4, -4]


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_and_blocks_change_no_bit(threads: int) -> None:
    """However many threads multiply, and however a batch is cut."""
    usual = words_of(steps_of("maps", CHANCE)[-1].state)
    with threadpool_limits(threads):
        assert words_of(steps_of("maps", CHANCE, block=2)[-1].state) == usual


def test_a_resumed_training_gives_the_same_bits() -> None:
    """Continued at ten random steps, whose state travelled as bytes."""
    done = steps_of("maps", CHANCE)
    usual = words_of(done[-1].state)
    for at in np.random.default_rng(1).choice(20, 10, replace=False):
        state = pickle.loads(pickle.dumps(done[at].state))
        rest = steps_of("maps", CHANCE, start=state)
        assert [made.number for made in rest] == list(range(at + 2, 21))
        assert words_of(rest[-1].state if rest else state) == usual


def test_the_seed_decides_the_draws() -> None:
    """Another seed gives other words, the same seed the same."""
    one, same, other = (
        words_of(steps_of("maps", Stochastic(16, seed))[-1].state) for seed in (1, 1, 2)
    )
    assert one == same != other


@pytest.mark.parametrize("rounding", [Rounding.NEAREST_EVEN, Rounding.FLOOR], ids=str)
def test_what_is_trained_is_what_runs(rounding: Rounding) -> None:
    """The network gives the words of the next step's forward pass, of every layer."""
    _, x, y = maps()
    last = steps_of("maps", rounding)[9]
    run = run_golden(last.network, x)
    state = last.state
    done = step(last.learning, state.words, state.velocity, x.astype(np.int64), y, 11, keep=True)
    for name in ("conv", "relu", "pool", "flat", "out"):
        assert run.raw[name].tolist() == done.activations[name].tolist()
    assert done.correct == int((run.raw["out"].argmax(axis=1) == y).sum())


def test_it_learns_xor_and_says_how() -> None:
    """Every example is right at the end; an epoch's report counts what its steps did."""
    x, y = np.repeat(XOR[0], 25, axis=0), np.repeat(XOR[1], 25)
    recipe = Recipe(epochs=12, batch=10, rate=0.25, momentum=0.5)
    done = list(train_fixed(xor(), x, y, SIXTEEN, recipe, seed=1))
    reports = [made.report for made in done if made.report is not None]
    assert [report.number for report in reports] == list(range(1, 13))
    assert [made.number for made in done if made.report] == list(range(10, 121, 10))
    last = reports[-1]
    assert last.accuracy == 1
    assert last.accuracy == sum(made.correct for made in done[-10:]) / 100
    assert 0 < last.lost_updates < 1
    assert last.unmoved == ()
    assert {kind: sum(bits) for kind, bits in last.bits.items()} == {
        "weights": 42, "activations": 200, "deltas": 180, "gradients": 42, "velocity": 42,
    }  # fmt: skip
    raw = run_golden(done[-1].network, XOR[0].astype(int) << 11).raw["out"]
    assert raw.argmax(axis=1).tolist() == XOR[1].tolist()


def test_bits_of_words() -> None:
    """Those of the magnitude: 0 has none, -32768 has 16."""
    assert used_bits([np.array([0, 1, -1, 2, 3]), np.array([32767, -32768])]) == (
        1, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1,
    )  # fmt: skip


def test_masked_words_stay() -> None:
    """Where a mask is 0 no word moves; elsewhere some do."""
    mask = np.zeros((8, 1))
    mask[0] = 1
    masks = {"hidden.weight": mask, "out.bias": np.zeros(1)}
    recipe = Recipe(epochs=3, batch=2, rate=0.5)
    done = list(train_fixed(xor(), *XOR, SIXTEEN, recipe, masks=masks))[-1]
    start = _start(xor())
    changed = done.state.words["hidden.weight"] != start["hidden.weight"]
    assert changed[0].any()
    assert not changed[1:].any()
    assert done.state.words["out.bias"].tolist() == start["out.bias"].tolist()


def test_rates_are_words() -> None:
    """The first uses 15 bits, others follow the schedule; one that rounds up to 2**15 has 14."""
    words, frac = rate_words(Recipe(rate=0.5, schedule=Schedule.COSINE), 2)
    assert (words.tolist(), frac) == ([16384, 8192], 15)
    words, frac = rate_words(Recipe(rate=0.999999), 1)
    assert (words.tolist(), frac) == ([16384], 14)


def test_constants_can_be_sent_to_workers() -> None:
    """They travel as bytes; what comes back takes the same step."""
    made = steps_of("xor", CHANCE)[0]
    learning = pickle.loads(pickle.dumps(made.learning))
    assert isinstance(learning, Learning)
    state, x = made.state, np.zeros((2, 2), np.int64)
    steps = [
        step(each, state.words, state.velocity, x, np.array([0, 1]), 2).words
        for each in (learning, made.learning)
    ]
    assert words_of(FixedState(2, steps[0], {})) == words_of(FixedState(2, steps[1], {}))


TABLES = {
    kind: {"all": fmt}
    for kind, fmt in (
        ("weights", "Q3.12"),
        ("activations", "Q4.11"),
        ("deltas", "Q1.14"),
        ("gradients", "Q1.14"),
    )
}


def run(
    network: Network | None = None,
    x: Array = XOR[0],
    y: Array = XOR[1],
    formats: Formats = SIXTEEN,
    recipe: Recipe = RECIPE,
    **more: Any,
) -> list[FixedStep]:
    """Take three steps."""
    steps = train_fixed(network or xor(), x, y, formats, recipe, **more)
    return list(islice(steps, 3))


def formats(**tables: str) -> Formats:
    """Change the formats of some kinds."""
    usual = {"weights": "Q3.12", "activations": "Q4.11", "deltas": "Q1.14", "gradients": "Q1.14"}
    return Formats.uniform(**{**usual, **tables})


def leaky() -> Network:
    """Build a network with a layer that is not trained in fixed point."""
    return _with("relu", layers.LeakyRelu())


def _with(name: str, layer: Layer) -> Network:
    return replace(
        xor(),
        nodes=tuple(replace(n, layer=layer) if n.name == name else n for n in xor().nodes),
    )


def branched() -> Network:
    """Build a network that is no chain."""
    nodes = (
        Node("one", dense(np.random.default_rng(1), 2, 2), (INPUT,)),
        Node("two", layers.Add(), ("one", INPUT)),
        Node("softmax", layers.Softmax(), ("two",)),
    )
    return Network("branched", (2,), nodes)


def with_state(**changes: Any) -> list[FixedStep]:
    """Continue from a state that is changed."""
    state = run()[0].state
    return run(start=replace(state, **changes))


KNOWN = "Dense, Conv2D, Relu, Tanh, Sigmoid, MaxPool2D, AvgPool2D, Flatten, Reshape"
REFUSED: list[tuple[Callable[[], object], type[FxpnnError], str]] = [
    (
        lambda: run(recipe=replace(RECIPE, decay=0.1)),
        DataError,
        "decay must be 0 in fixed point, not 0.1",
    ),
    (
        lambda: run(y=np.eye(2)[XOR[1]]),
        DataError,
        "labels must be (4) classes, not float64 (4, 2)",
    ),
    (lambda: run(block=0), DataError, "a block must be 1 image or more, not 0"),
    (
        lambda: run(rounding="randomly"),
        FormatError,
        "rounding must be one of nearest-even, nearest-up, nearest-down, nearest-zero, "
        "nearest-away, floor, zero, not 'randomly'",
    ),
    (
        lambda: run(leaky()),
        ModelError,
        f"layer relu (LeakyRelu) must be one of {KNOWN} to be trained in fixed point",
    ),
    (
        lambda: run(branched()),
        ModelError,
        "layer two (Add) must read one alone to be trained in fixed point, not one, input",
    ),
    (
        lambda: run(chain("open", (2,), {"z": dense(np.random.default_rng(1), 2, 2)})),
        ModelError,
        "layer z (Dense) must be a softmax of a vector, the last of a network that is trained in "
        "fixed point",
    ),
    (
        lambda: run(formats=formats(weights="Q20.-5")),
        FormatError,
        "weights of hidden.weight must not all round to 0, as they do in Q20.-5; give them more "
        "fraction bits",
    ),
    (
        lambda: run(formats=formats(weights="Q-10.25")),
        FormatError,
        "weights of hidden.weight must have -6 to 24 fraction bits to be trained, not 25 (Q-10.25)",
    ),
    (
        lambda: run(formats=Formats.of({**TABLES, "deltas": {"all": "Q1.14", "out": "Q1.14"}})),
        FormatError,
        "deltas of out, the logits, must be Q0.15, not Q1.14",
    ),
    (
        lambda: with_state(step=21),
        DataError,
        "a state must be of step 0 to 20, not 21",
    ),
    (
        lambda: with_state(words={}),
        DataError,
        "words of a state must be those of hidden.weight, hidden.bias, out.weight, out.bias, in "
        "shape too",
    ),
    (
        lambda: run(start=replace(run()[0].state, velocity=_wide(run()[0].state.velocity))),
        DataError,
        "velocity of hidden.weight must be int16 words of Q2.13",
    ),
]


def _wide(tensors: Mapping[str, Array]) -> dict[str, Array]:
    return {name: raw.astype(np.int64) for name, raw in tensors.items()}


@pytest.mark.parametrize(("call", "kind", "message"), REFUSED, ids=[m for _, _, m in REFUSED])
def test_what_cannot_be_trained_is_refused(
    call: Callable[[], object], kind: type[FxpnnError], message: str
) -> None:
    """Each error says what must be and what is."""
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        call()


def test_weights_that_never_move_end_the_training() -> None:
    """After the first epoch, with what would help."""
    message = (
        r"^every update of hidden\.weight was 0 in the first epoch \(gradients Q14\.1, weights "
        r"Q14\.1\); give them more fraction bits, raise the rate, or round stochastically$"
    )
    coarse = formats(weights="Q14.1", gradients="Q14.1")
    with pytest.raises(ModelError, match=message):
        list(train_fixed(xor(), *XOR, coarse, RECIPE, rounding="nearest-even"))


def test_weights_that_run_to_their_ends_have_diverged() -> None:
    """As soon as half of a layer's stand there at the end of an epoch."""
    message = (
        r"^training diverged in epoch \d+: \d+ of the 16 words of (hidden|out)\.weight stand at "
        r"the ends of Q3\.12; lower the rate or give them more integer bits$"
    )
    wild = replace(RECIPE, rate=900.0, epochs=50)
    with pytest.raises(ModelError, match=message):
        list(train_fixed(xor(), *XOR, formats(gradients="Q3.12"), wild))
