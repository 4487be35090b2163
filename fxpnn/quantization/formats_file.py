"""The TOML file of formats: what is chosen for layers, read; what a fixed network has, written."""

from collections.abc import Iterable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import msgspec

from fxpnn import files
from fxpnn.errors import DataError, FormatError
from fxpnn.fixedpoint.qformat import (
    Accumulator,
    NumberType,
    Overflow,
    QFormat,
    Rounding,
    parse_number,
)
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import Network
from fxpnn.network.rounded import WeightRounding
from fxpnn.quantization.settings import ALL, Method, Plan, Settings, parse_softmax

MAX_FILE = 1 << 20
MAX_LINE = 1000
"""The parser's memory grows with the square of the parts of a dotted key, which is one line."""
LISTED = 8
"""How many formats of channels stand in one line."""


class _Choices(msgspec.Struct, forbid_unknown_fields=True):
    """One table of the TOML file, as it is spelled; every key is optional."""

    word: int | None = None
    accumulator: int | str | None = None
    rounding: Rounding | None = None
    overflow: Overflow | None = None
    method: Method | None = None
    per_channel: bool | None = None
    weight: str | list[str] | None = None
    output: str | None = None
    softmax: str | float | None = None
    percentile: float | None = None
    bias: str | None = None
    signed: bool | None = None
    weight_word: int | None = None
    output_word: int | None = None
    weight_rounding: WeightRounding | None = None
    bias_correction: bool | None = None
    weight_overflow: Overflow | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    """The tables, each typed on its own, so that an error can name the layer."""

    defaults: Any = {}
    layers: dict[str, Any] = {}


def load_plan(path: Path, defaults: Settings, stated: Iterable[str] = ()) -> Plan:
    """Read a TOML file of formats on top of the defaults, of which the ``stated`` were chosen.

    Raises:
        DataError: the file cannot be read.
        FormatError: it is no TOML, has an unknown key or an impossible value.
    """
    content = files.read(path, MAX_FILE, DataError)
    if max(map(len, content.splitlines())) > MAX_LINE:
        raise FormatError(f"{path}: lines must be at most {MAX_LINE} bytes")
    try:
        read = msgspec.toml.decode(content, type=_File)
        base, general = _apply(defaults, read.defaults, "defaults")
        applied = {n: _apply(base, table, f"layers.{n}") for n, table in read.layers.items()}
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        line = " ".join(str(error).split())  # a key may hold line breaks
        raise FormatError(f"{path}: {line}") from None
    keys = {name: names for name, (_, names) in applied.items()}
    layers = {name: settings for name, (settings, _) in applied.items()}
    return Plan(base, layers, {**keys, ALL: general.union(stated)})


def _apply(base: Settings, table: object, where: str) -> tuple[Settings, frozenset[str]]:
    """Return the settings with those of a table, and the names of these."""
    try:
        chosen = _chosen(msgspec.convert(table, _Choices))
        if chosen.get("method", Method.PERCENTILE) is not Method.PERCENTILE:
            base = replace(base, percentile=None)  # it belongs to the method that is chosen anew
        if "word" in chosen:  # of both: what all layers have apart was chosen before
            base = replace(base, weight_word=None, output_word=None)
        return replace(base, **chosen), frozenset(chosen)
    except (msgspec.MsgspecError, FormatError) as error:
        raise FormatError(f"{where}: {error}") from None


def _chosen(choices: _Choices) -> dict[str, Any]:
    chosen: dict[str, Any] = {
        name: value for name, value in msgspec.structs.asdict(choices).items() if value is not None
    }
    if "accumulator" in chosen:
        chosen["accumulator"] = Accumulator.parse(str(chosen["accumulator"]))
    if "softmax" in chosen:
        chosen["softmax"] = parse_softmax(chosen["softmax"])
    if "bias" in chosen:
        chosen["bias"] = QFormat.parse(chosen["bias"])
    if isinstance(weight := chosen.get("weight"), list):
        chosen["weight"] = tuple(map(QFormat.parse, weight))
    elif weight is not None:
        chosen["weight"] = QFormat.parse(weight)
    if "output" in chosen:
        chosen = {**_modes(parse_number(chosen["output"])), **chosen}
        chosen["output"] = chosen.pop("format")
    assert chosen.keys() <= {f.name for f in fields(Settings)}
    return chosen


def _modes(number: NumberType) -> dict[str, Any]:
    """Give the modes that stand in an ``ap_fixed`` type; a key of their own overrules them."""
    return {name: value for name, value in number._asdict().items() if value is not None}


def formats_toml(fixed: FixedNetwork, network: Network) -> str:
    """Return the file of formats by which ``network`` becomes the integers of ``fixed`` again.

    It says all that ``quantize`` would choose, so that calibration data are needed only where they
    also rounded weights or corrected biases: these are told how, and the same data give the same.
    Where a normalisation in front of pixels was folded, and is no layer, the input's format is
    chosen as it was, by its word. Only ``losses`` may be others: weights outside a format that is
    *given* are counted.
    """
    parted = network.normalisation is not None and fixed.normalisation is None
    folded = parted and network.normaliser not in fixed.shapes
    tables = [(it.name, _of_input(it.format, folded)) for it in fixed.inputs]
    tables += [(node.name, _of_node(node, fixed.formats[node.inputs[0]])) for node in fixed.nodes]
    return "\n".join(
        f"[layers.{_quoted(name)}]\n" + "".join(f"{key} = {_toml(keys[key])}\n" for key in keys)
        for name, keys in tables
        if keys
    )


def _of_input(fmt: QFormat, folded: bool) -> dict[str, Any]:
    return {"word": fmt.word} if folded else {"output": str(fmt)}


def _of_node(node: FixedNode, source: QFormat) -> dict[str, Any]:
    """Return what the settings of a node must say, as the file spells it."""
    formats = [str(fmt) for fmt in node.weight_formats]
    said = {
        "weight": formats[0] if len(formats) == 1 else formats,
        "output": str(node.output_format),
        "accumulator": str(node.accumulator),
        "rounding": node.rounding.value,
        "overflow": node.overflow.value,
        "softmax": "max" if node.softmax_shift is None else node.softmax_shift * source.lsb,
        "weight_rounding": node.rounded.weights.value,
        "bias_correction": node.rounded.bias_corrected,
        "weight_overflow": node.rounded.overflow.value,
    }
    if node.rounded.bias_format is not None:
        said["bias"] = str(node.rounded.bias_format)
    return {key: value for key, value in said.items() if key in node.layer.traits.heeds}


def _toml(value: str | int | float | list[str]) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, list):
        return _quoted(value) if isinstance(value, str) else repr(value)
    rows = (value[i : i + LISTED] for i in range(0, len(value), LISTED))
    lines = (f"    {', '.join(map(_quoted, row))},\n" for row in rows)
    return f"[\n{''.join(lines)}]"


def _quoted(text: str) -> str:
    """Spell a text, as the names of layers are, in quotation marks and printable ASCII."""
    return '"' + "".join(c if _plain(c) else f"\\U{ord(c):08x}" for c in text) + '"'


def _plain(c: str) -> bool:
    return c.isascii() and c.isprintable() and c not in ('"', "\\")
