import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from tests.benchmarks.clock import turn, turn_about
from tests.benchmarks.figures import Goal, figure
from tests.benchmarks.plan import MLP, QUICK
from tests.benchmarks.report import Report

ROOT = Path(__file__).parent.parent


def test_quick_run_is_told(tmp_path: Path) -> None:
    """The command does tiny work: figures of fxpnn and a peer as a table, as JSON, as a chart."""
    told, chart = tmp_path / "told.json", tmp_path / "chart.svg"
    peers = ("--peer", "numpy float32", "--peer", "ONNX Runtime float32")
    command = (sys.executable, "-m", "tests.benchmarks", "--quick", "--only", "networks")
    files = ("--network", MLP, "--json", str(told), "--chart", str(chart))
    done = subprocess.run(
        [*command, *peers, *files], cwd=ROOT, check=True, capture_output=True, text=True
    )
    report = msgspec.json.decode(told.read_bytes(), type=Report)
    assert (report.schema, report.quick) == (1, True)
    networks = ("fxpnn", "numpy float32", "ONNX Runtime float32")
    assert [(f.part, f.case, f.what) for f in report.figures] == [
        *(("networks, one thread", MLP, name) for name in networks),
        *(("networks, all threads", MLP, name) for name in networks),
    ]
    assert all(f.value > 0 for f in report.figures)
    assert [f.ratio is None for f in report.figures] == [True, False, False] * 2
    assert "differ" not in "".join(f.note for f in report.figures)
    for figure_told in report.figures:
        assert figure_told.what in done.stdout
        assert figure_told.what in chart.read_text()


@pytest.mark.parametrize(
    ("goal", "value", "ratio", "holds"),
    [
        (Goal(2.0), 2.0, None, True),
        (Goal(2.0), 1.9, None, False),
        (Goal(2.0, at_most=True), 2.0, None, True),
        (Goal(2.0, at_most=True), 2.1, None, False),
        (Goal(2.0), 1.0, 3.0, True),
        (None, 1.0, 3.0, None),
    ],
)
def test_goals_judge(
    goal: Goal | None, value: float, ratio: float | None, holds: bool | None
) -> None:
    """A goal is a lower limit, or an upper one; it is the ratio's where there is a ratio."""
    assert figure("part", "case", "what", value, "s", ratio=ratio, goal=goal).holds is holds


def test_turns() -> None:
    """A turn's figure is its median call, a candidate's its best turn; candidates alternate."""
    time, calls = [0.0], list[str]()
    takes = {"a": [3.0, 1.0, 9.0, 5.0, 4.0], "b": [8.0, 8.5]}

    def call(name: str) -> None:
        calls.append(name)
        time[0] += takes[name].pop(0)

    assert turn(lambda: call("a"), 10.0, lambda: time[0]) == 3.0
    runs = {"a": lambda: call("a"), "b": lambda: call("b")}
    assert turn_about(runs, replace(QUICK, rounds=2), lambda: time[0]) == {"a": 4.0, "b": 8.0}
    assert calls == ["a", "a", "a", "a", "b", "a", "b"]
