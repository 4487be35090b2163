"""What tensors take on for calibration images, whatever the blocks they are run in."""

import pickle
import re
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fxpnn
from fxpnn.errors import DataError, FormatError, ModelError
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network import budget
from fxpnn.network.fxp import dumps
from fxpnn.network.graph import INPUT, Network, Node, chain
from fxpnn.network.layers import Array, Concat, Dense, Flatten, LeakyRelu, Relu, Softmax
from fxpnn.network.normalisation import Normalisation
from fxpnn.quantization import observation
from fxpnn.quantization.observation import BLOCK, blocks, take
from fxpnn.quantization.quantizer import propose, quantize
from fxpnn.quantization.settings import Method, Plan, Settings


def small() -> Network:
    """Build a network of 2 pixels and 3 hidden values."""
    weight = np.array([[1, 0], [0, -2], [1, 1]], np.float32)
    layers = {"flat": Flatten(), "hidden": Dense(weight, np.zeros(3, np.float32)), "relu": Relu()}
    return chain("small", (1, 1, 2), layers)


PIXELS = np.random.default_rng(5).integers(0, 256, (3 * BLOCK + 7, 1, 1, 2), np.uint8)


def everything(network: Network, x: Array, names: Iterable[str]) -> dict[str, Array]:
    """Join the blocks."""
    parts = list(blocks(network, x, set(names)))
    found = dict.fromkeys(name for name, _ in parts)
    return {name: np.concatenate([part for n, part in parts if n == name]) for name in found}


def test_observe_gives_what_tensors_took_on() -> None:
    """All of it, float32, of the tensors asked for, in blocks that bound memory."""
    seen = everything(small(), PIXELS, [INPUT, "hidden"])
    x = PIXELS.reshape(-1, 2).astype(np.float32) / 256
    hidden = np.stack([x[:, 0], -2 * x[:, 1], x.sum(1)], 1)
    assert set(seen) == {INPUT, "hidden"}
    assert seen[INPUT].dtype == seen["hidden"].dtype == np.float32
    assert np.array_equal(seen[INPUT].reshape(-1, 2), x)
    assert np.array_equal(seen["hidden"], hidden)
    assert max(len(part) for _, part in blocks(small(), PIXELS, [INPUT])) == BLOCK


def test_large_tensors_come_in_small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many images as fit a number of bytes, at least one, whatever was freed before."""
    assert budget.live(small().nodes, small().shapes) == 6  # what a ReLU reads and makes
    for size, most in ((5 * 6 * 8, 5), (1, 1)):
        monkeypatch.setattr(observation, "BYTES", size)
        lengths = [len(part) for _, part in blocks(small(), PIXELS, [INPUT])]
        assert max(lengths) == most
        assert sum(lengths) == len(PIXELS)


def test_the_size_of_blocks_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is observed, and so each format, is the same in blocks of one image as of many."""
    weight = np.random.default_rng(6).normal(size=(9, 2)).astype(np.float32)
    network = chain("n", (1, 1, 2), {"f": Flatten(), "d": Dense(weight, weight[:, 0])})
    taken = take(network, PIXELS, network.shapes, {})
    monkeypatch.setattr(observation, "BYTES", 1)
    alone = take(network, PIXELS, network.shapes, {})
    for name, seen in taken.distributions.items():
        other = alone.distributions[name]
        assert (seen.low, seen.high, seen.dropped) == (other.low, other.high, other.dropped)
        for part in ("keys", "counts", "first", "second"):
            assert np.array_equal(getattr(seen, part), getattr(other, part))


def test_observe_takes_scaled_floats() -> None:
    """They pass as they are."""
    floats = PIXELS.astype(np.float64) / 256
    seen = everything(small(), PIXELS, [INPUT, "relu"])
    for name, values in everything(small(), floats, [INPUT, "relu"]).items():
        assert np.array_equal(seen[name], values)


@settings(max_examples=20)
@given(
    seed=st.integers(0, 2**32),
    times=st.integers(1, 3),
    method=st.sampled_from([Method.MINMAX, Method.PERCENTILE, Method.MSE]),
)
def test_repeating_and_permuting_images_changes_no_format(
    seed: int, times: int, method: Method
) -> None:
    """Formats depend on the distribution of the images, not on their order or number."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(0, 1, (7, 5)).astype(np.float32)
    layers = {
        "d": Dense(weight, np.zeros(7, np.float32)),
        "r": Relu(),
        "e": Dense(weight.T, weight[0, :5]),
    }
    network = chain("n", (5,), layers)
    x = rng.standard_t(2, (int(rng.integers(1, 3 * BLOCK)), 5))
    other = rng.permutation(np.concatenate([x] * times))
    chosen = [quantize(network, data, Settings(6, method=method)).formats for data in (x, other)]
    assert chosen[0] == chosen[1]


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (PIXELS[:0], "images must be (N, 1, 1, 2) with N of 1 or more, not (0, 1, 1, 2)"),
        (PIXELS[:, 0], "images must be (N, 1, 1, 2) with N of 1 or more, not (199, 1, 2)"),
        (PIXELS.astype(int), "images must be uint8 pixels or scaled floats, not int64"),
        (
            np.array([[[[0, 1]]], [[[2, np.nan]]]]),
            "calibration image 1, element [0, 0, 1] must be finite, not nan",
        ),
        (np.full((1, 1, 1, 2), -1e300), "input must be finite for every calibration image, ..."),
    ],
)
def test_observe_refuses(x: Array, message: str) -> None:
    """Images of another shape or kind, and those that overflow."""
    pattern = re.escape(message).replace(re.escape("..."), ".+")
    with pytest.raises(DataError, match=rf"^{pattern}$"):
        take(small(), x, [INPUT, "hidden"], {})


def test_observe_names_the_layer_that_overflows() -> None:
    """A network can turn finite images into infinity."""
    huge = chain("huge", (2,), {"leaky": LeakyRelu(1e38), "steep": LeakyRelu(1e38)})
    message = r"^steep must be finite for every calibration image, not overflow$"
    with pytest.raises(DataError, match=message):
        everything(huge, np.full((1, 2), -1.0), ["leaky", "steep"])


def branches() -> Network:
    """Build a network with every way in which formats are shared, and a normalisation."""
    rng = np.random.default_rng(4)

    def dense(*shape: int) -> Dense:
        return Dense(rng.normal(0, 2, shape).astype(np.float32), rng.normal(0, 1, shape[0]))

    nodes = (
        Node("d", dense(6, 4), (INPUT,)),
        Node("r", Relu(), ("d",)),
        Node("e", dense(2, 4), (INPUT,)),
        Node("l", LeakyRelu(1.5), ("e",)),
        Node("b", Concat(), ("r", "l")),
        Node("o", dense(3, 8), ("b",)),
        Node("p", Softmax(), ("o",)),
    )
    return Network("branches", (4,), nodes, normalisation=Normalisation((2.0,), (-0.25,)))


GIVEN = Settings(output=QFormat(12, 9))
DATA = {
    "pixels": np.random.default_rng(6).integers(0, 256, (200, 4), np.uint8),
    "floats": np.random.default_rng(6).normal(0, 2, (200, 4)),
}


@settings(max_examples=40)
@given(
    data=st.sampled_from(list(DATA)),
    word=st.integers(2, 16),
    method=st.sampled_from(Method),
    signed=st.booleans(),
    one=st.sampled_from(
        [Settings(3), Settings(output=QFormat(8, 4)), Settings(method=Method.MSE), None]
    ),
    entrance=st.sampled_from([Settings(output=QFormat(12, 9)), None]),
)
def test_one_observation_is_as_good_as_the_images(
    data: str,
    word: int,
    method: Method,
    signed: bool,
    one: Settings | None,
    entrance: Settings | None,
) -> None:
    """Whatever the settings: the same integers and notes; a copy in another process too."""
    network, x = branches(), DATA[data]
    layers = {"d": one, INPUT: entrance}
    general = Settings(word, method=method, signed=signed)
    plan = Plan(general, {name: chosen for name, chosen in layers.items() if chosen})
    by_images, by_copy = propose(network, x, plan), propose(network, OBSERVED[data], plan)
    assert dumps(by_copy.fixed) == dumps(by_images.fixed)
    assert by_copy.notes == by_images.notes


OBSERVED = {n: pickle.loads(pickle.dumps(fxpnn.observe(branches(), x))) for n, x in DATA.items()}


def test_an_observation_is_frozen() -> None:
    """Also a copy of one."""
    found = OBSERVED["pixels"]
    for array in (found.distributions["d"].counts, found.ranges[INPUT].low):
        with pytest.raises(ValueError, match=r"^assignment destination is read-only$"):
            array[...] = 0
    with pytest.raises(TypeError, match=r"^'mappingproxy' object does not support item"):
        found.ranges["d"] = found.ranges[INPUT]
    assert len(repr(found)) < 300


def test_an_observation_of_another_network_is_refused() -> None:
    """What differs is named."""
    message = (
        "the observation must be of small, not of another network; they differ in "
        "b, d, e, flat, hidden, input, l, o, p, r, relu"
    )
    with pytest.raises(ModelError, match=f"^{message}$"):
        quantize(small(), OBSERVED["floats"])


def test_what_was_not_observed_is_refused() -> None:
    """An observation for one plan need not do for another."""
    proved = Settings(method=Method.PROVED)
    found = fxpnn.observe(branches(), DATA["pixels"], proved)
    assert dumps(quantize(branches(), found, proved)) == dumps(quantize(branches(), None, proved))
    message = "the observation must be of b, d, e, l, o too; observe for this plan, or for any"
    with pytest.raises(FormatError, match=f"^{message}$"):
        quantize(branches(), found)
    with pytest.raises(FormatError, match=r"^settings must name layers of branches, not x; "):
        fxpnn.observe(branches(), DATA["pixels"], Plan(layers={"x": Settings()}))
