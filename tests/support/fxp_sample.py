"""A small .fxp file to damage and to forge: its network, its bytes, its checksums."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, TypeAlias

import numpy as np
import pytest
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from fxpnn.errors import ModelError
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, QFormat, Rounding
from fxpnn.network.fixed import FixedNetwork, FixedNode, Provenance
from fxpnn.network.fxp import dumps, loads
from fxpnn.network.fxp_schema import SCHEMA
from fxpnn.network.graph import INPUT, Scaling
from fxpnn.network.layers import (
    Add,
    Array,
    Concat,
    Conv2D,
    Dense,
    Flatten,
    LeakyRelu,
    Reshape,
    Sigmoid,
    Softmax,
    Window,
)
from fxpnn.network.tables import table_for

Tensors: TypeAlias = dict[str, Array]
Header: TypeAlias = dict[str, Any]
Q3_12, Q7_8, Q0_15 = QFormat(16, 12), QFormat(16, 8), QFormat(16, 15)


def sample() -> FixedNetwork:
    """Build a network with branches, tables, and formats per channel."""
    weight = np.arange(-8, 8, dtype=np.int16).reshape(2, 2, 2, 2)
    conv = Conv2D(weight, np.array([2**60, -3]), Window((2, 2), (1, 1), (0, 1, 0, 1)))
    dense = Dense(np.full((3, 12), 32767, np.int16), np.zeros(3, np.int64))
    wrap = Overflow.WRAP
    modes = (Accumulator(32, wrap), Rounding.FLOOR, wrap)
    nodes = (
        FixedNode("conv", conv, (INPUT,), Q3_12, (Q3_12, Q7_8), *modes),
        FixedNode("leaky", LeakyRelu(41), ("conv",), Q3_12, (Q3_12,)),
        FixedNode("sum", Add(), ("leaky", "conv"), Q7_8),
        FixedNode("both", Concat(0), ("sum", "conv"), Q3_12),
        FixedNode("sig", Sigmoid(), ("both",), Q0_15, table=table_for(Sigmoid)),
        FixedNode("rows", Reshape((4, 3)), ("sig",), Q0_15),
        FixedNode("flat", Flatten(), ("rows",), Q0_15),
        FixedNode("dense", dense, ("flat",), Q3_12, (Q3_12,), Accumulator(16)),
        FixedNode("p", Softmax(), ("dense",), Q0_15, table=table_for(Softmax), softmax_shift=-4),
    )
    scaling = Scaling(1 / 255, (0.5, 0.25), (1e-7, 3.0))
    made = Provenance("ab" * 32, "cd" * 32, "0.1.0")
    return FixedNetwork("Größe \n\0", (2, 2, 2), Q3_12, nodes, ("p", "sum"), scaling, made)


def plain(value: object) -> object:
    """Turn a network into values that ``==`` compares to the bit, dtypes and shapes too."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if is_dataclass(value):
        return type(value), {f.name: plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return tuple(map(plain, value)) if isinstance(value, tuple) else value


SAMPLE = dumps(sample())


HEADER = 8 + int.from_bytes(SAMPLE[:8], "little")
"""Where the sample's header ends."""


def refusal(content: bytes) -> str:
    """Return the one line in which the content is refused; nothing else may happen."""
    with pytest.raises(ModelError, match=r"^.+$") as caught:
        loads(content)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def survivor(content: bytes) -> FixedNetwork | None:
    """Return what a file may still be, ``None`` where it is refused in one line."""
    try:
        return loads(content)
    except ModelError as error:
        if len(str(error).splitlines()) == 1:
            return None
        raise


def forge(metadata: str, tensors: Tensors | None = None) -> bytes:
    """Write any text as the metadata of a file."""
    return save_tensors(tensors or {}, {"fxpnn": metadata})


def signed(header: str, tensors: Tensors | None = None, schema: int = SCHEMA) -> bytes:
    """Write a header with the sha256 that fits it, as the format says."""
    digest = hashlib.sha256(header.encode())
    for name, array in sorted((tensors or {}).items()):
        digest.update(f"\0{name}\0{array.dtype}\0{array.shape}\0".encode() + array.tobytes())
    document = f'{{"schema": {schema}, "sha256": "{digest.hexdigest()}", "header": {header}}}'
    return forge(document, tensors)


def taken_apart(content: bytes = SAMPLE) -> tuple[Header, Tensors]:
    """Return the header and the tensors of a file, by default the sample, both to be changed."""
    end = 8 + int.from_bytes(content[:8], "little")
    metadata = json.loads(content[8:end])["__metadata__"]["fxpnn"]
    header: Header = json.loads(metadata)["header"]
    return header, dict(load_tensors(content))
