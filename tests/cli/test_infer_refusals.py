"""What `fxpnn infer` cannot use ends in one line and the documented exit status."""

import re
from pathlib import Path

import numpy as np
import pytest

import fxpnn
from tests.support.cli_runner import fxp, tiny, write_models


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a tiny.onnx and its tiny.fxp."""
    return write_models(tmp_path_factory.mktemp("models"))


def test_reference_of_another_shape(models: Path, tmp_path: Path) -> None:
    """A reference with other layers cannot be compared with."""
    fxpnn.save_onnx(tiny(classes=7), tmp_path / "seven.onnx")
    reference = ("--reference", tmp_path / "seven.onnx")
    done = fxp("infer", models / "tiny.fxp", "--data", "mnist", *reference, "-q")
    assert done == (
        3,
        "",
        "fxpnn: error: the reference must be the network that tiny was quantized from; "
        "they differ in output, softmax\n",
    )


@pytest.mark.parametrize(
    ("args", "line"),
    [
        ([], "Missing option '--data'"),
        (
            ["--data", "mnist", "--max-loss", "0"],
            "--max-loss must have a --reference to compare with",
        ),
        (
            ["--data", "mnist", "--show-flips"],
            "--show-flips must have a --reference to compare with",
        ),
        (
            ["--data", "mnist", "--max-loss", "5"],
            "--max-loss: must be a fraction from 0 to 1 (0.001 is 0.1 %), not 5",
        ),
        (
            ["--data", "mnist", "--max-loss", "nan"],
            "--max-loss: must be a number or a fraction as 1/255, not 'nan'",
        ),
        (["--data", "mnist", "--limit", "0"], "--limit: must be 1 or more, not 0"),
        (["--data", "mnist", "--threads", "-1"], "--threads: must be 1 or more, not -1"),
        (
            ["--data", "mnist", "-o", "out.txt"],
            "-o / --output: must end in .npz or .csv, not 'out.txt'",
        ),
    ],
)
def test_usage_errors(args: list[str], line: str, models: Path) -> None:
    """A command line that cannot be is one line with exit status 2."""
    done = fxp("infer", models / "tiny.fxp", *args)
    assert done == (2, "", f"fxpnn: error: {line} (see fxpnn infer --help)\n")


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "flipped", "magic", "schema"])
def test_models_that_cannot_be(damage: str, models: Path, tmp_path: Path) -> None:
    """A .fxp that is missing, empty, cut, altered or of another schema ends in one line."""
    model, target = tmp_path / "model.fxp", tmp_path / "out.npz"
    content = (models / "tiny.fxp").read_bytes()
    flipped = bytearray(content)
    flipped[-1] ^= 1
    damaged = {
        "empty": b"",
        "cut": content[:-100],
        "flipped": bytes(flipped),
        "magic": b"GIF89a" + content,
        "schema": content.replace(b'\\"schema\\":2', b'\\"schema\\":3'),
    }
    if damage in damaged:
        assert damaged[damage] != content
        model.write_bytes(damaged[damage])
    done = fxp("infer", model, "--data", "mnist", "-o", target)
    assert (done.status, done.out) == (3, "")
    assert re.fullmatch(rf"fxpnn: error: {re.escape(str(model))}: [^\n]+\n", done.err)
    assert not target.exists()


def test_float_models_are_no_input(models: Path) -> None:
    """A float model is refused with the remedy."""
    done = fxp("infer", models / "tiny.onnx", "--data", "mnist")
    line = "must be a quantized model (.fxp); fxpnn quantize makes one from an ONNX model"
    assert done == (3, "", f"fxpnn: error: {models / 'tiny.onnx'}: {line}\n")


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "magic", "gzip"])
def test_data_that_cannot_be(damage: str, models: Path, tmp_path: Path) -> None:
    """Data that are missing, empty, cut, of another kind or packed badly end in one line."""
    data, target = tmp_path / "t10k-images-idx3-ubyte", tmp_path / "out.csv"
    content = b"\0\0\x08\x03\0\0\0\x02\0\0\0\x1c\0\0\0\x1c" + bytes(2 * 28 * 28)
    damaged = {
        "empty": b"",
        "cut": content[:-1],
        "magic": b"\0\0\x09" + content[3:],
        "gzip": b"\x1f\x8b\x08\0\0\0\0\0",
    }
    if damage in damaged:
        data.write_bytes(damaged[damage])
    done = fxp("infer", models / "tiny.fxp", "--data", data, "-o", target)
    assert (done.status, done.out) == (3, "")
    assert re.fullmatch(rf"fxpnn: error: {re.escape(str(data))}: [^\n]+\n", done.err)
    assert not target.exists()


def test_data_that_do_not_fit(models: Path, tmp_path: Path) -> None:
    """Images of another shape, labels of another number and a gate without labels are refused."""
    images = np.zeros((3, 1, 28, 28), np.uint8)
    for name, arrays, line in (
        (
            "shape",
            {"x": images[:, :, :5]},
            "images must be (N, 1, 28, 28), as the network's input, not (N, 1, 5, 28)",
        ),
        (
            "labels",
            {"x": images, "y": np.zeros(2, int)},
            "labels must be (3), one for each image, not (2,)",
        ),
        (
            "gate",
            {"x": images},
            "must have labels where --max-loss is given; --labels names a file of them",
        ),
        ("nan", {"x": np.full((1, 1, 28, 28), np.nan)}, "x[0, 0, 0, 0] must be finite, not nan"),
    ):
        source = tmp_path / f"{name}.npz"
        np.savez(source, **arrays)
        gate = ("--max-loss", "0.1", "--reference", models / "tiny.onnx")
        done = fxp("infer", models / "tiny.fxp", "--data", source, *gate)
        assert done == (3, "", f"fxpnn: error: {source}: {line}\n")


def test_outputs_that_cannot_be(models: Path, tmp_path: Path) -> None:
    """A target that is no file to write to, or is an input, is refused before the run."""
    source = tmp_path / "x.npz"
    np.savez(source, x=np.zeros((3, 1, 28, 28), np.uint8))
    (tmp_path / "folder.npz").mkdir()
    for target, line in (
        (source, "must not be written over, for it is an input too"),
        (tmp_path / "folder.npz", "must be a file to write to, not a folder, pipe or device"),
        (tmp_path / "none" / "o.csv", "cannot be written: No such file or directory"),
        (source / "o.csv", "cannot be written: Not a directory"),
    ):
        done = fxp("infer", models / "tiny.fxp", "--data", source, "-o", target)
        assert done == (3, "", f"fxpnn: error: {target}: {line}\n")
