"""`fxpnn quantize` writes a model in the formats that its options choose."""

import errno
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import fxpnn
from fxpnn.datasets import Data, data_sha256
from fxpnn.network.fixed import FixedNetwork, FixedNode, Provenance
from fxpnn.network.fxp import dumps
from fxpnn.network.layers import Dense
from tests.support.cli_runner import Outcome, fxp, sha256, tiny, write_models


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with tiny.onnx and tiny.fxp."""
    return write_models(tmp_path_factory.mktemp("models"))


def quantize(models: Path, folder: Path, *args: str | Path) -> tuple[Outcome, FixedNetwork]:
    """Quantize the tiny model into a folder and load what was written."""
    done = fxp("quantize", models / "tiny.onnx", "-o", folder / "out.fxp", *args)
    assert done.status == 0, done.err
    return done, fxpnn.load(folder / "out.fxp")


def dense(fixed: FixedNetwork) -> list[FixedNode]:
    """List the layers that sum products."""
    return [node for node in fixed.nodes if isinstance(node.layer, Dense)]


def test_file_is_what_the_library_quantizes(models: Path) -> None:
    """The file holds the library's integers, and the sha256 of the model and of the calibration."""
    data = fxpnn.load_data("mnist:calibration")
    provenance = Provenance(sha256(models / "tiny.onnx"), data_sha256(data), fxpnn.__version__)
    network = fxpnn.load_onnx(models / "tiny.onnx")
    expected = fxpnn.quantize(network, data.x, provenance=provenance)
    assert (models / "tiny.fxp").read_bytes() == dumps(expected)


def test_json_describes_the_file(models: Path, tmp_path: Path) -> None:
    """The JSON is that of inspect: the file, its provenance, each layer's formats and proof."""
    done, fixed = quantize(models, tmp_path, "--json")
    assert done.err == ""
    assert done.json == fxp("inspect", tmp_path / "out.fxp", "--json").json
    assert done.json["provenance"]["model"] == sha256(models / "tiny.onnx")
    assert [layer["output_format"] for layer in done.json["layers"]] == [
        str(node.output_format) for node in fixed.nodes
    ]


def test_table_names_every_layer(models: Path, tmp_path: Path) -> None:
    """The table has a row for each layer, and says which accumulators are proved."""
    done, fixed = quantize(models, tmp_path)
    for node in fixed.nodes:
        assert re.search(rf"^ {node.name} +{node.op} ", done.out, re.MULTILINE)
    assert len(re.findall(r"proved, needs \d+ of 48", done.out)) == 2


def test_options_choose_the_numbers(models: Path, tmp_path: Path) -> None:
    """Word, accumulator, rounding, overflow, channels and softmax are those of the options."""
    _, fixed = quantize(
        models,
        tmp_path,
        *("--word", "8", "--accumulator", "24 wrap", "--rounding", "floor"),
        *("--overflow", "saturate-symmetric", "--per-channel", "--softmax", "naive"),
        *("--method", "mse"),
    )
    for node in dense(fixed):
        assert node.output_format.word == 8
        assert str(node.accumulator) == "24 wrap"
        assert len(node.weight_formats) == fixed.shapes[node.name][0]
    assert {node.rounding for node in fixed.nodes} == {fxpnn.Rounding.FLOOR}
    assert {node.overflow for node in fixed.nodes} == {fxpnn.Overflow.SATURATE_SYMMETRIC}
    assert fixed["softmax"].softmax_shift == 0


def test_one_format_for_everything(models: Path, tmp_path: Path) -> None:
    """--format sets input, weights and outputs; its ap_fixed modes yield to an option."""
    text = "ap_fixed<16,6,AP_TRN,AP_WRAP>"
    _, fixed = quantize(models, tmp_path, "--format", text, "--rounding", "zero")
    formats = {fixed.input_format, *(node.output_format for node in fixed.nodes[:-1])}
    formats |= {fmt for node in dense(fixed) for fmt in node.weight_formats}
    assert formats == {fxpnn.QFormat.parse("Q5.10")}
    assert {node.rounding for node in fixed.nodes} == {fxpnn.Rounding.ZERO}
    assert {node.overflow for node in fixed.nodes} == {fxpnn.Overflow.WRAP}


def test_the_percentile_is_chosen(models: Path, tmp_path: Path) -> None:
    """A share of the largest values is let go, as settings say in Python; other methods refuse."""
    _, fixed = quantize(
        models, tmp_path, "--word", "6", "--method", "percentile", "--percentile", "60"
    )
    network = fxpnn.load_onnx(models / "tiny.onnx")
    asked = fxpnn.Settings(word=6, method=fxpnn.Method.PERCENTILE, percentile=60)
    calibration = fxpnn.load_data("mnist:calibration").x
    assert fixed.formats == fxpnn.quantize(network, calibration, asked).formats
    usual = replace(asked, percentile=None)
    assert fixed.formats != fxpnn.quantize(network, calibration, usual).formats
    args = ("quantize", models / "tiny.onnx", "-o", tmp_path / "no.fxp", "--percentile")
    refused = fxp(*args, "60")
    assert refused.status == 2
    assert "--percentile must stand with --method percentile, not minmax" in refused.err
    refused = fxp(*args, "101", "--method", "percentile")
    assert refused.status == 2
    assert "percentile must be more than 0 and at most 100, not 101.0" in refused.err


def test_formats_file_goes_before_options(models: Path, tmp_path: Path) -> None:
    """A layer's own table overrules the options, which hold elsewhere."""
    toml = tmp_path / "formats.toml"
    toml.write_text('[layers.hidden]\noutput = "Q6.9"\naccumulator = 32\n')
    _, fixed = quantize(models, tmp_path, "--formats", toml, "--accumulator", "40")
    assert str(fixed["hidden"].output_format) == "Q6.9"
    assert [str(node.accumulator) for node in dense(fixed)] == ["32 saturate", "40 saturate"]


def test_proved_formats_need_no_calibration(models: Path, tmp_path: Path) -> None:
    """With the method proved, no data are read and none are in the provenance."""
    _, fixed = quantize(models, tmp_path, "--method", "proved")
    assert fixed.provenance.calibration == ""


def test_pixels_are_scaled_as_asked(models: Path, tmp_path: Path) -> None:
    """--scale, --mean and --std are kept in the file, a fraction as the float it is."""
    _, fixed = quantize(models, tmp_path, "--scale", "1/255", "--mean", "0.13", "--std", "0.31")
    assert fixed.scaling == fxpnn.Scaling(1 / 255, (0.13,), (0.31,))


def test_unproved_accumulators_are_noted(models: Path, tmp_path: Path) -> None:
    """A note names the layers whose accumulator may overflow; -q silences it."""
    args = ("--accumulator", "16", "--json")
    noted, _ = quantize(models, tmp_path, *args)
    assert noted.err == "fxpnn: note: accumulators may overflow in hidden, output\n"
    quiet, _ = quantize(models, tmp_path, *args, "-q")
    assert quiet.err == ""


def test_other_inputs_must_be_given_calibration(tmp_path: Path) -> None:
    """MNIST is no default where it does not fit; then data or the method proved are asked for."""
    fxpnn.save_onnx(tiny(shape=(3, 4, 4)), tmp_path / "rgb.onnx")
    command = ("quantize", tmp_path / "rgb.onnx", "-o", tmp_path / "rgb.fxp")
    done = fxp(*command)
    assert (done.status, done.out) == (2, "")
    assert re.fullmatch(
        r"fxpnn: error: calibration data must be given to choose the format of \w+; without it "
        r"use the method proved, or give every format\n",
        done.err,
    )
    assert not (tmp_path / "rgb.fxp").exists()
    assert fxp(*command, "--method", "proved", "-q").status == 0
    x = np.arange(96, dtype=np.uint8).reshape(2, 3, 4, 4)
    np.savez(tmp_path / "x.npz", x=x)
    assert fxp(*command, "--calibration", tmp_path / "x.npz", "-q").status == 0
    assert fxpnn.load(tmp_path / "rgb.fxp").provenance.calibration == data_sha256(Data(x))


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["--word", "17"], "--word: a tensor's word must be 2 to 16 bits, not 17"),
        (["--word", "x"], "--word: must be a whole number, not 'x'"),
        (
            ["--format", "Q9.9"],
            "--format: Q9.9 takes 19 bits with its sign, not 16; did you mean Q6.9?",
        ),
        (
            ["--format", "9.9"],
            "--format: a format must look like Q3.12, UQ0.8 or ap_fixed<16,4>, not '9.9'",
        ),
        (
            ["--format", "Q3.12", "--word", "16"],
            "--format says the word already: give it or --word, not both",
        ),
        (
            ["--format", "Q3.12", "--weight-word", "16"],
            "--format says the word already: give it or --weight-word, not both",
        ),
        (
            ["--accumulator", "7"],
            "--accumulator: an accumulator must be 8 to 62 bits, not 7",
        ),
        (
            ["--accumulator", "32 trap"],
            "--accumulator: an accumulator must look like '48', '32 wrap', 'ap_fixed<24,10>' or "
            "'Q9.14 floor saturate fused', not '32 trap'",
        ),
        (
            ["--rounding", "even"],
            "--rounding: must be one of nearest-even, nearest-up, nearest-down, nearest-zero, "
            "nearest-away, floor, zero, not 'even'",
        ),
        (
            ["--overflow", "clip"],
            "--overflow: must be one of saturate, saturate-symmetric, saturate-zero, wrap, "
            "not 'clip'",
        ),
        (
            ["--method", "best"],
            "--method: must be one of minmax, percentile, mse, proved, not 'best'",
        ),
        (
            ["--softmax", "soft"],
            "--softmax: softmax must be max, naive or a number, not 'soft'",
        ),
        (["--scale", "0"], "--scale: must not be 0"),
        (["--scale", "1/0"], "--scale: must be a number or a fraction as 1/255, not '1/0'"),
        (["--std", "1,0"], "--std: must not be 0"),
        (["--mean", "1,x"], "--mean: must be a number or a fraction as 1/255, not 'x'"),
    ],
)
def test_values_that_cannot_be(args: list[str], line: str, models: Path, tmp_path: Path) -> None:
    """A format or mode that cannot be is a usage error that tells what can."""
    done = fxp("quantize", models / "tiny.onnx", "-o", tmp_path / "out.fxp", *args)
    assert done == (2, "", f"fxpnn: error: {line} (see fxpnn quantize --help)\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "[layers.hiden]\nword = 8\n",
            "settings must name layers of tiny, not hiden; it has "
            "input, flatten, hidden, hidden_relu, output, softmax",
        ),
        ("[defaults]\nwrd = 8\n", "{path}: defaults: Object contains unknown field `wrd`"),
        (
            '[defaults]\noutput = "Q9.9"\n',
            "{path}: defaults: Q9.9 takes 19 bits with its sign, not 16; did you mean Q6.9?",
        ),
    ],
)
def test_formats_file_that_cannot_be(text: str, line: str, models: Path, tmp_path: Path) -> None:
    """An unknown layer or key, or an impossible format in the file, is a usage error."""
    toml = tmp_path / "formats.toml"
    toml.write_text(text)
    done = fxp("quantize", models / "tiny.onnx", "-o", tmp_path / "o.fxp", "--formats", toml)
    assert done == (2, "", f"fxpnn: error: {line.format(path=toml)}\n")
    assert list(tmp_path.iterdir()) == [toml]


def test_formats_file_that_is_not_there(models: Path, tmp_path: Path) -> None:
    """A file of formats that cannot be read ends with 3, as a model or data would."""
    toml = tmp_path / "formats.toml"
    done = fxp("quantize", models / "tiny.onnx", "-o", tmp_path / "o.fxp", "--formats", toml)
    assert done == (3, "", f"fxpnn: error: {toml}: cannot be read: No such file or directory\n")
    assert list(tmp_path.iterdir()) == []


def test_scaling_that_does_not_fit(models: Path, tmp_path: Path) -> None:
    """Means for more channels than the input has are a usage error."""
    done = fxp("quantize", models / "tiny.onnx", "-o", tmp_path / "o.fxp", "--mean", "1,2,3")
    assert done.status == 2
    assert done.err.startswith("fxpnn: error: --scale, --mean and --std must fit the model: mean")


def test_scaling_of_floats(models: Path, tmp_path: Path) -> None:
    """Floats are scaled already: scaling them again is refused."""
    np.savez(tmp_path / "x.npz", x=np.zeros((2, 1, 28, 28), np.float32))
    source = tmp_path / "x.npz"
    args = ("--calibration", source, "--scale", "1/255")
    done = fxp("quantize", models / "tiny.onnx", "-o", tmp_path / "o.fxp", *args)
    assert done == (
        3,
        "",
        f"fxpnn: error: {source}: must hold uint8 pixels where --scale, --mean or --std is given, "
        "not float32, which is scaled already\n",
    )


def test_outputs_that_cannot_be(models: Path, tmp_path: Path) -> None:
    """A target that cannot be written, or is an input, is refused and left as it is."""
    model = tmp_path / "tiny.onnx"
    model.write_bytes((models / "tiny.onnx").read_bytes())
    before = model.read_bytes()
    (tmp_path / "link.fxp").symlink_to(model)
    (tmp_path / "null.fxp").symlink_to("/dev/null")
    (tmp_path / "folder.fxp").mkdir()
    for target, line in (
        (tmp_path / "none" / "o.fxp", "cannot be written: No such file or directory"),
        (model / "o.fxp", "cannot be written: Not a directory"),
        (tmp_path / "folder.fxp", "must be a file to write to, not a folder, pipe or device"),
        (tmp_path / "null.fxp", "must be a file to write to, not a folder, pipe or device"),
        (tmp_path / "link.fxp", "must not be written over, for it is an input too"),
    ):
        done = fxp("quantize", model, "-o", target)
        assert done == (3, "", f"fxpnn: error: {target}: {line}\n")
    assert model.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 4


def test_a_quantized_model_ends_in_fxp(models: Path, tmp_path: Path) -> None:
    """No command would take a file of another suffix; none is written."""
    target = tmp_path / "o.onnx"
    done = fxp("quantize", models / "tiny.onnx", "-o", target)
    line = f"-o / --output: must end in .fxp, not '{target}' (see fxpnn quantize --help)"
    assert done == (2, "", f"fxpnn: error: {line}\n")
    assert not target.exists()


@pytest.mark.parametrize("damage", ["missing", "empty", "cut", "other"])
def test_models_that_cannot_be(damage: str, models: Path, tmp_path: Path) -> None:
    """A model that is missing, empty, cut or no model ends in one line, and writes nothing."""
    model = tmp_path / "model.onnx"
    content = (models / "tiny.onnx").read_bytes()
    damaged = {"empty": b"", "cut": content[: len(content) // 2], "other": b"\x7fELF" + content}
    if damage in damaged:
        model.write_bytes(damaged[damage])
    done = fxp("quantize", model, "-o", tmp_path / "out.fxp")
    assert (done.status, done.out) == (3, "")
    assert re.fullmatch(rf"fxpnn: error: {re.escape(str(model))}: [^\n]+\n", done.err)
    assert not (tmp_path / "out.fxp").exists()


def test_quantized_models_are_no_input(models: Path, tmp_path: Path) -> None:
    """A model that is quantized already is refused, whatever its name."""
    disguised = tmp_path / "model"
    disguised.write_bytes((models / "tiny.fxp").read_bytes())
    for model in (models / "tiny.fxp", disguised):
        done = fxp("quantize", model, "-o", tmp_path / "o.fxp")
        line = f"{model}: must be a float model (.onnx), not a quantized one"
        assert done == (3, "", f"fxpnn: error: {line}\n")


def test_old_file_stays(models: Path, tmp_path: Path) -> None:
    """A quantization that fails leaves the file of the last one alone."""
    target = tmp_path / "out.fxp"
    target.write_bytes(b"old")
    done = fxp("quantize", models / "tiny.onnx", "-o", target, "--calibration", "nowhere")
    assert done.status == 3
    assert target.read_bytes() == b"old"


def test_full_disk(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fills ends in one line; the old file stays, and nothing beside it."""
    target = tmp_path / "out.fxp"
    target.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    done = fxp("quantize", models / "tiny.onnx", "-o", target)
    line = f"{target}: cannot be written: No space left on device"
    assert done == (3, "", f"fxpnn: error: {line}\n")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_equal_runs_write_equal_bytes(models: Path, tmp_path: Path) -> None:
    """Quantizing again gives the same bytes; another choice gives others."""
    quantize(models, tmp_path)
    assert (tmp_path / "out.fxp").read_bytes() == (models / "tiny.fxp").read_bytes()
    _, fixed = quantize(models, tmp_path, "--word", "12")
    assert dumps(fixed) != (models / "tiny.fxp").read_bytes()
