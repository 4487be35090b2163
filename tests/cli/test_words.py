"""Words of weights and outputs by options, and how weights are rounded."""

from pathlib import Path

import fxpnn
from fxpnn.network.rounded import WeightRounding
from tests.support.cli_runner import fxp, tiny


def quantized(folder: Path, *options: str) -> fxpnn.FixedNetwork:
    """Quantize the tiny network with options, and load what was written."""
    fxpnn.save_onnx(tiny(), folder / "t.onnx")
    done = fxp("quantize", folder / "t.onnx", "-o", folder / "t.fxp", "-q", *options)
    assert (done.status, done.err) == (0, "")
    return fxpnn.load(folder / "t.fxp")


def test_words_of_weights_and_outputs_apart(tmp_path: Path) -> None:
    """Each option chooses its own; the input of pixels has the word of outputs, up to 8 bits."""
    fixed = quantized(tmp_path, "--weight-word", "5", "--output-word", "9")
    assert fixed.input_format.word == 8
    for node in fixed.nodes:
        if node.accumulator is not None:
            assert ({fmt.word for fmt in node.weight_formats}, node.output_format.word) == ({5}, 9)


def test_words_that_cannot_be(tmp_path: Path) -> None:
    """They are usage errors, and nothing is written."""
    fxpnn.save_onnx(tiny(), tmp_path / "t.onnx")
    for option, word in (("--weight-word", "17"), ("--output-word", "1")):
        done = fxp("quantize", tmp_path / "t.onnx", "-o", tmp_path / "t.fxp", option, word)
        line = f"{option}: a tensor's word must be 2 to 16 bits, not {word}"
        assert done == (2, "", f"fxpnn: error: {line} (see fxpnn quantize --help)\n")
    assert not (tmp_path / "t.fxp").exists()


def test_weights_with_feedback_and_corrected_biases(tmp_path: Path) -> None:
    """The options say it, calibration data are loaded for it, and inspect tells it."""
    options = ("--weight-rounding", "feedback", "--bias-correction")
    fixed = quantized(tmp_path, "--weight-word", "3", *options, "--per-channel")
    network, x = tiny(), fxpnn.load_data("mnist:calibration").x
    settings = fxpnn.Settings(
        weight_word=3,
        weight_rounding=WeightRounding.FEEDBACK,
        bias_correction=True,
        per_channel=True,
    )
    twin = fxpnn.quantize(network, x, settings)
    for mine, theirs in zip(fixed.nodes, twin.nodes, strict=True):
        assert (mine.rounded, mine.weight_formats) == (theirs.rounded, theirs.weight_formats)
    told = fxp("inspect", tmp_path / "t.fxp").out
    assert " weights of hidden, output are rounded with feedback\n" in told
    assert " biases of hidden are corrected by the mean error of outputs\n" in told
    given = quantized(tmp_path, "--format", "Q3.4", *options, "--calibration", "mnist:calibration")
    assert given["hidden"].rounded == fixed["hidden"].rounded
    quantized(tmp_path)
    assert "rounded with" not in fxp("inspect", tmp_path / "t.fxp").out


def test_how_weights_cannot_be_rounded(tmp_path: Path) -> None:
    """A usage error says what can be."""
    done = fxp("quantize", "t.onnx", "-o", tmp_path / "t.fxp", "--weight-rounding", "up")
    line = "--weight-rounding: must be one of nearest, feedback, not 'up'"
    assert done == (2, "", f"fxpnn: error: {line} (see fxpnn quantize --help)\n")


def test_ternary_weights(tmp_path: Path) -> None:
    """Two bits are -1, 0 and 1 by an option; inspect tells it."""
    fixed = quantized(tmp_path, "--weight-word", "2", "--weight-overflow", "saturate-symmetric")
    assert fixed["hidden"].rounded.overflow.value == "saturate-symmetric"
    told = fxp("inspect", tmp_path / "t.fxp")
    line = "weights of hidden, output are never the least word, for they are saturate-symmetric"
    assert f" {line}\n" in told.out
    layers = fxp("inspect", tmp_path / "t.fxp", "--json").json["layers"]
    modes = {layer["name"]: layer["weight_overflow"] for layer in layers}
    assert modes["hidden"] == modes["output"] == "saturate-symmetric"
