"""``fxpnn trace`` writes every layer's words of one image, or one line and nothing."""

from pathlib import Path

import numpy as np
import pytest

import fxpnn
from fxpnn.datasets import data_sha256
from fxpnn.targets import dump
from tests.support.cli_runner import fxp, sha256, write_models

IMAGES = np.random.default_rng(2).integers(0, 256, (3, 1, 28, 28), np.uint8)


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with tiny.onnx, tiny.fxp and x.npy."""
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "x.npy", IMAGES)
    return write_models(tmp_path)


def test_a_trace_holds_what_infer_computes(models: Path) -> None:
    """Of the image asked for; the table names every file, JSON all that is in the manifest."""
    done = fxp("trace", "tiny.fxp", "--data", "x.npy", "--index", "2", "-o", "t", "-q")
    assert (done.status, done.err) == (0, "")
    fixed = fxpnn.load("tiny.fxp")
    names = [node.name for node in fixed.nodes]
    run = fxpnn.infer(fixed, IMAGES, keep=names)
    found = dump.read(models / "t", fixed)
    for name in names:
        assert found.words[name].tolist() == run.tensors[name][2].tolist()
        assert found.files[name].removesuffix(".npy") in done.out
    assert found.words["input"].tolist() == IMAGES[2].tolist()
    assert "each as .hex and .npy in t, with manifest.json" in done.out

    told = fxp("trace", "tiny.fxp", "--data", "x.npy", "--index", "2", "-o", "t", "--json").json
    assert found.manifest is not None
    assert [it["hex"] for it in told["tensors"]] == [it.hex for it in found.manifest.tensors]
    assert told["model"]["sha256"] == found.manifest.model == sha256(models / "tiny.fxp")
    digest = data_sha256(fxpnn.load_data("x.npy"))
    assert told["data"] == {"name": "x.npy", "images": 3, "sha256": digest}
    assert (told["index"], found.manifest.index, found.manifest.data) == (2, 2, digest)
    assert (told["folder"], told["manifest"]) == ("t", "manifest.json")


def test_pixels_are_scaled_as_asked(models: Path) -> None:
    """As by ``infer``; that the scale is assumed is told where it is."""
    fxpnn.load("tiny.fxp").with_scaling(fxpnn.Scaling(assumed=True)).save("any.fxp")
    note = "pixels become numbers as x / 256: any.fxp was quantized on that assumption"
    assert fxp("trace", "any.fxp", "--data", "x.npy", "-o", "a").err == f"fxpnn: note: {note}\n"
    assert fxp("trace", "tiny.fxp", "--data", "x.npy", "-o", "b", "--scale", "1/512").err == ""
    fixed = fxpnn.load("tiny.fxp")
    halves = np.rint(IMAGES[0] / 2).tolist()  # to even
    assert dump.read(models / "b", fixed).words["input"].tolist() == halves


@pytest.mark.parametrize(
    ("args", "status", "line"),
    [
        (("tiny.fxp", "--data", "x.npy", "-o", "t", "--index", "3"), 3,
         "x.npy: must have an image 3, not 3 images, from 0"),
        (("tiny.fxp", "--data", "x.npy", "-o", "t", "--index", "-1"), 2,
         "--index: must be 0 or more, not -1 (see fxpnn trace --help)"),
        (("tiny.fxp", "--data", "x.npy"), 2,
         "Missing option '-o' / '--output' (see fxpnn trace --help)"),
        (("tiny.fxp", "-o", "t"), 2, "Missing option '--data' (see fxpnn trace --help)"),
        (("tiny.onnx", "--data", "x.npy", "-o", "t"), 3,
         "tiny.onnx: must be a quantized model (.fxp); fxpnn quantize makes one from an ONNX "
         "model"),
        (("tiny.fxp", "--data", "none.npy", "-o", "t"), 3,
         "none.npy: must be mnist, mnist:calibration, mnist:train, or a file or folder that "
         "exists"),
        (("tiny.fxp", "--data", "x.npy", "-o", "x.npy"), 3,
         "x.npy: must be a folder to write to, not a file, pipe or device"),
        (("tiny.fxp", "--data", "x.npy", "-o", "."), 3,
         ".: must be new, empty, or hold only what an earlier such command wrote, not '"),
        (("tiny.fxp", "--data", "x.npy", "-o", "no/t"), 3,
         "no/t: cannot be written: No such file or directory"),
    ],
)  # fmt: skip
def test_what_cannot_be_traced(models: Path, args: tuple[str, ...], status: int, line: str) -> None:
    """Each ends in one line, and nothing is written."""
    before = sorted(models.iterdir())
    done = fxp("trace", *args)
    assert (done.status, done.out) == (status, "")
    assert done.err.startswith(f"fxpnn: error: {line}")
    assert len(done.err.splitlines()) == 1
    assert sorted(models.iterdir()) == before
