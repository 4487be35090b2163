"""Fixed networks written as .fxp files: integers in safetensors, with a JSON header."""

import hashlib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np
from safetensors.numpy import save as save_tensors

from fxpnn import files
from fxpnn.network.fxp_schema import SCHEMA, TABLE, Header, InputHeader, NodeHeader, Signed, digest
from fxpnn.network.inputs import INPUT
from fxpnn.network.layers import Array, Shape

if TYPE_CHECKING:
    from fxpnn.network.fixed import FixedNetwork, FixedNode


@dataclass
class _Tensors:
    """The tensors of a file so far, each once, and their names by dtype, shape and content."""

    named: dict[str, Array] = field(default_factory=dict)
    known: dict[tuple[str, Shape, bytes], str] = field(default_factory=dict)

    def put(self, name: str, array: Array) -> str:
        """Add an array unless an equal one is there, and return the name under which it stands."""
        content = array.dtype.name, array.shape, hashlib.sha256(array.tobytes()).digest()
        found = self.known.setdefault(content, name)
        self.named.setdefault(found, array)
        return found


def dumps(fixed: "FixedNetwork") -> bytes:
    """Return the bytes of a .fxp file; equal networks give equal bytes."""
    tensors = _Tensors()
    nodes = tuple(_pack(node, tensors) for node in fixed.nodes)
    further = tuple(InputHeader(it.name, it.shape, str(it.format)) for it in fixed.further)
    header = Header(
        name=fixed.name,
        input_shape=fixed.input_shape,
        input_format=str(fixed.input_format),
        scaling=fixed.scaling,
        outputs=fixed.outputs,
        provenance=fixed.provenance,
        nodes=nodes,
        normalisation=fixed.normalisation or msgspec.UNSET,
        input_name=msgspec.UNSET if fixed.input_name == INPUT else fixed.input_name,
        further=further or msgspec.UNSET,
    )
    text = msgspec.json.encode(header, enc_hook=_plain)
    signed = Signed(SCHEMA, digest(text, tensors.named), msgspec.Raw(text))
    return save_tensors(tensors.named, {"fxpnn": msgspec.json.encode(signed).decode()})


def _plain(value: object) -> object:
    """Give Python's number for one of NumPy's, such as a place of an array's order."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a header must hold numbers and texts, not {value!r}")


def save(fixed: "FixedNetwork", path: Path | str) -> None:
    """Write a .fxp file, whole or not at all.

    Raises:
        DataError: the file cannot be written.
    """
    files.write(Path(path), dumps(fixed))


def _pack(node: "FixedNode", tensors: _Tensors) -> NodeHeader:
    names = node.layer.arrays()
    arrays = {name: getattr(node.layer, name) for name in names}
    if node.table is not None:
        arrays[TABLE] = node.table
    own = {name: f"{node.name}.{name}" for name in arrays}
    held = {name: tensors.put(own[name], array) for name, array in arrays.items()}
    scalars = (f.name for f in fields(node.layer) if f.name not in names)
    cast = node.requantize
    return NodeHeader(
        name=node.name,
        op=node.op,
        inputs=node.inputs,
        output_format=str(cast.format),
        attributes={name: getattr(node.layer, name) for name in scalars},
        tensors=tuple(arrays),
        weight_formats=tuple(map(str, node.weight_formats)),
        accumulator=str(node.accumulator) if node.accumulator else None,
        rounding=cast.rounding,
        overflow=cast.overflow,
        softmax_shift=node.softmax_shift,
        losses=node.losses or None,
        weight_rounding=node.rounded.weights,
        bias_corrected=node.rounded.bias_corrected,
        bias_format=str(node.rounded.bias_format) if node.rounded.bias_format else None,
        weight_overflow=node.rounded.overflow,
        unrolled=node.unrolled,
        shared={name: tensor for name, tensor in held.items() if tensor != own[name]},
    )
