"""A pool's own format, as a user gives it in the file of formats."""

from pathlib import Path

import numpy as np
import onnx
import pytest

from tests.support.cli_runner import fxp
from tests.support.onnx_models import model, op

LIT = 0.1
"""Of 64 pixels one or two have this value: their averages are far below a word of the input's."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a model that tells maps apart by their averages, and data for it."""
    folder = tmp_path_factory.mktemp("pools")
    nodes = (op("GlobalAveragePool", "x", "p"), op("Flatten", "p", "f"))
    gemm = op("Gemm", "f w", "y", transB=1)
    weights = {"w": np.array([[100, -100], [-100, 100]], np.float32)}
    onnx.save(model(*nodes, gemm, shape=("N", 2, 8, 8), weights=weights), folder / "m.onnx")
    x, y = np.zeros((40, 2, 64), np.float32), np.arange(40) % 2
    for image, label in enumerate(y):
        x[image, label, [7, 30]] = x[image, 1 - label, 9] = LIT
    np.savez(folder / "t.npz", x=x.reshape(-1, 2, 8, 8), y=y)
    x[0] = 0.99
    np.savez(folder / "c.npz", x=x.reshape(-1, 2, 8, 8))
    return folder


@pytest.mark.parametrize(
    ("keys", "output", "accuracy"),
    [
        ("", "Q0.7", 0.5),
        ('output = "Q-3.10"', "Q-3.10", 1.0),
        ('output = "ap_fixed<8,-2,AP_TRN,AP_WRAP>"', "Q-3.10", 1.0),
        ('rounding = "nearest-away"', "Q0.7", 0.5),
    ],
)
def test_a_pool_takes_its_format_from_the_file(
    folder: Path, tmp_path: Path, keys: str, output: str, accuracy: float
) -> None:
    """By default its input's, to which 64 pixels average to nothing; a finer one tells them."""
    (tmp_path / "f.toml").write_text(f"[defaults]\nword = 8\n[layers.p]\n{keys}\n")
    args = ("--calibration", folder / "c.npz", "--formats", tmp_path / "f.toml", "--json")
    done = fxp("quantize", folder / "m.onnx", "-o", tmp_path / "m.fxp", *args)
    assert done.status == 0, done.err
    pool = next(layer for layer in done.json["layers"] if layer["name"] == "p")
    assert pool["output_format"] == output
    run = fxp("infer", tmp_path / "m.fxp", "--data", folder / "t.npz", "--json")
    assert run.json["accuracy"]["fixed"] == accuracy
