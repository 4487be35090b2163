"""``fxpnn export --to hex|c|verilog`` writes a folder, or one line and nothing."""

import json
from pathlib import Path

import numpy as np
import pytest

import fxpnn
from fxpnn.network.layers import Dense
from fxpnn.targets.lowering import lower
from tests.support.cli_runner import fxp, sha256, write_models

IMAGES = np.random.default_rng(3).integers(0, 256, (3, 1, 28, 28), np.uint8)
TARGETS = ("hex", "c", "verilog")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with tiny.onnx, tiny.fxp, small.fxp of 4 inputs, and x.npy."""
    folder = write_models(tmp_path_factory.mktemp("models"))
    np.save(folder / "x.npy", IMAGES)
    rng = np.random.default_rng(4)
    layers = {"only": Dense(rng.normal(size=(3, 4)), np.zeros(3))}
    fxpnn.quantize(fxpnn.chain("reg", (4,), layers), rng.normal(size=(5, 4))).save(
        folder / "small.fxp"
    )
    return folder


@pytest.fixture(autouse=True)
def inside(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in the folder."""
    monkeypatch.chdir(models)


@pytest.mark.parametrize("target", TARGETS)
def test_what_was_written_is_told(target: str) -> None:
    """Each file with its size, whose images the golden vectors are, and the peak of memory."""
    done = fxp("export", "tiny.fxp", "--to", target, "-o", target)
    assert (done.status, done.err) == (0, "")
    held = {path.name: path.stat().st_size for path in Path(target).iterdir()}
    size = held.pop("manifest.json")
    assert size
    rows = {row[0]: row[1] for row in map(str.split, done.out.splitlines()) if len(row) == 2}
    assert {name: f"{size:,}" for name, size in held.items()}.items() <= rows.items()
    lowering = lower(fxpnn.load("tiny.fxp"))
    apart = {"input", *lowering.outputs} if target == "c" else ()
    peak = lowering.memory(apart).words
    total = sum(held.values()) / 1024
    assert f"\n {len(held)} files and manifest.json, {total:,.1f} KiB in all\n" in done.out
    assert "\n golden vectors of 10 images: mnist\n" in done.out
    beside = ", beside the input and outputs" if apart else ""
    assert f"\n activations take {peak:,} words at most at a time{beside}\n" in done.out


@pytest.mark.parametrize("target", TARGETS)
def test_json_says_the_same(target: str) -> None:
    """With the sums of all that is read and written."""
    args = ["--data", "x.npy", "--limit", "2", "--name", "a_net"]
    if target == "verilog":
        args += ["--macs", "4", "--trim"]
    found = fxp("export", "tiny.fxp", "--to", target, "-o", f"{target}_json", *args, "--json").json
    manifest = json.loads(Path(f"{target}_json", "manifest.json").read_text())
    assert found["model"] == {
        "path": "tiny.fxp",
        "sha256": sha256(Path("tiny.fxp")),
        "name": "tiny",
    }
    assert (found["data"]["name"], found["data"]["images"]) == ("x.npy", 2)
    assert (manifest["model"], manifest["data"]) == (
        *(found["model"]["sha256"], found["data"]["sha256"]),
    )
    assert (found["folder"], found["manifest"]) == (f"{target}_json", "manifest.json")
    for key in ("target", "name", "images", "macs", "trim", "memory_words", "files"):
        assert found[key] == manifest[key]
    assert (found["target"], found["name"], found["images"]) == (target, "a_net", 2)
    assert (found["macs"], found["trim"]) == ((4, True) if target == "verilog" else (None, None))
    for file in found["files"]:
        assert file["sha256"] == sha256(Path(f"{target}_json", file["name"]))
    assert found["not_carried"] == []


def test_what_a_core_does_is_told() -> None:
    """Its cycles, as ``inspect`` tells them, and units that no layer has channels for."""
    done = fxp("export", "tiny.fxp", "--to", "verilog", "-o", "core", "--macs", "12", "-q")
    inspected = fxp("inspect", "tiny.fxp", "--hardware", "--macs", "12", "--json").json
    cycles = inspected["cores"][0]["cycles"]
    assert f"\n 12 units take {cycles:,} cycles for an image\n" in done.out
    assert "\n 2 units are idle: no layer has so many channels\n" in done.out
    found = fxp("export", "tiny.fxp", "--to", "verilog", "-o", "core", "--macs", "1", "--json").json
    assert (found["macs"], found["idle_units"]) == (1, 0)
    assert "idle" not in fxp("export", "tiny.fxp", "--to", "c", "-o", "core").out


def test_other_networks_run_on_drawn_words() -> None:
    """Where no data are given; a name that Verilog keeps for itself is changed."""
    done = fxp("export", "small.fxp", "--to", "hex", "-o", "drawn", "--limit", "1")
    assert (done.status, done.err) == (0, "")
    assert "\n golden vectors of 1 image: words drawn from a seed\n" in done.out
    found = fxp("export", "small.fxp", "--to", "hex", "-o", "drawn", "--json").json
    assert (found["data"], found["name"], found["images"]) == (None, "net_reg", 10)


def test_an_assumed_scale_is_noted() -> None:
    """As by ``trace``: pixels become words on that assumption."""
    fxpnn.load("tiny.fxp").with_scaling(fxpnn.Scaling(assumed=True)).save("any.fxp")
    note = "pixels become numbers as x / 256: any.fxp was quantized on that assumption"
    done = fxp("export", "any.fxp", "--to", "hex", "-o", "any", "--limit", "1")
    assert done.err == f"fxpnn: note: {note}\n"
    assert fxp("export", "any.fxp", "--to", "hex", "-o", "any", "--limit", "1", "-q").err == ""


HELP = " (see fxpnn export --help)"


@pytest.mark.parametrize(
    ("args", "status", "line"),
    [
        (("--to", "c", "-o", "d", "--macs", "4"), 2,
         f"--macs must go with --to verilog, not c{HELP}"),
        (("--to", "hex", "-o", "d", "--trim"), 2,
         f"--trim must go with --to verilog, not hex{HELP}"),
        (("--to", "qonnx", "-o", "d.onnx", "--macs", "4"), 2,
         f"--macs must go with --to verilog, not qonnx{HELP}"),
        (("--to", "qdq", "-o", "d.onnx", "--data", "x.npy"), 2,
         f"--data must go with --to hex, c or verilog, not qdq{HELP}"),
        (("--to", "qdq", "-o", "d.onnx", "--limit", "1"), 2,
         f"--limit must go with --to hex, c or verilog, not qdq{HELP}"),
        (("--to", "qdq", "-o", "d.onnx", "--name", "a"), 2,
         f"--name must go with --to hex, c or verilog, not qdq{HELP}"),
        (("--to", "verilog", "-o", "d", "--macs", "257"), 2,
         f"--macs: must be 1 to 256, not 257{HELP}"),
        (("--to", "verilog", "-o", "d", "--macs", "many"), 2,
         f"--macs: must be a whole number, not 'many'{HELP}"),
        (("--to", "c", "-o", "d", "--name", "int"), 2,
         f"--name: must be no keyword of C, C++ or Verilog, not 'int'{HELP}"),
        (("--to", "c", "-o", "d", "--name", "../up"), 2,
         "--name: must be a letter and up to 39 letters, digits and _ behind it, not '../up'"
         f"{HELP}"),
        (("--to", "c", "-o", "d", "--name", "a\n; rm"), 2,
         "--name: must be a letter and up to 39 letters, digits and _ behind it, not 'a\\n; rm'"
         f"{HELP}"),
        (("--to", "hex", "-o", "d", "--limit", "0"), 2, f"--limit: must be 1 or more, not 0{HELP}"),
        (("--to", "hex", "-o", "x.npy"), 3,
         "x.npy: must be a folder to write to, not a file, pipe or device"),
        (("--to", "hex", "-o", "no/d"), 3, "no/d: cannot be written: No such file or directory"),
        (("--to", "hex", "-o", "d", "--data", "none.npy"), 3,
         "none.npy: must be mnist, mnist:calibration, mnist:train, or a file or folder that "
         "exists"),
    ],
)  # fmt: skip
def test_what_cannot_be_exported(args: tuple[str, ...], status: int, line: str) -> None:
    """Each ends in one line, and nothing is written."""
    before = sorted(Path().iterdir())
    done = fxp("export", "tiny.fxp", *args)
    assert (done.status, done.out, done.err) == (status, "", f"fxpnn: error: {line}\n")
    assert sorted(Path().iterdir()) == before


def test_only_an_earlier_export_is_replaced() -> None:
    """By another target too; a folder with anything else in it is not touched."""
    for target in TARGETS:
        assert fxp("export", "tiny.fxp", "--to", target, "-o", "again", "--limit", "1").status == 0
    Path("again", "notes.txt").write_text("mine")
    done = fxp("export", "tiny.fxp", "--to", "hex", "-o", "again")
    line = (
        "again: must be new, empty, or hold only what an earlier such command wrote, not "
        "'notes.txt'"
    )
    assert (done.status, done.out, done.err) == (3, "", f"fxpnn: error: {line}\n")
