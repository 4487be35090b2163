"""``fxpnn explain`` names what loses accuracy, tries changes, and writes the formats that help."""

import re
from pathlib import Path

import numpy as np
import pytest

import fxpnn
from fxpnn.network.layers import Dense
from tests.support.cli_runner import fxp, tiny

ALL = ("--data", "mnist", "--limit", "300")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a float model, a sane quantization, and one whose hidden output is too short."""
    made = tmp_path_factory.mktemp("explain")
    fxpnn.save_onnx(tiny(), made / "tiny.onnx")
    short = '[layers.hidden]\noutput = "Q-3.18"\n'
    (made / "short.toml").write_text(short)
    for name, more in (("sane", ()), ("short", ("--formats", made / "short.toml"))):
        done = fxp("quantize", made / "tiny.onnx", "-o", made / f"{name}.fxp", "-q", *more)
        assert done.status == 0, done.err
    return made


def test_the_layer_is_named(folder: Path) -> None:
    """In JSON by its part, with a proposal; in the table first of all."""
    args = (folder / "short.fxp", "--reference", folder / "tiny.onnx", *ALL)
    found = fxp("explain", *args, "--json").json
    first = found["ranking"][0]
    assert (first["name"], first["part"]) == ("hidden", "output")
    assert first["proposal"]["setting"] == "output"
    assert first["proposal"]["effect"]["flips"] <= 1
    assert found["accuracy"]["flips"] == found["given"]["flips"] == len(found["flipped"])
    assert [layer["name"] for layer in found["layers"]] == ["input", "hidden", "output"]
    saturated = found["layers"][1]["saturations"]
    assert saturated > 0
    assert found["first_losses"][0]["name"] == "hidden"
    assert found["fixed"] is None

    out = fxp("explain", *args).out
    value = first["proposal"]["value"]
    assert "hidden loses most, by its output: its repair removes" in out
    assert f"with output = {value} (no bit more) it reaches accuracy" in out
    assert "hidden: its output overflows first in image 0, element [" in out
    assert f"{saturated:,}" in out
    assert f"and {len(found['flipped']) - 10:,} more, of larger margins" in out
    assert [line for line in out.splitlines() if line and line[0] != " "] == []


def test_where_nothing_is_lost_one_line_says_so(folder: Path) -> None:
    """No ranking, no table of what was tried."""
    args = (folder / "sane.fxp", "--reference", folder / "tiny.onnx", *ALL)
    done = fxp("explain", *args, "--max-loss", "0")
    assert done.status == 0
    assert "nothing is lost that a repair of a layer would bring back" in done.out
    assert "tried for" not in done.out


def test_a_repair_that_leaves_no_error(tmp_path: Path) -> None:
    """No number of dB is gained where all of the error goes: the outputs are exact then."""
    net = fxpnn.chain("half", (2,), {"halved": Dense(np.eye(2) / 2, np.zeros(2))})
    fxpnn.save_onnx(net, tmp_path / "half.onnx")
    np.save(tmp_path / "x.npy", np.arange(40).reshape(20, 2) / 8)
    (tmp_path / "short.toml").write_text('[layers.halved]\noutput = "Q-3.18"\n')
    data = ("--data", tmp_path / "x.npy")
    made = ("quantize", tmp_path / "half.onnx", "-o", tmp_path / "m.fxp", "-q")
    formats = ("--calibration", tmp_path / "x.npy", "--formats", tmp_path / "short.toml")
    assert fxp(*made, *formats).status == 0
    args = (tmp_path / "m.fxp", "--reference", tmp_path / "half.onnx", *data)
    out = fxp("explain", *args).out
    assert "halved loses most, by its output: its repair" in out
    assert "makes the outputs exact" in out
    assert re.search(r"^ halved +output +[0-9]* +exact +output = ", out, re.MULTILINE)
    assert "inf" not in out
    assert fxp("explain", *args, "--json").json["ranking"][0]["sqnr_db_gained"] is None


def test_fix_writes_formats_that_quantize_takes(folder: Path) -> None:
    """The file makes the network that was reached, which loses no more than the limit."""
    target = folder / "fixed.toml"
    args = (folder / "short.fxp", "--reference", folder / "tiny.onnx", *ALL)
    fixing = ("--max-loss", "0", "--fix", "-o", target)
    found = fxp("explain", *args, *fixing, "--json").json["fixed"]
    assert (found["reached"], found["loss"], found["path"]) == (True, 0.0, str(target))
    assert [name for name, _ in found["steps"]] == ["hidden"]
    done = fxp("quantize", folder / "tiny.onnx", "-o", folder / "f.fxp", "--formats", target, "-q")
    assert done.status == 0, done.err
    run = fxp("infer", folder / "f.fxp", "--reference", folder / "tiny.onnx", *ALL, "--json").json
    assert run["accuracy"]["fixed"] == found["effect"]["accuracy"]
    assert run["accuracy"]["flips"] == found["effect"]["flips"]
    out = fxp("explain", *args, *fixing).out
    assert f"written to {target}" in out


def test_a_loss_over_the_limit_fails(folder: Path) -> None:
    """What was found is printed before the gate fails."""
    args = (folder / "short.fxp", "--reference", folder / "tiny.onnx", *ALL)
    done = fxp("explain", *args, "--max-loss", "0", "--json")
    assert done.status == (1 if done.json["accuracy"]["loss"] > 0 else 0)
    assert done.status == 1
    assert "is over --max-loss 0" in done.err


def test_what_cannot_be_explained(folder: Path, tmp_path: Path) -> None:
    """One line each, and nothing is written."""
    fxpnn.save_onnx(tiny(5), tmp_path / "other.onnx")
    fxpnn.save_onnx(fxpnn.load_onnx(folder / "tiny.onnx"), tmp_path / "again.onnx")
    model, target = folder / "short.fxp", tmp_path / "f.toml"
    real = ("--reference", folder / "tiny.onnx")
    unlabelled = tmp_path / "x.npy"
    np.save(unlabelled, np.zeros((4, 1, 28, 28), np.uint8))
    for args, status, words in (
        ((model, *real, *ALL, "--fix"), 2, "--fix must stand with --max-loss and -o"),
        ((model, *real, *ALL, "-o", target), 2, "-o with --fix"),
        ((model, *real, *ALL, "-o", tmp_path / "f.txt"), 2, "must end in .toml"),
        (
            (model, *real, "--data", unlabelled, "--max-loss", "0"),
            3,
            "must have labels where --max-loss is given; --labels names a file of them",
        ),
        ((model, "--reference", tmp_path / "other.onnx", *ALL), 3, "--allow-other-reference"),
        (
            (model, "--reference", tmp_path / "other.onnx", *ALL, "--allow-other-reference"),
            3,
            "the reference must be the network that tiny was quantized from; they differ in",
        ),
        ((folder / "tiny.onnx", *real, *ALL), 3, "must be a quantized model (.fxp)"),
        (
            (model, *real, *ALL, "--fix", "--max-loss", "0", "-o", model.parent / "no" / "f.toml"),
            3,
            "cannot be written",
        ),
    ):
        done = fxp("explain", *args)
        assert (done.status, done.out) == (status, ""), args
        assert words in done.err
        assert done.err.count("\n") <= 2
    assert not target.exists()


def test_without_labels_flips_count(folder: Path, tmp_path: Path) -> None:
    """They need none."""
    images = fxpnn.load_data("mnist").x[:200]
    np.save(tmp_path / "x.npy", images)
    args = (folder / "short.fxp", "--reference", folder / "tiny.onnx")
    found = fxp("explain", *args, "--data", tmp_path / "x.npy", "--json").json
    assert found["accuracy"]["float"] is None
    assert found["ranking"][0]["flips_removed"] > 0
    out = fxp("explain", *args, "--data", tmp_path / "x.npy").out
    assert "accuracy" not in out.split("tried for")[0]
