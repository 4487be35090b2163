"""`fxpnn train` trains a known architecture and writes it as ONNX."""

import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fxpnn
from fxpnn.datasets import data_sha256
from fxpnn.network.layers import Array
from fxpnn.reference import classify
from fxpnn.zoo.architectures import architecture
from tests.support.cli_runner import fxp, sha256


def write_idx(path: Path, array: Array) -> None:
    """Write bytes as an IDX file."""
    head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(head + array.astype(np.uint8).tobytes())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with 96 images to learn from and 32 to test on."""
    x, y = fxpnn.load_data("mnist:calibration")
    assert y is not None
    for prefix, part in (("train", slice(0, 96)), ("t10k", slice(96, 128))):
        write_idx(tmp_path / f"{prefix}-images-idx3-ubyte", x[part, 0])
        write_idx(tmp_path / f"{prefix}-labels-idx1-ubyte", y[part])
    return tmp_path


ARGS = ("--epochs", "2", "--batch", "16", "--seed", "3")


def test_model_and_its_accuracy(folder: Path) -> None:
    """The model is written and its accuracy measured on the folder's test images."""
    target = folder / "mlp.onnx"
    done = fxp("train", "mlp-784-100-10", "--data", folder, "-o", target, *ARGS, "--json")
    assert (done.status, done.err) == (0, "")
    network = fxpnn.load_onnx(target)
    test = fxpnn.load_data(folder, split="test")
    accuracy = float((classify(network, test.x) == test.y).mean())
    learned = fxpnn.load_data(folder, split="train")
    seconds = done.json["seconds"]
    assert seconds > 0
    assert done.json == {
        "schema": 1,
        "model": {"path": str(target), "sha256": sha256(target), "name": "mlp-784-100-10"},
        "data": {"name": str(folder), "images": 96, "sha256": data_sha256(learned)},
        "lesson": {
            "architecture": "mlp-784-100-10",
            "epochs": 2,
            "batch": 16,
            "rate": architecture("mlp-784-100-10").recipe.rate,
            "seed": 3,
        },
        "seconds": seconds,
        "test_images": 32,
        "test_accuracy": accuracy,
    }


def test_same_seed_same_bytes(folder: Path) -> None:
    """The same seed gives the same file, another seed another one."""
    command = ("train", "mlp-784-100-10", "--data", folder, "--epochs", "1", "-q", "-o")
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert fxp(*command, folder / f"{name}.onnx", "--seed", seed).status == 0
    a, b, c = ((folder / f"{name}.onnx").read_bytes() for name in "abc")
    assert a == b != c


def test_summary(folder: Path) -> None:
    """What is printed names the file, the recipe and the accuracy."""
    target = folder / "mlp.onnx"
    done = fxp("train", "mlp-784-100-10", "--data", folder, "-o", target, *ARGS)
    assert (done.status, done.err) == (0, "")
    assert re.search(rf"^ model +{re.escape(str(target))} *$", done.out, re.MULTILINE)
    assert re.search(rf"^ sha256 +{sha256(target)} *$", done.out, re.MULTILINE)
    assert re.search(r"^ recipe +2 epochs of 16, rate 0\.1, seed 3 *$", done.out, re.MULTILINE)
    assert re.search(r"^ accuracy +0\.\d{4} of 32 test images *$", done.out, re.MULTILINE)


def test_without_test_images(folder: Path) -> None:
    """Where there are no test images, the accuracy is not known: null in JSON."""
    for path in folder.glob("t10k-*"):
        path.unlink()
    command = ("train", "mlp-784-100-10", "--data", folder, "-o", folder / "m.onnx", *ARGS)
    found = fxp(*command, "--json").json
    assert (found["test_images"], found["test_accuracy"]) == (0, None)
    assert "unknown, there is no test set" in fxp(*command).out


def test_images_in_one_file(folder: Path) -> None:
    """A file of images with labels is enough to learn from."""
    x, y = fxpnn.load_data(folder, split="train")
    assert y is not None
    np.savez(folder / "x.npz", x=x, y=y)
    target = folder / "m.onnx"
    done = fxp("train", "mlp-784-100-10", "--data", folder / "x.npz", "-o", target, *ARGS, "--json")
    assert done.status == 0
    assert done.json["data"]["images"] == 96


def test_keras_s_archive_is_learned_from_and_tested_on(folder: Path) -> None:
    """Its train part is taken, and the other judges; one alone is enough to learn from."""
    x, y = fxpnn.load_data(folder, split="train")
    assert y is not None
    grey, target = x[:, 0], folder / "m.onnx"
    both = {"x_train": grey, "y_train": y, "x_test": grey[:7], "y_test": y[:7]}
    command = ("train", "mlp-784-100-10", "--data", folder / "k.npz", "-o", target, *ARGS, "--json")
    for held, images in ((4, 7), (2, 0)):
        arrays: dict[str, Any] = dict([*both.items()][:held])
        np.savez(folder / "k.npz", **arrays)
        done = fxp(*command)
        assert (done.json["data"]["images"], done.json["test_images"]) == (96, images)


def test_named_data(tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``mnist`` is what was fetched: before that, the remedy is told; then it is used."""
    target = tmp_path / "m.onnx"
    monkeypatch.setattr("fxpnn.datasets.mnist.cache_folder", lambda: tmp_path / "none")
    done = fxp("train", "lenet5", "--data", "mnist", "-o", target)
    line = "mnist:train: must be fetched first: fxpnn data fetch mnist"
    assert done == (3, "", f"fxpnn: error: {line}\n")
    monkeypatch.setattr("fxpnn.datasets.mnist.cache_folder", lambda: folder)
    done = fxp("train", "mlp-784-100-10", "--data", "mnist", "-o", target, *ARGS, "--json")
    assert (done.json["data"]["images"], done.json["test_images"]) == (96, 10_000)


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["lenet"], "NAME: must be one of mlp-784-100-10, lenet5, lenet5-relu, not 'lenet'"),
        (["lenet5", "--epochs", "0"], "--epochs: must be 1 or more, not 0"),
        (["lenet5", "--batch", "x"], "--batch: must be a whole number, not 'x'"),
        (["lenet5", "--rate", "0"], "--rate: must be more than 0, not 0"),
        (["lenet5", "--seed", "-1"], "--seed: must be 0 or more, not -1"),
    ],
)
def test_usage_errors(args: list[str], line: str, tmp_path: Path) -> None:
    """A recipe that cannot be is one line with exit status 2."""
    done = fxp("train", *args, "--data", tmp_path, "-o", tmp_path / "m.onnx")
    assert done == (2, "", f"fxpnn: error: {line} (see fxpnn train --help)\n")


def test_data_that_cannot_be(folder: Path) -> None:
    """Images without labels or of another size, and an empty folder, are refused."""
    target = folder / "m.onnx"
    np.savez(folder / "x.npz", x=np.zeros((4, 1, 28, 28), np.uint8))
    np.savez(folder / "s.npz", x=np.zeros((4, 1, 5, 5), np.uint8), y=np.zeros(4, int))
    (folder / "empty").mkdir()
    for source, line in (
        ("x.npz", "labels must be known to train on, not missing"),
        (
            "s.npz",
            f"{folder / 's.npz'}: images must be (N, 1, 28, 28), as the network's input, "
            "not (N, 1, 5, 5)",
        ),
        (
            "empty",
            f"{folder / 'empty'}: must hold IDX files (t10k-*, train-*), PNG or JPEG images, or a "
            "folder of these for each class",
        ),
    ):
        done = fxp("train", "lenet5", "--data", folder / source, "-o", target)
        assert done == (3, "", f"fxpnn: error: {line}\n")
    assert not target.exists()


def test_training_that_diverges(folder: Path) -> None:
    """A rate that sends weights to infinity ends in one line, and no file."""
    target = folder / "m.onnx"
    command = ("train", "mlp-784-100-10", "--data", folder, "-o", target, *ARGS)
    done = fxp(*command, "--rate", "1e30")
    assert (done.status, done.out) == (3, "")
    assert re.fullmatch(r"fxpnn: error: training diverged in epoch [^\n]+\n", done.err)
    assert not target.exists()


def test_target_is_checked_first(folder: Path) -> None:
    """A target that cannot be written is refused before the training starts."""
    target = folder / "none" / "m.onnx"
    done = fxp("train", "lenet5", "--data", "nowhere", "-o", target)
    line = f"{target}: cannot be written: No such file or directory"
    assert done == (3, "", f"fxpnn: error: {line}\n")
