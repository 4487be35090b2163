"""``fxpnn search`` and ``fxpnn sweep``: small words, their files, what ends them, and going on."""

import csv
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fxpnn
from fxpnn.analysis.points import HEAD
from fxpnn.network.layers import Dense
from tests.support.cli_runner import fxp, tiny
from tests.support.full_disk import full_disk

MLP = Path("models/mlp-784-100-10.onnx").resolve()
LOOSE = ("--max-loss", "0.005", "--cost", "weights", "--output-word", "8")


def rows(path: Path) -> list[list[str]]:
    """Read the points but for the seconds that they took."""
    with path.open(newline="") as file:
        return [row[: HEAD.index("seconds")] for row in csv.reader(file)]


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """Search the bundled network once; give the folder and the JSON."""
    folder = tmp_path_factory.mktemp("search") / "out"
    done = fxp("search", MLP, "--data", "mnist", *LOOSE, "-o", folder, "--json", "-q")
    assert done.status == 0, done.err
    return folder, done.json


def test_files_of_a_search(searched: tuple[Path, Any], tmp_path: Path) -> None:
    """The model, its formats, every point and a picture agree with what is told."""
    folder, found = searched
    assert {path.name for path in folder.iterdir()} == {
        *("best.fxp", "formats.toml", "points.csv", "pareto.svg", "halves.csv")
    }
    lines = (folder / "halves.csv").read_text().splitlines()
    assert lines[0] == "image,half"
    assert [int(line.split(",")[0]) for line in lines[1:]] == list(range(10_000))
    assert sum(line.endswith(",deciding") for line in lines) == 5000
    table = rows(folder / "points.csv")
    assert tuple(table[0]) == HEAD[:-1]
    assert len(table) == 1 + found["points"]
    fixed = fxpnn.load(folder / "best.fxp")
    for name, word in found["words"]["weights"].items():
        assert fixed[name].weight_formats[0].word == word
        assert fixed[name].output_format.word == 8
        accumulator = fixed[name].accumulator
        assert accumulator is not None
        assert accumulator.word == found["proved"][name]
        assert found["observed"][name] <= accumulator.word
    done = fxp(
        "quantize", MLP, "-o", tmp_path / "a.fxp", "--formats", folder / "formats.toml", "-q"
    )
    assert done.status == 0, done.err
    again = fxpnn.load(tmp_path / "a.fxp")
    images = fxpnn.load_data("mnist").x[:200]
    assert np.array_equal(fxpnn.infer(again, images).raw, fxpnn.infer(fixed, images).raw)
    assert found["deciding"]["images"] == found["reporting"]["images"] == 5000
    assert found["deciding"]["loss"] <= 0.005
    for half in (found["deciding"], found["reporting"]):
        assert half["low"] <= half["loss"] <= half["high"]
    assert found["shares"]["weights"] < 0.5
    picture = (folder / "pareto.svg").read_text()
    assert "Pareto front" in picture
    assert "<script" not in picture


@pytest.mark.slow
def test_tables_of_a_search(tmp_path: Path) -> None:
    """Words, costs, both halves; the same files but for the seconds by two workers."""
    done = fxp("search", MLP, "--data", "mnist", *LOOSE, "-o", tmp_path / "one", "-q")
    assert done.status == 0, done.err
    for words in (
        "accumulator, proved",
        "of that with 16 bits",
        "decided nothing",
        "95 % interval",
    ):
        assert words in done.out
    other = tmp_path / "two"
    two = fxp("search", MLP, "--data", "mnist", *LOOSE, "-o", other, "-q", "--workers", "2")
    assert two.status == 0, two.err
    assert rows(other / "points.csv") == rows(tmp_path / "one" / "points.csv")
    for name in ("best.fxp", "formats.toml", "pareto.svg"):
        assert (other / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


def test_a_search_goes_on(searched: tuple[Path, Any], tmp_path: Path) -> None:
    """From its first points, in its own folder or another: the same table in the end."""
    folder, _ = searched
    whole = (folder / "points.csv").read_bytes().splitlines(keepends=True)
    first = tmp_path / "first.csv"
    first.write_bytes(b"".join(whole[:8]))
    args = ("search", MLP, "--data", "mnist", *LOOSE, "-q", "--resume", first)
    assert fxp(*args, "-o", tmp_path / "other").status == 0
    assert rows(tmp_path / "other" / "points.csv") == rows(folder / "points.csv")
    own = tmp_path / "own"
    own.mkdir()
    (own / "points.csv").write_bytes(b"".join(whole[:5]))
    args = ("search", MLP, "--data", "mnist", *LOOSE, "-q", "--resume", own / "points.csv")
    assert fxp(*args, "-o", own).status == 0
    assert rows(own / "points.csv") == rows(folder / "points.csv")


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("side", [(), ("--workers", "2")])
def test_a_search_that_was_ended_goes_on(
    searched: tuple[Path, Any], tmp_path: Path, ending: signal.Signals, side: tuple[str, ...]
) -> None:
    """At several moments: every line is whole, and the end is the same."""
    folder, _ = searched
    command = [sys.executable, "-m", "fxpnn", "search", str(MLP), "--data", "mnist", *LOOSE, "-q"]
    for number, lines in enumerate((1, 3, 7, 12, 16)):
        own = tmp_path / str(number)
        points = own / "points.csv"
        process = subprocess.Popen([*command, *side, "-o", str(own)], stderr=subprocess.DEVNULL)
        while process.poll() is None:
            if points.exists() and points.read_bytes().count(b"\n") >= lines:
                process.send_signal(ending)
                break
            time.sleep(0.001)
        process.wait(60)
        done = fxp(*command[3:], "-o", own, "--resume", points)
        assert done.status == 0, done.err
        assert rows(points) == rows(folder / "points.csv")


def test_what_cannot_be_searched(searched: tuple[Path, Any], tmp_path: Path) -> None:
    """One line each, with its status; nothing is written."""
    folder, _ = searched
    np.save(tmp_path / "x.npy", np.zeros((9, 1, 28, 28), np.uint8))
    cut = tmp_path / "cut.csv"
    cut.write_bytes((folder / "points.csv").read_bytes()[:-9])
    fxpnn.save_onnx(tiny(10, (5,)), tmp_path / "five.onnx")
    np.savez(tmp_path / "five.npz", x=np.zeros((99, 5)), y=np.arange(99) % 10)
    full = tmp_path / "file"
    full.write_bytes(b"")
    mnist = ("--data", "mnist")
    cases = (
        ((MLP, *mnist, "--max-loss", "0.0001"), 2, "the deciding half must have 50,000 images"),
        ((MLP, *mnist, "--max-loss", "0.01", "--cost", "area"), 2, "--cost: a cost must be one of"),
        ((MLP, *mnist, "--max-loss", "0.01", "--format", "Q1.2"), 2, "--format must not be given"),
        (
            (MLP, "--data", tmp_path / "x.npy", "--max-loss", "0.5"),
            3,
            "must have labels where --max-loss",
        ),
        ((MLP, *mnist, "--max-loss", "0.01", "--word", "2"), 1, "no words of 2 to 2 bits hold"),
        ((MLP, *mnist, *LOOSE, "--resume", cut), 3, "is cut"),
        (
            (MLP, *mnist, "--max-loss", "0.01", "--resume", folder / "points.csv"),
            3,
            "another search",
        ),
        (
            (MLP, *mnist, *LOOSE, "--scale", "1/128", "--resume", folder / "points.csv"),
            3,
            "another search",
        ),
        ((MLP, *mnist, *LOOSE, "--resume", tmp_path / "none.csv"), 3, "cannot be read"),
        ((MLP, *mnist, *LOOSE, "--workers", "1", "--scheduler", "x"), 2, "--workers must stand"),
        ((MLP, *mnist, *LOOSE, "--scheduler", "tcp://127.0.0.1:1x"), 3, "no scheduler answers"),
        (
            (tmp_path / "five.onnx", "--data", tmp_path / "five.npz", "--max-loss", "0.5"),
            3,
            "--calibration must name the images on which formats are chosen",
        ),
    )
    for number, (args, status, words) in enumerate(cases):
        target = tmp_path / str(number)
        done = fxp("search", *args, "-o", target)
        assert (done.status, done.out) == (status, ""), (args, done.err)
        assert words in done.err
        assert len(done.err.strip().splitlines()) <= 2
        assert not target.exists()
    done = fxp("search", MLP, *mnist, *LOOSE, "-o", folder)
    assert (done.status, done.out) == (3, "")
    assert f"is there already; --resume {folder / 'points.csv'} goes on with it" in done.err
    done = fxp("search", MLP, *mnist, *LOOSE, "-o", full / "below")
    assert (done.status, done.out) == (3, "")
    assert "cannot be written" in done.err


def test_a_full_disk_leaves_whole_lines(tmp_path: Path) -> None:
    """The table's file is named, and the search goes on with it once there is room."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(60, 4)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=x, y=x[:, :3].argmax(1))
    layers = {
        "a": Dense(rng.normal(size=(4, 4)), np.zeros(4)),
        "b": Dense(np.eye(3, 4), np.zeros(3)),
    }
    fxpnn.save_onnx(fxpnn.chain("room", (4,), layers), tmp_path / "m.onnx")
    data = ("--data", tmp_path / "x.npz", "--calibration", tmp_path / "x.npz")
    points = tmp_path / "s/points.csv"
    command = ("search", tmp_path / "m.onnx", *data, "--max-loss", "0.5", "-o", points.parent, "-q")
    with full_disk(1024):
        done = fxp(*command)
    line = f"fxpnn: error: {points}: cannot be written: "
    assert (done.status, done.out, done.err[: len(line)]) == (3, "", line)
    assert points.read_bytes().endswith(b"\n")
    before = len(rows(points))
    assert fxp(*command, "--resume", points).status == 0
    assert len(rows(points)) > before > 0


def test_training_images_decide_badly(tmp_path: Path) -> None:
    """A note says so, before anything is run; images that may be unseen get none."""
    for data, noted in (("mnist:calibration", True), ("mnist", False)):
        done = fxp("search", MLP, "--data", data, "--max-loss", "0.0001", "-o", tmp_path / "out")
        assert done.status == 2
        assert (f"{data}: these are training images" in done.err) is noted


def test_the_other_half_may_exceed_the_limit(tmp_path: Path) -> None:
    """Then the gate says so; --step-back asks for a point that holds on both, and marks it."""
    limit = ("--max-loss", "0.001", "--cost", "weights", "--output-word", "6")
    for seed in range(20):
        args = ("search", MLP, "--data", "mnist", *limit, "--seed", str(seed), "-q", "--json")
        done = fxp(*args, "-o", tmp_path / str(seed))
        if done.status == 1:
            break
    assert done.status == 1
    assert "--step-back or a --margin asks for more room" in done.err
    assert done.json["reporting"]["loss"] > 0.001
    back = fxp(*args, "-o", tmp_path / "back", "--step-back")
    if back.status == 0:
        assert back.json["stepped_back"]
        assert back.json["reporting"]["loss"] <= 0.001
    else:
        assert not back.json["stepped_back"]


def test_a_sweep_goes_over_words(tmp_path: Path) -> None:
    """Accuracy, cost and the front; the same by workers."""
    args = ("sweep", MLP, "--data", "mnist", "--limit", "500", "--cost", "weights")
    found = fxp(*args, "--word", "3..8", "--json").json
    assert [point["word"] for point in found["points"]] == [3, 4, 5, 6, 7, 8]
    costs = [point["cost"] for point in found["points"]]
    assert costs == [79_400.0 * word for word in range(3, 9)]
    best = [p["effect"]["accuracy"] for p in found["points"] if p["best"]]
    assert best == sorted(best)
    assert found["points"][0]["best"]
    assert fxp(*args, "--word", "3..8", "--json", "--workers", "2").json == found
    out = fxp(*args, "--word", "5").out
    assert f"{5 * 79_400:,}" in out
    assert "float" in out


def test_a_sweep_needs_no_labels(tmp_path: Path) -> None:
    """Flips count then."""
    np.save(tmp_path / "x.npy", fxpnn.load_data("mnist").x[:100])
    found = fxp("sweep", MLP, "--data", tmp_path / "x.npy", "--word", "4..5", "--json").json
    assert found["float"] is None
    assert all(point["effect"]["flips"] >= 0 for point in found["points"])


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("9..4", "must go from the shortest to the longest, as 4..16, not 9..4"),
        ("1..4", "a tensor's word must be 2 to 16 bits, not 1"),
        ("4-8", "must be a whole number, not '4-8'"),
    ],
)
def test_words_of_a_sweep(word: str, line: str) -> None:
    """A range is spelled with two dots."""
    done = fxp("sweep", MLP, "--data", "mnist", "--word", word)
    assert done.status == 2
    assert line in done.err
