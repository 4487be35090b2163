"""Own the reading: ONNX file to message, to normalised graph, to network."""

import math
from pathlib import Path

import onnx

from fxpnn import files
from fxpnn.errors import ModelError
from fxpnn.layers import Shape
from fxpnn.network import Network, Node, Scaling
from fxpnn.onnx import activation, linear, proto, relabel, window
from fxpnn.onnx.graph import Graph, normalise
from fxpnn.onnx.trace import RefusalError, Trace, Value

HANDLERS = {**linear.HANDLERS, **window.HANDLERS, **activation.HANDLERS, **relabel.HANDLERS}
"""What makes a layer of each operator that is supported."""


def load(path: Path) -> Network:
    """Read a network from an ONNX file.

    Raises:
        ModelError: the file cannot be read, is no valid ONNX model, or computes what fxpnn cannot;
            the message names the path, and every operator that is in the way.
    """
    content = files.read(path, proto.MAX_BYTES, ModelError)
    try:
        return from_model(proto.parse(content), path.parent)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None


def from_model(model: onnx.ModelProto, folder: Path | None = None) -> Network:
    """Return the network that a model computes; ``folder`` holds its external weights.

    Raises:
        ModelError: see ``load``.
    """
    proto.check(model)
    graph = normalise(model)
    batch, shape = _input_shape(graph)
    trace = Trace(graph, shape, batch)
    for op in graph.ops:
        trace.run(op, HANDLERS)
    _raise_refusals(trace)
    outputs = _outputs(graph, trace)
    return Network(graph.name, shape, _live(trace, outputs), outputs, _scaling(model))


def _input_shape(graph: Graph) -> tuple[int, Shape]:
    """Return how many images the trace runs, and the shape of one."""
    name, tensor = graph.input.name, graph.input.type.tensor_type
    sizes = [dim.dim_value for dim in tensor.shape.dim]
    if len(sizes) < 2:
        raise ModelError(
            f"input {name} must have an axis beside the batch, not {len(sizes)} in all"
        )
    if min(sizes[1:]) < 1:
        raise ModelError(f"input {name} must have sizes of 1 or more, not {sizes[1:]}")
    return max(sizes[0], 1), tuple(sizes[1:])


def _raise_refusals(trace: Trace) -> None:
    if trace.refusals:
        raise ModelError("; ".join(str(refusal) for refusal in trace.refusals.values()))


def _outputs(graph: Graph, trace: Trace) -> tuple[str, ...]:
    """Return the nodes that make the graph's outputs."""
    sources = []
    for name in graph.outputs:
        tensor = trace.tensors.get(name)
        if not isinstance(tensor, Value) or tensor.source not in trace.nodes:
            raise ModelError(f"output {name} must be computed from the input")
        try:
            sources.append(trace.settle(tensor).source)
        except RefusalError as refusal:
            raise ModelError(str(refusal)) from None
    return tuple(sources)


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
    default = Scaling()
    entries = {entry.key: entry.value for entry in model.metadata_props}
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
