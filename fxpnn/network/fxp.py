"""The .fxp file: the integers of a fixed network in safetensors, with a JSON header.

Reading executes nothing, and believes nothing that it has not checked.
"""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors

from fxpnn import files
from fxpnn.errors import FxpnnError, ModelError
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, QFormat, Rounding
from fxpnn.network.fixed import FixedNetwork, FixedNode, Losses
from fxpnn.network.fxp_schema import SCHEMA, TABLE, Header, NodeHeader, Schema, Signed, digest
from fxpnn.network.fxp_write import dumps as dumps
from fxpnn.network.fxp_write import save as save
from fxpnn.network.inputs import INPUT, FixedInput
from fxpnn.network.layers import Array, Layer, layer_types
from fxpnn.network.rounded import Rounded
from fxpnn.network.traits import Output

MAX_FILE = 1 << 31
MAX_MESSAGE = 2000
"""So many characters of what is wrong with a file are told."""
_DTYPES = {"int8", "int16", "int32", "int64"}


class _Metadata(msgspec.Struct):
    fxpnn: str


class _Safetensors(msgspec.Struct):
    metadata: _Metadata = msgspec.field(name="__metadata__")


_DEFAULT_MODES = {"rounding": Rounding.NEAREST_EVEN, "overflow": Overflow.SATURATE}
_REFUSALS = (msgspec.MsgspecError, ValueError, RecursionError)
"""What typed JSON raises: also numbers of too many digits, broken text, arrays without end."""


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
        schema = msgspec.json.decode(text, type=Schema).schema
        if not 1 <= schema <= SCHEMA:
            raise ModelError(f"has schema {schema}; this fxpnn reads schemas 1 to {SCHEMA}")
        signed = msgspec.json.decode(text, type=Signed)
        if signed.sha256 != digest(bytes(signed.header), tensors):
            raise ModelError("has been altered: its sha256 does not fit its content")
        return _unpack(msgspec.json.decode(signed.header, type=Header), tensors, schema)
    except _REFUSALS as error:
        raise ModelError(_one_line(error)) from None


def load(path: Path | str) -> FixedNetwork:
    """Read a .fxp file.

    Raises:
        ModelError: the file cannot be read or is no quantized model; the message names it.
    """
    path = Path(path)
    content = files.read(path, MAX_FILE, ModelError)
    try:
        return loads(content)
    except ModelError as error:  # it may name a million axes
        raise ModelError(f"{path}: {str(error)[:MAX_MESSAGE]}") from None


def _unpack(header: Header, tensors: dict[str, Array], schema: int) -> FixedNetwork:
    expected = [tensor for node in header.nodes for tensor in _held(node).values()]
    if odd := ", ".join(sorted({*expected} ^ {*tensors})):
        raise ModelError(f"header and tensors must name the same tensors, not differ in {odd}")
    for name, array in tensors.items():
        if array.dtype.name not in _DTYPES:
            raise ModelError(f"tensor {name} must be signed integers, not {array.dtype}")
        array.setflags(write=False)  # else each layer that shares it would copy it
    if (size := sum(tensors[name].nbytes for name in expected)) > MAX_FILE:
        raise ModelError(f"tensors of all layers must take at most {MAX_FILE} bytes, not {size}")
    nodes = tuple(_unpack_node(node, tensors, schema) for node in header.nodes)
    return FixedNetwork(
        name=header.name,
        input_shape=header.input_shape,
        input_format=QFormat.parse(header.input_format),
        nodes=nodes,
        outputs=header.outputs,
        scaling=header.scaling,
        provenance=header.provenance,
        normalisation=header.normalisation or None,
        input_name=INPUT if header.input_name is msgspec.UNSET else header.input_name,
        further=tuple(
            FixedInput(it.name, it.shape, QFormat.parse(it.format)) for it in header.further or ()
        ),
    )


def _held(node: NodeHeader) -> dict[str, str]:
    """Give the name in the file of each of a node's tensors."""
    if odd := ", ".join(sorted({*node.shared} - {*node.tensors})):
        raise ModelError(f"layer {node.name} ({node.op}): must not share {odd}, which it has not")
    return {name: node.shared.get(name, f"{node.name}.{name}") for name in node.tensors}


def _unpack_node(node: NodeHeader, tensors: Mapping[str, Array], schema: int) -> FixedNode:
    where = f"layer {node.name} ({node.op})"
    kind = layer_types().get(node.op)
    if kind is None:
        raise ModelError(f"{where}: this fxpnn has no such layer")
    arrays = {name: tensors[tensor] for name, tensor in _held(node).items()}
    table = arrays.pop(TABLE, None)
    if schema == 1 and kind.traits.output is Output.INHERITED:  # it heeded no modes then
        node = msgspec.structs.replace(node, **_DEFAULT_MODES)
    try:
        # Texts are slow to read, and those of a million channels may all be one.
        formats = {text: QFormat.parse(text) for text in dict.fromkeys(node.weight_formats)}
        return FixedNode(
            name=node.name,
            layer=_unpack_layer(kind, node.attributes, arrays),
            inputs=node.inputs,
            output_format=QFormat.parse(node.output_format),
            weight_formats=tuple(formats[text] for text in node.weight_formats),
            accumulator=Accumulator.parse(node.accumulator) if node.accumulator else None,
            rounding=node.rounding,
            overflow=node.overflow,
            table=table,
            softmax_shift=node.softmax_shift,
            unrolled=node.unrolled,
            losses=node.losses or Losses(),
            rounded=Rounded(
                node.weight_rounding,
                node.bias_corrected,
                QFormat.parse(node.bias_format) if node.bias_format else None,
                node.weight_overflow,
            ),
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


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
