"""``fxpnn demo --textbook`` and ``fxpnn train --trace`` as a student runs them."""

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from cli import params, textbook
from fxpnn.textbook import LESSONS, Row
from fxpnn.textbook import worked as lesson
from fxpnn.textbook.lesson import check
from fxpnn.textbook.plots import DRAWINGS
from tests.support.cli_runner import fxp


def test_names_are_those_of_the_library() -> None:
    """What help spells without importing the lessons is what there is."""
    assert tuple(LESSONS) == textbook.LESSONS
    assert tuple(lesson.EXAMPLES) == params.EXAMPLES


def test_json_of_the_whole_book() -> None:
    """Every row of every lesson is there, every published number holds, the exit status is 0."""
    done = fxp("demo", "--textbook", "--json")
    assert (done.status, done.err) == (0, "")
    book = done.json
    assert list(book) == ["schema", "rows", "published", "holds", "plots"]
    assert (book["schema"], book["plots"]) == (1, [])
    assert [*dict.fromkeys(row["lesson"] for row in book["rows"])] == list(LESSONS)
    keys = ["lesson", "name", "float", "fixed", "difference_lsb", "saturations", "holds", "checks"]
    assert all(list(row) == keys for row in book["rows"])
    checks = [item for row in book["rows"] for item in row["checks"]]
    assert book["published"] == book["holds"] == len(checks) > 200
    assert all(item["holds"] for item in checks)
    saturated = {row["lesson"] for row in book["rows"] if row["saturations"]}
    assert saturated == {"descent", "softmax"}


def test_results_do_not_depend_on_the_run() -> None:
    """Two runs print the same bytes."""
    command = ("demo", "--textbook", "--lesson", "xor", "--lesson", "classifier", "--json")
    assert fxp(*command) == fxp(*command)


def test_table_of_a_lesson() -> None:
    """The table says each row's floats, fixed values, LSB, saturations and verdict."""
    done = fxp("demo", "--textbook", "--lesson", "xor")
    assert (done.status, done.err) == (0, "")
    assert re.search(r"^ xor *$", done.out, re.MULTILINE)
    row = r"^   ReLU network, given weights +0 1 1 0 +0 1 1 0 +0 +0 +6 hold *$"
    assert re.search(row, done.out, re.MULTILINE)
    assert re.search(r"^ 13 of 13 published results hold *$", done.out, re.MULTILINE)
    done = fxp("demo", "--textbook", "--lesson", "descent")
    row = r"^   quadratic, rate 0\.5 overshoots +0\.003906 256 +0\.003906 128 +32,769 +1 +3 hold *$"
    assert re.search(row, done.out, re.MULTILINE)


def test_a_number_that_does_not_hold_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit status is 1, the line names the number, and the table is printed all the same."""
    wrong = Row("sum", (4.0,), (4.5,), 2.0, 3, (check("2 + 2", 5, 4), check("2 - 2", 0, 0)))

    def rows() -> Iterator[Row]:
        yield wrong

    monkeypatch.setattr("cli.views.lessons.LESSONS", {**LESSONS, "xor": rows})
    line = "xor, sum: 2 + 2 must be 5, not 4; 1 of 2 published results are wrong"
    done = fxp("demo", "--textbook", "--lesson", "xor")
    assert (done.status, done.err) == (1, f"fxpnn: failed: {line}\n")
    assert re.search(r"^   sum +4 +4\.5 +2\.00 +3 +1 of 2 hold *$", done.out, re.MULTILINE)
    assert re.search(r"^ 1 of 2 published results hold *$", done.out, re.MULTILINE)
    assert re.search(r"^ xor, sum: 2 \+ 2 must be 5, not 4 *$", done.out, re.MULTILINE)
    done = fxp("demo", "--textbook", "--lesson", "xor", "--json")
    assert (done.status, done.err) == (1, f"fxpnn: failed: {line}\n")
    assert (done.json["published"], done.json["holds"]) == (2, 1)


def test_a_function_of_the_users(tmp_path: Path) -> None:
    """An expression or a table is approximated beside the sine."""
    command = ("demo", "--textbook", "--lesson", "approximation", "--json")
    done = fxp(*command, "--function", "x**2", "--interval", "0,2")
    names = [row["name"] for row in done.json["rows"]]
    assert done.status == 0
    assert "x**2, K = 64: error" in names
    error = next(row for row in done.json["rows"] if row["name"] == "x**2, K = 64: error")
    assert error["float"][0] == pytest.approx((2 / 64) ** 2 / 4, rel=0.01)
    path = tmp_path / "points.csv"
    path.write_text("0,0\n1,1\n2,0\n")
    names = [row["name"] for row in fxp(*command, "--function", path).json["rows"]]
    assert "points.csv, K = 64: error" in names


def test_plots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files are drawn and named."""
    kept = {"descent": DRAWINGS["descent"]}
    monkeypatch.setattr("fxpnn.textbook.plots.DRAWINGS", kept)
    done = fxp("demo", "--textbook", "--lesson", "xor", "--plots", tmp_path, "--json")
    assert done.status == 0
    assert sorted(done.json["plots"]) == sorted(map(str, tmp_path.glob("*.png")))
    assert len(done.json["plots"]) == 2


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["--lesson", "xor"], "--lesson must stand with --textbook"),
        (["--plots", "x"], "--plots must stand with --textbook"),
        (["--function", "x"], "--function must stand with --textbook"),
        (["--textbook", "--word", "8"], "--word must stand without --textbook"),
        (["--textbook", "--limit", "8"], "--limit must stand without --textbook"),
        (["--textbook", "--interval", "0,1"], "--interval must stand with --function"),
        (
            ["--textbook", "--function", "x.csv", "--interval", "0,1"],
            "--interval must stand with an expression, not with a table",
        ),
        (
            ["--textbook", "--lesson", "xor", "--function", "x"],
            "--function must stand with the lesson approximation",
        ),
        (
            ["--textbook", "--function", "x +"],
            "--function: an expression must look like sin(2 * x) / 3, not 'x +'",
        ),
        (
            ["--textbook", "--function", "x", "--interval", "1,0"],
            "--function: an interval must rise between finite ends, not go from 1 to 0",
        ),
        (
            ["--textbook", "--function", "x", "--interval", "1"],
            "--interval: must be two numbers, as -1,1, not '1'",
        ),
        (
            ["--textbook", "--lesson", "y"],
            f"--lesson: must be one of {', '.join(LESSONS)}, not 'y'",
        ),
    ],
)
def test_usage_errors(args: list[str], line: str) -> None:
    """Options that do not go together are one line with exit status 2."""
    assert fxp("demo", *args) == (2, "", f"fxpnn: error: {line} (see fxpnn demo --help)\n")


def test_files_that_cannot_be(tmp_path: Path) -> None:
    """A table that is missing and a function with a pole end with exit status 3."""
    path = tmp_path / "none.csv"
    done = fxp("demo", "--textbook", "--function", path)
    line = f"{path}: cannot be read: No such file or directory"
    assert done == (3, "", f"fxpnn: error: {line}\n")
    done = fxp("demo", "--textbook", "--lesson", "approximation", "--function", "1 / x", "-q")
    line = "1 / x must be finite from -1 to 1, not inf at 0"
    assert done == (3, "", f"fxpnn: error: {line}\n")


def test_trace_of_a_step() -> None:
    """Every z, a, derivative and new weight of 2-3-1 is printed."""
    done = fxp("train", "2-3-1", "--trace")
    assert (done.status, done.err) == (0, "")
    for row in (
        r"z1 +-3 -5 -7 +-3 -5 -7 +-6144 -10240 -14336 +Q4\.11",
        r"a1 +0\.0474259 0\.00669285 0\.000911051 +0\.0474243 0\.00668335 0\.000915527 +1554 219 30"
        r" +Q0\.15",
        r"a2 +0\.597179 +0\.597137 +19567 +Q0\.15",
        r"delta2 = dC/dz2 +-0\.0969012",
        r"delta1 = dC/dz1 +-0\.0306437 -0\.00515364 -0\.000793814",
        r"w1\[3,2\] +6 +0\.00158763 +5\.999984124",
        r"w2\[1,3\] +9 +-8\.8282e-05 +9\.000000883",
        r"cost 0\.081132498 before the step, 0\.081083948 after it",
    ):
        assert re.search(rf"^ {row} *$", done.out, re.MULTILINE), row


def test_trace_as_json() -> None:
    """The JSON holds the same numbers in full; the rate is the user's."""
    done = fxp("train", "2-4-1-2", "--trace", "--rate", "0.5", "--json")
    assert (done.status, done.err) == (0, "")
    found = done.json
    assert (found["schema"], found["network"], found["rate"]) == (1, "2-4-1-2", 0.5)
    assert [value["name"] for value in found["values"]] == ["x", "z1", "a1", "z2", "a2", "z3", "a3"]
    assert [slope["name"] for slope in found["deltas"]] == ["a3", "z3", "a2", "z2", "a1", "z1"]
    assert len(found["weights"]) == 8 + 4 + 2
    for weight in found["weights"]:
        assert weight["after"] == weight["before"] - 0.5 * weight["gradient"]
    assert found["cost_after"] < found["cost"]
    assert msgspec.json.decode(done.out) == found


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (["lenet5", "--trace"], "NAME: must be one of 2-3-1, 2-4-1-2, not 'lenet5'"),
        (["2-3-1", "--trace", "--epochs", "2"], "--epochs must stand without --trace"),
        (["2-3-1", "--trace", "--data", "x"], "--data must stand without --trace"),
        (["lenet5"], "--data must be given"),
        (["lenet5", "--data", "mnist"], "--output must be given"),
    ],
)
def test_usage_errors_of_train(args: list[str], line: str) -> None:
    """What a trace has not, and what a training must have, is one line."""
    assert fxp("train", *args) == (2, "", f"fxpnn: error: {line} (see fxpnn train --help)\n")
