"""Checkpoints of training in fixed point: words and velocities, from which training goes on."""

from collections.abc import Mapping
from pathlib import Path

import msgspec
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from fxpnn import files
from fxpnn.errors import ModelError
from fxpnn.training.checkpoint import MAX_FILE, digest, header_of, refuse, signed
from fxpnn.training.fixed.descent import FixedState

SCHEMA = 1
WORD, VELOCITY = "word.", "velocity."
"""How tensors are named: each parameter's words, and its velocity."""


class _Header(msgspec.Struct, forbid_unknown_fields=True):
    """Where a training stands, what it depends on, and the sha256 of all that."""

    schema: int
    step: int
    fixed_point: dict[str, str]
    sha256: str


def save(state: FixedState, path: Path, origin: Mapping[str, str]) -> None:
    """Write a state, whole or not at all.

    ``origin`` says in texts all that the steps depend on: ``load`` compares them.

    Raises:
        DataError: the file cannot be written.
    """
    tensors = {f"{WORD}{name}": raw for name, raw in state.words.items()}
    tensors |= {f"{VELOCITY}{name}": raw for name, raw in state.velocity.items()}
    header = _Header(SCHEMA, state.step, dict(origin), "")
    text = msgspec.json.encode(signed(header, tensors)).decode()
    files.write(path, save_tensors(tensors, {"checkpoint": text}))


def load(path: Path, origin: Mapping[str, str]) -> FixedState:
    """Read a state of a training of the same origin; ``train_fixed`` judges its words.

    Raises:
        ModelError: the file is no checkpoint, is cut or altered, or of another training; the
            message says what is other.
    """
    content = files.read(path, MAX_FILE, ModelError)
    try:
        header, tensors = header_of(content, _Header), load_tensors(content)
    except (SafetensorError, msgspec.MsgspecError, ValueError, RecursionError) as error:
        refuse(
            path,
            "is no checkpoint of training in fixed point or is damaged "
            f"({' '.join(str(error).split())})",
        )
    if header.schema != SCHEMA:
        refuse(path, f"has schema {header.schema}; this fxpnn reads {SCHEMA}")
    if header.sha256 != digest(header, tensors):
        refuse(path, "has been altered: its sha256 does not fit its content")
    for name, ours in origin.items():
        if (theirs := header.fixed_point.get(name, "none")) != ours:
            refuse(path, f"must be of a training with the same {name}, {ours}, not {theirs}")
    words, velocity = (
        {name.removeprefix(prefix): raw for name, raw in tensors.items() if name.startswith(prefix)}
        for prefix in (WORD, VELOCITY)
    )
    return FixedState(header.step, words, velocity)
