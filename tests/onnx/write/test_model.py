"""Files that fxpnn writes are valid, read back the same, and run in ONNX Runtime."""

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxpnn.errors import DataError, ModelError
from fxpnn.network.graph import INPUT, Network, Node, Scaling, chain
from fxpnn.network.layers import (
    Abs,
    Add,
    AvgPool2D,
    Clip,
    Concat,
    Conv2D,
    Dense,
    Elu,
    Flatten,
    Gelu,
    GeluTanh,
    HardSigmoid,
    HardSwish,
    L2Pool2D,
    Layer,
    LayerNorm,
    LeakyRelu,
    MaskedSoftmax,
    MatMul,
    MaxPool2D,
    Mish,
    Mul,
    Pad,
    PRelu,
    Quantize,
    Relu,
    Reshape,
    Selu,
    Shape,
    Sigmoid,
    Silu,
    Slice,
    Softmax,
    Softplus,
    Softsign,
    Step,
    Take,
    Tanh,
    Transpose,
    Window,
    layer_types,
)
from fxpnn.onnx import from_model, load, save, to_model
from fxpnn.reference import forward
from tests.support.onnx_models import assert_floats_agree, floats, runtime

MAPS = (2, 7, 6)

SAMPLES: dict[str, tuple[Shape, Layer]] = {
    "dense": ((5,), Dense(floats(3, 5), floats(3))),
    "conv": (
        MAPS,
        Conv2D(floats(4, 2, 3, 2), floats(4), Window((3, 2), (2, 1), (1, 0, 2, 1), (1, 2))),
    ),
    "depthwise": (MAPS, Conv2D(floats(4, 1, 2, 2), floats(4), Window((2, 2)), groups=2)),
    "max pool": (MAPS, MaxPool2D(Window((3, 3), (3, 2), (1, 0, 0, 0), ceil_mode=True))),
    "dilated max pool": (MAPS, MaxPool2D(Window((2, 2), dilation=(2, 3)))),
    "average pool": (MAPS, AvgPool2D(Window((3, 3), (2, 2), (1, 1, 1, 1)))),
    "padded average": (MAPS, AvgPool2D(Window((2, 3), padding=(1, 0, 0, 2)), count_padding=True)),
    "dilated average": (MAPS, AvgPool2D(Window((2, 2), dilation=(2, 3)))),
    "l2 pool": (MAPS, L2Pool2D(Window((2, 3), (2, 2), (0, 1, 1, 0)))),
    "relu": (MAPS, Relu()),
    "leaky relu": (MAPS, LeakyRelu(0.125)),
    "prelu of maps": (MAPS, PRelu(floats(2))),
    "prelu of a vector": ((5,), PRelu(floats(5))),
    "clip": (MAPS, Clip(-0.5, 0.75)),
    "clip open above": (MAPS, Clip(-0.5, float("inf"))),
    "clip open below": (MAPS, Clip(-float("inf"), 0.25)),
    "sigmoid": (MAPS, Sigmoid()),
    "tanh": (MAPS, Tanh()),
    "silu": (MAPS, Silu()),
    "elu": (MAPS, Elu()),
    "softplus": (MAPS, Softplus()),
    "gelu": (MAPS, Gelu()),
    "gelu by tanh": (MAPS, GeluTanh()),
    "mish": (MAPS, Mish()),
    "selu": (MAPS, Selu()),
    "softsign": (MAPS, Softsign()),
    "abs": (MAPS, Abs()),
    "hard sigmoid": (MAPS, HardSigmoid(0.25, 0.375)),
    "hard swish": (MAPS, HardSwish()),
    "step": (MAPS, Step(0.25)),
    "softmax": ((5,), Softmax()),
    "softmax over maps": (MAPS, Softmax(0)),
    "masked softmax": ((2, 3, 4), MaskedSoftmax(-1, ((0, 1), (1, 4), (0, 4)))),
    "masked softmax of all heads apart": ((2, 1, 4), MaskedSoftmax(-1, ((0, 1), (1, 4)))),
    "masked softmax over maps": (MAPS, MaskedSoftmax(0, ((1, 2),))),
    "layer norm": (MAPS, LayerNorm(floats(6), floats(6), 0.25)),
    "pad": (MAPS, Pad(((0, 1), (2, 0), (1, 3)), -0.5)),
    "slice": (MAPS, Slice(2, 1, 6, 2)),
    "take": (MAPS, Take(1, (3, 3, 0, 6, 1))),
    "flatten": (MAPS, Flatten()),
    "reshape": (MAPS, Reshape((6, 14))),
    "transpose": (MAPS, Transpose((2, 0, 1))),
}


def assert_same(network: Network, other: Network) -> None:
    """Assert that two networks are equal to the bit, names included."""
    for name in ("name", "input_shape", "outputs", "scaling", "shapes"):
        assert getattr(network, name) == getattr(other, name)
    for node, twin in zip(network.nodes, other.nodes, strict=True):
        assert (node.name, node.op, node.inputs) == (twin.name, twin.op, twin.inputs)
        for field, value in vars(node.layer).items():
            found = getattr(twin.layer, field)
            assert np.asarray(value).dtype == np.asarray(found).dtype
            assert np.array_equal(value, found)


@pytest.mark.parametrize(("shape", "layer"), SAMPLES.values(), ids=SAMPLES)
def test_every_layer_round_trips_and_runs(shape: Shape, layer: Layer) -> None:
    """A written layer is valid ONNX, reads back the same, and ONNX Runtime agrees with it."""
    network = chain("one", shape, {"it": layer})
    model = to_model(network)
    onnx.checker.check_model(model, full_check=True)
    assert_same(network, from_model(model))
    x = floats(3, *shape)
    assert_floats_agree(forward(network, x)["it"], runtime(model, x)[0])


def test_every_layer_has_a_sample() -> None:
    """No layer is left out; those of several inputs are in the branches, a cast is below."""
    sampled = {type(layer) for _, layer in SAMPLES.values()} | {Add, Concat, MatMul, Mul, Quantize}
    assert sampled == set(layer_types().values())


def test_a_cast_is_no_operation_in_floats() -> None:
    """ONNX has no formats: a layer that only casts is an Identity, and vanishes when read."""
    model = to_model(chain("cast", (2,), {"act": Relu(), "cast": Quantize(), "end": Tanh()}))
    assert [node.op_type for node in model.graph.node] == ["Relu", "Identity", "Tanh"]
    assert [node.op for node in from_model(model).nodes] == ["Relu", "Tanh"]


@st.composite
def pools(draw: st.DrawFn) -> tuple[Shape, Layer]:
    """Draw a pool with every option, on a map that it just fits or nearly.

    ONNX Runtime wants padding below the kernel; below the dilated span would do for us.
    """
    kernel, dilation = (draw(st.tuples(st.integers(1, 3), st.integers(1, 3))) for _ in "kd")
    bare = Window(kernel, dilation=dilation)
    stride = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    top, left, bottom, right = (draw(st.integers(0, k - 1)) for k in kernel * 2)
    window = Window(kernel, stride, (top, left, bottom, right), dilation, draw(st.booleans()))
    size = [draw(st.integers(s, s + 6)) for s in bare.span]
    kind = draw(st.sampled_from([MaxPool2D, AvgPool2D, L2Pool2D]))
    layer = kind(window)
    if isinstance(layer, AvgPool2D):
        layer = AvgPool2D(window, draw(st.booleans()))
    return (2, *size), layer


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Shape, Layer]:
    """Draw a convolution with every option, on a map that it just fits or nearly."""
    kernel, stride, dilation = (
        draw(st.tuples(st.integers(1, 3), st.integers(1, 3))) for _ in range(3)
    )
    top, left, bottom, right = (draw(st.integers(0, 3)) for _ in range(4))
    window = Window(kernel, stride, (top, left, bottom, right), dilation)
    groups, inner, outer = (draw(st.integers(1, 3)) for _ in range(3))
    size = [
        draw(st.integers(max(span - padding, 1), span + 5))
        for span, padding in zip(window.span, (top + bottom, left + right), strict=True)
    ]
    weight = floats(groups * outer, inner, *kernel)
    return (groups * inner, *size), Conv2D(weight, floats(groups * outer), window, groups)


@given(case=convolutions())
def test_convolutions_agree_with_onnx_runtime(case: tuple[Shape, Layer]) -> None:
    """A convolution is ONNX Runtime's, whatever its stride, padding, dilation and groups."""
    shape, layer = case
    network = chain("conv", shape, {"it": layer})
    x = floats(2, *shape)
    assert_floats_agree(forward(network, x)["it"], runtime(to_model(network), x)[0])


@given(case=pools())
def test_pools_agree_with_onnx_runtime(case: tuple[Shape, Layer]) -> None:
    """A pool has the positions and values of ONNX Runtime's, whatever its stride and padding."""
    shape, layer = case
    network = chain("pool", shape, {"it": layer})
    x = floats(2, *shape)
    assert_floats_agree(forward(network, x)["it"], runtime(to_model(network), x)[0])


def test_ceil_mode_is_written_only_where_it_adds_a_position() -> None:
    """Runtimes and ONNX's own shape inference differ in when a hanging window counts."""
    for padding, ceil_mode in (((0, 0, 1, 1), 0), ((0, 0, 0, 0), 0), ((1, 1, 0, 0), 1)):
        layer = MaxPool2D(Window((2, 2), (2, 2), padding, ceil_mode=True))
        model = to_model(chain("pool", (1, 6, 6), {"it": layer}))
        onnx.checker.check_model(model, full_check=True)
        attributes = {a.name: a.i for a in model.graph.node[0].attribute}
        assert attributes["ceil_mode"] == ceil_mode


def branches() -> Network:
    """Build a network with sums, products, concatenations, three outputs and a scaling."""
    conv = Conv2D(floats(2, 2, 3, 3), floats(2), Window((3, 3), padding=(1, 1, 1, 1)))
    nodes = (
        Node("/block/conv", conv, (INPUT,)),
        Node("/block/Add", Add(), ("/block/conv", INPUT)),
        Node("act", Silu(), ("/block/Add",)),
        Node("both", Concat(0), ("act", INPUT)),
        Node("mean", AvgPool2D(Window(MAPS[1:])), (INPUT,)),
        Node("scaled", Mul(), ("act", "mean")),
        Node("beside", Concat(-1), ("scaled", "/block/Add", INPUT)),
        Node("turned", Transpose((0, 2, 1)), ("act",)),
        Node("gram", MatMul(), ("act", "turned")),
    )
    scaling = Scaling(1 / 255, (0.1307, 0.5), (0.3081, 0.25))
    return Network("branched", MAPS, nodes, ("both", "beside", "gram"), scaling)


def test_a_graph_round_trips(tmp_path: Path) -> None:
    """Branches, outputs, names, scaling and the network's name survive the file."""
    network, path = branches(), tmp_path / "branched.onnx"
    save(network, path)
    assert_same(network, load(path))
    x = floats(3, *MAPS)
    expected = runtime(to_model(network), x)
    for found, wanted in zip(forward(network, x).values(), expected, strict=True):
        assert_floats_agree(found, wanted)


def test_the_same_network_gives_the_same_bytes(tmp_path: Path) -> None:
    """Writing twice, and writing what was read, changes no byte."""
    network = branches()
    for name in ("a.onnx", "b.onnx"):
        save(network, tmp_path / name)
    save(load(tmp_path / "a.onnx"), tmp_path / "c.onnx")
    contents = {path.read_bytes() for path in tmp_path.iterdir()}
    assert len(contents) == 1


def test_the_batch_is_symbolic() -> None:
    """Any number of images runs: the first axis of inputs and outputs is N."""
    graph = to_model(branches()).graph
    for info in [*graph.input, *graph.output]:
        assert info.type.tensor_type.shape.dim[0].dim_param == "N"


def test_the_producer_is_fxpnn_without_a_date() -> None:
    """A file says who wrote it and nothing that changes with time."""
    model = to_model(branches())
    assert (model.producer_name, model.producer_version) == ("fxpnn", "")


def test_names_that_look_like_ours_do_not_collide() -> None:
    """A layer may be named as a weight or a helper of another."""
    layers = {
        "d": Dense(floats(2, 3), floats(2)),
        "d.weight": Silu(),
        "d.weight.sigmoid": Silu(),
        "d.weight.out": Step(0.0),
        "d.bias": Dense(floats(2, 2), floats(2)),
    }
    network = chain("names", (3,), layers)
    assert_same(network, from_model(to_model(network)))
    assert runtime(to_model(network), floats(1, 3))[0].shape == (1, 2)


def test_float64_parameters_are_rounded_to_float32() -> None:
    """What float32 cannot hold is rounded to the nearest value that it can."""
    network = chain("fine", (1,), {"d": Dense(np.array([[1 / 3]]), np.array([1e-3]))})
    layer = from_model(to_model(network))["d"].layer
    assert isinstance(layer, Dense)
    assert layer.weight == np.float32(1 / 3)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Dense(np.array([[1e39]]), np.zeros(1)), "layer it (Dense): weight must fit float32"),
        (LeakyRelu(-1e39), "layer it (LeakyRelu): alpha must fit float32"),
        (Clip(-1e39, 0.0), "layer it (Clip): low must fit float32"),
    ],
)
def test_parameters_beyond_float32_are_refused(layer: Layer, message: str) -> None:
    """What float32 cannot hold names its layer."""
    with pytest.raises(ModelError, match=rf"^{re.escape(message)}$"):
        to_model(chain("big", (1,), {"it": layer}))


def test_a_network_beyond_a_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """More weights than one protobuf message holds are refused before it is built."""
    monkeypatch.setattr("fxpnn.onnx.write.model.MAX_BYTES", 100)
    network = chain("large", (5,), {"d": Dense(floats(5, 5), floats(5))})
    message = "weights must take at most 100 bytes in all, not 120"
    with pytest.raises(ModelError, match=rf"^{message}$"):
        to_model(network)


def test_a_network_without_a_name_is_valid() -> None:
    """ONNX wants a name of every graph."""
    onnx.checker.check_model(to_model(chain("", (1,), {"r": Relu()})))


def test_a_folder_that_is_missing_is_one_line(tmp_path: Path) -> None:
    """A path that cannot be written is named."""
    path = tmp_path / "missing" / "a.onnx"
    with pytest.raises(DataError, match=rf"^{re.escape(str(path))}: cannot be written: .*$"):
        save(branches(), path)
