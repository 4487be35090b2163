"""`fxpnn infer` runs a quantized model, compares it with its reference and judges by gates."""

import csv
import io
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import fxpnn
from cli.console import tables
from cli.sources import DataSource, ModelSource
from cli.views import run as view
from fxpnn.analysis.report import Accuracy, LayerReport, Timing
from fxpnn.analysis.tables import overflow_text
from fxpnn.datasets import Data, data_sha256
from fxpnn.network.fxp import dumps
from fxpnn.network.layers import Dense
from tests.support.cli_runner import Outcome, fxp, sha256, write_models

KEYS = {
    "model": ["path", "sha256", "name"],
    "data": ["name", "images", "sha256"],
    "accuracy": ["fixed", "float", "loss", "flips"],
    "softmax": ["max_abs_error", "argmax_lost"],
    "timing": ["seconds", "images_per_second", "threads"],
    "scaling": ["scale", "mean", "std", "assumed"],
}
LAYER_KEYS = [
    *("name", "op", "input_format", "weight_format", "output_format", "accumulator"),
    *("accumulator_bits_needed", "proved", "accumulator_overflows", "saturations"),
    *("sqnr_db", "max_abs_error", "fitting_format", "below_zero"),
    *("clipped_weights", "clipped_constants", "vanished_channels"),
    *("rounding", "overflow", "softmax"),
    *("worst_channel", "worst_channel_sqnr_db", "clipped_biases", "remedy", "exact"),
]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with tiny.onnx and tiny.fxp, a 3-bit rough.fxp and a wrapping wrap.fxp."""
    folder = write_models(tmp_path_factory.mktemp("models"))
    for name, *args in (
        ("rough.fxp", "--word", "3"),
        ("wrap.fxp", "--format", "Q1.14", "--overflow", "wrap", "--accumulator", "16 wrap"),
    ):
        done = fxp("quantize", folder / "tiny.onnx", "-o", folder / name, "-q", *args)
        assert done.status == 0
    return folder


def infer(models: Path, name: str, *args: str | Path) -> Outcome:
    """Run one of the models on the first 64 test images."""
    return fxp("infer", models / name, "--data", "mnist", "--limit", "64", *args)


def compared(models: Path, name: str, *args: str | Path) -> Outcome:
    """Do so with the float network as the reference."""
    return infer(models, name, "--reference", models / "tiny.onnx", *args)


def test_json_has_the_documented_keys(models: Path) -> None:
    """The JSON has schema 1 and exactly the documented keys, in their order, and no others."""
    done = compared(models, "tiny.fxp", "--json")
    assert (done.status, done.err) == (0, "")
    assert done.json["schema"] == 1
    keys = [
        "schema",
        "model",
        "data",
        "accuracy",
        "layers",
        "softmax",
        "timing",
        "outputs",
        "scaling",
        "reference_matches",
        "normalisation",
    ]
    assert list(done.json) == keys
    assert {name: list(done.json[name]) for name in KEYS} == KEYS
    for layer in done.json["layers"]:
        assert list(layer) == LAYER_KEYS


def test_json_is_the_library_s_report(models: Path) -> None:
    """Accuracy, flips and counts are those of the library; sources are named by their sha256."""
    done = compared(models, "rough.fxp", "--json", "--threads", "1").json
    x, y = (array[:64] for array in fxpnn.load_data("mnist") if array is not None)
    fixed, network = fxpnn.load(models / "rough.fxp"), fxpnn.load_onnx(models / "tiny.onnx")
    report = fxpnn.compare(network, fixed, x, y)
    assert list(done["accuracy"].values()) == [
        report.accuracy.fixed,
        report.accuracy.reference,
        report.accuracy.loss,
        report.accuracy.flips,
    ]
    assert [layer["saturations"] for layer in done["layers"]] == [
        layer.saturations for layer in report.layers
    ]
    path = models / "rough.fxp"
    assert done["model"] == {"path": str(path), "sha256": sha256(path), "name": "tiny"}
    assert done["data"] == {"name": "mnist", "images": 64, "sha256": data_sha256(Data(x, y))}
    assert done["timing"]["threads"] == 1


def test_endless_numbers_are_null(models: Path) -> None:
    """The input is exact: its endless SQNR is null in JSON and "exact" in the table."""
    layers = compared(models, "tiny.fxp", "--json").json["layers"]
    assert layers[0]["name"] == "input"
    assert layers[0]["sqnr_db"] is None
    assert (layers[0]["max_abs_error"], layers[0]["exact"]) == (0, True)
    assert (layers[2]["sqnr_db"] > 60, layers[2]["exact"]) == (True, False)
    assert re.search(r"^ input .* exact ", compared(models, "tiny.fxp").out, re.MULTILINE)


def test_without_reference_or_labels(models: Path, tmp_path: Path) -> None:
    """Without a reference float, loss and flips are null; without labels all accuracy is."""
    alone = infer(models, "tiny.fxp", "--json").json
    assert alone["accuracy"]["fixed"] is not None
    assert [alone["accuracy"][key] for key in ("float", "loss", "flips")] == [None] * 3
    assert "SQNR" not in infer(models, "tiny.fxp").out
    np.savez(tmp_path / "x.npz", x=fxpnn.load_data("mnist").x[:8])
    command = ("infer", models / "tiny.fxp", "--data", tmp_path / "x.npz")
    assert set(fxp(*command, "--json").json["accuracy"].values()) == {None}
    unknown = f"unknown, {tmp_path / 'x.npz'} has no labels (--labels gives them)"
    assert unknown in fxp(*command).out
    compared = (*command, "--reference", models / "tiny.onnx")
    assert fxp(*compared, "--json").json["accuracy"]["flips"] == 0
    assert f"{unknown}   flips 0 of 8 images" in fxp(*compared).out


def test_table_and_summary(models: Path) -> None:
    """The table has a row for each layer; below it stand accuracy, softmax and speed."""
    done = compared(models, "tiny.fxp")
    assert (done.status, done.err) == (0, "")
    for node in fxpnn.load(models / "tiny.fxp").nodes:
        assert re.search(rf"^ {node.name} +{node.op} ", done.out, re.MULTILINE)
    assert len(re.findall(r"proved, needs \d+ of 48", done.out)) == 2
    assert re.search(
        r"^ accuracy +float 0\.\d{4} +fixed 0\.\d{4} +loss -?0\.\d{4} +flips \d+ of 64 images",
        done.out,
        re.MULTILINE,
    )
    assert re.search(r"^ softmax +error at most \S+, largest class lost 0 times", done.out, re.M)
    assert re.search(r"^ speed +[\d,]+ images/s on \d+ threads?", done.out, re.MULTILINE)
    assert "\x1b" not in done.out


@pytest.mark.parametrize("columns", [60, 80, 100, 120, 200])
@pytest.mark.parametrize("model", ["tiny.fxp", "wrap.fxp"])
def test_table_fits_the_terminal(
    model: str, columns: int, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal of 60 columns or more no line is wider, and no cell is broken or cut."""
    monkeypatch.setattr(tables, "on_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = compared(models, model).out.splitlines()
    assert max(map(len, lines)) <= columns
    rule = next(
        i
        for i, line in enumerate(lines)
        if set(line.strip()) == {"\N{BOX DRAWINGS LIGHT HORIZONTAL}"}
    )
    rows = [line.split() for line in lines[rule + 1 : rule + 7]]
    assert [row[0] for row in rows] == list(fxpnn.load(models / model).shapes)
    assert all(re.search(r" U?Q\d\.\d+ ", line) for line in lines[rule + 1 : rule + 7])
    assert lines[rule - 1].split()[-1] in ("dB", "channel", "saturated")


def test_results_as_npz(models: Path, tmp_path: Path) -> None:
    """The .npz holds the engine's raw outputs, predictions, probabilities and the labels."""
    target = tmp_path / "out.npz"
    assert infer(models, "tiny.fxp", "-o", target, "-q").status == 0
    x, y = fxpnn.load_data("mnist")
    run = fxpnn.infer(fxpnn.load(models / "tiny.fxp"), x[:64])
    assert y is not None
    assert run.probabilities is not None
    with np.load(target) as held:
        assert sorted(held) == ["labels", "predictions", "probabilities", "raw"]
        assert held["raw"].dtype == np.int16
        assert np.array_equal(held["raw"], run.raw)
        assert np.array_equal(held["predictions"], run.predictions)
        assert np.array_equal(held["probabilities"], run.probabilities)
        assert np.array_equal(held["labels"], y[:64])


def test_results_as_csv(models: Path, tmp_path: Path) -> None:
    """The .csv holds a line for each image: index, label, prediction and raw outputs."""
    target = tmp_path / "out.csv"
    assert infer(models, "tiny.fxp", "-o", target, "-q").status == 0
    head, *rows = csv.reader(io.StringIO(target.read_text()))
    x, y = fxpnn.load_data("mnist")
    run = fxpnn.infer(fxpnn.load(models / "tiny.fxp"), x[:64])
    assert y is not None
    assert head == ["index", "label", "prediction", *(f"raw_{i}" for i in range(10))]
    expected = zip(range(64), y[:64], run.predictions, run.raw, strict=True)
    assert [list(map(int, row)) for row in rows] == [
        [i, label, guess, *raw] for i, label, guess, raw in expected
    ]


def test_results_without_labels(models: Path, tmp_path: Path) -> None:
    """Labels that are not known are left out of the .npz and empty in the .csv."""
    np.savez(tmp_path / "x.npz", x=fxpnn.load_data("mnist").x[:2])
    command = ("infer", models / "tiny.fxp", "--data", tmp_path / "x.npz", "-q", "-o")
    assert fxp(*command, tmp_path / "out.npz").status == 0
    with np.load(tmp_path / "out.npz") as held:
        assert "labels" not in held
    assert fxp(*command, tmp_path / "out.csv").status == 0
    assert (tmp_path / "out.csv").read_text().splitlines()[1].startswith("0,,")


@pytest.mark.parametrize("suffix", ["npz", "csv"])
def test_results_are_reproducible(suffix: str, models: Path, tmp_path: Path) -> None:
    """Equal runs on any number of threads write equal bytes."""
    written = []
    for threads in ("1", "2"):
        target = tmp_path / f"{threads}.{suffix}"
        infer(models, "tiny.fxp", "-o", target, "--threads", threads)
        written.append(target.read_bytes())
    assert written[0] == written[1]


def test_first_overflow_is_named(models: Path) -> None:
    """The first layer that overflows is named with how often, and what would have fitted."""
    done = compared(models, "wrap.fxp", "--json")
    first = next(x for x in done.json["layers"] if x["accumulator_overflows"] or x["saturations"])
    line = (
        f"hidden (Dense) is the first layer to overflow: its 16-bit wrapping accumulator "
        f"{first['accumulator_overflows']:,} times in 64 images; an accumulator of "
        f"{first['accumulator_bits_needed']} bits and {first['fitting_format']} at its output "
        "would have fitted"
    )
    clipped = "output (Dense): Q1.14 clips 3 of its weights"
    assert done.err == f"fxpnn: note: {clipped}\nfxpnn: note: {line}\n"
    shown = compared(models, "wrap.fxp")
    assert line in shown.out
    assert shown.err == done.err
    assert compared(models, "wrap.fxp", "-q").err == ""


def test_first_overflow_on_a_terminal_is_told_once(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the table is looked at, the note that it holds is not repeated below it."""
    monkeypatch.setattr("cli.infer.on_terminal", lambda: True)
    done = compared(models, "wrap.fxp")
    assert "is the first layer to overflow" in done.out
    assert done.err == ""


def overflowing(**changes: object) -> view.RunReport:
    """Make the report of one layer that saturated its output."""
    layer = LayerReport(
        *("c1", "Conv2D", "Q0.7", "Q0.7", "Q2.5", "48 saturate"), 20, True, 0, 3, 40.0, 0.1, "Q3.4"
    )
    for name, value in changes.items():
        layer = _replaced(layer, name, value)
    sources = ModelSource("m", "", "m"), DataSource("d", 5, "")
    return view.RunReport(1, *sources, Accuracy(), (layer,), None, Timing(1.0, 5.0, 1), ())


def _replaced(layer: LayerReport, name: str, value: object) -> LayerReport:
    fields = {field: getattr(layer, field) for field in layer.__struct_fields__}
    return LayerReport(**{**fields, name: value})


def test_remedies() -> None:
    """The line tells what was tried and fitted; where nothing is known to, it tells none."""
    start = "c1 (Conv2D) is the first layer to overflow: its Q2.5 output 3 times in 5 images"
    assert overflow_text(overflowing(remedy="do it").report) == f"{start}; do it"
    assert overflow_text(overflowing().report) == start
    assert overflow_text(overflowing(saturations=0).report) is None
    both = overflow_text(overflowing(accumulator_overflows=1234).report)
    assert both is not None
    assert "its 48-bit accumulator 1,234 times and its Q2.5 output 3 times in 5 images" in both


def test_a_register_with_a_fraction_is_named_by_its_format() -> None:
    """Its bits alone would not say what it is."""
    report = {"accumulator": "Q3.12 floor wrap cast", "saturations": 0, "fitting_format": None}
    assert overflow_text(overflowing(**report, accumulator_overflows=7).report) == (
        "c1 (Conv2D) is the first layer to overflow: its Q3.12 wrapping accumulator 7 times "
        "in 5 images"
    )


def test_gate_on_loss(models: Path) -> None:
    """A loss over --max-loss ends with 1 after the results; a loss that equals it passes."""
    done = compared(models, "wrap.fxp", "--json", "-q")
    loss = done.json["accuracy"]["loss"]
    assert loss > 0.01
    assert compared(models, "wrap.fxp", "--max-loss", repr(loss), "-q").status == 0
    limit = math.nextafter(loss, 0)
    failed = compared(models, "wrap.fxp", "--json", "--max-loss", repr(limit), "-q")
    assert failed.status == 1
    assert failed.err == (f"fxpnn: failed: accuracy loss {loss:.6g} is over --max-loss {limit:g}\n")
    assert failed.json["accuracy"] == done.json["accuracy"]


def test_gate_on_overflow(models: Path) -> None:
    """Any overflow ends with 1 under --fail-on-overflow; a run without one passes."""
    assert infer(models, "tiny.fxp", "--fail-on-overflow").status == 0
    counts = infer(models, "wrap.fxp", "--json").json["layers"]
    overflows = sum(layer["accumulator_overflows"] for layer in counts)
    saturations = sum(layer["saturations"] for layer in counts)
    done = infer(models, "wrap.fxp", "--fail-on-overflow", "-q")
    assert (done.status, done.err) == (
        1,
        "fxpnn: failed: output (Dense): Q1.14 clips 3 of its weights; "
        f"{overflows:,} accumulator overflows and {saturations:,} saturations "
        "with --fail-on-overflow\n",
    )


def test_flips_are_listed(models: Path) -> None:
    """--show-flips lists every image whose prediction changed, with both classes."""
    flips = compared(models, "wrap.fxp", "--show-flips", "--json", "-q").json["flipped"]
    assert len(flips) == compared(models, "wrap.fxp", "--json").json["accuracy"]["flips"] > 0
    done = compared(models, "wrap.fxp", "--show-flips")
    for flip in flips:
        verdict = "both wrong"
        if flip["reference"] == flip["label"]:
            verdict = "lost"
        elif flip["fixed"] == flip["label"]:
            verdict = "gained"
        cells = (flip["index"], flip["label"], flip["reference"], flip["fixed"], verdict)
        assert re.search(r"^ +" + r" +".join(map(str, cells)) + " *$", done.out, re.MULTILINE)


def test_pixels_are_scaled_as_asked(models: Path, tmp_path: Path) -> None:
    """--scale overrules the model's scaling in the fixed network and in its reference."""
    scaled = compared(models, "tiny.fxp", "--scale", "1/512", "--json").json
    fixed = fxpnn.load(models / "tiny.fxp")
    half = replace(fixed, scaling=fxpnn.Scaling(1 / 512))
    (tmp_path / "half.fxp").write_bytes(dumps(half))
    assert scaled["layers"][0]["sqnr_db"] > 20  # the reference was scaled too
    target = tmp_path / "a.npz", tmp_path / "b.npz"
    assert infer(models, "tiny.fxp", "--scale", "1/512", "-o", target[0]).status == 0
    assert infer(tmp_path, "half.fxp", "-o", target[1]).status == 0
    assert target[0].read_bytes() == target[1].read_bytes()


def test_reference_is_scaled_as_the_model(models: Path, tmp_path: Path) -> None:
    """The scaling that a model was quantized with holds for its reference too."""
    path = tmp_path / "scaled.fxp"
    done = fxp("quantize", models / "tiny.onnx", "-o", path, "--scale", "1/100", "--mean", "0.5")
    assert done.status == 0
    layers = infer(tmp_path, "scaled.fxp", "--reference", models / "tiny.onnx", "--json").json
    assert min(layer["sqnr_db"] for layer in layers["layers"]) > 60


def test_hostile_names_are_harmless(models: Path, tmp_path: Path) -> None:
    """Names of layers that hold control characters are printed without them."""
    fixed = fxpnn.load(models / "tiny.fxp")
    nasty = "a\x1b[2J\nb"
    nodes = tuple(
        replace(
            node,
            name=nasty if node.name == "hidden" else node.name,
            inputs=tuple(nasty if name == "hidden" else name for name in node.inputs),
        )
        for node in fixed.nodes
    )
    (tmp_path / "nasty.fxp").write_bytes(dumps(replace(fixed, name=nasty, nodes=nodes)))
    for command in ("inspect",), ("infer", "--data", "mnist", "--limit", "2"):
        done = fxp(command[0], tmp_path / "nasty.fxp", *command[1:])
        assert done.status == 0
        assert "\x1b" not in done.out
        assert re.search(r"^ a\\x1b\[2J b +Dense", done.out, re.MULTILINE)


def test_the_worst_channel_is_shown(tmp_path: Path) -> None:
    """Rows name it in JSON; where accuracy may have suffered by it, a line says so."""
    network = fxpnn.chain("n", (2,), {"d": Dense(np.diag([100, 0.1]), np.zeros(2))})
    fxpnn.save_onnx(network, tmp_path / "n.onnx")
    x = np.random.default_rng(1).uniform(-1, 1, (200, 2)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=x)
    np.savez(tmp_path / "y.npz", x=x, y=np.diff(x[:, ::-1] * [1e-3, 1]).argmax(1))
    args = ("quantize", tmp_path / "n.onnx", "-o", tmp_path / "n.fxp", "--word", "8")
    assert fxp(*args, "--calibration", tmp_path / "x.npz").status == 0
    run = ("infer", tmp_path / "n.fxp", "--reference", tmp_path / "n.onnx", "--data")
    row = fxp(*run, tmp_path / "x.npz", "--json").json["layers"][-1]
    assert row["worst_channel"] == 1
    assert row["worst_channel_sqnr_db"] < 10 < row["sqnr_db"]
    done = fxp(*run, tmp_path / "x.npz")
    assert "d (Dense) is the first layer to lose a channel: 1 has" in done.out + done.err
