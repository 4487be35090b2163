"""The engine computes what the golden model says, in every raw value and every count."""

import os
import platform
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxpnn import golden
from fxpnn.engine.inference import Engine, infer
from fxpnn.errors import DataError
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, QFormat
from fxpnn.network import fxp
from fxpnn.network.fixed import Counts, FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT, Scaling
from fxpnn.network.layers import (
    Conv2D,
    Dense,
    Flatten,
    Layer,
    MaxPool2D,
    Relu,
    Softmax,
    Window,
    layer_types,
)
from fxpnn.network.tables import table_for
from tests.support.agreement import agree
from tests.support.strategies import (
    NetworkCase,
    dense_at_limit,
    fixed_networks,
    repeated_factors,
    unsigned_before_relus,
)

WORD = QFormat(16, 8)


@given(case=fixed_networks())
def test_engine_is_the_golden_model(case: NetworkCase) -> None:
    """Random graphs of all layers, formats, accumulators and modes give the same bits."""
    agree(case)


@settings(max_examples=40)
@pytest.mark.parametrize("kind", layer_types().values(), ids=list(layer_types()))
@given(data=st.data())
def test_every_layer_is_the_golden_model(kind: type[Layer], data: st.DataObject) -> None:
    """Each kind of layer alone, with strides, padding, groups, dilation and one-pixel maps."""
    agree(data.draw(fixed_networks(kinds=(kind,), max_layers=2)))


@settings(max_examples=300)
@given(case=unsigned_before_relus())
def test_unsigned_words_before_relus_are_the_golden_model(case: NetworkCase) -> None:
    """What is below 0 is counted apart where only ReLUs follow, and else a saturation."""
    agree(case)


@given(case=dense_at_limit())
def test_accumulators_at_their_limit(case: NetworkCase) -> None:
    """Sums that reach the limit at the first, a middle or the last step agree, and their counts."""
    agree(case)


@given(case=repeated_factors())
def test_factors_repeat_along_axes(case: NetworkCase) -> None:
    """A map times one value for each channel, row or column, wherever the words lie, agrees."""
    agree(case)


@pytest.mark.slow
@pytest.mark.parametrize(
    "environment",
    [
        {"FXPNN_KERNELS": "plain"},
        {"FXPNN_KERNELS": "plain", "NUMBA_DISABLE_JIT": "1"},
        {"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma"},
        {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": ""},
    ],
    ids=["plain loops", "plain Python", "AVX2", "SSE2"],
)
@pytest.mark.skipif(platform.machine() != "x86_64", reason="names processors of x86-64")
def test_other_loops_and_processors_are_the_golden_model(environment: dict[str, str]) -> None:
    """The plain loops, compiled and in Python, and narrower vectors give the same bits."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__]
    names = "test_depthwise.py", "test_octets.py"
    command += [str(Path(__file__).with_name(name)) for name in names]
    command += ["-k", "is_the_golden_model and not other or limit or threads"]
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout[-2000:]


def network(word: int = 48, overflow: Overflow = Overflow.SATURATE) -> FixedNetwork:
    """Build a 6-5-3 network of full-scale weights with a softmax."""
    rng = np.random.default_rng(7)

    def dense(name: str, source: str, outs: int, ins: int) -> FixedNode:
        weight = rng.integers(-32768, 32767, (outs, ins), np.int16, endpoint=True)
        bias = rng.integers(-(2**30), 2**30, outs)
        register = Accumulator(word, overflow)
        return FixedNode(name, Dense(weight, bias), (source,), WORD, (QFormat(16, 15),), register)

    nodes = (
        FixedNode("flat", Flatten(), (INPUT,), WORD),
        dense("hidden", "flat", 5, 6),
        FixedNode("relu", Relu(), ("hidden",), WORD),
        dense("output", "relu", 3, 5),
        FixedNode("softmax", Softmax(), ("output",), QFormat(16, 15), table=table_for(Softmax)),
    )
    return FixedNetwork("small", (1, 2, 3), WORD, nodes)


def images(count: int = 300) -> np.ndarray:
    """Draw full-scale raw images for ``network``."""
    return np.random.default_rng(8).integers(-32768, 32767, (count, 1, 2, 3), np.int16)


@pytest.mark.parametrize(("word", "overflow"), [(48, Overflow.SATURATE), (24, Overflow.SATURATE)])
def test_results_do_not_depend_on_threads_or_batch(word: int, overflow: Overflow) -> None:
    """One thread or three, one batch or many: the same bits and the same counts."""
    fixed, x = network(word, overflow), images()
    whole = infer(fixed, x, threads=1)
    split = infer(fixed, x, threads=3)
    parts = [infer(fixed, x[i : i + 37]) for i in range(0, len(x), 37)]
    assert whole.raw.tolist() == split.raw.tolist()
    assert whole.raw.tolist() == np.concatenate([part.raw for part in parts]).tolist()
    assert whole.layers == split.layers
    for name in whole.layers:
        assert whole.layers[name] == sum((part.layers[name] for part in parts), Counts())


def test_callers_may_be_threads_themselves() -> None:
    """Several threads run one engine at once and each gets its own result."""
    ready, x = Engine(network(24)), images()
    expected = ready.run(x).raw
    with ThreadPoolExecutor(4) as pool:
        runs = pool.map(lambda _: ready.run(x, threads=2).raw, range(8))
        assert all((raw == expected).all() for raw in runs)


IMAGES = {
    "pixels": np.arange(1800).astype(np.uint8),
    "floats": np.linspace(-130, 130, 1800, dtype=np.float32),
    "float64": np.linspace(-130, 130, 1800),
    "float16": np.linspace(-130, 130, 1800).astype(np.float16),
    "words": np.linspace(-32768, 32767, 1800).astype(np.int16),
}


@pytest.mark.parametrize("flat", IMAGES.values(), ids=list(IMAGES))
def test_the_shortest_way_gives_the_same_words(flat: np.ndarray) -> None:
    """One image, some or many, in any layout and byte order: as the golden model's words."""
    fixed, x = network(), flat.reshape(300, 1, 2, 3)
    ready, raw = Engine(fixed), x
    if x.dtype != np.int16:
        factor = 256 * fixed.scaling.scale if x.dtype == np.uint8 else 256
        raw = np.clip(np.rint(x.astype(float) * factor), -32768, 32767)
    truth = golden.run(fixed, raw.astype(np.int64)[:20]).raw["softmax"].tolist()
    expected = ready.run(x).raw
    assert expected[:20].tolist() == truth
    swapped = x.astype(x.dtype.newbyteorder())
    apart = np.frombuffer(b"0" + x.tobytes(), np.uint8)[1:].view(x.dtype).reshape(x.shape)
    for same in (x, swapped, np.asfortranarray(x), np.repeat(x, 2, axis=3)[..., ::2], apart):
        assert ready(same).tolist() == expected.tolist()
        assert ready(same[3:4]).tolist() == expected[3:4].tolist()
        assert ready(same[::-7]).tolist() == expected[::-7].tolist()


def test_the_shortest_way_refuses_what_run_refuses() -> None:
    """NaN, another shape, no images and words outside the input's format."""
    ready, x = Engine(network()), np.zeros((1, 1, 2, 3))
    for wrong in (np.full_like(x, np.nan), x[:, :, :1], x[:0], x.astype(np.int32)):
        with pytest.raises(DataError):
            ready(wrong)
    assert ready(x).tolist() == ready.run(x).raw.tolist()
    with pytest.raises(DataError, match=r"^raw words must fit UQ0\.8, not reach 256\.\.256$"):
        Engine(bytes_network())(np.array([[256]], np.int16))


def test_one_image_from_many_threads() -> None:
    """Each call has a workspace of its own while it runs."""
    ready, x = Engine(network(24)), images()
    expected = ready.run(x).raw
    with ThreadPoolExecutor(4) as pool:
        ones = pool.map(lambda i: ready(x[i : i + 1])[0], [*range(300)] * 20)
        assert np.array_equal(np.stack([*ones]), np.concatenate([expected] * 20))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_child_may_go_on() -> None:
    """After a fork, parent and child run the engine that the parent made ready, on threads too."""
    program = (
        "import os, sys, threading, warnings; warnings.simplefilter('ignore')\n"
        "from tests.engine.test_inference import Engine, images, network\n"
        "ready, x = Engine(network()), images()\n"
        "def give():\n"
        "    assert (ready.run(x, threads=2).raw == expected).all()\n"
        "    assert (ready(x[:1]) == expected[:1]).all()\n"
        "expected = ready.run(x, threads=2).raw\n"
        "child = os.fork()\n"
        "give()\n"
        "if child: assert os.waitpid(child, 0)[1] == 0\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_is_saved_and_loaded_computes_the_same() -> None:
    """The file keeps every bit."""
    fixed = network(30, Overflow.WRAP)
    again = fxp.loads(fxp.dumps(fixed))
    assert infer(again, images()).raw.tolist() == infer(fixed, images()).raw.tolist()


@pytest.mark.parametrize(
    ("word", "overflow", "expected"),
    [
        (48, Overflow.SATURATE, "64-bit in 3 chunks"),
        (48, Overflow.WRAP, "64-bit in 3 chunks"),
        (24, Overflow.SATURATE, "stepwise"),
        (24, Overflow.WRAP, "64-bit in 3 chunks, wrapped"),
    ],
)
def test_only_a_proof_licenses_the_plain_loops(
    word: int, overflow: Overflow, expected: str
) -> None:
    """Full-scale weights need 64-bit sums; a short accumulator is stepped or wrapped."""
    assert Engine(network(word, overflow)).methods["hidden"] == expected


def test_a_saturation_that_no_window_sees_is_counted() -> None:
    """Sums are pooled before their cast only where windows see all of them."""
    word = QFormat(16, 0)
    conv = Conv2D(np.ones((1, 1, 1, 1), np.int16) * 2, np.zeros(1, np.int64), Window((1, 1)))
    pool = MaxPool2D(Window((2, 2), (3, 3)))
    nodes = (
        FixedNode("conv", conv, (INPUT,), word, (word,), Accumulator()),
        FixedNode("pool", pool, ("conv",), word),
    )
    fixed = FixedNetwork("n", (1, 5, 5), word, nodes)
    x = np.zeros((2, 1, 5, 5), np.int16)
    x[1, 0, 2, 2] = 32767  # beside all windows
    run = infer(fixed, x)
    assert run.layers["conv"] == Counts(saturations=1)
    assert not run.raw.any()


def test_every_image_of_a_block_counts_for_its_bounds() -> None:
    """A quiet first image does not excuse a loud second one from the clamp."""
    word, layer = QFormat(16, 0), Dense(np.array([[1, -1]], np.int16), np.array([127]))
    node = FixedNode("d", layer, (INPUT,), word, (word,), Accumulator(8))
    run = infer(FixedNetwork("n", (2,), word, (node,)), np.array([[0, 0], [9, 9]], np.int16))
    assert run.raw.tolist() == [[127], [118]]
    assert run.layers["d"] == Counts(accumulator_overflows=1)


def test_pixels_floats_and_words_are_one_input() -> None:
    """A pixel, its scaled float and its raw word give the same bits, per channel too."""
    pixels = np.arange(12, dtype=np.uint8).reshape(1, 3, 2, 2) * 20
    scaling = Scaling(1 / 255, (0.5, 0.4, 0.3), (0.2, 0.25, 0.3))
    node = FixedNode("flat", Flatten(), (INPUT,), QFormat(16, 12))
    fixed = FixedNetwork("n", (3, 2, 2), QFormat(16, 12), (node,), scaling=scaling)
    mean = np.reshape(scaling.mean, (3, 1, 1))
    floats = (pixels * scaling.scale - mean) / np.reshape(scaling.std, (3, 1, 1))
    raw = infer(fixed, pixels).raw
    assert raw.tolist() == infer(fixed, floats).raw.tolist()
    words = np.rint(floats * 4096).astype(np.int16)
    assert raw.tolist() == infer(fixed, words).raw.tolist()
    assert raw.tolist() == words.reshape(1, -1).tolist()


def test_input_saturations_are_counted() -> None:
    """Values outside the input's format saturate, and are counted: floats and pixels."""
    node = FixedNode("flat", Flatten(), (INPUT,), QFormat(8, 8, signed=False))
    fixed = FixedNetwork("n", (4,), QFormat(8, 8, signed=False), (node,), scaling=Scaling(1 / 128))
    run = infer(fixed, np.array([[0.5, 1.0, -0.25, np.inf]]))
    assert run.raw.tolist() == [[128, 255, 0, 255]]
    assert run.layers[INPUT] == Counts(saturations=3)
    run = infer(fixed, np.array([[0, 127, 128, 255]], np.uint8))
    assert run.raw.tolist() == [[0, 254, 255, 255]]
    assert run.layers[INPUT] == Counts(saturations=2)


@pytest.mark.parametrize("frac", [-140, -126, -100, -2, 7, 15, 100, 127, 140])
def test_float32_is_cast_as_float64(frac: int) -> None:
    """Whatever the scale: products that float32 would lose or make infinite, ties, limits."""
    fmt = QFormat(16, frac)
    fixed = FixedNetwork("n", (4,), fmt, (FixedNode("flat", Flatten(), (INPUT,), fmt),))
    around = np.array([0, 0.5, 1.5, -2.5, 32767.4, 32767.5, -32768.5, -32768.6]) * 2.0**-frac
    limits = [np.inf, -np.inf, np.finfo("f4").max, -np.finfo("f4").tiny, 1e-45, -0.0, 1, -1]
    with np.errstate(over="ignore", under="ignore"):
        x = np.array([*around, *limits], np.float32).reshape(4, 4)
    short, exact = infer(fixed, x), infer(fixed, x.astype(np.float64))
    assert short.raw.tolist() == exact.raw.tolist()
    assert short.layers == exact.layers


def test_predictions_are_the_first_maximum_of_the_logits() -> None:
    """Logits that differ by one count are told apart though their softmax is equal."""
    table = table_for(Softmax)
    node = FixedNode("softmax", Softmax(), (INPUT,), QFormat(16, 15), table=table)
    relu = FixedNode("relu", Relu(), (INPUT,), QFormat(16, 15))
    node = FixedNode("softmax", Softmax(), ("relu",), QFormat(16, 15), table=table)
    fixed = FixedNetwork("n", (3,), QFormat(16, 15), (relu, node))
    run = infer(fixed, np.array([[5, 6, 6], [9, 9, 8]], np.int16))
    assert run.predictions.tolist() == [1, 0]
    assert run.probabilities is not None
    assert run.probabilities.tolist() == (run.raw / 32768).tolist()


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((2, 1, 2, 2), np.uint8), "images must be (N, 1, 2, 3) with N of 1 or more, "
         "not (2, 1, 2, 2)"),
        (np.zeros((0, 1, 2, 3), np.uint8), "images must be (N, 1, 2, 3) with N of 1 or more, "
         "not (0, 1, 2, 3)"),
        (np.zeros((1, 1, 2, 3), np.int32), "images must be uint8 pixels, scaled floats or int16 "
         "raw words, not int32"),
        (np.full((1, 1, 2, 3), np.nan), "input[0, 0, 0, 0] must be a number, not NaN"),
    ],
)  # fmt: skip
def test_images_that_do_not_fit(x: np.ndarray, message: str) -> None:
    """Each is refused in one line."""
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        infer(network(), x)


def test_words_outside_the_input_format() -> None:
    """A raw word that the input's format has not is refused."""
    with pytest.raises(DataError, match=r"^raw words must fit UQ0\.8, not reach 256\.\.256$"):
        infer(bytes_network(), np.array([[256]], np.int16))


def bytes_network() -> FixedNetwork:
    """Build a network that gives its one 8-bit word back."""
    node = FixedNode("flat", Flatten(), (INPUT,), QFormat(8, 8, signed=False))
    return FixedNetwork("n", (1,), QFormat(8, 8, signed=False), (node,))


def test_progress_counts_every_image() -> None:
    """The callback is told of each image once."""
    seen: list[int] = []
    infer(network(), images(), progress=seen.append)
    assert sum(seen) == 300


def test_a_workspace_is_used_again_and_counts_from_0() -> None:
    """Whatever an engine ran before, a run counts what its own images lose."""
    fixed, x = network(16, Overflow.WRAP), np.full((3, 1, 2, 3), 32767, np.int16)
    first = Engine(fixed).run(x, 1)
    assert any(counts != Counts() for counts in first.layers.values())
    engine = Engine(fixed)
    for _ in range(3):
        engine(x)
        again = engine.run(x, 1)
        assert dict(again.layers) == dict(first.layers)
        assert (again.raw == first.raw).all()
