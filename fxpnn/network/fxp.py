"""Own the .fxp file: the integers of a fixed network in safetensors, with a JSON header.

The metadata ``fxpnn`` is JSON: the schema, a sha256 of the header's text and of all tensors, and
the header: the graph, every format, rounding, overflow mode and accumulator. Reading executes
nothing, and believes nothing that it has not checked.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from fxpnn import files
from fxpnn.errors import FxpnnError, ModelError
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, QFormat, Rounding
from fxpnn.network.fixed import FixedNetwork, FixedNode, Provenance
from fxpnn.network.graph import Scaling
from fxpnn.network.layers import Array, Layer, layer_types

SCHEMA = 1
MAX_FILE = 1 << 31
TABLE = "table"
_DTYPES = {"int8", "int16", "int32", "int64"}


class _Node(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    name: str
    op: str
    inputs: tuple[str, ...]
    output_format: str
    attributes: dict[str, Any] = {}
    tensors: tuple[str, ...] = ()
    weight_formats: tuple[str, ...] = ()
    accumulator: str | None = None
    rounding: Rounding = Rounding.NEAREST_EVEN
    overflow: Overflow = Overflow.SATURATE
    softmax_shift: int | None = None


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    input_shape: tuple[int, ...]
    input_format: str
    scaling: Scaling
    outputs: tuple[str, ...]
    provenance: Provenance
    nodes: tuple[_Node, ...]


class _Schema(msgspec.Struct):
    schema: int


class _Signed(_Schema, forbid_unknown_fields=True):
    sha256: str
    header: msgspec.Raw


class _Metadata(msgspec.Struct):
    fxpnn: str


class _Safetensors(msgspec.Struct):
    metadata: _Metadata = msgspec.field(name="__metadata__")


_REFUSALS = (msgspec.MsgspecError, ValueError, RecursionError)
"""What typed JSON raises: also numbers of too many digits, broken text, arrays without end."""


def dumps(fixed: FixedNetwork) -> bytes:
    """Return the bytes of a .fxp file; equal networks give equal bytes."""
    tensors: dict[str, Array] = {}
    nodes = tuple(_pack(node, tensors) for node in fixed.nodes)
    header = _Header(
        fixed.name,
        fixed.input_shape,
        str(fixed.input_format),
        fixed.scaling,
        fixed.outputs,
        fixed.provenance,
        nodes,
    )
    text = msgspec.json.encode(header)
    signed = _Signed(SCHEMA, _digest(text, tensors), msgspec.Raw(text))
    return save_tensors(tensors, {"fxpnn": msgspec.json.encode(signed).decode()})


def loads(content: bytes) -> FixedNetwork:
    """Read the bytes of a .fxp file.

    Raises:
        ModelError: the file is cut, altered, of another schema, or describes no possible network.
    """
    try:
        text = _metadata(content)
        tensors: dict[str, Array] = load_tensors(content)
    except (SafetensorError, KeyError, *_REFUSALS) as error:
        raise ModelError(f"is no .fxp file or is damaged ({_one_line(error)})") from None
    try:
        schema = msgspec.json.decode(text, type=_Schema).schema
        if schema != SCHEMA:
            raise ModelError(f"has schema {schema}; this fxpnn reads schema {SCHEMA}")
        signed = msgspec.json.decode(text, type=_Signed)
        if signed.sha256 != _digest(bytes(signed.header), tensors):
            raise ModelError("has been altered: its sha256 does not fit its content")
        return _unpack(msgspec.json.decode(signed.header, type=_Header), tensors)
    except _REFUSALS as error:
        raise ModelError(_one_line(error)) from None


def save(fixed: FixedNetwork, path: Path | str) -> None:
    """Write a .fxp file, whole or not at all.

    Raises:
        DataError: the file cannot be written.
    """
    files.write(Path(path), dumps(fixed))


def load(path: Path | str) -> FixedNetwork:
    """Read a .fxp file.

    Raises:
        ModelError: the file cannot be read or is no quantized model; the message names it.
    """
    path = Path(path)
    content = files.read(path, MAX_FILE, ModelError)
    try:
        return loads(content)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None


def _pack(node: FixedNode, tensors: dict[str, Array]) -> _Node:
    names = node.layer.arrays()
    arrays = {name: getattr(node.layer, name) for name in names}
    if node.table is not None:
        arrays[TABLE] = node.table
    tensors |= {f"{node.name}.{name}": array for name, array in arrays.items()}
    scalars = (f.name for f in fields(node.layer) if f.name not in names)
    return _Node(
        node.name,
        node.op,
        node.inputs,
        str(node.output_format),
        {name: getattr(node.layer, name) for name in scalars},
        tuple(arrays),
        tuple(map(str, node.weight_formats)),
        str(node.accumulator) if node.accumulator else None,
        node.rounding,
        node.overflow,
        node.softmax_shift,
    )


def _unpack(header: _Header, tensors: dict[str, Array]) -> FixedNetwork:
    expected = {f"{node.name}.{name}" for node in header.nodes for name in node.tensors}
    if expected != set(tensors):
        odd = ", ".join(sorted(expected ^ set(tensors)))
        raise ModelError(f"header and tensors must name the same tensors, not differ in {odd}")
    for name, array in tensors.items():
        if array.dtype.name not in _DTYPES:
            raise ModelError(f"tensor {name} must be signed integers, not {array.dtype}")
    nodes = tuple(_unpack_node(node, tensors) for node in header.nodes)
    return FixedNetwork(
        header.name,
        header.input_shape,
        QFormat.parse(header.input_format),
        nodes,
        header.outputs,
        header.scaling,
        header.provenance,
    )


def _unpack_node(node: _Node, tensors: Mapping[str, Array]) -> FixedNode:
    where = f"layer {node.name} ({node.op})"
    kind = layer_types().get(node.op)
    if kind is None:
        raise ModelError(f"{where}: this fxpnn has no such layer")
    arrays = {name: tensors[f"{node.name}.{name}"] for name in node.tensors}
    table = arrays.pop(TABLE, None)
    try:
        return FixedNode(
            node.name,
            _unpack_layer(kind, node.attributes, arrays),
            node.inputs,
            QFormat.parse(node.output_format),
            tuple(map(QFormat.parse, node.weight_formats)),
            Accumulator.parse(node.accumulator) if node.accumulator else None,
            node.rounding,
            node.overflow,
            table,
            node.softmax_shift,
        )
    except (FxpnnError, msgspec.MsgspecError, TypeError) as error:
        raise ModelError(f"{where}: {error}") from None


def _unpack_layer(
    kind: type[Layer], attributes: Mapping[str, Any], arrays: Mapping[str, Array]
) -> Layer:
    """Build a layer from typed attributes and arrays; none may be missing, unknown or doubled."""
    known = {f.name for f in fields(kind)}
    if unknown := sorted({*attributes, *arrays} - known) or sorted({*attributes} & {*arrays}):
        raise ModelError(f"must not have {', '.join(unknown)}")
    return msgspec.convert({**attributes, **arrays}, kind, dec_hook=_array)


def _array(wanted: type, value: object) -> Array:
    if not isinstance(value, np.ndarray):
        raise ModelError(f"must hold a tensor, not {value!r}")
    return value


def _metadata(content: bytes) -> str:
    length = int.from_bytes(content[:8], "little")
    if length > len(content) - 8:
        raise ValueError("its header is longer than the file")
    return msgspec.json.decode(content[8 : 8 + length], type=_Safetensors).metadata.fxpnn


def _digest(header: bytes, tensors: Mapping[str, Array]) -> str:
    """Hash the text, then by name each tensor: name, dtype and shape between 0s, and its bytes."""
    digest = hashlib.sha256(header)
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"\0{name}\0{array.dtype}\0{array.shape}\0".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
