"""The bench of Verilog passes a right design, and tells of each way in which one can be wrong."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fxpnn.fixedpoint.qformat import Accumulator, QFormat
from fxpnn.network.fixed import Counts, FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Array, Dense
from fxpnn.targets.lowering import Lowering, lower
from fxpnn.targets.simulation import tools, verilog
from fxpnn.targets.simulation.result import Difference, Simulated
from fxpnn.targets.vectors import Vectors
from fxpnn.targets.verilog import bench
from tests.support.tools import needs

TOY = Path(__file__).parent.parent / "support/rtl/toy.v"
Q8, Q16 = QFormat(8, 0), QFormat(16, 0)
IMAGES = np.array([[1, -1, 3, -128], [127, 0, 17, 34], [5, 6, 7, 8]], np.int16)
SUM, DOUBLE = 'su"m\\', "doub\nle 😀"
pytestmark = needs("iverilog")


def dense(name: str, source: str, weights: Array) -> FixedNode:
    """Make a layer of integers that no cast changes."""
    layer = Dense(weights.astype(np.int16), np.zeros(len(weights), np.int64))
    return FixedNode(name, layer, (source,), Q16, (Q8,), Accumulator())


def toy() -> Lowering:
    """Build the network that ``toy.v`` computes, its layers with names that nobody would choose."""
    nodes = dense(DOUBLE, INPUT, 2 * np.eye(4)), dense(SUM, DOUBLE, np.ones((1, 4)))
    return lower(FixedNetwork("toy", (4,), Q8, nodes))


CYCLES = {DOUBLE: 3, SUM: 4}


def golden(images: Array) -> Vectors:
    """Compute what the toy does, apart from the engine."""
    words = {INPUT: images, DOUBLE: 2 * images, SUM: 2 * images.sum(axis=1, keepdims=True)}
    counts = {DOUBLE: Counts(), SUM: Counts()}
    return Vectors({name: it.astype(np.int16) for name, it in words.items()}, counts)


def written(folder: Path, lowering: Lowering, wanted: Vectors, image_cycles: int = 13) -> None:
    """Write the toy and its bench."""
    files = bench.write(lowering, "toy", wanted, ["toy.v"], CYCLES, image_cycles)
    for name, content in {**files, "toy.v": TOY.read_bytes()}.items():
        (folder / name).write_bytes(content)


def change(path: Path, old: str, new: str) -> None:
    """Change one place of a file."""
    text = path.read_text()
    assert text.count(old) == 1, f"{old!r} is there {text.count(old)} times"
    path.write_text(text.replace(old, new))


def simulated(
    folder: Path, *changes: tuple[str, str], tool: str = "iverilog", stall: int | None = None
) -> Simulated:
    """Run the toy with changes."""
    lowering = toy()
    wanted = golden(IMAGES)
    written(folder, lowering, wanted)
    for old, new in changes:
        change(folder / "toy.v", old, new)
    return verilog.simulate(lowering, "toy", wanted, folder, tool, stall)


@pytest.mark.parametrize("stall", [None, 1, 2, 3])
def test_a_right_design_passes(tmp_path: Path, stall: int | None) -> None:
    """All words are compared; cycles are told, those of a whole image where nothing stalls."""
    found = simulated(tmp_path, stall=stall)
    assert (found.images, found.words, found.differs, found.fault) == (3, 15, None, None)
    assert found.cycles == CYCLES
    assert found.image_cycles == (13 if stall is None else None)
    assert found.counts == golden(IMAGES).counts
    assert (tmp_path / "bench.log").read_text().startswith("COUNTS 0 0 0 0\n")


@needs("verilator", "g++", "make")
def test_verilator_and_icarus_agree(tmp_path: Path) -> None:
    """On the right design, and on the first word of a wrong one."""
    wrong = ("<= sum + core.memory.words[7]", "<= sum - core.memory.words[7]")
    for changes, first in (((), None), ((wrong,), Difference(0, SUM, 0, 262, -250))):
        found = [simulated(tmp_path, *changes, tool=tool) for tool in ("verilator", "iverilog")]
        assert found[0].differs == first
        assert replace(found[0], seconds=0) == replace(found[1], seconds=0)


LATER = (
    "sum + core.memory.words[7]",
    "sum + core.memory.words[7] + (core.memory.words[0] == 127)",
)
"""A change that shows in the second image only."""


@pytest.mark.parametrize(
    ("old", "new", "image", "step", "element"),
    [
        ("2 * core.memory.words[place]", "2 * core.memory.words[place] + (place == 2)", 0, 0, 2),
        ("2 * core.memory.words[place]", "2 * core.memory.words[place] | (place < 0)", None, 0, 0),
        ("m_axis_tdata = core.memory.words[0]", "m_axis_tdata = core.memory.words[1]", 0, 1, 0),
        (*LATER, 1, 1, 0),
    ],
    ids=["word", "same", "output", "image"],
)
def test_a_wrong_word_is_named(
    tmp_path: Path, old: str, new: str, image: int | None, step: int, element: int
) -> None:
    """The first one, by its image, step and place; what changes no word passes."""
    differs = simulated(tmp_path, (old, new)).differs
    if image is None:
        assert differs is None
    else:
        assert differs is not None
        where = (differs.image, differs.step, differs.element)
        assert where == (image, (DOUBLE, SUM)[step], element)
        assert differs.got != differs.wanted


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("assign m_axis_tlast = 1", "assign m_axis_tlast = 0",
         "image 0: the stream has tlast at the wrong word"),
        ("assign m_axis_tuser = 0", "assign m_axis_tuser = 1",
         "image 0: the class is 1, not 0"),
        ("assign m_axis_tvalid = state == GIVE", "assign m_axis_tvalid = state == SUM",
         f"image 0: {SUM} is not done, yet a word comes out"),
        ("{7'd0, state != DOUBLE}", "{7'd1, state != DOUBLE}",
         f"image 0: {DOUBLE} is not the step that was done"),
        ("if (place == 3) state <= SUM", "if (place == 4) state <= SUM",
         f"image 0: {SUM} is not the step that was done"),
        ("step_done <= place == 3;\n                if (place == 3) state <= SUM",
         "step_done <= 0;\n                if (place == 4) state <= SUM",
         f"image 0: {DOUBLE} does not end"),
        ("{state, place, error, step_done} <= 0", "{state, place, step_done} <= 0",
         f"image 0: {DOUBLE} breaks the protocol"),
        ("TAKE: if", "TAKE: if (s_axis_tvalid && place == 1) error <= 1; else if",
         f"image 0: {DOUBLE} raises error"),
        ("assign count_clamps = 0", "assign count_clamps = count_step == 1",
         f"image 3: {SUM} has other counts or cycles"),
        ("assign count_below_zero = 0", "assign count_below_zero = 1",
         f"image 3: {DOUBLE} has other counts or cycles"),
        ("2 * core.memory.words[place]", "place == 1 ? 16'bx : 2 * core.memory.words[place]",
         f"image 0: word 1 of {DOUBLE} is unknown (x), not -2"),
        ("if (m_axis_tready) state <= TAKE", "if (m_axis_tready && sum != 0) state <= TAKE",
         None),
    ],
)  # fmt: skip
def test_what_is_wrong_beside_words_is_told(
    tmp_path: Path, old: str, new: str, fault: str | None
) -> None:
    """By the image and step at which it shows."""
    found = simulated(tmp_path, (old, new))
    assert (found.differs, found.fault) == (None, fault)


def test_a_word_that_is_taken_back_is_told(tmp_path: Path) -> None:
    """An output must stay until it is taken, which stalls show."""
    flip = "reg flip = 0;\n    always @(posedge aclk) flip <= !flip;"
    found = simulated(
        tmp_path,
        ("    reg signed [15:0] sum;", f"    reg signed [15:0] sum;\n    {flip}"),
        ("assign m_axis_tvalid = state == GIVE", "assign m_axis_tvalid = state == GIVE && flip"),
        ("GIVE: if (m_axis_tready)", "GIVE: if (m_axis_tready && flip)"),
        stall=2,
    )
    assert found.fault == "image 0: the stream breaks the protocol"


def test_cycles_that_depend_on_data_are_told(tmp_path: Path) -> None:
    """A step that waits once for some words takes other cycles for another image."""
    wait = "reg waited = 0;\n    wire late = core.memory.words[0] == 127 && !waited;"
    found = simulated(
        tmp_path,
        ("    reg signed [15:0] sum;", f"    reg signed [15:0] sum;\n    {wait}"),
        ("            DOUBLE: begin", "            DOUBLE: if (late) waited <= 1; else begin"),
    )
    assert found.fault == f"image 1: {SUM} takes other cycles than before"


@pytest.mark.parametrize("which", ["step", "image"])
def test_cycles_that_were_not_predicted_are_told(
    tmp_path: Path, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a step, and of a whole image."""
    lowering = toy()
    wanted = golden(IMAGES)
    if which == "step":
        monkeypatch.setitem(CYCLES, SUM, 5)
    written(tmp_path, lowering, wanted, 13 if which == "step" else 14)
    found = verilog.simulate(lowering, "toy", wanted, tmp_path, "iverilog")
    told = (
        f"{SUM} has other counts or cycles"
        if which == "step"
        else "the stream takes other cycles in all"
    )
    assert found.fault == f"image 3: {told}"


def test_golden_words_that_are_missing_are_told(tmp_path: Path) -> None:
    """A file that ends early passes for none."""
    lowering = toy()
    wanted = golden(IMAGES)
    written(tmp_path, lowering, wanted)
    (path,) = tmp_path.glob("layer_1*.hex")
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    found = verilog.simulate(lowering, "toy", wanted, tmp_path, "iverilog")
    assert found.fault == f"image 2: {SUM} has too few golden words"


@pytest.mark.parametrize(
    "tool",
    ["iverilog", pytest.param("verilator", marks=needs("verilator", "g++", "make"))],
)
def test_the_list_of_golden_words_is_the_one_that_is_named(tmp_path: Path, tool: str) -> None:
    """Else it is no PASS: neither without a list, nor with one that is cut or lacks its files."""
    wanted = golden(IMAGES)
    written(tmp_path, toy(), wanted)
    lines = (tmp_path / "vectors.txt").read_text().splitlines(keepends=True)
    (tmp_path / "two.txt").write_text("".join(["2" + lines[0][1:], *lines[1:]]))
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "cut.txt").write_text("".join(lines[:-1]))
    (tmp_path / "gone.txt").write_text("".join(lines).replace("input.hex", "gone.hex"))
    program = verilog.build("toy", tmp_path, tool)
    command = [str(tools.find("vvp")), "-n", program] if tool == "iverilog" else [program]
    for name, end in (
        ("two.txt", "PASS images 2 words 10\n"),
        *(
            (f"{name}.txt", f"{name}.txt must list golden words, each file in this folder\nFAIL\n")
            for name in ("none", "empty", "cut", "gone")
        ),
    ):
        said = tools.run([*command, f"+vectors={name}"], tmp_path, tmp_path / "log")
        assert end in said, name
        assert said.count("PASS") == (name == "two.txt")


@needs("vvp", "make")
def test_waves_begin_where_the_first_wrong_word_is_made(tmp_path: Path) -> None:
    """The image runs again: its words came in, and the steps before have been done."""
    simulated(tmp_path, LATER)
    command = [str(tools.find("vvp")), "-n", "toy_tb.iverilog", "+vcd=waves.vcd"]
    said = tools.run(command, tmp_path, tmp_path / "log")
    waves = (tmp_path / "waves.vcd").read_text()
    times = [int(time) for time in re.findall(r"^#(\d+)$", waves, re.MULTILINE)]
    assert said.count("DIFFERS") == 1 + said.count("VCD info")
    assert (times[-1] - times[0]) // 10 < CYCLES[SUM] + 2
    assert "step_number" in waves


def test_progress_is_told(tmp_path: Path) -> None:
    """Of each hundred images, as they are done."""
    lowering, heard = toy(), list[int]()
    wanted = golden(np.repeat(IMAGES, 85, axis=0))
    written(tmp_path, lowering, wanted)
    found = verilog.simulate(lowering, "toy", wanted, tmp_path, "iverilog", progress=heard.append)
    assert (found.fault, found.images, heard) == (None, 255, [100, 100])
