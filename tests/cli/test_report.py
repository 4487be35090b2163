"""``fxpnn report`` writes one page, the same bytes for the same input, or nothing at all."""

import re
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest

import cli.views
import fxpnn
from cli.views.report import Document
from fxpnn.analysis import points
from fxpnn.analysis.explanation import Effect
from fxpnn.analysis.float_values import FloatValues
from fxpnn.analysis.points import Point, Words
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.layers import Dense, Softmax
from fxpnn.reference import classify
from tests.support.cli_runner import fxp, sha256, tiny

IMAGES = 200


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a float model, data it has right, and a quantization whose hidden output is short."""
    made = tmp_path_factory.mktemp("report")
    fxpnn.save_onnx(tiny(), made / "tiny.onnx")
    x = fxpnn.load_data("mnist").x[: IMAGES + 1]
    np.savez(made / "x.npz", x=x, y=classify(tiny(), x))
    (made / "short.toml").write_text('[layers.hidden]\noutput = "Q-3.18"\n')
    short = ("--formats", made / "short.toml")
    done = fxp("quantize", made / "tiny.onnx", "-o", made / "tiny.fxp", "-q", *short)
    assert done.status == 0, done.err
    return made


def data(folder: Path) -> tuple[str | Path, ...]:
    """Give the options that name the data."""
    return "--data", folder / "x.npz", "--limit", str(IMAGES)


def data_of(page: Path) -> object:
    """Parse the JSON in a page."""
    found = re.search(
        r'<script type="application/json" id="report">(.*)</script>', page.read_text()
    )
    assert found is not None
    return msgspec.json.decode(found[1])


def test_a_page_is_written(folder: Path) -> None:
    """What is printed says what was found, and which file it is in; JSON has its size and hash."""
    page = folder / "tiny.html"
    judged = (folder / "tiny.fxp", "--reference", folder / "tiny.onnx", *data(folder))
    args = ("report", *judged, "-o", page)
    done = fxp(*args, "--json")
    told = done.json
    assert (told["path"], told["size"]) == (str(page), page.stat().st_size)
    assert told["sha256"] == sha256(page)
    explained = fxp("explain", *judged, "--json").json
    assert told["accuracy"] == explained["accuracy"]
    assert re.fullmatch(
        r"It loses accuracy: 0\.\d{4} where float has 1\.0000 on 200 images, a loss of 0\.\d{4} "
        r"\(0\.\d{4} to 0\.\d{4} with 95 % confidence\); hidden loses most, by its output\.",
        told["verdict"],
    )
    written = page.read_bytes()
    out = fxp(*args).out
    assert told["verdict"] in out
    assert f"written to {page} ({len(written) / 1000:,.0f} kB)" in out
    assert page.read_bytes() == written
    assert fxp(*args, "--threads", "1").status == 0
    assert page.read_bytes() == written


def test_the_data_in_a_page(folder: Path) -> None:
    """It says which files it is about, and is what the other commands tell."""
    page = folder / "data.html"
    args = (folder / "tiny.fxp", "--reference", folder / "tiny.onnx", *data(folder))
    calibration = ("--calibration", "mnist:calibration")
    assert fxp("report", *args, *calibration, "-o", page, "-q").status == 0
    told = data_of(page)
    assert isinstance(told, dict)
    assert told["version"] == fxpnn.__version__
    assert told["model"]["sha256"] == sha256(folder / "tiny.fxp")
    assert told["reference"]["sha256"] == sha256(folder / "tiny.onnx")
    assert told["calibration"]["images"] == 1000
    explained = fxp("explain", *args, *calibration, "--json").json
    run = fxp("infer", *args, "--json").json
    report = told["report"]
    assert (told["model"], told["data"]) == (explained["model"], explained["data"])
    for name in ("given", "ideal", "ranking", "tried", "first_losses"):
        assert report[name] == explained[name]
    for name in ("accuracy", "layers", "softmax", "outputs", "scaling"):
        assert report[name] == run[name]


def test_the_points_of_a_search_are_drawn(folder: Path) -> None:
    """Where the user names their table; a table that is none is refused in one line."""
    table, page = folder / "points.csv", folder / "points.html"
    tried = [
        Point(Words({"hidden": 4}, {"hidden": 8}), 1e5, Effect(0.97, 9, 20.0, 5, 1)),
        Point(Words({"hidden": 3}, {"hidden": 8}), 9e4, Effect(1.0, 0, 10.0, 0, 0)),
    ]
    lines = [points.line(points.cells(point, "0" * 16, 0.1)) for point in tried]
    table.write_bytes(points.line(points.HEAD) + b"".join(lines))
    judged = (folder / "tiny.fxp", "--reference", folder / "tiny.onnx", *data(folder))
    assert fxp("report", *judged, "--points", table, "-o", page, "-q").status == 0
    text = page.read_text()
    assert "What shorter words cost" in text
    assert "a search ran, 2 in all" in text
    told = msgspec.convert(data_of(page), Document, strict=False)
    assert told.points == tuple(tried)
    assert points.front(tried) == [tried[1]]
    table.write_bytes(table.read_bytes()[:-3])
    done = fxp("report", *judged, "--points", table, "-o", folder / "none.html", "-q")
    assert (done.status, (folder / "none.html").exists()) == (3, False)
    assert "points.csv: line 3 is cut" in done.err


def test_without_labels_flips_are_told(folder: Path, tmp_path: Path) -> None:
    """No accuracy, no interval, no matrix of confusions."""
    np.save(tmp_path / "x.npy", fxpnn.load_data("mnist").x[:100])
    page = tmp_path / "x.html"
    args = (folder / "tiny.fxp", "--reference", folder / "tiny.onnx", "--data", tmp_path / "x.npy")
    told = fxp("report", *args, "-o", page, "--json").json
    flips = told["accuracy"]["flips"]
    assert told["verdict"].startswith(
        f"It changes {flips} predictions of 100 images, which have no"
    )
    assert "Which classes are confused" not in page.read_text()
    np.save(tmp_path / "y.npy", np.arange(100) % 10)
    told = fxp("report", *args, "--labels", tmp_path / "y.npy", "-o", page, "--json").json
    assert told["accuracy"]["loss"] is not None
    assert "Which classes are confused" in page.read_text()


def test_where_nothing_is_lost(folder: Path, tmp_path: Path) -> None:
    """The page says so and ranks nothing; a few images leave room for doubt, many do not."""
    model, page = tmp_path / "sane.fxp", tmp_path / "sane.html"
    made = fxp("quantize", folder / "tiny.onnx", "-o", model, "--word", "12", "-q")
    assert made.status == 0
    x = fxpnn.load_data("mnist").x
    y = fxpnn.infer(fxpnn.load(model), x).predictions
    same = y == classify(tiny(), x)
    np.savez(tmp_path / "x.npz", x=x[same], y=y[same])
    args = (model, "--reference", folder / "tiny.onnx", "--data", tmp_path / "x.npz", "-o", page)
    for limit, words in (
        ("100", "These images do not tell whether it loses accuracy"),
        ("5000", "It loses no accuracy that matters"),
    ):
        told = fxp("report", *args, "--limit", limit, "--json").json
        assert told["accuracy"]["flips"] == 0
        assert told["verdict"].startswith(f"{words}: 1.0000 where float has 1.0000 on ")
    assert "Nothing is lost that a repair of a layer would bring back." in page.read_text()
    assert "Images whose prediction changed" not in page.read_text()
    np.savez(tmp_path / "x.npz", x=x, y=y)  # where they differ, the fixed network is right
    told = fxp("report", *args, "--json").json
    assert told["accuracy"]["flips"] == (~same).sum() > 0
    words = (
        rf"It loses no .*; of the {(~same).sum()} predictions that change, \w+ loses most, by its"
    )
    assert re.match(words, told["verdict"])
    assert "Images whose prediction changed" in page.read_text()


def test_labels_that_are_no_classes(folder: Path, tmp_path: Path) -> None:
    """A note says so; the images are judged all the same."""
    x = fxpnn.load_data("mnist").x[:50]
    np.savez(tmp_path / "x.npz", x=x, y=np.full(50, 77))
    args = (folder / "tiny.fxp", "--reference", folder / "tiny.onnx", "--data", tmp_path / "x.npz")
    done = fxp("report", *args, "-o", tmp_path / "x.html")
    assert done.status == 0
    assert "its labels are 77 to 77, but the network has the classes 0 to 9" in done.err


def test_inputs_that_are_no_pictures(tmp_path: Path) -> None:
    """Rows of features are told without a picture; a network without classes by its SQNR."""
    generator = np.random.default_rng(3)
    np.save(tmp_path / "x.npy", generator.normal(size=(64, 6)).astype(np.float32))
    for name, classes, words in (("few", 3, "predictions of 64"), ("one", 1, "an SQNR of ")):
        fxpnn.save_onnx(tiny_features(classes), tmp_path / f"{name}.onnx")
        model, page = tmp_path / f"{name}.fxp", tmp_path / f"{name}.html"
        made = fxp(
            *("quantize", tmp_path / f"{name}.onnx", "-o", model, "--word", "5", "-q"),
            *("--calibration", tmp_path / "x.npy"),
        )
        assert made.status == 0, made.err
        real = ("--reference", tmp_path / f"{name}.onnx", "--data", tmp_path / "x.npy")
        told = fxp("report", model, *real, "-o", page, "--json").json
        assert words in told["verdict"]
        assert "<img" not in page.read_text()
        assert ("Images whose prediction changed" in page.read_text()) == (classes > 1)


def test_floats_that_are_not_finite(folder: Path, tmp_path: Path) -> None:
    """Their figure is drawn, and says so; the data in a page are of the type that it tells."""
    from cli.views import page

    args = ("--reference", folder / "tiny.onnx", *data(folder), "-o", tmp_path / "r.html", "-q")
    assert fxp("report", folder / "tiny.fxp", *args).status == 0
    told = msgspec.json.decode(msgspec.json.encode(data_of(tmp_path / "r.html")), type=Document)
    blank = {one.flip.index: np.zeros((1, 28, 28), np.uint8) for one in told.report.flipped}
    odd = msgspec.structs.replace(told.report.values[1], least=None, most=None)
    report = msgspec.structs.replace(told.report, values=(*[odd] * len(told.report.values),))
    drawn = page.render(msgspec.structs.replace(told, report=report), blank).decode()
    assert "values that are not finite" in drawn


def tiny_features(classes: int) -> fxpnn.Network:
    """Build a network of rows of six features; with one class, without its softmax."""
    generator = np.random.default_rng(2)
    layers = {"sum": Dense(generator.normal(size=(classes, 6)), np.zeros(classes))}
    return fxpnn.chain(
        "features", (6,), layers if classes == 1 else {**layers, "softmax": Softmax()}
    )


def test_what_cannot_be_reported(folder: Path, tmp_path: Path) -> None:
    """One line each, and nothing is written."""
    fxpnn.save_onnx(tiny(5), tmp_path / "other.onnx")
    model, page = folder / "tiny.fxp", tmp_path / "r.html"
    real, other = (("--reference", n) for n in (folder / "tiny.onnx", tmp_path / "other.onnx"))
    given = data(folder)
    for args, status, words in (
        ((model, *real, *given), 2, "Missing option '-o'"),
        ((model, *real, *given, "-o", tmp_path / "r.txt"), 2, "must end in .html"),
        (
            (model, *other, *given, "-o", page),
            3,
            "--allow-other-reference takes it",
        ),
        (
            (model, *other, *given, "-o", page, "--allow-other-reference"),
            3,
            "the reference must be the network that tiny was quantized from; they differ in",
        ),
        (
            (folder / "tiny.onnx", *real, *given, "-o", page),
            3,
            "must be a quantized model (.fxp)",
        ),
        ((model, *real, *given, "-o", tmp_path / "no" / "r.html"), 3, "cannot be written"),
        ((model, *real, *given, "-o", tmp_path), 2, "must end in .html"),
        ((model, *real, "--data", "nowhere", "-o", page), 3, "nowhere: must be mnist"),
    ):
        done = fxp("report", *args)
        assert (done.status, done.out) == (status, ""), args
        assert words in done.err
        assert done.err.count("\n") <= 2
    assert [path.name for path in tmp_path.iterdir()] == ["other.onnx"]


@pytest.mark.parametrize("name", ["jinja2", "matplotlib"])
def test_a_missing_extra_is_named(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything runs, with the command that installs it."""
    for module in ("page", "figures"):
        monkeypatch.delitem(sys.modules, f"cli.views.{module}", raising=False)
        monkeypatch.delattr(cli.views, module, raising=False)
    monkeypatch.setitem(sys.modules, name, None)
    page = folder / "missing.html"
    real = ("--reference", folder / "tiny.onnx")
    done = fxp("report", folder / "tiny.fxp", *real, *data(folder), "-o", page)
    line = f"fxpnn: error: {page}: a report needs {name}: pip install 'fxpnn[report]'\n"
    assert (done.status, done.out, done.err) == (3, "", line)
    assert not page.exists()


def test_a_figure_keeps_to_the_page() -> None:
    """Colours and fonts are the page's, ids have their prefix, and a title is text."""
    from cli.views import figures

    values = FloatValues(-8.5, 7.5, tuple(range(16)), 3, 0, -9.0, 7.0, None)
    with figures.style():
        drawn = [
            str(figures.histogram(values, QFormat(4, 0), "<b> & $x$", prefix)) for prefix in "ab"
        ]
    assert drawn[0].replace("a-", "b-") == drawn[1].replace("a-", "b-")
    assert "<title>&lt;b&gt; &amp; $x$</title>" in drawn[0]
    ids = re.findall(r' id="([^"]+)"', drawn[0])
    assert ids
    assert all(name.startswith("a-") for name in ids)
    assert {*re.findall(r'(?:href="|url\()#([^")]+)', drawn[0])} == {*ids}
    assert not re.findall(r"#[0-9a-f]{6}\b|font-family|<style|<metadata|DOCTYPE|20\d\d-", drawn[0])
    assert drawn[0].count("var(--bad)") == 1  # one bar beside the range


def test_pictures() -> None:
    """Of one channel or three; floats from their least to their most; else none."""
    from cli.views import figures

    grey = figures.picture(np.array([[[0, 255]]], np.uint8))
    assert grey is not None
    assert grey.startswith("data:image/png;base64,iVBOR")
    assert grey == figures.picture(np.array([[[-3.0, 5.0]]]))
    assert grey == figures.picture(np.array([[[0, 255]]] * 3, np.uint8))
    assert figures.picture(np.zeros((1, 2, 2))) is not None
    large = np.repeat(np.repeat(np.arange(0, 200, 2, dtype=np.uint8)[None, None], 100, 1), 3, 2)
    assert figures.picture(large) == figures.picture(large[:, ::3, ::3])
    assert figures.picture(np.zeros((2, 4, 4), np.uint8)) is None
    assert figures.picture(np.zeros(4)) is None
