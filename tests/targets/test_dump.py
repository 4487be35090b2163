"""A dump holds every layer's words twice, in files whose names are safe, and is read with care."""

import contextlib
import json
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fxpnn
from fxpnn.analysis.tracing import trace
from fxpnn.errors import DataError
from fxpnn.golden import run
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.layers import Dense, Relu
from fxpnn.targets import dump, readmemh
from tests.support.strategies import NetworkCase, fixed_networks

HOSTILE = "../../etc/passwd", "a\nb", "A\nB", "reg", "Gr\xf6\xdfe", "x" * 300, "input ", "\x00"
X = np.linspace(-1, 1, 4, dtype=np.float32)


def small(*names: str) -> FixedNetwork:
    """Build a network whose layers have these names, ReLUs behind a dense one of 4 to 3."""
    rng = np.random.default_rng(5)
    first, *more = names or ("hidden", "relu")
    layers = {first: Dense(rng.normal(size=(3, 4)), rng.normal(size=3))}
    network = fxpnn.chain("small", (4,), layers | {name: Relu() for name in more})
    return fxpnn.quantize(network, X[None])


@pytest.fixture
def made(tmp_path: Path) -> tuple[Path, FixedNetwork]:
    """Give a dump in a folder, and the network that it is of."""
    fixed = small()
    dump.write(tmp_path / "d", fixed, trace(fixed, X), "ab" * 32, "cd" * 32, 3)
    return tmp_path / "d", fixed


@given(fixed_networks(max_images=1))
def test_a_trace_is_what_the_golden_model_computes(case: NetworkCase) -> None:
    """Every layer's words, and the input's, of the shape that the layer has."""
    words, wanted = trace(case.fixed, case.raw[0].astype(np.int16)), run(case.fixed, case.raw).raw
    assert words["input"].tolist() == case.raw[0].tolist()
    assert [*words] == ["input", *wanted]
    for name, raw in wanted.items():
        assert words[name].tolist() == raw[0].tolist()


def test_files_hold_the_words(made: tuple[Path, FixedNetwork]) -> None:
    """As an array and as text; the manifest says whose they are, and nothing else is there."""
    folder, fixed = made
    manifest = json.loads((folder / "manifest.json").read_text())
    assert {key: manifest[key] for key in manifest if key != "tensors"} == {
        "schema": 1,
        "version": fxpnn.__version__,
        "model": "ab" * 32,
        "data": "cd" * 32,
        "index": 3,
    }
    names = {"manifest.json"}
    for it, (name, words) in zip(manifest["tensors"], trace(fixed, X).items(), strict=True):
        fmt = fixed.formats[name]
        assert (it["name"], it["shape"], it["format"]) == (name, [*words.shape], str(fmt))
        assert it["op"] == ("Input" if name == "input" else fixed[name].op)
        array, text = np.load(folder / it["npy"]), (folder / it["hex"]).read_text()
        assert (array.dtype.str, array.tolist()) == ("<i2", words.tolist())
        assert readmemh.parse(text, words.shape, fmt.word, fmt.signed).tolist() == words.tolist()
        names |= {it["npy"], it["hex"]}
    assert {path.name for path in folder.iterdir()} == names
    assert (folder / "layer_0_hidden.hex").read_text().startswith("// hidden, Dense 3 of ")


def test_equal_words_give_equal_bytes(made: tuple[Path, FixedNetwork], tmp_path: Path) -> None:
    """Whenever and wherever they are written."""
    folder, fixed = made
    dump.write(tmp_path / "e", fixed, trace(fixed, X), "ab" * 32, "cd" * 32, 3)
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "e" / path.name).read_bytes()


def test_what_is_written_is_read(made: tuple[Path, FixedNetwork]) -> None:
    """The same words, from either kind of file, with the manifest or without."""
    folder, fixed = made
    wanted = {name: words.tolist() for name, words in trace(fixed, X).items()}
    for gone in ("*.none", "*.npy", "manifest.json"):
        for path in folder.glob(gone):
            path.unlink()
        found = dump.read(folder, fixed)
        assert {name: words.tolist() for name, words in found.words.items()} == wanted
        assert all(words.dtype == np.int64 for words in found.words.values())
    assert found.manifest is None
    assert found.files["hidden"] == "layer_0_hidden.hex"


@given(st.lists(st.text(min_size=1) | st.sampled_from(HOSTILE), min_size=1, max_size=12))
def test_names_are_safe_and_differ(names: list[str]) -> None:
    """In files whose system knows no case, in C and in Verilog, whatever layers are called."""
    safe = dump.safe_names(names)
    assert len({name.lower() for name in safe}) == len(names)
    assert all(re.fullmatch(r"layer_\d+_[A-Za-z0-9_]{0,40}", name) for name in safe)
    assert [*safe] == sorted(safe)


def test_hostile_names_are_mapped(tmp_path: Path) -> None:
    """The manifest has each layer's name; comments stay one line; nothing lies elsewhere."""
    fixed = small(*HOSTILE)
    dump.write(tmp_path / "d", fixed, trace(fixed, X))
    manifest = dump.read(tmp_path / "d", fixed).manifest
    assert manifest is not None
    assert tuple(it.name for it in manifest.tensors) == ("input", *HOSTILE)
    assert [path.name for path in tmp_path.iterdir()] == ["d"]
    for it in manifest.tensors:
        assert len((tmp_path / "d" / it.hex).read_bytes().splitlines()) == 1 + it.shape[0]


def test_an_earlier_dump_is_replaced(made: tuple[Path, FixedNetwork]) -> None:
    """By one with other files; an empty folder is taken too."""
    folder, _ = made
    other = small("one", "two", "three")
    dump.write(folder, other, trace(other, X))
    assert len([*folder.iterdir()]) == 1 + 2 * 4
    for path in folder.iterdir():
        path.unlink()
    dump.write(folder, other, trace(other, X))
    assert dump.read(folder, other).files["three"] == "layer_2_three.npy"


def test_other_folders_stay_as_they_are(made: tuple[Path, FixedNetwork]) -> None:
    """One that holds anything else is refused; nothing in it is touched."""
    folder, fixed = made
    (folder / "waves.vcd").write_text("waves")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    message = (
        f"{folder}: must be new, empty, or hold only what an earlier such command wrote, not "
        "'waves.vcd'"
    )
    for attempt in (dump.check_target, lambda path: dump.write(path, fixed, trace(fixed, X))):
        with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
            attempt(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_dump_whose_manifest_is_damaged_stays(made: tuple[Path, FixedNetwork]) -> None:
    """Nothing says then that its files are of a dump."""
    folder, _ = made
    (folder / "manifest.json").write_text("{}")
    message = f"^{re.escape(str(folder))}: must be new, empty, or hold only what .*$"
    with pytest.raises(DataError, match=message):
        dump.check_target(folder)


def damaged(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    """Return what changes the manifest of a folder."""

    def act(folder: Path) -> None:
        path = folder / "manifest.json"
        manifest = json.loads(path.read_text())
        change(manifest)
        path.write_text(json.dumps(manifest))

    return act


def hexed(text: str) -> Callable[[Path], object]:
    """Return what leaves the words of ``hidden`` as this text alone."""

    def act(folder: Path) -> None:
        (folder / "layer_0_hidden.npy").unlink()
        (folder / "layer_0_hidden.hex").write_text(text)

    return act


def saved(array: Any) -> Callable[[Path], object]:
    """Return what leaves the words of ``hidden`` as this array alone."""

    def act(folder: Path) -> None:
        (folder / "layer_0_hidden.hex").unlink()
        np.save(folder / "layer_0_hidden.npy", array)

    return act


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (hexed("1 2"), "layer_0_hidden.hex: must hold 3 values, not 2"),
        (hexed("1 2 xxxx"), "layer_0_hidden.hex: [2] must be hexadecimal digits, not 'xxxx'; the "
                            "simulation does not know it"),
        (hexed("1 2 08000"), "layer_0_hidden.hex: [2] must fit Q2.13, not be 32768"),
        (hexed("//" + "x" * 70_000), "layer_0_hidden.hex: must be at most 65728 bytes, not 70002"),
        (saved(np.arange(4)), "layer_0_hidden.npy: must hold 3 integers, not 4 of int64"),
        (saved(np.zeros(3)), "layer_0_hidden.npy: must hold 3 integers, not 3 of float64"),
        (saved(np.zeros(3, bool)), "layer_0_hidden.npy: must hold 3 integers, not 3 of bool"),
        (saved(np.array([0, -1, 2**63], object)),
         "layer_0_hidden.npy: must be an array of integers or floats of at most 64 bits"),
        (saved(np.array([0, 2**63, 1], np.uint64)),
         "layer_0_hidden.npy: [1] must fit Q2.13, not be 9223372036854775808"),
        (saved(np.zeros(9_000)), "layer_0_hidden.npy: must be at most 65728 bytes, not 72128"),
        (lambda folder: (folder / "layer_1_relu.hex").write_text("1 2 3"),
         "layer_1_relu.npy: must hold the same as layer_1_relu.hex; remove the one that is not the "
         "device's"),
        (damaged(lambda m: m.update(schema=2)),
         "manifest.json: must be a manifest of schema 1: Invalid enum value 2 - at `$.schema`"),
        (damaged(lambda m: m.update(index=-1)),
         "manifest.json: must be a manifest of schema 1: Expected `int` >= 0 - at `$.index`"),
        (lambda folder: (folder / "manifest.json").write_text("[" * 100_000),
         "manifest.json: must be a manifest of schema 1: Expected `object`, got `array`"),
        (lambda folder: (folder / "manifest.json").write_text(""),
         "manifest.json: must not be empty"),
        (damaged(lambda m: m["tensors"][1].update(hex="../../secret.hex")),
         "manifest.json: must name .npy and .hex files beside it, not '../../secret.hex'"),
        (damaged(lambda m: m["tensors"][1].update(npy="/etc/passwd")),
         "manifest.json: must name .npy and .hex files beside it, not '/etc/passwd'"),
        (damaged(lambda m: m["tensors"][1].update(hex="INPUT.hex")),
         "manifest.json: must not name one file twice"),
        (damaged(lambda m: m["tensors"][2].update(name="hidden", op="Dense")),
         "manifest.json: must name each layer of small once, not 'hidden'"),
        (damaged(lambda m: m["tensors"][1].update(name="conv")),
         "manifest.json: must name each layer of small once, not 'conv'"),
        (damaged(lambda m: m["tensors"][1].update(format="Q3.12")),
         "manifest.json: format of hidden must be Q2.13, as in small, not 'Q3.12'"),
        (damaged(lambda m: m["tensors"][0].update(shape=[2, 2])),
         "manifest.json: shape of input must be (4,), as in small, not (2, 2)"),
        (damaged(lambda m: m["tensors"][2].update(op="Clip")),
         "manifest.json: op of relu must be Relu, as in small, not 'Clip'"),
    ],
)  # fmt: skip
def test_what_cannot_be_read(
    made: tuple[Path, FixedNetwork], change: Callable[[Path], object], message: str
) -> None:
    """One line names the file, the place, and what it must be."""
    folder, fixed = made
    change(folder)
    with pytest.raises(DataError, match=f"^{re.escape(f'{folder}/{message}')}$"):
        dump.read(folder, fixed)


@given(st.data())
def test_damaged_files_are_read_or_refused(data: st.DataObject) -> None:
    """Whatever is done to some bytes of a file: no wrong word is taken, for each is there twice."""
    fixed = small()
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "d"
        dump.write(folder, fixed, trace(fixed, X))
        path = data.draw(st.sampled_from(sorted(folder.iterdir())))
        content = bytearray(path.read_bytes())
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
        path.write_bytes(content)
        wanted = {name: words.tolist() for name, words in trace(fixed, X).items()}
        with contextlib.suppress(DataError):
            words = dump.read(folder, fixed).words
            assert words
            for name, array in words.items():
                assert array.tolist() == wanted[name]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"relu": None}, "words must be those of all layers of small, not lack relu"),
        ({"relu": np.zeros(2, int)}, "words of relu: must hold 3 integers, not 2 of int64"),
        ({"hidden": np.array([1, 2, 40_000])}, "words of hidden: [2] must fit Q2.13, not be 40000"),
    ],
)
def test_what_cannot_be_written(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    """Words that the network cannot have are refused, and no folder is made."""
    fixed = small()
    words = {**trace(fixed, X), **change}
    words = {name: array for name, array in words.items() if array is not None}
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        dump.write(str(tmp_path / "d"), fixed, words)
    assert not [*tmp_path.iterdir()]


def test_words_must_be_there(tmp_path: Path) -> None:
    """A folder without any, or no folder, is told how files are called."""
    fixed = small()
    message = f"{tmp_path}: must hold words of small's layers, as layer_1_relu.hex"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        dump.read(tmp_path, fixed)
    message = f"{tmp_path / 'none'}: must be a folder of the files that fxpnn trace writes"
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        dump.read(tmp_path / "none", fixed)


def test_arrays_of_any_form_are_read(made: tuple[Path, FixedNetwork]) -> None:
    """Of any integer type, byte order and shape, in C order."""
    folder, fixed = made
    words = np.array([[-7], [0], [300]], ">i4")
    saved(words)(folder)
    assert dump.read(folder, fixed).words["hidden"].tolist() == [-7, 0, 300]
