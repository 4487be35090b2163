"""The float forward pass equals the definitions of its layers, written out as loops."""

import math
import re
import tracemalloc
from collections.abc import Callable, Iterator
from typing import TypeAlias

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fxpnn.errors import DataError
from fxpnn.network.graph import INPUT, Network, Node, Scaling, chain
from fxpnn.network.images import logits_of
from fxpnn.network.layers import (
    Abs,
    Add,
    Array,
    AvgPool2D,
    Clip,
    Concat,
    Conv2D,
    Dense,
    Elu,
    Flatten,
    HardSigmoid,
    HardSwish,
    L2Pool2D,
    Layer,
    LeakyRelu,
    MaxPool2D,
    Mul,
    Pad,
    PRelu,
    Relu,
    Reshape,
    Sigmoid,
    Silu,
    Slice,
    Softmax,
    Softplus,
    Step,
    Tanh,
    Transpose,
    Window,
    layer_types,
)
from fxpnn.reference import classify, compute, formulas, forward, predict, scale, steps
from fxpnn.reference import windows as reference_windows

Case: TypeAlias = tuple[Window, int, int]
"""A window and the height and width of a map that it fits."""

SEEDS = st.integers(0, 2**32 - 1)

X = np.array([-100.0, -3.5, -3.0, -0.75, -0.0, 0.25, 2.0, 3.0, 90.0])
"""Values on, beside and far beyond where activations bend."""

ACTIVATIONS: list[tuple[Layer, Callable[[float], float]]] = [
    (Relu(), lambda x: max(x, 0.0)),
    (LeakyRelu(0.25), lambda x: x if x >= 0 else 0.25 * x),
    (PRelu(np.full(9, 0.5)), lambda x: x if x >= 0 else 0.5 * x),
    (Clip(-0.5, 6.0), lambda x: min(max(x, -0.5), 6.0)),
    (Clip(-math.inf, 1.0), lambda x: min(x, 1.0)),
    (Sigmoid(), lambda x: 1 / (1 + math.exp(-x))),
    (Tanh(), math.tanh),
    (Silu(), lambda x: x / (1 + math.exp(-x))),
    (Elu(), lambda x: x if x >= 0 else math.exp(x) - 1),
    (Softplus(), lambda x: math.log1p(math.exp(x))),
    (Abs(), abs),
    (HardSigmoid(0.2, 0.5), lambda x: min(max(0.2 * x + 0.5, 0.0), 1.0)),
    (HardSwish(), lambda x: x * min(max(x + 3, 0.0), 6.0) / 6),
    (Step(0.25), lambda x: 1.0 if x >= 0.25 else 0.0),
]


@pytest.mark.parametrize(
    ("layer", "function"), ACTIVATIONS, ids=[type(layer).__name__ for layer, _ in ACTIVATIONS]
)
def test_activation_is_its_formula(layer: Layer, function: Callable[[float], float]) -> None:
    """Every activation is its scalar formula at each element, in either precision."""
    expected = [function(float(x)) for x in X]
    # NumPy's exponentials and those of the C library differ in the last bit.
    np.testing.assert_allclose(compute(layer, X[None])[0], expected, rtol=1e-14)
    single = compute(layer, X[None].astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single[0], expected, rtol=1e-6, atol=1e-38)


@st.composite
def windows(draw: st.DrawFn, ceil_mode: bool = True) -> Case:
    """Draw a window with padding below its span, and the size of a map that it fits."""
    pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel, stride, dilation = draw(pairs), draw(pairs), draw(pairs)
    sh, sw = Window(kernel, dilation=dilation).span
    top, left, bottom, right = (draw(st.integers(0, min(2, n - 1))) for n in (sh, sw, sh, sw))
    height = draw(st.integers(max(1, sh - top - bottom), sh + 3))
    width = draw(st.integers(max(1, sw - left - right), sw + 3))
    ceil = ceil_mode and draw(st.booleans())
    return Window(kernel, stride, (top, left, bottom, right), dilation, ceil), height, width


def places(window: Window, x: Array, row: int, column: int) -> Iterator[float | None]:
    """Give what each place of the kernel sees from one position: ``None`` is padding.

    What hangs over the padded edge is ``nan``.
    """
    height, width = x.shape
    for i in range(window.kernel[0]):
        for j in range(window.kernel[1]):
            r = row * window.stride[0] + i * window.dilation[0] - window.padding[0]
            c = column * window.stride[1] + j * window.dilation[1] - window.padding[1]
            if 0 <= r < height and 0 <= c < width:
                yield float(x[r, c])
            elif r < height + window.padding[2] and c < width + window.padding[3]:
                yield None
            else:
                yield math.nan


def pooled(layer: Layer, seen: list[float | None]) -> float:
    """Pool what one window position sees, by definition."""
    values = [v for v in seen if v is not None and not math.isnan(v)]
    if isinstance(layer, MaxPool2D):
        return max(values, default=-math.inf)
    if isinstance(layer, L2Pool2D):
        return math.sqrt(math.fsum(v * v for v in values))
    assert isinstance(layer, AvgPool2D)
    padding = seen.count(None) if layer.count_padding else 0
    return math.fsum(values) / max(len(values) + padding, 1)


POOLS: list[Callable[[Window], Layer]] = [
    MaxPool2D,
    L2Pool2D,
    AvgPool2D,
    lambda window: AvgPool2D(window, count_padding=True),
]


@pytest.mark.parametrize("pool", POOLS, ids=["max", "l2", "average", "average-padding"])
@settings(max_examples=60, deadline=None)
@given(case=windows(), seed=SEEDS)
@example(case=(Window((2, 1), padding=(1, 0, 1, 0), dilation=(3, 1)), 2, 1), seed=0)  # sees nothing
def test_pool_is_its_definition(pool: Callable[[Window], Layer], case: Case, seed: int) -> None:
    """A pool sees what lies inside the map; padding may count, what hangs over never does."""
    window, height, width = case
    layer = pool(window)
    x = np.random.default_rng(seed).normal(size=(2, 2, height, width))
    y = compute(layer, x)
    assert y.shape == (2, *layer.shape(x.shape[1:]))
    for n, channel, row, column in np.ndindex(*y.shape):
        expected = pooled(layer, list(places(window, x[n, channel], row, column)))
        assert y[n, channel, row, column] == pytest.approx(expected, rel=1e-12, abs=1e-15)


@settings(max_examples=60, deadline=None)
@given(
    case=windows(ceil_mode=False),
    groups=st.integers(1, 3),
    maps=st.integers(1, 2),
    outs=st.integers(1, 3),
    seed=SEEDS,
)
def test_convolution_is_its_definition(
    case: Case, groups: int, maps: int, outs: int, seed: int
) -> None:
    """A convolution correlates the maps of its group with kernels that are not flipped."""
    window, height, width = case
    generator = np.random.default_rng(seed)
    weight = generator.normal(size=(groups * outs, maps, *window.kernel))
    layer = Conv2D(weight, generator.normal(size=groups * outs), window, groups)
    x = generator.normal(size=(2, groups * maps, height, width))
    y = compute(layer, x)
    assert y.shape == (2, *layer.shape(x.shape[1:]))
    for n, out, row, column in np.ndindex(*y.shape):
        group = x[n, out // outs * maps :][:maps]
        terms = [float(layer.bias[out])]
        for plane, kernel in zip(group, weight[out], strict=True):
            seen = places(window, plane, row, column)
            terms += [float(w) * (v or 0) for w, v in zip(kernel.flat, seen, strict=True)]
        assert y[n, out, row, column] == pytest.approx(math.fsum(terms), rel=1e-9, abs=1e-12)


def test_dense_multiplies_by_rows() -> None:
    """Each output is its row of weights times the input, plus its bias."""
    layer = Dense(np.array([[1.0, 2.0, 3.0], [0.0, -1.0, 4.0]]), np.array([10.0, 20.0]))
    assert compute(layer, np.array([[1.0, 10.0, 100.0]])).tolist() == [[331.0, 410.0]]


def test_rows_of_weights_are_turned_into_floats_some_at_a_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One output at a time is what all are at once; the weights are never doubles all at once."""
    layer = Dense(np.arange(12, dtype=np.float32).reshape(4, 3), np.ones(4, np.float32))
    x = np.arange(6, dtype=np.float64).reshape(2, 3)
    whole = compute(layer, x)
    monkeypatch.setattr(formulas, "WEIGHTS", 1)
    assert np.array_equal(compute(layer, x), whole)
    assert compute(layer, x).dtype == np.float64


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_softmax_sums_to_one_along_its_axis(axis: int) -> None:
    """Softmax normalises along the named axis of the shape without the batch, however large x."""
    x = np.random.default_rng(1).normal(0, 1000, size=(2, 3, 4, 5))
    y = compute(Softmax(axis), x)
    np.testing.assert_allclose(y.sum(axis=axis % 3 + 1), 1, rtol=1e-12)  # rounded quotients


def test_softmax_of_the_lecture() -> None:
    """The logits (2, 1, -1) have powers 7.39, 2.72, 0.37 and shares 0.71, 0.26, 0.04."""
    y = compute(Softmax(), np.array([[2.0, 1.0, -1.0]]))[0]
    assert [round(float(p), 2) for p in y] == [0.71, 0.26, 0.04]


def test_layers_that_move_data() -> None:
    """Layers of two inputs, and those that relabel, do to each example what numpy does to it."""
    x = np.arange(12.0).reshape(2, 1, 2, 3)
    y = x + 100
    for n in range(2):
        pairs: list[tuple[Array, Array]] = [
            (compute(Add(), x, y)[n], x[n] + y[n]),
            (compute(Mul(), x, y[..., :1])[n], x[n] * y[n, ..., :1]),
            (compute(Concat(axis=1), x, y, x)[n], np.concatenate([x[n], y[n], x[n]], axis=1)),
            (compute(Concat(axis=-1), x, y)[n], np.concatenate([x[n], y[n]], axis=-1)),
            (
                compute(Pad(((0, 0), (1, 0), (0, 2)), 7.0), x)[n],
                np.pad(x[n], ((0, 0), (1, 0), (0, 2)), constant_values=7.0),
            ),
            (compute(Slice(2, 0, 3, 2), x)[n], x[n, :, :, ::2]),
            (compute(Flatten(), x)[n], x[n].ravel()),
            (compute(Reshape((3, 2)), x)[n], x[n].reshape(3, 2)),
            (compute(Transpose((2, 0, 1)), x)[n], x[n].transpose(2, 0, 1)),
        ]
        for computed, expected in pairs:
            assert computed.tolist() == expected.tolist()


def test_every_layer_is_computed() -> None:
    """No layer of the vocabulary is left out."""
    default = compute.dispatch(Layer)
    assert not {name for name, kind in layer_types().items() if compute.dispatch(kind) is default}
    with pytest.raises(NotImplementedError, match=r"^Layer$"):
        compute(Layer(), X)


def branched() -> Network:
    """Build a network in which one value is read twice and one node never."""
    identity = Dense(np.eye(2), np.zeros(2))
    nodes = (
        Node("a", identity, (INPUT,)),
        Node("unread", Relu(), ("a",)),
        Node("b", Dense(2 * np.eye(2), np.ones(2)), ("a",)),
        Node("sum", Add(), ("a", "b")),
        Node("softmax", Softmax(), ("sum",)),
    )
    return Network("branched", (2,), nodes, ("softmax",))


def test_forward_keeps_what_is_asked_for() -> None:
    """Only the outputs are kept, or the named nodes; a value lives until its last reader."""
    network, x = branched(), np.array([[1.0, -2.0]])
    assert list(forward(network, x)) == ["softmax"]
    kept = forward(network, x, np.float64, keep=["sum", INPUT])
    assert {name: value.tolist() for name, value in kept.items()} == {
        INPUT: [[1.0, -2.0]],
        "sum": [[4.0, -5.0]],
    }
    assert set(forward(network, x, keep=network.shapes)) == set(network.shapes)


def test_every_value_has_the_dtype_asked_for() -> None:
    """Parameters are brought to the dtype of the pass, not the pass to theirs."""
    for dtype in (np.float32, np.float64):
        values = forward(branched(), np.ones((1, 2)), dtype, keep=branched().shapes)
        assert {value.dtype for value in values.values()} == {np.dtype(dtype)}


def test_logits_are_what_the_softmax_reads() -> None:
    """The class is judged before the softmax, where there is one."""
    assert logits_of(branched()) == "sum"
    assert logits_of(chain("plain", (2,), {"a": Relu()})) == "a"


def test_classify_takes_the_first_maximum() -> None:
    """Of equal logits the first wins, as it does in the integer engine."""
    network = chain("plain", (3,), {"a": Relu()})
    assert classify(network, np.array([[1.0, 5.0, 5.0], [0.0, -1.0, -2.0]])).tolist() == [1, 0]


def test_pixels_are_scaled_and_floats_pass() -> None:
    """Pixels become (pixel * scale - mean) / std per channel; floats are scaled already."""
    pixels = np.array([0, 51, 255, 102], np.uint8).reshape(1, 2, 1, 2)
    scaled = scale(pixels, Scaling(1 / 51, (1.0, 2.0), (2.0, 4.0)), np.float64)
    # 1/51 is no float: its multiples may miss theirs by a last bit.
    np.testing.assert_allclose(scaled.ravel(), [-0.5, 0, 0.75, 0], atol=1e-15)
    assert scale(pixels, Scaling()).tolist() == (pixels / 256).tolist()
    floats = np.array([[0.1]])
    assert scale(floats, Scaling(), np.float64) is floats


def test_integers_other_than_uint8_are_refused() -> None:
    """Integers that are not uint8 have no known scale."""
    message = "images must be uint8 pixels or scaled floats, not int64"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        scale(np.zeros((1, 2), np.int64), Scaling())


@pytest.mark.parametrize("shape", [(0, 2), (4, 3), (2,)])
def test_images_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    """The error names the shape wanted and the shape given."""
    message = f"images must be (N, 2) with N of 1 or more, not {shape}"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        predict(branched(), np.zeros(shape))


@pytest.mark.parametrize("block", [1, 3, 256])
def test_predict_is_the_same_for_every_block(block: int) -> None:
    """Blocks are joined in order, whatever their size."""
    x = np.random.default_rng(2).integers(0, 256, (7, 2), np.uint8)
    whole = forward(branched(), x / 256)["softmax"]
    # Products of matrices of other sizes are added in another order: float32 ends at 1e-7.
    np.testing.assert_allclose(predict(branched(), x, block=block)["softmax"], whole, rtol=1e-6)


def test_predict_needs_no_more_memory_for_more_images() -> None:
    """Beyond its results, predict holds one block's values."""
    weight = np.ones((8, 1, 3, 3), np.float32)
    layers = {
        "c": Conv2D(weight, np.zeros(8), Window((3, 3), padding=(1, 1, 1, 1))),
        "p": MaxPool2D(Window((28, 28))),
    }
    network = chain("conv", (1, 28, 28), layers)
    peaks = []
    for count in (256, 2048):
        x = np.zeros((count, 1, 28, 28), np.uint8)
        tracemalloc.start()
        predict(network, x, block=64)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0] + 2048 * 8 * 4 * 2


def test_patches_are_copied_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few are copied at once, lines or single places, the outputs are the same."""
    rng = np.random.default_rng(4)
    layer = Conv2D(rng.normal(size=(4, 2, 3, 2)), rng.normal(size=4), Window((3, 2), (2, 1)), 2)
    x = rng.normal(size=(3, 4, 11, 7))
    whole = compute(layer, x)
    for most in (1, 3 * 4 * 6 * 2, 3 * 4 * 6 * 6 * 2):
        monkeypatch.setattr(reference_windows, "PATCHES", most)
        # BLAS may add the products of a smaller matrix in another order.
        np.testing.assert_allclose(compute(layer, x), whole, rtol=1e-12, atol=1e-12)
        assert sum(1 for _ in reference_windows.blocks(x, layer.window, 2)) > 1


def test_a_tensor_is_freed_behind_its_last_reader() -> None:
    """A chain of many large tensors needs the memory of some."""
    layers = {f"r{i}": LeakyRelu(0.5) for i in range(40)}
    x = np.ones((1, 1 << 16))
    tracemalloc.start()
    names = [name for name, _ in steps(chain("n", (1 << 16,), layers), x, np.float64)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert names == [INPUT, *layers]
    assert peak < 6 * x.nbytes
