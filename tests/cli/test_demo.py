"""`fxpnn demo` runs every bundled network and tells what 16 bits cost it."""

from pathlib import Path

import pytest

import fxpnn
from cli import params
from cli.demo import bundled
from tests.support.cli_runner import fxp, sha256, tiny


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Bundle tiny networks in place of the real ones, all but one of them."""
    for name in ("lenet5-relu", "mlp-784-100-10"):
        fxpnn.save_onnx(tiny(), tmp_path / f"{name}.onnx")
    (tmp_path / "unknown.onnx").write_bytes(b"")
    monkeypatch.setattr("fxpnn.models.__path__", [str(tmp_path)])
    return tmp_path


def test_bundled_networks_are_known() -> None:
    """The networks that the package bundles are of the known architectures, in their order."""
    names = [path.stem for path in bundled()]
    assert names
    assert names == [name for name in params.ARCHITECTURES if name in names]
    assert {path.stem for path in bundled()[0].parent.glob("*.onnx")} == set(names)


@pytest.mark.slow  # compiles the loops of every layer, where no other test did
def test_every_bundled_network_keeps_its_accuracy() -> None:
    """At 16 bits every bundled network is proved, and predicts as its float reference does."""
    done = fxp("demo", "--json", "--limit", "100", "-q")
    assert (done.status, done.err) == (0, "")
    runs = done.json["runs"]
    assert len(runs) == len(bundled())
    for run in runs:
        assert run["accuracy"]["float"] > 0.95
        assert run["accuracy"]["flips"] == 0
        assert all(layer["proved"] for layer in run["layers"])


def test_json_lists_runs_in_order(models: Path) -> None:
    """The JSON holds a run of each network there is, in the fixed order, each as infer's."""
    done = fxp("demo", "--json", "--limit", "8")
    assert (done.status, done.err) == (0, "")
    assert list(done.json) == ["schema", "runs"]
    assert done.json["schema"] == 1
    paths = [models / "mlp-784-100-10.onnx", models / "lenet5-relu.onnx"]
    assert [run["model"] for run in done.json["runs"]] == [
        {"path": str(path), "sha256": sha256(path), "name": "tiny"} for path in paths
    ]
    fixed = models / "m.fxp"
    assert fxp("quantize", paths[0], "-o", fixed, "-q").status == 0
    command = ("infer", fixed, "--data", "mnist", "--reference", paths[0], "--limit", "8", "--json")
    inferred = fxp(*command).json
    assert list(done.json["runs"][0]) == list(inferred)
    for key in ("data", "accuracy", "layers", "softmax"):
        assert done.json["runs"][0][key] == inferred[key]


def test_one_table_for_each_run(models: Path) -> None:
    """Without --json each network has a table and a summary."""
    done = fxp("demo", "--limit", "8", "--word", "12")
    assert (done.status, done.err) == (0, "")
    assert done.out.count(" tiny on mnist") == 2
    assert done.out.count(" of 8 images") == 2
    assert len(list(models.iterdir())) == 3


def test_options_choose_the_numbers(models: Path) -> None:
    """The formats are those of the options, and what overflows is noted for each network."""
    done = fxp("demo", "--limit", "8", "--json", "--word", "4", "--accumulator", "8")
    layers = done.json["runs"][0]["layers"]
    assert {x["accumulator"] for x in layers if x["op"] == "Dense"} == {"8 saturate"}
    assert done.err.count("is the first layer to overflow") == 2
    assert fxp("demo", "--limit", "8", "--word", "4", "--accumulator", "8", "-q").err == ""


def test_no_bundled_networks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package without its networks says so."""
    monkeypatch.setattr("fxpnn.models.__path__", [str(tmp_path)])
    line = f"{tmp_path}: must hold the bundled networks; install fxpnn again"
    assert fxp("demo") == (3, "", f"fxpnn: error: {line}\n")


def test_word_that_cannot_be() -> None:
    """A word of 17 bits is a usage error."""
    line = "--word: a tensor's word must be 2 to 16 bits, not 17"
    assert fxp("demo", "--word", "17") == (2, "", f"fxpnn: error: {line} (see fxpnn demo --help)\n")
