"""The benchmark measures every part, judges it by its goals and draws the chart."""

import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from xml.sax.saxutils import escape

import msgspec
import pytest
from click.testing import CliRunner

from tests.benchmarks.__main__ import main
from tests.benchmarks.architectures import ZOO
from tests.benchmarks.clock import Clock, turn, turn_about
from tests.benchmarks.figures import Goal, figure
from tests.benchmarks.peers import PEERS
from tests.benchmarks.plan import MLP, NETWORKS, QUICK
from tests.benchmarks.report import Report

ROOT = Path(__file__).parent.parent
SPEED = (ROOT / "README.md").read_text().partition("\n## Speed\n")[2].partition("\n## ")[0]


PARTS = (
    "networks",
    "one-image",
    "growth",
    "kernels",
    "layers",
    "words",
    "exported",
    "process",
    "training",
    "zoo",
)


def measure(*options: str) -> str:
    """Do tiny work in a process of its own; return what it prints."""
    command = (sys.executable, "-m", "tests.benchmarks", "--quick", *options)
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert "Traceback" not in done.stderr
    return done.stdout


def read(path: Path) -> Report:
    """Read what ``--json`` wrote."""
    return msgspec.json.decode(path.read_bytes(), type=Report)


def test_quick_run_is_told(tmp_path: Path) -> None:
    """The command does tiny work: figures of fxpnn and a peer as a table, as JSON, as a chart."""
    told, chart = tmp_path / "told.json", tmp_path / "chart.svg"
    networks = ("fxpnn", "numpy float32", "ONNX Runtime float32")
    peers = [option for name in networks[1:] for option in ("--peer", name)]
    files = ("--network", MLP, "--json", str(told), "--chart", str(chart))
    printed = measure("--only", "networks", *peers, *files)
    report = read(told)
    assert (report.schema, report.quick) == (1, True)
    parts = ("networks, one thread", "networks, all threads")[: report.cores]
    ways = (networks[0], *(name for name in networks[1:] for _ in ("one call", "blocks")))
    assert [(f.part, f.case, f.what) for f in report.figures] == [
        (part, MLP, name) for part in parts for name in ways
    ]
    one_call, blocks = "64 in one call", r"blocks of (32|128|256|1,024)"
    handed = [one_call, one_call, blocks, one_call, blocks] * len(parts)
    for figure_told, way in zip(report.figures, handed, strict=True):
        assert re.fullmatch(way, figure_told.handed)
        assert (figure_told.ratio is None) == (figure_told.what == "fxpnn")
        assert figure_told.what == "fxpnn" or figure_told.goal
    assert all(f.value > 0 for f in report.figures)
    assert "differ" not in "".join(f.note for f in report.figures)
    assert "what it must show" in printed
    for figure_told in report.figures:
        assert figure_told.label() in printed
        assert figure_told.what in chart.read_text()


@pytest.mark.slow
def test_every_part_of_the_benchmark_gives_figures(tmp_path: Path) -> None:
    """Every part gives figures of every network, and every peer that is installed takes part."""
    told = tmp_path / "told.json"
    measure("--json", str(told))
    figures = read(told).figures
    alone = {"training"} if find_spec("torch") is None else set()  # without its one peer
    for part in {*PARTS} - alone:
        assert any(f.part.startswith(part.replace("-", " ")) for f in figures), part
    least = [f for f in figures if f.part == "layers" and f.what.startswith("least ")]
    assert len(least) == 2 * len({f.case for f in least})
    expected = {"fxpnn", *(peer.name for peer in PEERS if not peer.missing())}
    assert {f.what for f in figures if f.part.startswith("networks")} == expected
    assert {f.case for f in figures if f.part == "growth, one thread"} == set(NETWORKS)


def test_a_chart_needs_its_figures(tmp_path: Path) -> None:
    """A chart of what is not measured is refused before anything is measured."""
    target = tmp_path / "chart.svg"
    done = CliRunner().invoke(main, ["--only", "growth", "--chart", str(target)])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == (
        "Error: --chart must stand with the part networks, whose figures it shows"
    )


@pytest.mark.skipif(not SPEED, reason="README.md has no section 'Speed' yet")
def test_readme_shows_all_peers() -> None:
    """README's section has a row for every peer, and the chart that was drawn of the same run."""
    (chart,) = re.findall(r"!\[.+\]\((.+)\)", SPEED)
    drawn = (ROOT / chart).read_text()
    for name in ("fxpnn", *(peer.name for peer in PEERS)):
        assert f"| {name} |" in SPEED.replace("**", "")
        assert escape(name) in drawn


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


@pytest.mark.parametrize(
    ("name", "published", "normalised"),
    [
        ("resnet-18", 11_689_512, 4_800),
        ("resnet-50", 25_557_032, 26_560),
        ("mobilenet-v2", 3_504_872, 17_056),
        ("mobilenet-v3-small", 2_542_856, 6_056),
        ("efficientnet-b0", 5_288_548, 21_008),
        ("squeezenet", 1_235_496, 0),
        ("googlenet", 6_624_904, 7_280),
        ("vgg-11", 132_863_336, 0),
    ],
)
def test_known_networks_have_their_parameters(name: str, published: int, normalised: int) -> None:
    """They are torchvision's; a folded batch norm leaves one of the two of each channel."""
    assert ZOO[name]().parameters == published - normalised


@pytest.mark.parametrize(("pick", "first"), [(median, 3.0), (min, 1.0)])
def test_candidates_alternate_and_their_best_turn_counts(
    pick: Callable[[Sequence[float]], float], first: float
) -> None:
    """A turn's figure is one of its calls, a candidate's its best turn; candidates alternate."""
    time, calls = [0.0], list[str]()
    takes = {"a": [3.0, 1.0, 9.0, 5.0, 4.0], "b": [8.0, 8.5]}

    def call(name: str) -> None:
        calls.append(name)
        time[0] += takes[name].pop(0)

    clock = Clock(lambda: time[0], pick)
    assert turn(lambda: call("a"), 10.0, clock) == first
    runs = {"a": lambda: call("a"), "b": lambda: call("b")}
    assert turn_about(runs, replace(QUICK, rounds=2), clock) == {"a": 4.0, "b": 8.0}
    assert calls == ["a", "a", "a", "a", "b", "a", "b"]


@pytest.mark.parametrize(("steady", "turns"), [(True, 2), (False, 3)])
def test_long_turns_are_fewer(steady: bool, turns: int) -> None:
    """What takes longer than a second has two turns by a steady clock, else as many as planned."""
    time, calls = [0.0], list[str]()

    def call(name: str, seconds: float) -> None:
        calls.append(name)
        time[0] += seconds

    runs = {"quick": lambda: call("quick", 1.0), "long": lambda: call("long", 1.5)}
    turn_about(runs, replace(QUICK, rounds=3), Clock(lambda: time[0], min, steady))
    assert [calls.count("quick"), calls.count("long")] == [3, turns]
