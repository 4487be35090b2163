"""An export for hardware is a folder, whole or not at all, and its manifest says what is in it."""

import hashlib
import json
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

import fxpnn
from fxpnn.errors import DataError, FormatError, FxpnnError
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.layers import Dense, Flatten, LeakyRelu, Relu, Sigmoid
from fxpnn.network.normalisation import Normalisation
from fxpnn.targets import folder, manifest, readmemh
from fxpnn.targets.dump import safe_names
from fxpnn.targets.lowering import lower
from fxpnn.targets.target import Choices, Target
from tests.support.strategies import NetworkCase, fixed_networks

NAMES = "reg", "Reg", "/a/B.0", "a\nb", "output", "x" * 90
HEX = Choices(Target.HEX, "net")


def network(scale: float = 1.0) -> FixedNetwork:
    """Quantize two dense layers, a leaky ReLU, a sigmoid, a ReLU and a flatten; names are odd."""
    rng = np.random.default_rng(7)
    dense = Dense(scale * rng.normal(size=(3, 4)), rng.normal(size=3))
    last = Dense(rng.normal(size=(2, 3)), rng.normal(size=2))
    kinds = (dense, LeakyRelu(0.25), Sigmoid(), Relu(), Flatten(), last)
    chain = fxpnn.chain("a net", (4,), dict(zip(NAMES, kinds, strict=True)))
    x = rng.normal(size=(9, 4)).astype(np.float32)
    return fxpnn.quantize(chain, x, fxpnn.Settings(per_channel=True))


def contents(where: Path) -> dict[str, bytes]:
    """Read all files of a folder."""
    return {path.name: path.read_bytes() for path in where.iterdir()}


def test_the_manifest_describes_the_folder(tmp_path: Path) -> None:
    """Layers by their names, steps, offsets, arrays, and every file with its length and sha256."""
    fixed = network()
    made = folder.write(tmp_path / "d", fixed, HEX, data="ab" * 32)
    assert manifest.read(tmp_path / "d") == made
    held = contents(tmp_path / "d")
    del held["manifest.json"]
    for file in made.files:
        content = held.pop(file.name)
        assert (file.bytes, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        assert content.endswith(b"\n")
    assert held == {}
    fixed.save(tmp_path / "n.fxp")
    assert made.model == hashlib.sha256((tmp_path / "n.fxp").read_bytes()).hexdigest()
    assert (made.kind, made.target, made.name, made.images) == ("export", "hex", "net", 10)
    assert (made.version, made.data, made.macs, made.trim) == (
        fxpnn.__version__,
        "ab" * 32,
        None,
        None,
    )

    lowering = lower(fixed)
    memory = lowering.memory()
    labels = dict(zip(NAMES, safe_names(NAMES), strict=True))
    assert [(it.name, it.label, it.tensor) for it in made.layers[1:]] == [
        (name, labels[name], lowering.stored.get(name)) for name in NAMES
    ]
    assert made.memory_words == memory.words
    assert {it.name: it.offset for it in made.tensors} == memory.offsets
    assert {it.name: it.format for it in made.tensors} == {
        n: str(f) for n, f in lowering.formats.items()
    }
    assert made.outputs == (NAMES[-1],)


def test_the_manifest_has_what_a_step_needs(tmp_path: Path) -> None:
    """To compute it again: what it reads, its cast, shifts, limits, and the files of its arrays."""
    fixed = network()
    made = folder.write(tmp_path / "d", fixed, HEX)
    for entry, step in zip(made.steps, lower(fixed).steps, strict=True):
        node = fixed[entry.layers[0]]
        assert (entry.name, entry.layers[0], entry.op) == (step.name, step.node.name, node.op)
        assert entry.reads == tuple(source.tensor for source in step.sources)
        assert (entry.low, entry.high) == (step.low, step.high)
        assert (entry.rounding, entry.overflow) == (node.rounding.value, node.overflow.value)
        shifts = fixed.shift(node).tolist() if node.weight_formats else []
        assert list(entry.shifts) in (shifts, shifts[:1])
        for it in entry.parameters:
            assert it.file is not None
            text = (tmp_path / "d" / it.file).read_text()
            array = node.table if it.name == "table" else getattr(node.layer, it.name)
            words = readmemh.parse(text, it.shape, it.word, it.signed)
            assert words.tolist() == np.atleast_1d(np.asarray(array)).tolist()
    steps = {entry.layers: entry for entry in made.steps}
    dense, sigmoid = steps[NAMES[:1]], steps[NAMES[2:4]]
    assert (dense.accumulator, dense.proved, len(dense.shifts)) == ("48 saturate", True, 3)
    assert (sigmoid.shifts, sigmoid.low, sigmoid.accumulator) == ((), 0, None)
    leaky = fixed[NAMES[1]].layer
    assert isinstance(leaky, LeakyRelu)
    assert steps[NAMES[1:2]].attributes == {"slope": leaky.slope}


def test_hex_files_hold_every_layer(tmp_path: Path) -> None:
    """Those that are limits of a step too: only what moves no value has no words of its own."""
    fixed = network()
    made = folder.write(tmp_path / "d", fixed, HEX)
    files = {file.name for file in made.files}
    for name, label in zip(NAMES, safe_names(NAMES), strict=True):
        assert (f"{label}.hex" in files) == (fixed[name].op != "Flatten")


@settings(max_examples=10)
@given(case=fixed_networks())
def test_any_network_is_exported_and_its_manifest_read(case: NetworkCase) -> None:
    """Attributes of every layer are told; equal networks and words give equal bytes."""
    with tempfile.TemporaryDirectory() as parent:
        here, there = Path(parent) / "a", Path(parent) / "b"
        words = case.raw.astype(np.int16)
        made = folder.write(here, case.fixed, HEX, words)
        assert manifest.read(here) == manifest.read(there.parent / "a")
        assert len(made.steps) == len(lower(case.fixed).steps)
        case.fixed.save(Path(parent) / "n.fxp")
        again = fxpnn.load(Path(parent) / "n.fxp")
        folder.write(there, again, HEX, words)
        assert contents(here) == contents(there)


@pytest.mark.parametrize("target", [Target.HEX, Target.C, Target.VERILOG])
def test_equal_models_give_equal_bytes(target: Target, tmp_path: Path) -> None:
    """Of each target, also when a model was saved and loaded; every hex file ends its last line."""
    fixed, choices = network(), Choices(target, "net")
    made = folder.write(tmp_path / "a", fixed, choices)
    fixed.save(tmp_path / "n.fxp")
    folder.write(tmp_path / "b", fxpnn.load(tmp_path / "n.fxp"), choices)
    held = contents(tmp_path / "a")
    assert held == contents(tmp_path / "b")
    assert all(text.endswith(b"\n") for name, text in held.items() if name.endswith(".hex"))
    apart = {it.name for it in made.tensors if it.offset is None}
    assert apart == ({"input", *made.outputs} if target is Target.C else set())
    files = {it.file for step in made.steps for it in step.parameters}
    assert (files == {None}) is (target is not Target.HEX)


def test_an_earlier_export_is_replaced(tmp_path: Path) -> None:
    """By one with other files; a new and an empty folder are taken too."""
    where = tmp_path / "d"
    where.mkdir()
    folder.write(where, network(), HEX)
    first = contents(where)
    rng = np.random.default_rng(8)
    other = fxpnn.quantize(
        fxpnn.chain("b", (2,), {"only": Dense(rng.normal(size=(1, 2)), np.zeros(1))}),
        rng.normal(size=(5, 2)),
    )
    folder.write(where, other, HEX)
    assert sorted(contents(where)) == [
        *("input.hex", "layer_0_only.bias.hex", "layer_0_only.hex", "layer_0_only.weight.hex"),
        "manifest.json",
    ]
    folder.write(where, network(), HEX)
    assert contents(where) == first
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


@pytest.mark.parametrize(
    ("name", "text"),
    [("waves.vcd", "waves"), ("manifest.json", "{}"), ("manifest.json", '{"schema": 1}')],
)
def test_other_folders_stay_as_they_are(tmp_path: Path, name: str, text: str) -> None:
    """One that holds anything else, or whose manifest is none of an export, is refused."""
    folder.write(tmp_path / "d", network(), HEX)
    (tmp_path / "d" / name).write_text(text)
    before = contents(tmp_path / "d")
    message = (
        f"{tmp_path / 'd'}: must be new, empty, or hold only what an earlier such command wrote, "
        "not "
    )
    for attempt in (folder.check_target, lambda path: folder.write(path, network(), HEX)):
        with pytest.raises(DataError, match=f"^{re.escape(message)}'.*'$"):
            attempt(tmp_path / "d")
    assert contents(tmp_path / "d") == before


def test_a_manifest_names_no_file_elsewhere(tmp_path: Path) -> None:
    """What it names is only compared with what is in the folder; nothing else is removed."""
    folder.write(tmp_path / "d", network(), HEX)
    precious = tmp_path / "precious"
    precious.write_text("mine")
    path = tmp_path / "d" / "manifest.json"
    made = json.loads(path.read_text())
    made["files"].append({"name": "../precious", "bytes": 4, "sha256": ""})
    path.write_text(json.dumps(made))
    folder.write(tmp_path / "d", network(), HEX)
    assert precious.read_text() == "mine"


def test_nothing_is_left_where_an_export_fails(tmp_path: Path) -> None:
    """Images that do not fit are refused before anything is written; the old export stays."""
    folder.write(tmp_path / "d", network(), HEX)
    before = contents(tmp_path / "d")
    message = r"^images must be \(N, 4\) with N of 1 or more, not \(2, 5\)$"
    for name in ("d", "new"):
        with pytest.raises(DataError, match=message):
            folder.write(tmp_path / name, network(2.0), HEX, np.zeros((2, 5), np.int16))
    assert contents(tmp_path / "d") == before
    assert [path.name for path in tmp_path.iterdir()] == ["d"]


def test_python_exports_by_the_same_door(tmp_path: Path) -> None:
    """``fxpnn.export`` takes every target as an Enum or text, and says what is not carried."""
    fixed = network()
    assert fxpnn.export(fixed, tmp_path / "a", "hex") == ()
    assert fxpnn.export(fixed, str(tmp_path / "b"), fxpnn.Target.HEX, name="a_net") == ()
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    words = np.array([[1, 2, 3, 4]], np.int16)
    scaled = replace(fixed, normalisation=Normalisation((1.0,), (2.0,)))
    assert fxpnn.export(scaled, tmp_path / "c", "hex", words, name="c") == (
        "the normalisation of its input, which must come as words of the normalised",
    )
    text = (tmp_path / "c" / "input.hex").read_text()
    assert readmemh.parse(text, (1, 4), fixed.input_format.word).tolist() == words.tolist()
    made = manifest.read(tmp_path / "c")
    assert made is not None
    assert (made.images, made.normalisation) == (1, scaled.normalisation)


@pytest.mark.parametrize(
    ("target", "given", "message"),
    [
        ("vhdl", {}, "target must be one of qonnx, qdq, hex, c, verilog, not 'vhdl'"),
        ("hex", {"name": "a b"}, "name must be a letter and up to 39 letters, digits and _ behind "
                                 "it, not 'a b'"),
        ("hex", {"macs": 4}, "macs must go with verilog, not hex"),
        ("c", {"trim": True}, "trim must go with verilog, not c"),
        ("verilog", {"macs": 0}, "macs must be 1 to 256, not 0"),
        ("verilog", {"macs": 257}, "macs must be 1 to 256, not 257"),
        ("qonnx", {"name": "a"}, "name must go with hex, c or verilog, not qonnx"),
        ("qdq", {"images": np.zeros((1, 4))}, "images must go with hex, c or verilog, not qdq"),
        ("qdq", {"trim": True}, "trim must go with hex, c or verilog, not qdq"),
    ],
)  # fmt: skip
def test_what_an_export_cannot_be(
    tmp_path: Path, target: str, given: dict[str, Any], message: str
) -> None:
    """A setting that a target does not heed is refused; nothing is written."""
    with pytest.raises(FormatError, match=f"^{re.escape(message)}$"):
        fxpnn.export(network(), tmp_path / "x", target, **given)
    with pytest.raises(FxpnnError, match=r"^target must be hex, c or verilog, not qdq$"):
        Choices(Target.QDQ, "x")
    assert not [*tmp_path.iterdir()]
