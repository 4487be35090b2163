"""``fxpnn inspect --hardware`` shows what a network costs, layer by layer or over units."""

from pathlib import Path

import pytest

import fxpnn
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import L2Pool2D, Window
from fxpnn.targets import energy
from fxpnn.targets.hardware_cost import hardware_cost
from fxpnn.targets.lowering import lower
from tests.support.cli_runner import fxp, sha256, write_models

MLP = Path(__file__).parents[2] / "models" / "mlp-784-100-10.onnx"
POINT = '[{bits = 16, pj = 1, source = "mine"}]'
OWN = f"""
name = "mine"
add = {POINT}
multiply = {POINT}
read = [{{bytes = 1, bits = 8, pj = 0, source = "mine"}}]
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with tiny.onnx, tiny.fxp, mlp.fxp, and l2.fxp, which Verilog has not."""
    folder = write_models(tmp_path_factory.mktemp("models"))
    assert fxp("quantize", MLP, "-o", folder / "mlp.fxp", "-q").status == 0
    node = FixedNode("root", L2Pool2D(Window((2, 2))), (INPUT,), QFormat(16, 12))
    FixedNetwork("l2", (1, 4, 4), QFormat(16, 12), (node,)).save(folder / "l2.fxp")
    (folder / "own.toml").write_text(OWN)
    return folder


@pytest.fixture(autouse=True)
def inside(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in the folder."""
    monkeypatch.chdir(models)


def cells(out: str, first: str) -> list[str]:
    """Return the cells of the row that begins so."""
    return next(row.split() for row in out.splitlines() if row.split()[:1] == [first])


def test_the_printed_energy_of_the_mlp_is_the_tables_by_hand() -> None:
    """79,400 products and adds by Horowitz's figures; each layer has its share."""
    out = fxp("inspect", "mlp.fxp", "--hardware").out
    add = 0.03 + 0.07 * 40 / 24  # 48 bits
    hidden = 78_400 * (0.2 + 2.9 * 64 / 960 + add) / 1000  # 16 by 8 bits, in nJ
    last = 1_000 * (0.2 + 2.9 * 192 / 960 + add) / 1000  # 16 by 16 bits
    assert cells(out, "hidden_relu")[-2] == f"{hidden:.1f}" == "42.3"
    assert cells(out, "output")[-2] == f"{last:.3f}" == "0.927"
    lowering = lower(fxpnn.load("mlp.fxp"))
    core = hardware_cost(lowering, [16], 100.0, energy.shipped()).cores[0]
    memory = core.energy.memory_pj / 1000
    assert (
        f" energy {hidden + last + memory:.1f} nJ an image: arithmetic {hidden + last:.1f}, memory "
        f"{memory:.1f}; by 45 nm, 0.9 V: an estimate\n"
    ) in out


def test_one_core_is_shown_layer_by_layer() -> None:
    """Cycles of all rows are the image's; the memories and the bytes of C stand below."""
    done = fxp("inspect", "mlp.fxp", "--hardware", "--macs", "4", "--clock-mhz", "50")
    assert (done.status, done.err) == (0, "")
    core = hardware_cost(lower(fxpnn.load("mlp.fxp")), [4], 50.0, energy.shipped()).cores[0]
    for row in core.layers[1:4]:
        assert cells(done.out, row.name)[2] == f"{row.cycles:,}"
    for line in (
        f" 4 units: {core.cycles:,} cycles an image, {50e6 / core.cycles:,.0f} images/s at 50 MHz, "
        f"{100 * core.use:.1f} % of what the units could multiply\n",
        f" ROM {core.rom.bits:,} bits: weights {core.rom.weights:,} (79,600 words of 16), ",
        f" RAM {16 * 884:,} bits: activations\n",
        " bytes of constants, 220 of scratch memory\n",
    ):
        assert line in done.out
    assert "idle" not in done.out
    out = fxp("inspect", "mlp.fxp", "--hardware", "--macs", "101").out
    assert "\n 1 of them are idle: no layer has more than 100 channels\n" in out


def test_cores_are_compared_over_units() -> None:
    """A row for each number of units: where more of them stop paying is seen."""
    done = fxp("inspect", "mlp.fxp", "--hardware", "--macs", "1,4,16")
    found = fxp("inspect", "mlp.fxp", "--hardware", "--macs", "1,4,16", "--json").json
    assert [core["macs"] for core in found["cores"]] == [1, 4, 16]
    for core in found["cores"]:
        row = cells(done.out, str(core["macs"]))
        bits = sum(core["rom"].values())
        whole = sum(core["energy"].values()) / 1000
        assert row == [
            *(str(core["macs"]), f"{core['cycles']:,}", f"{core['images_per_second']:,.0f}"),
            *(f"{100 * core['use']:.1f}", "%", f"{core['weight_words']:,}", f"{bits:,}"),
            f"{whole:,.1f}",
        ]
    assert "\n at 100 MHz; energy by 45 nm, 0.9 V: an estimate\n" in done.out


def test_json_has_all_of_it() -> None:
    """The file, the clock, the table of energies, each core's layers, and the bytes of C."""
    args = ("--hardware", "--macs", "2", "--energy", "own.toml", "--json")
    found = fxp("inspect", "tiny.fxp", *args).json
    assert (found["kind"], found["schema"]) == ("hardware", 1)
    assert found["model"] == {
        "path": "tiny.fxp",
        "sha256": sha256(Path("tiny.fxp")),
        "name": "tiny",
    }
    assert (found["clock_mhz"], found["energy_table"], found["refused"]) == (100.0, "mine", None)
    (core,) = found["cores"]
    assert core["energy"]["memory_pj"] == 0
    layers = {layer["name"]: layer for layer in core["layers"]}
    assert [*layers] == ["input", "hidden_relu", "output", "softmax", "outputs"]
    assert layers["hidden_relu"]["products"] == 8 * 784
    word = fxpnn.load("tiny.fxp").formats["input"].word
    each = 16 * word / 256 + 48 / 16  # lines through 0 and (16, 1)
    assert layers["hidden_relu"]["energy"]["arithmetic_pj"] == pytest.approx(8 * 784 * each)
    assert (
        found["c"]["scratch_bytes"]
        == 2 * lower(fxpnn.load("tiny.fxp")).memory({"input", "softmax"}).words
    )


@pytest.mark.parametrize("columns", [80, 100])
@pytest.mark.parametrize("macs", ["16", "1,2,4,8,16"])
def test_tables_fit_the_terminal(macs: str, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal no row of a table is wider than it."""
    monkeypatch.setattr("cli.console.tables.on_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    out = fxp("inspect", "mlp.fxp", "--hardware", "--macs", macs).out
    assert max(map(len, out.splitlines())) <= columns


def test_what_verilog_has_not_is_told() -> None:
    """In a line; what C takes is shown all the same."""
    done = fxp("inspect", "l2.fxp", "--hardware")
    assert (done.status, done.err) == (0, "")
    assert " no Verilog: layer root (L2Pool2D): " in done.out
    assert "; export it --to c\n" in done.out
    assert "\n in C 0 bytes of constants, 0 of scratch memory\n" in done.out
    found = fxp("inspect", "l2.fxp", "--hardware", "--json").json
    assert found["cores"] == []
    assert found["refused"].startswith("layer root (L2Pool2D): ")


HELP = " (see fxpnn inspect --help)"


@pytest.mark.parametrize(
    ("args", "status", "line"),
    [
        (("tiny.fxp", "--macs", "4"), 2, f"--macs must go with --hardware{HELP}"),
        (("tiny.fxp", "--clock-mhz", "4"), 2, f"--clock-mhz must go with --hardware{HELP}"),
        (("tiny.onnx", "--energy", "own.toml"), 2, f"--energy must go with --hardware{HELP}"),
        (("tiny.fxp", "--hardware", "--macs", "1,0"), 2, f"--macs: must be 1 to 256, not 0{HELP}"),
        (("tiny.fxp", "--hardware", "--macs", "1,,2"), 2,
         f"--macs: must be a whole number, not ''{HELP}"),
        (("tiny.fxp", "--hardware", "--clock-mhz", "0"), 2,
         f"--clock-mhz: must be more than 0, not 0{HELP}"),
        (("tiny.fxp", "--hardware", "--shape", "1,28,28"), 2,
         f"--shape must go with an ONNX model, not --hardware{HELP}"),
        (("tiny.onnx", "--hardware"), 3,
         "tiny.onnx: must be a quantized model (.fxp); fxpnn quantize makes one from an ONNX "
         "model"),
        (("tiny.fxp", "--hardware", "--energy", "none.toml"), 3,
         "none.toml: cannot be read: No such file or directory"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked(args: tuple[str, ...], status: int, line: str) -> None:
    """Each ends in one line."""
    assert fxp("inspect", *args) == (status, "", f"fxpnn: error: {line}\n")
