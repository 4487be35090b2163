"""``fxpnn export`` writes what ``fxpnn quantize`` reads again, and says what that cannot carry."""

from pathlib import Path

import numpy as np
import onnx
import pytest

import fxpnn
from cli import params
from fxpnn.network.fixed import FixedNetwork
from tests.support.cli_runner import fxp, sha256, write_models

LOST = "the integer arithmetic of softmax"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with tiny.onnx and tiny.fxp."""
    return write_models(tmp_path_factory.mktemp("models"))


def plain(fixed: FixedNetwork) -> list[object]:
    """Spell a network's words and their formats."""
    nodes: list[object] = [str(fixed.input_format), fixed.outputs]
    for node in fixed.nodes:
        arrays = [getattr(node.layer, name).tolist() for name in node.layer.arrays()]
        nodes.append((node.name, str(node.output_format), node.weight_formats, arrays))
    return nodes


@pytest.mark.parametrize("target", ["qonnx", "qdq"])
def test_an_export_quantizes_to_the_same_integers(
    models: Path, tmp_path: Path, target: str
) -> None:
    """Without calibration data; the words, formats and names are those that were exported."""
    done = fxp("export", models / "tiny.fxp", "--to", target, "-o", tmp_path / "t.onnx")
    assert (done.status, done.out) == (0, "")
    assert done.err == f"fxpnn: note: {tmp_path / 't.onnx'} does not carry {LOST}\n"
    onnx.checker.check_model(onnx.load(tmp_path / "t.onnx"))
    assert fxp("quantize", tmp_path / "t.onnx", "-o", tmp_path / "t.fxp").err == ""
    again = fxpnn.load(tmp_path / "t.fxp")
    assert plain(again) == plain(fxpnn.load(models / "tiny.fxp"))
    assert again.provenance.calibration == ""


def test_json_says_what_was_written(models: Path, tmp_path: Path) -> None:
    """The path, its sha256, the target, and what is not carried."""
    path = tmp_path / "t.onnx"
    done = fxp("export", models / "tiny.fxp", "--to", "qdq", "-o", path, "--json", "-q")
    assert done.err == ""
    assert done.json == {
        "schema": 1,
        "path": str(path),
        "sha256": sha256(path),
        "target": "qdq",
        "not_carried": [LOST],
    }


def test_an_export_is_a_reference_too(models: Path, tmp_path: Path) -> None:
    """Read as a float network it has the layers of the integers."""
    path = tmp_path / "t.onnx"
    fxp("export", models / "tiny.fxp", "--to", "qonnx", "-o", path, "-q")
    np.savez(tmp_path / "x.npz", x=np.zeros((3, 1, 28, 28), np.uint8))
    command = ("infer", models / "tiny.fxp", "--data", tmp_path / "x.npz", "--reference", path)
    assert fxp(*command, "--json").status == 0


def test_a_mode_without_a_name_is_refused(models: Path, tmp_path: Path) -> None:
    """One line names every layer in the way, and nothing is written."""
    args = ("--word", "12", "-o", tmp_path / "t.fxp", "-q")
    assert fxp("quantize", models / "tiny.onnx", *args).status == 0
    done = fxp("export", tmp_path / "t.fxp", "--to", "qdq", "-o", tmp_path / "t.onnx")
    assert done.status == 3
    assert done.err.startswith(
        "fxpnn: error: layer hidden (Dense): a word must be of 8 or, signed, 16 bits in QDQ, not UQ"
    )
    assert "; layer output (Dense): " in done.err
    assert not (tmp_path / "t.onnx").exists()


@pytest.mark.parametrize(
    ("args", "status", "line"),
    [
        (("tiny.fxp", "--to", "onnx", "-o", "t.onnx"), 2,
         "--to: must be one of qonnx, qdq, hex, c, verilog, not 'onnx' (see fxpnn export --help)"),
        (("tiny.fxp", "-o", "t.onnx"), 2,
         "Missing option '--to' (see fxpnn export --help)"),
        (("tiny.onnx", "--to", "qdq", "-o", "t.onnx"), 3,
         "tiny.onnx: must be a quantized model (.fxp); fxpnn quantize makes one from an ONNX "
         "model"),
        (("tiny.fxp", "--to", "qdq", "-o", "tiny.fxp"), 2,
         "-o / --output: must end in .onnx, not 'tiny.fxp' (see fxpnn export --help)"),
        (("none.fxp", "--to", "qdq", "-o", "t.onnx"), 3,
         "none.fxp: cannot be read: No such file or directory"),
    ],
)  # fmt: skip
def test_what_cannot_be_exported(
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
    args: tuple[str, ...],
    status: int,
    line: str,
) -> None:
    """Each ends in one line."""
    monkeypatch.chdir(models)
    done = fxp("export", *args)
    assert (done.status, done.err) == (status, f"fxpnn: error: {line}\n")


def test_targets_are_the_known_ones() -> None:
    """The names that the help gives without an import are the targets there are."""
    assert [target.value for target in fxpnn.Target] == list(params.TARGETS)
