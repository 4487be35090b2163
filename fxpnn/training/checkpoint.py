"""Checkpoints: a step of quantization-aware training as a file from which training goes on."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NoReturn, TypeVar

import msgspec
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from fxpnn import files
from fxpnn.errors import ModelError
from fxpnn.network import fxp
from fxpnn.network.graph import Network
from fxpnn.network.layers import Array
from fxpnn.training.parameters import parameters, with_parameters
from fxpnn.training.qat import QatStep

_Kind = TypeVar("_Kind", bound=msgspec.Struct)

SCHEMA = 1
MAX_FILE = 1 << 31
VALUE, VELOCITY, FORMATS = "value.", "velocity.", "formats"
"""How tensors are named: parameters, what they move by, and the bytes of a .fxp."""


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    """Where a step stands, what its training depends on, and the sha256 of all that."""

    schema: int
    number: int
    total: int
    epoch: int
    cost: float
    origin: dict[str, str]
    sha256: str


class _Metadata(msgspec.Struct):
    checkpoint: str


class _Safetensors(msgspec.Struct):
    metadata: _Metadata = msgspec.field(name="__metadata__")


def fingerprint(network: Network) -> str:
    """Return the sha256 of a network's layers, their order and all their parameters."""
    found = hashlib.sha256()
    for node in network.nodes:
        found.update(f"{node.name}\0{node.layer!r}\0{node.inputs}\0".encode())
    for name, value in parameters(network).items():
        found.update(f"{name}\0{value.dtype}\0{value.shape}\0".encode() + value.tobytes())
    return found.hexdigest()


def save(step: QatStep, path: Path, origin: Mapping[str, str]) -> None:
    """Write a step, whole or not at all.

    ``origin`` says in texts all that the steps depend on: ``load`` compares them.

    Raises:
        DataError: the file cannot be written.
    """
    tensors = {f"{VALUE}{name}": value for name, value in parameters(step.network).items()}
    tensors |= {f"{VELOCITY}{name}": value for name, value in step.velocity.items()}
    tensors[FORMATS] = np.frombuffer(fxp.dumps(step.formats), np.uint8)
    header = _Header(
        schema=SCHEMA,
        number=step.number,
        total=step.total,
        epoch=step.epoch,
        cost=step.cost,
        origin=dict(origin),
        sha256="",
    )
    text = msgspec.json.encode(signed(header, tensors)).decode()
    files.write(path, save_tensors(tensors, {"checkpoint": text}))


def load(path: Path, begin: QatStep, origin: Mapping[str, str]) -> QatStep:
    """Read a step of the training that starts with ``begin``, as ``Qat.start`` gives it.

    Raises:
        ModelError: the file is no checkpoint, is cut or altered, or of another training; the
            message says what is other.
    """
    content = files.read(path, MAX_FILE, ModelError)
    try:
        header, tensors = header_of(content, _Header), load_tensors(content)
    except (SafetensorError, msgspec.MsgspecError, ValueError, RecursionError) as error:
        refuse(path, f"is no checkpoint or is damaged ({' '.join(str(error).split())})")
    if header.schema != SCHEMA:
        refuse(path, f"has schema {header.schema}; this fxpnn reads {SCHEMA}")
    if header.sha256 != digest(header, tensors):
        refuse(path, "has been altered: its sha256 does not fit its content")
    for name, ours in origin.items():
        if (theirs := header.origin.get(name, "none")) != ours:
            refuse(path, f"must be of a training with the same {name}, {ours}, not {theirs}")
    wanted = parameters(begin.network)
    parts = [_part(path, tensors, prefix, wanted) for prefix in (VALUE, VELOCITY)]
    try:
        network = with_parameters(begin.network, parts[0])
        formats = fxp.loads(tensors[FORMATS].tobytes())
    except (KeyError, ModelError) as error:
        refuse(path, str(error))
    if formats.shapes != begin.formats.shapes:
        refuse(path, "must have the layers of the network")
    return replace(
        begin,
        number=header.number,
        total=header.total,
        epoch=header.epoch,
        cost=header.cost,
        network=network,
        velocity=parts[1],
        formats=formats,
    )


def header_of(content: bytes, kind: type[_Kind]) -> _Kind:
    """Read the header of a checkpoint; ``ValueError`` and msgspec's errors tell a wrong one."""
    length = int.from_bytes(content[:8], "little")
    if length > len(content) - 8:
        raise ValueError("its header is longer than the file")
    read = msgspec.json.decode(content[8 : 8 + length], type=_Safetensors)
    return msgspec.json.decode(read.metadata.checkpoint, type=kind)


def _part(
    path: Path, tensors: Mapping[str, Array], prefix: str, wanted: Mapping[str, Array]
) -> dict[str, Array]:
    """Return the tensors of a prefix, which must be like the parameters."""
    found = {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
    if {n: (v.shape, v.dtype) for n, v in found.items()} != {
        n: (v.shape, v.dtype) for n, v in wanted.items()
    }:
        refuse(path, f"must hold a {prefix[:-1]} for every parameter of the network")
    return {name: found[name] for name in wanted}


def signed(header: _Kind, tensors: Mapping[str, Array]) -> _Kind:
    """Return the header with the sha256 of all else in it, and of all tensors."""
    return msgspec.structs.replace(header, sha256=digest(header, tensors))


def digest(header: msgspec.Struct, tensors: Mapping[str, Array]) -> str:
    """Return the sha256 of a header but for its own, and of tensors, names, dtypes and shapes."""
    unsigned = msgspec.structs.replace(header, sha256="")
    found = hashlib.sha256(msgspec.json.encode(unsigned) + b"\0")
    for name in sorted(tensors):
        array = tensors[name]
        found.update(f"{name}\0{array.dtype}\0{array.shape}\0".encode() + array.tobytes())
    return found.hexdigest()


def refuse(path: Path, why: str) -> NoReturn:
    """Raise ``ModelError`` with the file's name."""
    raise ModelError(f"{path}: {why}") from None
