"""A .fxp file gives back the network to the bit, and a damaged one a single line."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fxpnn
from fxpnn.errors import DataError, ModelError
from fxpnn.fixedpoint.qformat import Accumulator, QFormat
from fxpnn.network import budget, fxp, fxp_write
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.fxp import dumps, load, loads, save
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import (
    Dense,
    Layer,
    MaxPool2D,
    Slice,
    Take,
    Transpose,
    Window,
    layer_types,
)
from tests.support.fxp_sample import (
    HEADER,
    SAMPLE,
    plain,
    refusal,
    sample,
    signed,
    survivor,
    taken_apart,
)
from tests.support.strategies import NetworkCase, fixed_networks

DAMAGED = re.escape("is no .fxp file or is damaged (")


def test_the_sample_comes_back(tmp_path: Path) -> None:
    """Every field of every layer: modes, accumulators, formats per channel, tables, provenance."""
    save(sample(), tmp_path / "a.fxp")
    sample().save(str(tmp_path / "b.fxp"))
    for name in ("a.fxp", "b.fxp"):
        assert (tmp_path / name).read_bytes() == SAMPLE
        assert plain(load(str(tmp_path / name))) == plain(sample())


@settings(max_examples=80)
@given(fixed_networks(max_layers=6))
def test_any_network_comes_back(case: NetworkCase) -> None:
    """Reading what was written gives the same network, and writing that the same bytes."""
    content = dumps(case.fixed)
    loaded = loads(content)
    assert plain(loaded) == plain(case.fixed)
    assert dumps(loaded) == content


@pytest.mark.parametrize("kind", layer_types().values(), ids=list(layer_types()))
def test_every_layer_comes_back(kind: type[Layer]) -> None:
    """No kind of layer has a field that a file cannot hold."""

    @settings(max_examples=5)
    @given(fixed_networks((kind,), max_layers=3))
    def comes_back(case: NetworkCase) -> None:
        assert plain(loads(dumps(case.fixed))) == plain(case.fixed)

    comes_back()


def test_arrays_that_hold_the_same_are_written_once() -> None:
    """Those of one layer in two places, and equal ones; they are one array when read, too."""
    q12 = QFormat(16, 12)

    def node(name: str, source: str, value: int) -> FixedNode:
        layer = Dense(np.full((2, 2), value, np.int16), np.zeros(2, np.int64))
        return FixedNode(name, layer, (source,), q12, (q12,), Accumulator())

    nodes = (node("a", INPUT, 7), node("b", "a", 7), node("c", "b", 8))
    fixed = FixedNetwork("three", (2,), q12, nodes)
    content = dumps(fixed)
    assert sorted(taken_apart(content)[1]) == ["a.bias", "a.weight", "c.weight"]
    loaded = loads(content)
    assert plain(loaded) == plain(fixed)
    assert dumps(loaded) == content
    a, b, c = (node.layer for node in loaded.nodes)
    assert isinstance(a, Dense)
    assert isinstance(b, Dense)
    assert isinstance(c, Dense)
    assert a.weight is b.weight
    assert a.bias is b.bias is c.bias
    assert budget.held(nodes) == 18
    assert budget.held(loaded.nodes) == 10


@pytest.mark.parametrize("seed", ["1", "2"])
def test_bytes_are_the_same_in_every_process(tmp_path: Path, seed: str) -> None:
    """No order depends on hashes that differ from run to run."""
    (tmp_path / "a.fxp").write_bytes(SAMPLE)
    code = (
        "import sys, fxpnn.network.fxp as f; sys.stdout.buffer.write(f.dumps(f.load(sys.argv[1])))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.fxp")]
    where = {"PYTHONPATH": str(Path(fxpnn.__file__).parents[1]), "PYTHONHASHSEED": seed}
    done = subprocess.run(command, capture_output=True, check=True, env={**os.environ, **where})
    assert done.stdout == SAMPLE


def test_a_cut_file_is_refused() -> None:
    """Wherever it ends early, and where something follows."""
    ends = [*range(1, len(SAMPLE), 97), *range(1, 16), HEADER - 1, HEADER, len(SAMPLE) - 1]
    for content in [*(SAMPLE[:end] for end in ends), b"", SAMPLE + b"\0"]:
        assert re.match(rf"^{DAMAGED}.+\)$", refusal(content))


def noticed(content: bytes) -> bool:
    """Say whether damage is refused, or else was done where nothing is written."""
    loaded = survivor(content)
    return loaded is None or plain(loaded) == plain(sample())


@settings(max_examples=500)
@given(st.integers(0, 8 * len(SAMPLE) - 1) | st.integers(0, 8 * HEADER - 1))
def test_a_flipped_bit_is_noticed(position: int) -> None:
    """In the lengths, the header, the weights or the tables."""
    damaged = bytearray(SAMPLE)
    damaged[position // 8] ^= 1 << position % 8
    assert noticed(bytes(damaged))


@settings(max_examples=300)
@given(st.integers(0, HEADER - 1), st.binary(max_size=9))
def test_an_overwritten_header_is_noticed(position: int, text: bytes) -> None:
    """A few bytes of anything at any place of it."""
    assert noticed(SAMPLE[:position] + text + SAMPLE[position + len(text) :])


@settings(max_examples=200)
@given(st.binary(max_size=40))
def test_other_files_are_refused(content: bytes) -> None:
    """A few bytes of anything, on their own or as a header of the length that it says."""
    refusal(content)
    refusal(len(content).to_bytes(8, "little") + content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "must not be empty"),
        (b"\x1f\x8b\x08 no safetensors", r".*its header is longer than the file\)"),
        (SAMPLE[:-1], rf"{DAMAGED}.+\)"),
        (SAMPLE[:-1] + bytes([SAMPLE[-1] ^ 1]), "has been altered: its sha256 does not fit .*"),
        (SAMPLE + bytes(1 << 16), r"must be at most \d+ bytes, not \d+"),
    ],
)
def test_load_names_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes | None, message: str
) -> None:
    """Whatever is wrong, the line begins with the path."""
    monkeypatch.setattr(fxp, "MAX_FILE", len(SAMPLE) + 100)
    path = tmp_path / "a.fxp"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ModelError, match=rf"^{re.escape(str(path))}: {message}$"):
        load(path)


def test_save_names_the_file(tmp_path: Path) -> None:
    """A path that cannot be written is named, and nothing is left behind."""
    path = tmp_path / "missing" / "a.fxp"
    message = rf"^{re.escape(str(path))}: cannot be written: No such file or directory$"
    with pytest.raises(DataError, match=message):
        save(sample(), path)
    assert not list(tmp_path.iterdir())


def test_what_a_file_lies_in_length_is_told_in_short(tmp_path: Path) -> None:
    """A message that would name a million of a file's numbers ends early."""
    header, tensors = taken_apart()
    header["input_shape"] = [1] * 10**6
    path = tmp_path / "long.fxp"
    path.write_bytes(signed(json.dumps(header), tensors))
    told = rf"^{re.escape(str(path))}: the input must hold 1 to .* not \((1, )+1?,?$"
    with pytest.raises(ModelError, match=told) as caught:
        load(path)
    assert len(str(caught.value)) < 3000


def test_numbers_of_numpy_are_written_as_numbers() -> None:
    """A layer may be built with places, sizes and axes that come out of arrays."""
    one: Any = np.int64(1)
    places: list[Any] = [*np.argsort([3.0, 1.0, 2.0])]
    kinds: list[tuple[Layer, Layer]] = [
        (Take(0, tuple(places)), Take(0, (1, 2, 0))),
        (MaxPool2D(Window((one, one))), MaxPool2D(Window((1, 1)))),
        (Transpose(tuple(places)), Transpose((1, 2, 0))),
        (Slice(one, one, one + one), Slice(1, 1, 2)),
    ]
    for theirs, ours in kinds:
        fmt = QFormat(8, 4)
        given, plainly = (
            FixedNetwork(
                "n", (3, 2, 1), fmt, (FixedNode("a", layer, ("input",), output_format=fmt),)
            )
            for layer in (theirs, ours)
        )
        assert dumps(given) == dumps(plainly)
    with pytest.raises(TypeError, match=r"^a header must hold numbers and texts, not <object .*>$"):
        fxp_write._plain(object())
