"""``fxpnn diff`` names the first layer and value in which a device differs, or one line."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import fxpnn
from fxpnn.network.layers import AvgPool2D, Conv2D, Flatten, PRelu, Window
from tests.support.cli_runner import Outcome, fxp, sha256, write_models
from tests.support.parameters import bias as bias_of

IMAGES = np.random.default_rng(2).integers(0, 256, (3, 1, 28, 28), np.uint8)


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with tiny.onnx, tiny.fxp, x.npy and ``t``, a trace of its second image."""
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "x.npy", IMAGES)
    write_models(tmp_path)
    assert fxp("trace", "tiny.fxp", "--data", "x.npy", "--index", "1", "-o", "t").status == 0
    return tmp_path


def spoil(path: Path, line: int, word: str) -> str:
    """Leave a layer's text alone, with another word in a line; return what stood there."""
    path.with_suffix(".npy").unlink()
    lines = path.read_text().splitlines()
    before, lines[line] = lines[line], word
    path.write_text("\n".join(lines))
    return before


def test_a_trace_is_equal(models: Path) -> None:
    """Each layer is; the input too, where the data are given."""
    done = fxp("diff", "tiny.fxp", "t")
    assert (done.status, done.err) == (0, "")
    assert "all 820 words of 5 layers are the model's" in done.out
    assert "not judged" in done.out
    done = fxp("diff", "tiny.fxp", "t", "--data", "x.npy", "--json")
    assert (done.status, done.err) == (0, "")
    found = done.json
    assert [layer["state"] for layer in found["layers"]] == ["equal"] * 6
    assert found["element"] is None
    assert found["model_matches"] is True
    assert (found["index"], found["data"]["name"], found["folder"]) == (1, "x.npy", "t")
    assert found["files"]["hidden"] == "layer_1_hidden.npy"


def test_a_wrong_word_is_named(models: Path) -> None:
    """With its layer, its place, both values, what it is made of, and exit status 1."""
    spoil(models / "t/layer_1_hidden.hex", 4, "0123")
    done = fxp("diff", "tiny.fxp", "t", "--json")
    assert done.status == 1
    layer = next(it for it in done.json["layers"] if it["state"] == "differs")
    wanted = layer["first"]["wanted"]
    assert (layer["name"], layer["differing"], layer["own_differing"]) == ("hidden", 1, 1)
    assert layer["first"] == {"index": [3], "wanted": wanted, "found": 0x123}
    fixed = fxpnn.load("tiny.fxp")
    assert wanted == fxpnn.infer(fixed, IMAGES, keep=["hidden"]).tensors["hidden"][1, 3]
    element = done.json["element"]
    assert (element["raw"], element["cast"]["value"]) == (
        wanted,
        element["reads"][-1]["accumulator"],
    )
    assert len(element["reads"]) == 784

    word = f"{wanted & 0xFFFF:04x}"
    line = f"hidden (Dense) differs first, at [3]: 291 (0123), not {wanted} ({word})"
    done = fxp("diff", "tiny.fxp", "t")
    assert (done.status, done.err) == (1, f"fxpnn: failed: t: {line}\n")
    assert f" {line}\n" in done.out
    assert f" {wanted} comes about from\n" in done.out
    bias = str(bias_of(fixed["hidden"])[3])
    assert re.search(rf"^ bias +{bias} +{bias} *$", done.out, re.MULTILINE)
    assert len(re.findall(r"^ flatten\[\d+\] ", done.out, re.MULTILINE)) == 12
    zeros = int((IMAGES[1] == 0).sum())
    assert re.search(rf"^ {784 - 12 - zeros} more", done.out, re.MULTILINE)
    assert re.search(rf"^ {zeros} products of 0", done.out, re.MULTILINE)
    last = rf"^ cast of -?\d+ counts of 2\*\*-\d+ to \S+, nearest-even and saturate: {wanted}$"
    assert re.search(last, done.out, re.MULTILINE)


def test_another_model_is_told_from_what_it_does(models: Path) -> None:
    """A network that rounds down: both layers are named, and why; the manifest is another's."""
    args = ("-o", "floor.fxp", "--rounding", "floor", "-q")
    assert fxp("quantize", "tiny.onnx", *args).status == 0
    done = fxp("diff", "floor.fxp", "t")
    note, failed = done.err.splitlines()
    assert note == "fxpnn: note: t was traced with another file than floor.fxp"
    assert failed.endswith("; 2 layers differ by themselves")
    assert done.out.count("differs: rounding is nearest-even, not floor") == 2
    assert "follows from its inputs" in done.out
    assert fxp("diff", "floor.fxp", "t", "--json", "-q").json["model_matches"] is False


def test_other_data_are_told(models: Path) -> None:
    """The input differs then, and there is nothing of which it is made."""
    np.save("y.npy", 255 - IMAGES)
    done = fxp("diff", "tiny.fxp", "t", "--data", "y.npy")
    note, failed = done.err.splitlines()
    assert note == "fxpnn: note: t was traced on other data than y.npy"
    found, wanted = int(IMAGES[1, 0, 0, 0]), 255 - int(IMAGES[1, 0, 0, 0])
    assert failed == (
        f"fxpnn: failed: t: input (Input) differs first, at [0, 0, 0]: {found} ({found:02x}), not "
        f"{wanted} ({wanted:02x})"
    )
    assert "comes about" not in done.out


def test_missing_layers_are_skipped(models: Path) -> None:
    """And listed; without a manifest or an input the rest is judged by what it reads."""
    for path in (*models.glob("t/layer_1*"), models / "t/manifest.json"):
        path.unlink()
    done = fxp("diff", "tiny.fxp", "t")
    assert done.status == 0
    assert re.search(r"^ hidden +Dense .* missing *$", done.out, re.MULTILINE)
    for path in models.glob("t/input*"):
        path.unlink()
    done = fxp("diff", "tiny.fxp", "t", "--json")
    assert done.status == 0
    assert [layer["state"] for layer in done.json["layers"]] == [
        *("missing", "unknown", "missing", "follows", "follows", "follows"),
    ]
    assert done.json["model_matches"] is None
    given = fxp("diff", "tiny.fxp", "t", "--data", "x.npy", "--index", "1", "--json").json
    assert [layer["state"] for layer in given["layers"]] == [
        *("missing", "equal", "missing", "equal", "equal", "equal"),
    ]


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_tables_fit_the_terminal(
    columns: int, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal no line of a table is wider than it."""
    spoil(models / "t/layer_1_hidden.hex", 4, "0123")
    monkeypatch.setattr("cli.console.tables.on_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    assert max(map(len, fxp("diff", "tiny.fxp", "t").out.splitlines())) <= columns


def compared(folder: Path, network: fxpnn.Network, name: str, flat: int) -> Outcome:
    """Trace a network on zeros and an image of 9s, and compare it with one word changed."""
    x = np.full((1, *network.input_shape), 9, np.uint8)
    fxpnn.quantize(network, x, fxpnn.Settings(accumulator=fxpnn.Accumulator(48))).save("n.fxp")
    np.save("n.npy", x)
    assert fxp("trace", "n.fxp", "--data", "n.npy", "-o", "n").status == 0
    (path,) = folder.glob(f"n/*_{name}.npy")
    path.with_suffix(".hex").unlink()
    words = np.load(path)
    words.flat[flat] ^= 1
    np.save(path, words)
    return fxp("diff", "n.fxp", "n")


def test_other_layers_are_told_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What reads few values lists them; a mean says by what it divides; padding has no place."""
    monkeypatch.chdir(tmp_path)
    window = Window((3, 3), padding=(1, 1, 1, 1))
    layers = {
        "conv": Conv2D(np.full((2, 1, 3, 3), 0.5), np.zeros(2), window),
        "slope": PRelu(np.array([0.25, 0.5])),
        "mean": AvgPool2D(Window((1, 3))),
        "flat": Flatten(),
    }
    network = fxpnn.chain("n", (1, 3, 4), layers)
    out = compared(tmp_path, network, "conv", 0).out
    assert re.search(r"^ input\[0, 1, 1\] +9 ", out, re.MULTILINE)
    assert "5 products of 0" in out  # padding
    out = compared(tmp_path, network, "mean", 1).out
    assert re.findall(r"^ slope\[0, 0, (\d)\] ", out, re.MULTILINE) == ["1", "2", "3"]
    assert re.search(r"^ cast of \d+ / 3 counts of 2\*\*-\d+ to ", out, re.MULTILINE)
    out = compared(tmp_path, network, "flat", 2).out
    assert re.search(r"^ mean\[0, 1, 0\] +\d+ *$", out, re.MULTILINE)
    assert re.search(r"^ which is \d+ without a cast$", out, re.MULTILINE)


@pytest.mark.parametrize(
    ("args", "status", "line"),
    [
        (("tiny.fxp", "none"), 3, "none: must be a folder of the files that fxpnn trace writes"),
        (("tiny.fxp", "empty"), 3,
         "empty: must hold words of tiny's layers, as layer_4_softmax.hex"),
        (("tiny.fxp", "input"), 3,
         "input: words must be those of a layer of tiny and of what it reads; the input may be "
         "given by --data"),
        (("tiny.fxp", "x"), 3,
         "x/layer_1_hidden.hex: [3] must be hexadecimal digits, not '01xx'; the simulation does "
         "not know it"),
        (("tiny.fxp", "hostile"), 3,
         "hostile/manifest.json: must name .npy and .hex files beside it, not '../../x.npy'"),
        (("tiny.onnx", "t"), 3,
         "tiny.onnx: must be a quantized model (.fxp); fxpnn quantize makes one from an ONNX "
         "model"),
        (("tiny.fxp", "t", "--index", "1"), 2,
         "--index must stand with --data (see fxpnn diff --help)"),
        (("tiny.fxp", "t", "--scale", "1/255"), 2,
         "--scale, --mean and --std must stand with --data (see fxpnn diff --help)"),
        (("tiny.fxp", "t", "--data", "x.npy", "--index", "9"), 3,
         "x.npy: must have an image 9, not 3 images, from 0"),
        (("tiny.fxp",), 2, "Missing argument 'DIR' (see fxpnn diff --help)"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared(
    models: Path, args: tuple[str, ...], status: int, line: str
) -> None:
    """Each ends in one line."""
    for folder in ("empty", "input", "x", "hostile"):
        (models / folder).mkdir()
    (models / "input/input.hex").write_bytes((models / "t/input.hex").read_bytes())
    (models / "x/layer_1_hidden.hex").write_text("0 1 2 01xx 4 5 6 7")
    manifest = json.loads((models / "t/manifest.json").read_text())
    manifest["tensors"][2]["npy"] = "../../x.npy"
    (models / "hostile/manifest.json").write_text(json.dumps(manifest))
    done = fxp("diff", *args)
    assert (done.status, done.out) == (status, "")
    assert done.err == f"fxpnn: error: {line}\n"


def test_the_model_is_known_by_its_sum(models: Path) -> None:
    """A copy is the same model, whatever it is called."""
    (models / "copy.fxp").write_bytes((models / "tiny.fxp").read_bytes())
    done = fxp("diff", "copy.fxp", "t", "--json")
    assert (done.status, done.err) == (0, "")
    assert done.json["model"]["sha256"] == sha256(models / "tiny.fxp")
    assert done.json["model_matches"] is True
