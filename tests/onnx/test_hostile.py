"""Files that are broken or hostile end in one line that names the path; nothing else happens."""

import contextlib
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from fxpnn.errors import ModelError
from fxpnn.network.graph import INPUT, MAX_VALUES, Network, Node
from fxpnn.network.layers import Add, Conv2D, Dense, Flatten, Silu, Softmax, Window
from fxpnn.onnx import load, to_model
from fxpnn.onnx.graph.proto import MAX_NODES, parse
from fxpnn.onnx.read.model import from_model
from tests.support.onnx_models import floats, model, op, refuse


def refuse_file(path: Path, message: str) -> None:
    """Assert that a file is refused with its path and this message, as one line."""
    with pytest.raises(ModelError, match=rf"^{re.escape(f'{path}: {message}')}$"):
        load(path)


def network() -> Network:
    """Build a small network with everything in it that a file can have."""
    conv = Conv2D(floats(2, 1, 3, 3), floats(2), Window((3, 3), padding=(1, 1, 1, 1)))
    nodes = (
        Node("conv", conv, (INPUT,)),
        Node("act", Silu(), ("conv",)),
        Node("sum", Add(), ("act", "conv")),
        Node("flat", Flatten(), ("sum",)),
        Node("dense", Dense(floats(3, 32), floats(3)), ("flat",)),
        Node("classes", Softmax(), ("dense",)),
    )
    return Network("small", (1, 4, 4), nodes)


CONTENT = to_model(network()).SerializeToString()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """A path that leads nowhere, or to a folder, is one line."""
    refuse_file(tmp_path / "none.onnx", "cannot be read: No such file or directory")
    refuse_file(tmp_path, "must be a file, not a folder, pipe or device")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    """A file of no bytes is said to be empty."""
    path = tmp_path / "empty.onnx"
    path.touch()
    refuse_file(path, "must not be empty")


@pytest.mark.parametrize(
    "content", [b"hello, world", b"\x89PNG\r\n\x1a\n" + bytes(64), b"\x1f\x8b\x08\0"]
)
def test_another_kind_of_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """Text, a picture and an archive are no models."""
    path = tmp_path / "picture.onnx"
    path.write_bytes(content)
    refuse_file(path, "must be an ONNX model, not cut, altered or another file")


def test_a_file_above_the_limit_is_not_read(tmp_path: Path) -> None:
    """A sparse file of 3 GiB is refused by its size."""
    path = tmp_path / "large.onnx"
    with path.open("wb") as file:
        file.truncate(3 << 30)
    refuse_file(path, f"must be at most {2**31 - 1} bytes, not {3 << 30}")


def test_every_cut_is_refused(tmp_path: Path) -> None:
    """A file that ends early never loads, wherever it ends."""
    path = tmp_path / "cut.onnx"
    end = CONTENT.index(b"fxpnn.scale") - 8  # metadata is last, and a model without it is whole
    for size in range(1, end, 7):
        path.write_bytes(CONTENT[:size])
        with pytest.raises(ModelError, match=rf"^{re.escape(str(path))}: [^\n]+$"):
            load(path)


@given(flips=st.lists(st.integers(0, 8 * len(CONTENT) - 1), min_size=1, max_size=4))
def test_flipped_bits_never_crash(flips: list[int]) -> None:
    """A file with bits flipped loads as a network or ends in ModelError."""
    altered = bytearray(CONTENT)
    for bit in flips:
        altered[bit // 8] ^= 1 << bit % 8
    with contextlib.suppress(ModelError):
        assert from_model(parse(bytes(altered))).nodes


def test_all_operators_that_are_not_supported_are_named() -> None:
    """One message lists every operator in the way, with node and opset; behind others too."""
    refuse(
        model(
            op("Erf", "x", "a", "first"),
            op("Relu", "a", "b"),
            op("Tan", "b", "c", "behind"),
            op("Det", "x", "d", "second", domain="my.own"),
            op("Softmax", "x", "e", "third", axis=0),
            op("Sum", "c d e", "y", "all"),
            domains={"my.own": 3},
        ),
        "Erf (node first, opset 17): is not supported; "
        "Tan (node behind, opset 17): is not supported; "
        "my.own.Det (node second, opset 3): is not supported; "
        "Softmax (node third, opset 17): axis must be one of the 2 axes but the images', not 0",
    )


def test_operators_that_no_output_needs_do_not_matter() -> None:
    """What an unsupported operator computes may be left aside."""
    loaded = from_model(model(op("Erf", "x", "unused"), op("Relu", "x", "y")))
    assert [node.name for node in loaded.nodes] == ["y"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_located(tmp_path: Path, value: float) -> None:
    """A weight of NaN or infinity names the path, the layer and the index."""
    weight, path = floats(4, 3), tmp_path / "nan.onnx"
    weight[2, 1] = value
    dense = model(op("Gemm", "x w", "y", "hidden"), weights={"w": weight})
    path.write_bytes(dense.SerializeToString())
    refuse_file(path, f"layer hidden (Dense): weight[1, 2] must be finite, not {value}")


def lying(dims: list[int], raw: bytes, kind: int = onnx.TensorProto.FLOAT) -> onnx.ModelProto:
    """Make a model whose weight has these dimensions and these bytes."""
    lies = model(op("Gemm", "x w", "y"))
    lies.graph.initializer.add(name="w", dims=dims, raw_data=raw, data_type=kind)
    return lies


@pytest.mark.parametrize(
    ("dims", "size", "message"),
    [
        ([4, 3], 44, "tensor w: must hold the [4, 3] values of its dimensions, not 11"),
        ([4, 3], 50, "tensor w: must hold the [4, 3] values of its dimensions, not 12.5"),
        ([1 << 40, 1 << 20], 48, "tensor w: must hold the [1099511627776, 1048576] values of its "
         "dimensions, not 12"),
        ([-4, -3], 48, "tensor w: must have at most 32 dimensions, not [-4, -3]"),
        ([0, 1 << 62, 1 << 62], 0, "tensor w: array is too big; `arr.size * arr.dtype.itemsize` is "
         "larger than the maximum possible size."),
        ([1] * 33, 4, f"tensor w: must have at most 32 dimensions, not {[1] * 32}"),
    ],
)  # fmt: skip
def test_dimensions_that_lie_are_refused(dims: list[int], size: int, message: str) -> None:
    """A weight whose data is not what its dimensions promise is refused before it is made."""
    with pytest.raises(ModelError, match=rf"^(must be a valid.*|{re.escape(message)})$"):
        from_model(lying(dims, bytes(size)))


def test_a_weight_of_text_is_refused() -> None:
    """Strings are no weights."""
    text = model(op("Gemm", "x w", "y"))
    kind = onnx.TensorProto.STRING
    text.graph.initializer.add(name="w", dims=[1], data_type=kind, string_data=[b"a"])
    refuse(text, "tensor w: type must be 8 to 64-bit numbers, not STRING")


def test_integer_weights_are_refused() -> None:
    """ONNX multiplies integers otherwise than a float network does."""
    weights = {"w": np.ones((4, 3), np.int32)}
    message = "Gemm (node y, opset 17): its weights must be floats, not int32"
    refuse(model(op("Gemm", "x w", "y"), weights=weights), message)


def bomb(*nodes: onnx.NodeProto, **weights: object) -> onnx.ModelProto:
    """Make a model that adds a constant which takes much memory to fold."""
    arrays = {name: np.asarray(value) for name, value in weights.items()}
    return model(*nodes, op("Add", "x big", "y"), weights=arrays)


@pytest.mark.parametrize(
    "hostile",
    [
        bomb(op("ConstantOfShape", "s", "big"), s=[1 << 31, 1 << 31]),
        bomb(op("Expand", "c s", "big"), c=np.ones(1, np.float32), s=[1 << 30, 4]),
        bomb(op("Add", "c r", "big"), c=np.ones((10**5, 1), np.float32), r=np.ones((1, 10**5))),
        bomb(op("Gather", "c i", "big"), c=np.ones((1, 10**4)), i=np.zeros(10**5, np.int64)),
        bomb(
            op("Identity", "c", "c0"),
            *(op("Concat", f"c{i} c{i}", f"c{i + 1}", axis=0) for i in range(40)),
            op("Identity", "c40", "big"),
            c=np.ones(2, np.float32),
        ),
    ],
    ids=["constant of shape", "expand", "broadcast", "gather", "doubling"],
)
def test_constants_that_unfold_are_refused(hostile: onnx.ModelProto) -> None:
    """A small file cannot make large constants."""
    with pytest.raises(ModelError, match=r"must make at most \d+ constant values in all$"):
        from_model(hostile)


def test_too_many_nodes_are_refused() -> None:
    """A file of nothing but tiny nodes is refused before any is looked at."""
    hostile = onnx.ModelProto()
    hostile.graph.node.extend([onnx.NodeProto()] * (MAX_NODES + 1))
    refuse(hostile, f"must have at most {MAX_NODES} nodes, not {MAX_NODES + 1}")


def test_text_that_is_not_utf8_is_refused() -> None:
    """A name of other bytes is not read as if it were text."""
    content = model(op("Relu", "x", "y", "name")).SerializeToString()
    hostile = content.replace(b"name", b"na\xffe")
    with pytest.raises(ModelError, match=r"^its name must be UTF-8 text$"):
        from_model(parse(hostile))


def test_names_cannot_control_a_terminal() -> None:
    """In an error line ends and escape sequences of names are replaced, and long names are cut."""
    ops = op("Odd", "x", "a", "two\nlines\x1b[2J"), op("Strange", "x", "b", "n" * 999)
    made = model(*ops, op("Add", "a b", "y"))
    for it in made.graph.node[:2]:
        it.domain = "far.away"
    made.opset_import.add(domain="far.away", version=1)
    with pytest.raises(ModelError) as caught:
        from_model(made)
    told = str(caught.value)
    assert told.isprintable()
    assert "node two lines?[2J, opset 1" in told
    assert f"node {'n' * 200}..., opset 1" in told


@pytest.mark.parametrize("opset", [6, onnx.defs.onnx_opset_version() + 1])
def test_opsets_that_are_not_known_are_refused(opset: int) -> None:
    """An opset before broadcasting, or one of the future, may mean other things."""
    newest = onnx.defs.onnx_opset_version()
    refuse(model(op("Relu", "x", "y"), opset=opset), f"opset must be 7 to {newest}, not {opset}")


def test_an_invalid_model_is_one_line() -> None:
    """The checker's many lines are reduced to one."""
    message = r"^must be a valid ONNX model: [^\n]{20,203}$"
    with pytest.raises(ModelError, match=message):
        from_model(model(op("Relu", "nowhere", "y", "n" * 500)))


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        (
            "Erfc Erfc Expm1",
            "2 Erfc, 1 Expm1 (first a): no operators of ONNX; the exporter left what it could not "
            "convert: write GELU by tf.math.erf, or with approximate=True, and export again",
        ),
        (
            "Expm1",
            "1 Expm1 (first a): no operators of ONNX; the exporter left what it could not convert",
        ),
    ],
)
def test_what_an_exporter_could_not_convert_is_told(kinds: str, message: str) -> None:
    """Keras's exact GELU becomes an operator of TensorFlow, which tf2onnx tells and writes."""
    nodes = [op(kind, "x", "abc"[place], "abc"[place]) for place, kind in enumerate(kinds.split())]
    refuse(model(*nodes, op("Relu", "a", "y")), message)


def no_input() -> onnx.ModelProto:
    """Make a model of constants."""
    made = model(op("Relu", "w", "y"), weights={"w": 1.0})
    del made.graph.input[:]
    return made


def sparse() -> onnx.ModelProto:
    """Make a model with a sparse weight."""
    values = helper.make_tensor("w", onnx.TensorProto.FLOAT, [1], [1.0])
    indices = helper.make_tensor("i", onnx.TensorProto.INT64, [1], [0])
    made = model(op("Gemm", "x w", "y"))
    made.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4, 3]))
    return made


@pytest.mark.parametrize(
    ("hostile", "message"),
    [
        (no_input(), "must have an input, not constants alone"),
        (sparse(), "weights must be dense tensors, not sparse initializers"),
        (
            model(op("Relu", "x", "y"), shape=()),
            "input x must have axes for the batch and more, not 0 in all",
        ),
        (
            model(op("Relu", "x", "y"), shape=(4,)),
            "input x must have axes for the batch and more, not 1 in all",
        ),
        (
            model(op("Relu", "x", "y"), shape=("N", 3, "H", None)),
            "input x leaves sizes open; a shape must be given for (3, ?, ?)",
        ),
        (
            model(op("Relu", "x", "y"), shape=("N", 1 << 62, 1 << 62)),
            f"input x must hold 1 to {MAX_VALUES} values, not ({1 << 62}, {1 << 62})",
        ),
        (
            model(op("Relu", "x", "y"), kind=onnx.TensorProto.INT64),
            "input x must hold floats, or be cast to them at once",
        ),
        (
            model(op("Identity", "x", "y")),
            "output y must be computed from the input by a layer",
        ),
        (
            model(op("Constant", "", "y", value_float=1.0)),
            "output y must be computed from the input by a layer",
        ),
        (
            model(
                op("MaxPool", "x", "y z", kernel_shape=[2, 2]),
                shape=("N", 1, 4, 4),
                outputs="y z",
            ),
            "MaxPool (node y, opset 17): its further output z must not be used",
        ),
    ],
)
def test_graphs_that_are_no_network_are_refused(hostile: onnx.ModelProto, message: str) -> None:
    """What a network cannot be is said in one line."""
    refuse(hostile, message)


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("fxpnn.scale", "1,2", "metadata fxpnn.scale must be one number, not 2"),
        ("fxpnn.scale", "0", "scale, mean and std must be finite"),
        ("fxpnn.mean", "a", "metadata fxpnn.mean must be numbers with commas between, not 'a'"),
        ("fxpnn.std", "1e999", "metadata fxpnn.std must be numbers with commas between, not "),
        ("fxpnn.std", "1,2", "std must hold 1 or 4 values, not 2"),
    ],
)
def test_metadata_that_is_not_a_scaling_is_refused(key: str, text: str, message: str) -> None:
    """A scaling that cannot be is not replaced by the default."""
    made = model(op("Relu", "x", "y"))
    made.metadata_props.add(key=key, value=text)
    with pytest.raises(ModelError, match=rf"^{re.escape(message)}"):
        from_model(made)
