"""Weights beside a model are read from its folder only, and only if they are all there."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import pytest

from fxpnn.errors import ModelError
from fxpnn.network.layers import Dense
from fxpnn.onnx import from_model, load
from fxpnn.onnx.graph.proto import MAX_BYTES
from tests.support.onnx_models import floats, model, op

WEIGHT = floats(3, 4)
SIZE = WEIGHT.nbytes


def external(entries: Mapping[str, str], dims: tuple[int, ...] = (3, 4)) -> onnx.ModelProto:
    """Make a model whose weight lies where ``entries`` say."""
    made = model(op("Gemm", "x w", "y", transB=1))
    tensor = made.graph.initializer.add(name="w", dims=dims, data_type=onnx.TensorProto.FLOAT)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    return made


def folder(tmp_path: Path, entries: Mapping[str, str], offset: int = 0) -> Path:
    """Write a folder with a model in it and its weights, and return the model's path."""
    inside = tmp_path / "inside"
    (inside / "deeper").mkdir(parents=True)
    for path in (inside / "w.bin", inside / "deeper" / "w.bin", tmp_path / "outside.bin"):
        path.write_bytes(bytes(offset) + WEIGHT.tobytes())
    (inside / "link").symlink_to(tmp_path / "outside.bin")
    (inside / "up").symlink_to(tmp_path)
    (inside / "loop").symlink_to(inside / "loop")
    (inside / "near").symlink_to(inside / "w.bin")
    os.mkfifo(inside / "pipe")
    path = inside / "model.onnx"
    path.write_bytes(external(entries).SerializeToString())
    return path


@pytest.mark.parametrize(
    ("entries", "offset"),
    [
        ({"location": "w.bin"}, 0),
        ({"location": "deeper/w.bin", "length": str(SIZE)}, 0),
        ({"location": "./w.bin", "offset": "16", "length": str(SIZE), "checksum": "0"}, 16),
        ({"location": "near"}, 0),
    ],
)
def test_weights_beside_a_model_are_read(
    tmp_path: Path, entries: dict[str, str], offset: int
) -> None:
    """Every weight arrives to the bit, from a folder below and behind an offset too."""
    layer = load(folder(tmp_path, entries, offset))["y"].layer
    assert isinstance(layer, Dense)
    assert np.array_equal(layer.weight, WEIGHT)


@pytest.mark.parametrize(
    "location",
    ["../outside.bin", "deeper/../../outside.bin", "link", "up/outside.bin", "loop", "", "a\0b",
     "C:\\w.bin", "..\\outside.bin", "/etc/hostname", "//server/w.bin"],
)  # fmt: skip
def test_files_outside_the_folder_are_not_read(tmp_path: Path, location: str) -> None:
    """No absolute path, no step up, no link out of the folder leads to another's file."""
    path = folder(tmp_path, {"location": location})
    message = f"{path}: tensor w: its file must lie in the model's folder, not {location!r}"
    with pytest.raises(ModelError, match=rf"^{re.escape(message)}$"):
        load(path)


@pytest.mark.parametrize("location", ["none.bin", "pipe", "deeper", "long" * 100])
def test_what_is_no_file_is_not_read(tmp_path: Path, location: str) -> None:
    """A missing file, a pipe that would wait for ever, a folder, a name of no file: no weights."""
    path = folder(tmp_path, {"location": location})
    message = f"{path}: tensor w: its file {path.parent / location} must be there"
    with pytest.raises(ModelError, match=rf"^{re.escape(message)}$"):
        load(path)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"offset": "4"}, "must have its 48 bytes at 4 of w.bin, not 44"),
        ({"offset": "99999999"}, "must have its 48 bytes at 99999999 of w.bin, not 0"),
        ({"length": "44"}, "must have its 48 bytes at 0 of w.bin, not 44"),
        ({"offset": "-1"}, "offset must be a count of bytes, not '-1'"),
        ({"length": "9" * 30}, f"length must be a count of bytes, not '{'9' * 30}'"),
        ({"length": "\u0663"}, "length must be a count of bytes, not '\u0663'"),
    ],
)
def test_weights_that_are_not_all_there_are_refused(
    tmp_path: Path, entries: dict[str, str], message: str
) -> None:
    """Offsets and lengths are checked against the file and the tensor before anything is read."""
    path = folder(tmp_path, {"location": "w.bin", **entries})
    with pytest.raises(ModelError, match=rf"^{re.escape(f'{path}: tensor w: {message}')}$"):
        load(path)


def test_weights_that_cannot_be_read_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the system says of a file is said in one line."""
    path = folder(tmp_path, {"location": "w.bin"})
    made = external({"location": "w.bin"})

    def forbidden(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", forbidden)
    weights = path.parent / "w.bin"
    message = f"tensor w: {weights} cannot be read: Permission denied"
    with pytest.raises(ModelError, match=rf"^{re.escape(message)}$"):
        from_model(made, path.parent)


def test_external_weights_have_a_limit_in_all(tmp_path: Path) -> None:
    """A thousand tensors that name the same large file do not take its size a thousand times."""
    made = external({"location": "w.bin"}, (1 << 14, 1 << 14))
    made.graph.initializer.extend([made.graph.initializer[0]] * 999)
    total = 1000 * 4 << 28
    message = f"weights must take at most {MAX_BYTES} bytes in all, not {total}"
    with pytest.raises(ModelError, match=rf"^{re.escape(message)}$"):
        from_model(made, tmp_path)


def test_a_message_without_a_folder_has_no_external_weights() -> None:
    """A model that did not come from a file has nowhere to look."""
    message = "weights in other files must have a folder to lie in"
    with pytest.raises(ModelError, match=rf"^{message}$"):
        from_model(external({"location": "w.bin"}))


def test_reading_changes_no_message(tmp_path: Path) -> None:
    """The message given stays as it is: its weights still lie outside."""
    (tmp_path / "w.bin").write_bytes(WEIGHT.tobytes())
    made = external({"location": "w.bin"})
    before = made.SerializeToString()
    from_model(made, tmp_path)
    assert made.SerializeToString() == before


def test_constants_in_nodes_hold_their_data(tmp_path: Path) -> None:
    """A Constant node that names a file is refused; only initializers may lie outside."""
    made = external({"location": "w.bin"})
    tensor = onnx.TensorProto()
    tensor.CopyFrom(made.graph.initializer[0])
    hidden = model(op("Constant", "", "w", value=tensor), op("Gemm", "x w", "y", transB=1))
    (tmp_path / "w.bin").write_bytes(WEIGHT.tobytes())
    with pytest.raises(ModelError, match=r"^[^\n]+$"):
        from_model(hidden, tmp_path)
