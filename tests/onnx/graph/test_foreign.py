"""Model files of other frameworks are refused with the way to an ONNX file."""

import io
import re
import zipfile
from pathlib import Path

import pytest

from fxpnn.errors import ModelError
from fxpnn.onnx import load
from tests.support.onnx_models import model, op

TORCH = "PyTorch; export it: torch.onnx.export(model, example, 'model.onnx')"
KERAS = (
    "Keras; export it: model.export('model.onnx', format='onnx') "
    "or python -m tf2onnx.convert --keras FILE --output model.onnx"
)
LITE = "TensorFlow Lite; export it: python -m tf2onnx.convert --tflite FILE --output model.onnx"
FLOW = (
    "TensorFlow; export it: python -m tf2onnx.convert --saved-model FOLDER "
    "--output model.onnx (or --graphdef FILE --inputs NAMES --outputs NAMES)"
)
HDF = b"\x89HDF\r\n\x1a\n" + bytes(64)
FLAT = b"\x1c\0\0\0TFL3" + bytes(64)
SAVED = b"\x08\x01\x12\x02\x0a\x00"  # saved_model_schema_version 1, one meta graph


def zipped(member: str) -> bytes:
    """Make an archive of one file."""
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr(member, b"\x80\x02}q\x00.")
    return held.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "remedy"),
    [
        ("model.pt", zipped("archive/data.pkl"), TORCH),
        ("model.PTH", b"\x80\x02}q\x00.", TORCH),
        ("model.keras", zipped("config.json"), KERAS),
        ("model.h5", HDF, KERAS),
        ("model.tflite", FLAT, LITE),
        ("saved_model.pb", SAVED, FLOW),
        ("renamed.onnx", zipped("archive/data.pkl"), TORCH),
        ("renamed.onnx", zipped("config.json"), KERAS),
        ("renamed.onnx", HDF, KERAS),
        ("renamed.onnx", FLAT, LITE),
    ],
)
def test_other_frameworks_are_told_how_to_export(
    tmp_path: Path, name: str, content: bytes, remedy: str
) -> None:
    """A file is known by its first bytes whatever its name, else by its name."""
    path = tmp_path / name
    path.write_bytes(content)
    wanted = f"{path}: must be an ONNX model, not one of {remedy}"
    with pytest.raises(ModelError, match=rf"^{re.escape(wanted)}$"):
        load(path)


@pytest.mark.parametrize("name", ["model.pb", "model.pt", "model"])
def test_onnx_under_another_name_loads(tmp_path: Path, name: str) -> None:
    """What a file holds goes before its name; ONNX's own tests call theirs model.pb."""
    path = tmp_path / name
    path.write_bytes(model(op("Relu", "x", "y")).SerializeToString())
    assert load(path).nodes
