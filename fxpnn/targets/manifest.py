"""The manifest of an export: what it computes, step by step, and the sums of its files."""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

import fxpnn
from fxpnn import files
from fxpnn.errors import DataError
from fxpnn.network.graph import INPUT, Scaling
from fxpnn.network.normalisation import Normalisation
from fxpnn.targets.dump import MANIFEST as MANIFEST
from fxpnn.targets.hexfiles import once, parameter_file, parameters, stems
from fxpnn.targets.lowering import Lowering, Memory, Step
from fxpnn.targets.target import Choices, Target

_MOST_BYTES = 1 << 26


class LayerName(msgspec.Struct, frozen=True):
    """What a layer is called in files; ``tensor`` holds its words, null where no step gives them.

    That is so for a layer whose ReLU or clip is done with it.
    """

    name: str
    label: str
    tensor: str | None


class TensorPlace(msgspec.Struct, frozen=True):
    """Where the words of a step or of the input lie in the one memory of activations.

    ``offset`` counts words; it is null where they lie apart: C takes the input, and gives the
    outputs, by pointers.
    """

    name: str
    shape: tuple[int, ...]
    format: str
    offset: int | None


class ParameterEntry(msgspec.Struct, frozen=True):
    """An array of a step's integers: words of ``word`` bits, counts of ``2**-frac``.

    ``fracs`` has one number, or one for each output channel. ``file`` is null where a target spells
    the words in its own way.
    """

    name: str
    shape: tuple[int, ...]
    word: int
    signed: bool
    fracs: tuple[int, ...]
    file: str | None


class StepEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One layer, its cast, and the limits that are kept behind it, as raw words.

    ``layers`` names the layer and those that are its limits; ``attributes`` are the layer's fields
    that are no arrays. ``shifts`` are the bits that the cast drops of a sum, one number or one for
    each output channel; none where there is no sum.
    """

    name: str
    op: str
    layers: tuple[str, ...]
    reads: tuple[str, ...]
    attributes: dict[str, Any]
    parameters: tuple[ParameterEntry, ...]
    accumulator: str | None
    accumulator_bits_needed: int | None
    proved: bool
    shifts: tuple[int, ...]
    rounding: str
    overflow: str
    softmax_shift: int | None
    low: int
    high: int
    rectified: bool


class FileSum(msgspec.Struct, frozen=True):
    """A file of the folder, by its name, its length and its sha256."""

    name: str
    bytes: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an export holds, schema 1.

    ``name`` begins the names of modules and functions; ``model`` is the sha256 of the .fxp file,
    ``data`` that of the images whose golden vectors are in it, empty where it is not known;
    ``memory_words`` is the most words that activations take at a time. ``macs`` and ``trim`` are
    null where they are not Verilog's.
    """

    schema: Literal[1]
    kind: Literal["export"]
    version: str
    target: str
    name: str
    model: str
    data: str
    images: int
    macs: int | None
    trim: bool | None
    memory_words: int
    scaling: Scaling
    normalisation: Normalisation | None
    layers: tuple[LayerName, ...]
    outputs: tuple[str, ...]
    tensors: tuple[TensorPlace, ...]
    steps: tuple[StepEntry, ...]
    files: tuple[FileSum, ...]


class Origin(NamedTuple):
    """What an export is made of: the sha256 of model and images, and how many of these."""

    model: str
    data: str
    images: int


def memory_of(lowering: Lowering, target: Target) -> Memory:
    """Place the activations as a target keeps them: in C, its caller has inputs and outputs."""
    return lowering.memory({INPUT, *lowering.outputs} if target is Target.C else ())


def sums(contents: Mapping[str, bytes]) -> tuple[FileSum, ...]:
    """Describe files by their names, in order."""
    return tuple(
        FileSum(name, len(content), files.sha256(content))
        for name, content in sorted(contents.items())
    )


def layer_names(lowering: Lowering) -> tuple[LayerName, ...]:
    """Say what each layer of a network is called in files, and where its words are."""
    labels = stems(lowering.fixed)
    return tuple(LayerName(name, labels[name], lowering.stored.get(name)) for name in labels)


def places(lowering: Lowering, memory: Memory) -> tuple[TensorPlace, ...]:
    """Say where each tensor lies in a memory."""
    shapes = {INPUT: lowering.fixed.image_shape} | {s.name: s.shape for s in lowering.steps}
    return tuple(
        TensorPlace(name, shape, str(lowering.formats[name]), memory.offsets.get(name))
        for name, shape in shapes.items()
    )


def step_entries(lowering: Lowering, contents: Mapping[str, bytes]) -> tuple[StepEntry, ...]:
    """Describe the steps; ``contents`` are the files, among which those of parameters may be."""
    names = stems(lowering.fixed)
    return tuple(_entry(step, names, contents) for step in lowering.steps)


def _entry(step: Step, names: Mapping[str, str], contents: Mapping[str, bytes]) -> StepEntry:
    node, layer = step.node, step.node.layer
    arrays = layer.arrays()
    parts = []
    for it in parameters(step):
        file = parameter_file(names, step, it)
        held = file if file in contents else None
        parts.append(ParameterEntry(it.name, it.words.shape, it.word, it.signed, it.fracs, held))
    return StepEntry(
        name=step.name,
        op=node.op,
        layers=(node.name, *(joined.name for joined in step.joined)),
        reads=tuple(source.tensor for source in step.sources),
        attributes={f.name: getattr(layer, f.name) for f in fields(layer) if f.name not in arrays},
        parameters=tuple(parts),
        accumulator=str(node.accumulator) if node.accumulator else None,
        accumulator_bits_needed=step.proof.bits,
        proved=step.proof.proved,
        shifts=() if layer.traits.weight is None else once(step.shifts().tolist()),
        rounding=node.rounding.value,
        overflow=node.overflow.value,
        softmax_shift=node.softmax_shift,
        low=step.low,
        high=step.high,
        rectified=step.rectified,
    )


def describe(
    lowering: Lowering, choices: Choices, contents: Mapping[str, bytes], origin: Origin
) -> Manifest:
    """Describe an export of these files."""
    fixed, verilog = lowering.fixed, choices.target is Target.VERILOG
    memory = memory_of(lowering, choices.target)
    return Manifest(
        schema=1,
        kind="export",
        version=fxpnn.__version__,
        target=choices.target.value,
        name=choices.name,
        model=origin.model,
        data=origin.data,
        images=origin.images,
        macs=choices.units if verilog else None,
        trim=choices.trim if verilog else None,
        memory_words=memory.words,
        scaling=fixed.scaling,
        normalisation=fixed.normalisation,
        layers=layer_names(lowering),
        outputs=lowering.outputs,
        tensors=places(lowering, memory),
        steps=step_entries(lowering, contents),
        files=sums(contents),
    )


def spell(made: Manifest) -> bytes:
    """Return the bytes of a manifest's file: equal manifests give equal bytes."""
    return msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n"


def read(folder: Path) -> Manifest | None:
    """Read the manifest of an export, ``None`` where the folder has none.

    Raises:
        DataError: it is damaged, or none of an export.
    """
    path = folder / MANIFEST
    if not path.exists():
        return None
    content = files.read(path, _MOST_BYTES, DataError)
    try:
        return msgspec.json.decode(content, type=Manifest)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: must be the manifest of an export: {error}") from None
