"""Read an ONNX file: from bytes to a message, to a normalized graph, to a network."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

import numpy as np
import onnx

from fxpnn import files
from fxpnn.errors import ModelError
from fxpnn.network.graph import INPUT, MAX_VALUES, Network, Node, Scaling, read_from
from fxpnn.network.inputs import Input
from fxpnn.network.inputs import entrance as entrance_of
from fxpnn.network.layers import Shape
from fxpnn.onnx.graph import foreign, proto
from fxpnn.onnx.graph.external import embed, fingerprint
from fxpnn.onnx.graph.normal import Graph, Op, normalise
from fxpnn.onnx.graph.rewrite import rewrite
from fxpnn.onnx.graph.sink import sink
from fxpnn.onnx.read import (
    activation,
    casts,
    choose,
    classical,
    einsum,
    linear,
    matmul,
    norms,
    recurrent,
    reduce,
    relabel,
    resample,
    select,
    softmax,
    transposed,
    window,
)
from fxpnn.onnx.read.absorb import absorb
from fxpnn.onnx.read.entrance import Entrance
from fxpnn.onnx.read.refusals import summary
from fxpnn.onnx.read.trace import Trace
from fxpnn.onnx.read.value import Value, elsewhere
from fxpnn.quantization.settings import Given, Plan

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sizes:
    """What is known of inputs: shapes by their names, and what is asked for others left open."""

    given: Mapping[str, Shape]
    ask: Callable[..., Shape] | None = None


Wanted: TypeAlias = Shape | Mapping[str, Shape] | Callable[..., Shape] | Sizes | None
"""The shape of an input, or what is asked for it where a file leaves sizes open; of several, shapes
by their names."""

HANDLERS = {
    **linear.HANDLERS,
    **matmul.HANDLERS,
    **einsum.HANDLERS,
    **window.HANDLERS,
    **reduce.HANDLERS,
    **transposed.HANDLERS,
    **norms.HANDLERS,
    **recurrent.HANDLERS,
    **activation.HANDLERS,
    **softmax.HANDLERS,
    **relabel.HANDLERS,
    **resample.HANDLERS,
    **select.HANDLERS,
    **choose.HANDLERS,
    **casts.HANDLERS,
    **classical.HANDLERS,
}
"""What makes a layer of each operator that is supported."""


def load(path: Path | str, shape: Wanted = None) -> Network:
    """Read a network from an ONNX file.

    ``shape``, without the batch, fixes the input where the file leaves sizes open; a function is
    only asked for it there, and given the file's sizes, 0 for those that are open. Of several
    inputs, shapes are given by name, and the function gets the name behind the sizes; ``Sizes`` has
    shapes of some, and a function for the others. Inputs that nothing reads are left out, and so
    are outputs that are no floats, such as the labels that a classifier adds; an output of one
    number for each image has the shape ``(1,)``. Where a LogSoftmax or an ArgMax is the output,
    the network gives the logits that it reads, whose class is the same.

    Raises:
        ModelError: the file cannot be read, is no valid ONNX model, or computes what fxpnn cannot;
            the message names the path, and every kind of operator that is in the way.
    """
    return load_quantized(path, shape=shape)[0]


def load_quantized(
    path: Path | str, plan: Plan | None = None, shape: Wanted = None
) -> tuple[Network, Plan]:
    """Read a network and the formats that its quantizing operators give.

    They fill in what the plan (by default an empty one) leaves open: weights, outputs and their
    modes. ``fxpnn.quantize`` calibrates what is open still.

    Raises:
        ModelError: see ``load``.
    """
    path = Path(path)
    content = files.read(path, proto.MAX_BYTES, ModelError)
    try:
        foreign.check(path, content)
        model = proto.parse(content)
        embedded = embed(model, path.parent)
        network, given = read_model(embedded, path.parent, shape)
    except ModelError as error:
        raise ModelError(f"{path}: {proto.one_line(str(error), 2000)}") from None
    known = read_from(fingerprint(content, model, embedded), network)
    return known, (plan or Plan()).completed(given)


def from_model(model: onnx.ModelProto, folder: Path | None = None, shape: Wanted = None) -> Network:
    """Return the network that a model computes; ``folder`` holds its external weights.

    Raises:
        ModelError: see ``load``.
    """
    return read_model(model, folder, shape)[0]


def read_model(
    model: onnx.ModelProto, folder: Path | None = None, shape: Wanted = None
) -> tuple[Network, dict[str, Given]]:
    """Return the network that a model computes, and what the model fixes of its layers' formats.

    Raises:
        ModelError: see ``load``.
    """
    model = embed(model, folder)
    proto.check(model)
    graph = casts.pair(_rewritten(normalise(model)))
    network, given, notes = _traced(graph, shape, _scaling(model))
    labels = [info.name for info in model.graph.output if info.name not in graph.outputs]
    left_out = [f"output {name}: left out; it holds no floats" for name in labels]
    held = {it.name for it in (*graph.inputs, *model.graph.initializer)}
    unread = [info.name for info in model.graph.input if info.name not in held]
    left_out += [f"input {name}: left out; nothing reads it" for name in unread]
    for note in (*notes, *left_out):
        log.warning("%s", proto.one_line(f"{graph.name}: {note}", 2000))
    return network, given


def _rewritten(graph: Graph) -> Graph:
    """Rewrite patterns; where Transposes divide one, they sink behind it."""
    made, sunk = rewrite(graph), sink(graph)
    if sunk is graph:
        return made
    other = rewrite(sunk)
    return other if _operators(other) < _operators(made) else made


def _operators(graph: Graph) -> int:
    return sum(op.kind != "Transpose" for op in graph.ops)


def _traced(
    graph: Graph, shape: Wanted, scaling: Scaling
) -> tuple[Network, dict[str, Given], list[str]]:
    """Walk along a graph; a normalisation of the input is no layer's part."""
    values, batch = _inputs(graph, shape)
    trace = Trace(graph, values, batch)
    entrance = Entrance(graph, trace)
    with np.errstate(all="ignore"):  # Network names what is not finite
        for op in graph.ops:
            entrance.before(op)
            trace.run(op, HANDLERS)
        weights = casts.weight_formats(graph, trace)
        _raise_refusals(trace)
        outputs = _outputs(graph, trace)
    left = absorb(_live(trace, outputs), outputs, trace.casts)
    network = Network(
        name=graph.name,
        **entrance_of([Input(value.source, value.shape) for value in values.values()]),
        nodes=left.nodes,
        outputs=left.outputs,
        scaling=scaling,
        normalisation=entrance.normalisation,
        normaliser=entrance.layer or Network.normaliser,
    )
    names = (name for name in network.shapes if name in weights or name in left.casts)
    given = {
        name: weights.get(name, Given())._replace(output=left.casts.get(name)) for name in names
    }
    return network, given, trace.notes


def _inputs(graph: Graph, wanted: Wanted) -> tuple[dict[str, Value], int]:
    """Return the network's inputs by their tensors, and the size of the batch, 0 where it is open.

    One alone is called ``INPUT``; several keep their names.
    """
    known = _sizes(wanted, [info.name for info in graph.inputs])
    if len(graph.inputs) == 1:
        (info,) = graph.inputs
        value, batch = _input(graph, info, INPUT, known.given.get(info.name, known.ask))
        return {info.name: value}, batch
    values, batches = dict[str, Value](), dict[str, int]()
    for info in graph.inputs:
        ask = known.ask and partial(_named, known.ask, info.name)
        values[info.name], batch = _input(graph, info, info.name, known.given.get(info.name, ask))
        batches |= {info.name: batch} if batch else {}
    if len({*batches.values()}) > 1:
        told = ", ".join(f"{batch} in {name}" for name, batch in batches.items())
        raise ModelError(f"inputs must have one size of the batch, not {told}")
    return values, max(batches.values(), default=0)


def _sizes(wanted: Wanted, names: Sequence[str]) -> Sizes:
    """Return what is known of inputs by their names in the file; one alone is ``INPUT``, too."""
    if isinstance(wanted, Sizes):
        given, ask = wanted.given, wanted.ask
    elif isinstance(wanted, Mapping):
        given, ask = wanted, None
    elif isinstance(wanted, tuple):
        if len(names) > 1:
            told = ", ".join(names)
            raise ModelError(f"shapes must be given by the names of its inputs: {told}")
        given, ask = {names[0]: wanted}, None
    else:
        given, ask = {}, wanted
    if len(names) == 1 and INPUT in given and names[0] not in given:
        given = {names[0]: given[INPUT], **{n: it for n, it in given.items() if n != INPUT}}
    if odd := [name for name in given if name not in names]:
        known = ", ".join(names)
        raise ModelError(f"shapes must be of its inputs ({known}), not of {', '.join(odd)}")
    return Sizes(given, ask)


def _named(wanted: Callable[..., Shape], name: str, sizes: Shape) -> Shape:
    return wanted(sizes, name)


def _input(
    graph: Graph, info: onnx.ValueInfoProto, name: str, wanted: Shape | Callable[..., Shape] | None
) -> tuple[Value, int]:
    """Return an input, and the size of its batch, 0 where that is open."""
    where, tensor = f"input {info.name}", info.type.tensor_type
    sizes = [max(dim.dim_value, 0) for dim in tensor.shape.dim]
    given = None if callable(wanted) else wanted
    if given is not None and not sizes:
        sizes = [0] * (1 + len(given))
    if not 2 <= len(sizes) <= proto.MAX_RANK:
        raise ModelError(f"{where} must have axes for the batch and more, not {len(sizes)} in all")
    readers = [op for op in graph.ops if info.name in op.inputs]
    _check_type(where, tensor.elem_type, readers)
    axis = _images_axis(info.name, len(sizes), readers)
    batch, fixed = sizes[axis], sizes[:axis] + sizes[axis + 1 :]
    if callable(wanted) and 0 in fixed:
        given = wanted(tuple(fixed))
    if given is None and 0 in fixed:
        raise ModelError(f"{where} leaves sizes open; a shape must be given for {_open(fixed)}")
    shape = tuple(fixed) if given is None else given
    if len(shape) != len(fixed) or any(f not in (0, s) for f, s in zip(fixed, shape, strict=True)):
        raise ModelError(f"{where} must be {_open(fixed)}, not {_open(shape)}")
    if min(shape) < 1 or math.prod(shape) > MAX_VALUES:
        raise ModelError(f"{where} must hold 1 to {MAX_VALUES} values, not {_open(shape)}")
    return Value(name, shape, axis=axis), batch


def _images_axis(name: str, rank: int, readers: Sequence[Op]) -> int:
    """Return along which axis of an input all that read it want the images.

    Those of a sequence that a recurrent operator reads are its second axis, unless it says so;
    what asks for the shape alone does not matter.
    """
    second = [
        (op.kind == "Gemm" and rank == 2 and bool(op.get("transA")))
        or (op.kind in recurrent.HANDLERS and op.inputs[0] == name and not op.get("layout"))
        for op in readers
        if op.kind != "Shape"
    ]
    return int(any(second) and all(second))


def _check_type(where: str, kind: int, readers: Sequence[Op]) -> None:
    """Refuse integers, which ONNX computes with otherwise; a model may cast its pixels itself."""
    if kind not in proto.FLOATS and not all(op.kind == "Cast" for op in readers):
        raise ModelError(f"{where} must hold floats, or be cast to them at once")


def _open(sizes: Sequence[int]) -> str:
    return "(" + ", ".join(str(size or "?") for size in sizes) + ")"


def _raise_refusals(trace: Trace) -> None:
    if trace.refusals:
        raise ModelError(summary(trace.refusals.values()))


def _outputs(graph: Graph, trace: Trace) -> tuple[str, ...]:
    """Return the nodes that make the graph's outputs."""
    sources = []
    for name in graph.outputs:
        tensor = trace.tensors[name]
        try:
            value = trace.rows(trace.settle(tensor)) if isinstance(tensor, Value) else None
        except ModelError as error:
            raise ModelError(f"output {name}: {error}") from None
        if value is not None:
            value = _images_first(trace, name, value)
        if value is None or value.source not in trace.nodes:
            raise ModelError(f"output {name} must be computed from the input by a layer")
        sources.append(value.source)
    return tuple(sources)


def _images_first(trace: Trace, name: str, value: Value) -> Value:
    """Return an output as a network gives it: each image's for itself."""
    if trace.batch == value.full(1)[0] == 1:
        return trace.images_first(value)
    if value.outer and trace.batch > 1:
        raise ModelError(f"output {name} {elsewhere(value)}")
    if value.axis and not value.outer:
        trace.notes.append(
            f"output {name}: its images are axis {1 + value.axis} of {value.rank} in the model, "
            "the first here"
        )
    return value


def _live(trace: Trace, outputs: tuple[str, ...]) -> tuple[Node, ...]:
    """Return the nodes that the outputs need: a gate that became part of a swish is not."""
    needed, live = set(outputs), []
    for node in reversed(trace.nodes.values()):
        if node.name in needed:
            needed.update(node.inputs)
            live.append(node)
    return tuple(reversed(live))


def _scaling(model: onnx.ModelProto) -> Scaling:
    """Read how pixels become numbers from the model's metadata, as ``write`` put it there."""
    default = Scaling(assumed=True)
    entries = {entry.key: entry.value for entry in model.metadata_props}
    if not {"fxpnn.scale", "fxpnn.mean", "fxpnn.std"} & entries.keys():
        return default
    scale = _numbers(entries, "fxpnn.scale", (default.scale,))
    if len(scale) != 1:
        raise ModelError(f"metadata fxpnn.scale must be one number, not {len(scale)}")
    mean = _numbers(entries, "fxpnn.mean", default.mean)
    return Scaling(scale[0], mean, _numbers(entries, "fxpnn.std", default.std))


def _numbers(entries: dict[str, str], key: str, default: tuple[float, ...]) -> tuple[float, ...]:
    text = entries.get(key)
    if text is None:
        return default
    try:
        numbers = tuple(float(number) for number in text.split(","))
    except ValueError:
        numbers = (math.nan,)
    if not all(map(math.isfinite, numbers)):
        raise ModelError(f"metadata {key} must be numbers with commas between, not {text[:40]!r}")
    return numbers
