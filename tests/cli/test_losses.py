"""Weights that a format clips, or that vanish, are told by every command and heeded by gates."""

from pathlib import Path

import numpy as np
import pytest

import fxpnn
from fxpnn.network.layers import Dense
from tests.support.cli_runner import Outcome, fxp

LINE = "scores (Dense): Q0.15 clips 2 of its weights"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a network, data, and the files of formats that clip and do not."""
    folder = tmp_path_factory.mktemp("losses")
    weight = np.array([[1.7, 0.1], [-1.7, -0.1]], np.float32)
    network = fxpnn.chain("n", (2,), {"scores": Dense(weight, np.zeros(2, np.float32))})
    fxpnn.save_onnx(network, folder / "n.onnx")
    np.savez(folder / "x.npz", x=np.array([[0.25, 0.5], [0.5, -1.0]], np.float32))
    for name, fmt in (("bad", "Q0.15"), ("good", "Q1.14")):
        (folder / f"{name}.toml").write_text(f'[layers.scores]\nweight = "{fmt}"\n')
        assert quantize(folder, name, "-q").status == 0
    return folder


def quantize(folder: Path, name: str, *args: str) -> Outcome:
    """Quantize with one of the files of formats."""
    calibration = ("--calibration", folder / "x.npz", "--formats", folder / f"{name}.toml")
    return fxp("quantize", folder / "n.onnx", "-o", folder / f"{name}.fxp", *calibration, *args)


def infer(folder: Path, name: str, *args: str) -> Outcome:
    """Run one of the models."""
    return fxp("infer", folder / f"{name}.fxp", "--data", folder / "x.npz", *args)


def test_quantize_tells_and_heeds_them(folder: Path) -> None:
    """A note names the layer; the gate ends with 1 and leaves the file; -q silences the note."""
    told = quantize(folder, "bad", "--json")
    assert (told.status, told.err) == (0, f"fxpnn: note: {LINE}\n")
    assert told.json["layers"][0]["clipped_weights"] == 2
    assert LINE in quantize(folder, "bad").out
    failed = quantize(folder, "bad", "--fail-on-overflow", "-q")
    assert (failed.status, failed.err) == (
        1,
        f"fxpnn: failed: {LINE} with --fail-on-overflow\n",
    )
    assert (folder / "bad.fxp").exists()
    good = quantize(folder, "good", "--fail-on-overflow")
    assert (good.status, good.err) == (0, "")


def test_infer_tells_and_heeds_them(folder: Path) -> None:
    """The model remembers them: its run tells them, and the gate fails though nothing overflows."""
    told = infer(folder, "bad", "--json")
    assert (told.status, told.err) == (0, f"fxpnn: note: {LINE}\n")
    row = told.json["layers"][1]
    keys = ("clipped_weights", "clipped_constants", "vanished_channels", "saturations")
    assert [row[key] for key in keys] == [2, 0, 0, 0]
    assert LINE in infer(folder, "bad").out
    failed = infer(folder, "bad", "--fail-on-overflow", "-q")
    assert (failed.status, failed.err) == (1, f"fxpnn: failed: {LINE} with --fail-on-overflow\n")
    assert infer(folder, "good", "--fail-on-overflow").status == 0


def test_inspect_tells_them(folder: Path) -> None:
    """Below the table and in JSON; a model without has no such line."""
    assert LINE in fxp("inspect", folder / "bad.fxp").out
    assert fxp("inspect", folder / "bad.fxp", "--json").json["layers"][0]["clipped_weights"] == 2
    assert "clips" not in fxp("inspect", folder / "good.fxp").out


def test_a_terminal_is_told_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the table is looked at, no note repeats what stands below it."""
    for module in ("quantize", "infer"):
        monkeypatch.setattr(f"cli.{module}.on_terminal", lambda: True)
    for done in (quantize(folder, "bad"), infer(folder, "bad")):
        assert LINE in done.out
        assert done.err == ""
