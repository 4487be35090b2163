"""Whatever is changed in what was exported, co-simulation finds it, and names the layer."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from fxpnn.errors import ToolError
from fxpnn.targets import hexfiles
from fxpnn.targets.c import export as c
from fxpnn.targets.lowering import lower
from fxpnn.targets.simulation.cosim import Core, Cosimulation, Simulator, cosimulate
from fxpnn.targets.verilog import export as verilog
from fxpnn.targets.verilog.program import assemble
from tests.support import hostile
from tests.support.hostile import DENSE, LOGITS, POOL, RELU, SIGMOID, SOFTMAX
from tests.support.tools import needs

MACS = 2
Files = dict[str, bytes]
Change = Callable[[Files], None]


def text(file: str, old: str, new: str) -> Change:
    """Change one place in a file of text, which must be there once."""

    def change(files: Files) -> None:
        before = files[file].decode()
        assert before.count(old) == 1, f"{old!r} is there {before.count(old)} times"
        files[file] = before.replace(old, new).encode()

    return change


def lines(file: str, edit: Callable[[list[str]], None]) -> Change:
    """Change the words of a file for ``$readmemh``, a word a line."""

    def change(files: Files) -> None:
        rows = files[file].decode().splitlines()
        head = rows[:1] if rows[0].startswith("//") else []
        rows = rows[len(head) :]
        before = list(rows)
        edit(rows)
        assert rows != before
        files[file] = "".join(f"{row}\n" for row in (*head, *rows)).encode()

    return change


def flip(file: str, place: int, bit: int) -> Change:
    """Flip a bit of a word."""

    def edit(rows: list[str]) -> None:
        digits = len(rows[place])
        rows[place] = f"{int(rows[place], 16) ^ 1 << bit:0{digits}x}"

    return lines(file, edit)


def swap(file: str, one: int, other: int) -> Change:
    """Exchange two words."""

    def edit(rows: list[str]) -> None:
        rows[one], rows[other] = rows[other], rows[one]

    return lines(file, edit)


def lose_last(file: str) -> Change:
    """Leave the last word away."""
    return lines(file, lambda rows: rows.__delitem__(-1))


def begins(field: str, step: str) -> int:
    """Say where the words of a step begin in a ROM."""
    lowering = lower(hostile.network())
    number = [it.name for it in lowering.steps].index(step)
    for instruction in assemble(lowering, MACS).instructions:
        if instruction.get("step") == number and field in instruction:
            place = instruction[field]
            assert isinstance(place, int)
            return place
    raise AssertionError(step)


def run(
    simulator: Simulator, change: Change, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Cosimulation:
    """Co-simulate the network with a change in what is exported."""
    target = verilog if simulator.verilog else c
    write = target.write

    def changed(*args: object) -> Mapping[str, bytes]:
        files = dict(write(*args))
        change(files)
        return files

    monkeypatch.setattr(target, "write", changed)
    core = Core(MACS) if simulator.verilog else None
    return cosimulate(hostile.network(), hostile.images(), simulator, folder, core=core)


WEIGHTS = {step: begins("weight_base", step) for step in (RELU, DENSE, LOGITS)}
BIASES = {step: begins("bias_base", step) for step in (RELU, DENSE, LOGITS)}
TABLES = {step: begins("table_base", step) for step in (SIGMOID, SOFTMAX)}
SHIFT_BIT = assemble(lower(hostile.network()), MACS).sizes.bias + 1
"""The lowest bit of the shift that stands above each bias, and the bit of its clamp."""

ROMS = {
    "weight bit": (flip("weights.hex", WEIGHTS[RELU], 5), RELU),
    "weight's sign": (flip("weights.hex", WEIGHTS[DENSE] + 3, 15), DENSE),
    "other unit's weight": (flip("weights.hex", WEIGHTS[LOGITS] + 1, 16 + 6), LOGITS),
    "swapped weights": (swap("weights.hex", WEIGHTS[DENSE], WEIGHTS[DENSE] + 1), DENSE),
    "lost last weights": (lose_last("weights.hex"), LOGITS),
    "bias": (flip("bias.hex", BIASES[RELU], 8), RELU),
    "later bias": (flip("bias.hex", BIASES[LOGITS], 12), LOGITS),
    "swapped biases": (swap("bias.hex", BIASES[DENSE], BIASES[DENSE] + 1), DENSE),
    "shift": (flip("bias.hex", BIASES[DENSE], SHIFT_BIT), DENSE),
    "table entry": (flip("tables.hex", TABLES[SIGMOID] + 367, 18 + 13), SIGMOID),
    "exponential": (flip("tables.hex", TABLES[SOFTMAX], 18 + 17), SOFTMAX),
}
"""Changes of what memories hold, and the step that is the first to notice."""

MODULES = {
    "tie rule": (text("fx_requantize.v", "half & (more | odd)", "half"), RELU),
    "dropped clamp": (text("fx_mac.v", "kept = far ?", "kept = 1'b0 ?"), RELU),
    "limit of a ReLU": (text("fx_requantize.v", "cast < floor ? floor :", ""), RELU),
    "saturation": (text("fx_requantize.v", "under ? low : high", "low"), RELU),
    "smallest for largest": (text("fx_pool.v", "seen > best", "seen < best"), POOL),
    "sign of a curve": (text("fx_table.v", "(kind == SIGMOID | kind == TANH)", "1'b0"), SIGMOID),
    "rounding of shares": (text("fx_softmax.v", " + {16'd0, rounding[0]}", ""), SOFTMAX),
    "weight ignored": (text("fx_mac.v", "product <= x * weight", "product <= x"), RELU),
}
"""Changes of the design."""

COUNTED = {
    "clamps": (text("fx_mac.v", "& {2{add}}", "& 2'b0"), "adds that the accumulator clamps"),
    "saturations": (text("fx_core.v", ".saturated(cast &&", ".saturated(1'b0 &&"), "saturations"),
}
"""Changes of counters alone."""


def stem(step: str) -> str:
    """Name the file of a step's golden words."""
    return f"{hexfiles.stems(hostile.network())[step]}.hex"


GOLDEN = {step: flip(stem(step), len(step) % 4, 0) for step in hostile.STEPS}
"""Changes of a golden word of each step."""


@needs("iverilog")
@pytest.mark.parametrize("what", [*ROMS, *MODULES])
def test_a_wrong_design_is_found(
    what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first layer that differs is the one that was changed."""
    change, step = (ROMS | MODULES)[what]
    done = run(Simulator.IVERILOG, change, tmp_path / "d", monkeypatch)
    verdict, op = done.verdict(), re.escape(done.layer(step).replace("\n", " "))
    unknown = r"image \d+: word \d+ of .+ is unknown \(.+\), not -?\d+"
    assert verdict is not None
    assert re.fullmatch(
        rf"{op} differs first, in image \d+ at \d+: -?\d+, not -?\d+|{unknown}", verdict
    )
    assert step.replace("\n", " ") in verdict
    assert "make waves" in (tmp_path / "d/Makefile").read_text()


@needs("iverilog")
@pytest.mark.parametrize("what", COUNTED)
def test_a_wrong_count_is_found(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all words agree."""
    change, counted = COUNTED[what]
    done = run(Simulator.IVERILOG, change, tmp_path / "d", monkeypatch)
    wanted = re.escape(counted)
    assert done.found.differs is None
    assert re.fullmatch(rf"reg \(Conv2D\) counts 0 {wanted}, not \d+", str(done.verdict()))


@needs("iverilog")
@pytest.mark.parametrize("step", GOLDEN)
def test_a_wrong_golden_word_is_found(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bench compares each step with its own file."""
    done = run(Simulator.IVERILOG, GOLDEN[step], tmp_path / "d", monkeypatch)
    differs = done.found.differs
    assert differs is not None
    assert (differs.image, differs.step, differs.element) == (0, step, len(step) % 4)
    assert differs.got ^ differs.wanted == 1


@needs("iverilog")
@pytest.mark.parametrize(
    ("change", "verdict"),
    [
        (lose_last(stem(SOFTMAX)), "image 4: endmodule has too few golden words"),
        (flip("classes.hex", 2, 0), r"image 2: the class is \d, not \d"),
        (flip("input.hex", 0, 7), r"reg \(Conv2D\) differs first, in image 0 at 0: .+"),
        (lose_last("input.hex"), r".+ in image 4 at .+|image 4: .+"),
    ],
    ids=["golden", "class", "input", "short input"],
)
def test_other_vectors_are_found(
    change: Change, verdict: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that ends early passes for none."""
    done = run(Simulator.IVERILOG, change, tmp_path / "d", monkeypatch)
    assert re.fullmatch(verdict, str(done.verdict()))


@needs("iverilog")
def test_a_list_that_ends_early_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bench runs nothing by a part of it."""
    with pytest.raises(ToolError, match=r"^iverilog ends before the bench does: FAIL "):
        run(Simulator.IVERILOG, lose_last("vectors.txt"), tmp_path / "d", monkeypatch)


TIE_32 = """const int32_t rest = value & (one - 1);
    return floor + (rest > half || (rest == half"""
IN_C = {
    "weight": (text("net_weights.c", "    112, 32, 40, 96", "    112, 32, 41, 96"), RELU),
    "swapped weights": (text("net_weights.c", "-98, -9, 81", "-9, -98, 81"), DENSE),
    "bias": (text("net_weights.c", "    256, -560\n", "    -560, 256\n"), RELU),
    "tie rule": (text("net.c", f"{TIE_32} && floor % 2 != 0", TIE_32), RELU),
    "smallest for largest": (text("net.c", "if (v > best)", "if (v < best)"), POOL),
    "saturation": (text("net.c", "r < 0 ? 0 : r > 127 ? 127 : r", "r < 0 ? 0 : r"), RELU),
    "sign of a curve": (text("net.c", "v < 0 ? 17179869184 - g : g", "g"), SIGMOID),
    "rounding of shares": (text("net.c", " + ((uint64_t)1 << (bits + 2))", ""), SOFTMAX),
}
"""Changes of the C."""


@needs("gcc")
@pytest.mark.parametrize("what", IN_C)
def test_wrong_c_is_found(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first layer that differs is the one that was changed."""
    change, step = IN_C[what]
    done = run(Simulator.C, change, tmp_path / "d", monkeypatch)
    assert done.found.differs is not None
    assert done.found.differs.step == step


@needs("gcc")
def test_a_wrong_count_in_c_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where all words agree."""
    change = text("net.c", "saturations, r < -128 ||", "saturations, r < -200 ||")
    verdict = run(Simulator.C, change, tmp_path / "d", monkeypatch).verdict()
    assert re.fullmatch(r"reg \(Conv2D\) counts \d+ saturations, not \d+", str(verdict))


@pytest.mark.parametrize(
    ("simulator", "core"),
    [
        pytest.param("iverilog", Core(1), marks=needs("iverilog")),
        pytest.param("iverilog", Core(3, stall=5), marks=needs("iverilog")),
        pytest.param("iverilog", Core(16, trim=True), marks=needs("iverilog")),
        pytest.param("verilator", Core(MACS), marks=needs("verilator", "g++", "make")),
        pytest.param("c", None, marks=needs("gcc")),
        pytest.param("cortex-m", None, marks=needs("arm-none-eabi-gcc", "qemu-system-arm")),
    ],
)
def test_names_that_no_language_likes_change_nothing(
    simulator: str, core: Core | None, tmp_path: Path
) -> None:
    """All words agree whatever layers are called, and what overflows; so do cycles of Verilog."""
    done = cosimulate(hostile.network(), hostile.images(), simulator, tmp_path / "d", "net", core)
    assert done.verdict() is None
    assert done.words == done.found.words == 5 * (32 + 8 + 5 + 5 + 4 + 4)
    counts = done.found.counts[RELU]
    assert counts.accumulator_overflows > 100
    assert counts.saturations > 50
    assert done.found.cycles.keys() == (set(hostile.STEPS) if core else set())
    assert (done.found.image_cycles is None) == (core is None or core.stall is not None)
    assert (done.found.instructions is None) == (simulator != "cortex-m")
