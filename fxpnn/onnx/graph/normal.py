"""Normalize a graph: constants as arrays, unique names, only what the outputs need."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self, TypeAlias

import numpy as np
import onnx

from fxpnn.errors import ModelError
from fxpnn.network.layers import Array
from fxpnn.onnx.graph.proto import FLOATS, one_line, to_array

SHOWN = 200
"""The most characters of an operator's name that an error tells."""

Attribute: TypeAlias = Any  # int, float, str, or a list of them, as the operator's schema says


@dataclass(frozen=True, eq=False)
class Op:
    """One ONNX node; ``kind`` has the domain before it unless that is ONNX's own."""

    kind: str
    name: str
    opset: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]

    def __str__(self) -> str:
        return f"{self.kind} (node {self.shown}, opset {self.opset})"

    @property
    def shown(self) -> str:
        """Give the name as an error tells it: on one line, and cut where it is long."""
        return one_line(self.name, SHOWN)

    def get(self, name: str, default: Attribute = None) -> Attribute:
        """Return an attribute, or ``default`` where the node leaves it out."""
        return self.attributes.get(name, default)

    def flag(self, name: str, default: bool = False) -> bool:
        """Return an attribute that is 0 or 1; runtimes differ in what another number means."""
        value = self.get(name, int(default))
        if value not in (0, 1):
            raise ModelError(f"{name} must be 0 or 1, not {value}")
        return bool(value)

    def has(self, index: int) -> bool:
        """Tell whether the optional input ``index`` is there."""
        return index < len(self.inputs) and self.inputs[index] != ""


@dataclass(frozen=True, eq=False)
class Graph:
    """What a model computes: ``ops`` in an order in which each reads only earlier ones."""

    name: str
    inputs: tuple[onnx.ValueInfoProto, ...]
    outputs: tuple[str, ...]
    ops: tuple[Op, ...]
    constants: Mapping[str, Array]

    @property
    def uses(self) -> Counter[str]:
        """Count how often each tensor is read, by nodes and as an output of the graph."""
        return Counter([name for op in self.ops for name in op.inputs] + list(self.outputs))

    def live(self) -> Self:
        """Return the graph with only the operators that its outputs need."""
        needed, ops = set(self.outputs), []
        for op in reversed(self.ops):
            if needed.intersection(op.outputs):
                needed.update(filter(None, op.inputs))
                ops.append(op)
        return replace(self, ops=tuple(reversed(ops)))


class Names:
    """Names given so far; a taken one gets a number behind it."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = {*taken}
        self._counts: Counter[str] = Counter()

    def unique(self, name: str) -> str:
        """Return ``name``, or ``name_2``, ``name_3``, ... where it is taken."""
        free = name
        while free in self._taken:
            self._counts[name] += 1
            free = f"{name}_{self._counts[name] + 1}"
        self._taken.add(free)
        return free


def normalise(model: onnx.ModelProto) -> Graph:
    """Return the part of a checked model that its outputs need.

    Raises:
        ModelError: it has no input, or a tensor that cannot be used.
    """
    graph = model.graph
    if graph.sparse_initializer:
        raise ModelError("weights must be dense tensors, not sparse initializers")
    constants = {tensor.name: to_array(tensor) for tensor in graph.initializer}
    inputs = [info for info in graph.input if info.name not in constants]
    if not inputs:
        raise ModelError("must have an input, not constants alone")
    outputs = [info for info in graph.output if _is_float(info)] or graph.output
    whole = Graph(
        graph.name,
        tuple(inputs),
        tuple(info.name for info in outputs),
        _ops(model),
        constants,
    ).live()
    held = {op.outputs[0]: _value(op) for op in whole.ops if op.kind == "Constant"}
    ops = tuple(op for op in whole.ops if op.kind != "Constant")
    read = tuple(info for info in inputs if whole.uses[info.name]) or (inputs[0],)
    return replace(whole, inputs=read, ops=ops, constants={**constants, **held})


def _is_float(info: onnx.ValueInfoProto) -> bool:
    """Tell an output from the labels, integers or text, that classifiers add to it."""
    return not info.type.HasField("tensor_type") or info.type.tensor_type.elem_type in FLOATS


def _ops(model: onnx.ModelProto) -> tuple[Op, ...]:
    opsets = {_domain(o.domain): o.version for o in model.opset_import}
    names = Names()
    return tuple(_op(node, opsets, names) for node in model.graph.node)


def _value(op: Op) -> Array:
    """Return what a Constant holds."""
    for name, value in op.attributes.items():
        match name:
            case "value":
                return to_array(value)
            case "value_float" | "value_floats":
                return np.array(value, np.float32)
            case "value_int" | "value_ints":
                return np.array(value, np.int64)
    raise ModelError(f"{op}: its value must be a tensor of numbers")


def _op(node: onnx.NodeProto, opsets: Mapping[str, int], names: Names) -> Op:
    domain = _domain(node.domain)
    return Op(
        kind=f"{domain}.{node.op_type}" if domain else node.op_type,
        name=names.unique(node.name or next(filter(None, node.output), "")),
        opset=opsets.get(domain, 0),
        inputs=tuple(node.input),
        outputs=tuple(node.output),
        attributes=dict(_attributes(node.attribute)),
    )


def _domain(domain: str) -> str:
    return "" if domain == "ai.onnx" else domain


def _attributes(attributes: Iterable[onnx.AttributeProto]) -> Iterable[tuple[str, Attribute]]:
    for attribute in attributes:
        value = onnx.helper.get_attribute_value(attribute)
        yield attribute.name, [*map(_text, value)] if isinstance(value, list) else _text(value)


def _text(value: Attribute) -> Attribute:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
