"""Data that tell little are noted: zeros, test images, labels of no class, images used twice."""

from pathlib import Path

import numpy as np
import pytest

import fxpnn
from tests.support.cli_runner import fxp, write_models


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with tiny.onnx and tiny.fxp."""
    return write_models(tmp_path_factory.mktemp("models"))


def test_calibration_data_that_tell_little_are_noted(models: Path, tmp_path: Path) -> None:
    """Zeros, test images and labels of no class: one note each, and none for good data."""
    data = fxpnn.load_data("mnist:calibration")
    assert data.y is not None
    np.savez(tmp_path / "good.npz", x=data.x, y=data.y)
    np.savez(tmp_path / "zeros.npz", x=np.zeros_like(data.x), y=data.y)
    np.savez(tmp_path / "labels.npz", x=data.x, y=np.arange(len(data.x)))
    found = {}
    for name in ("mnist:calibration", "mnist", "good", "zeros", "labels"):
        source = name if name.startswith("mnist") else tmp_path / f"{name}.npz"
        args = ("quantize", models / "tiny.onnx", "-o", tmp_path / "out.fxp")
        done = fxp(*args, "--calibration", source)
        assert done.status == 0
        found[name] = [line for line in done.err.splitlines() if "note" in line]
    assert found["mnist:calibration"] == found["good"] == []
    assert [len(found[name]) for name in ("zeros", "labels", "mnist")] == [1, 1, 1]
    assert "every value of the calibration data is 0" in found["zeros"][0]
    assert "its labels are 0 to 999, but the network has the classes 0 to 9" in found["labels"][0]
    assert "10,000 of its images are in MNIST's test set" in found["mnist"][0]


def test_images_that_chose_formats_are_noted_when_they_judge(models: Path) -> None:
    """Also labels that name no classes of the network."""
    done = fxp("infer", models / "tiny.fxp", "--data", "mnist:calibration")
    assert "were chosen on these very images: others may lose more" in done.err
    assert "very images" not in fxp("infer", models / "tiny.fxp", "--data", "mnist").err
    assert fxp("infer", models / "tiny.fxp", "--data", "mnist:calibration", "-q").err == ""
