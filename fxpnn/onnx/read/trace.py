"""Walk along a graph: what each tensor is so far, and the layers made of the operators."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np

from fxpnn.errors import ModelError
from fxpnn.fixedpoint.requantize import Shift
from fxpnn.network.folding import as_layer, as_maps
from fxpnn.network.graph import MAX_VALUES, Node
from fxpnn.network.layers import Array, Layer, Reshape, Shape
from fxpnn.onnx.graph.fold import FOLDERS, fold, size, sizes
from fxpnn.onnx.graph.normal import Graph, Names, Op
from fxpnn.onnx.graph.quant import QUANTIZERS
from fxpnn.onnx.graph.shapes import inferred
from fxpnn.onnx.read.affine import Affine, fold_back
from fxpnn.onnx.read.refusals import UNKNOWN, RefusalError
from fxpnn.onnx.read.value import Value as Value
from fxpnn.onnx.read.value import distinctive, elsewhere

BUDGET = 1 << 20
"""The most constant values that reading a model may make, beyond those that are in it."""
BUDGET_EACH = 8
"""So many more for each that is: weights are transposed, cast and scaled, each anew."""


Result: TypeAlias = Value | Array

REFUSED = ""
"""The source of what stands for a refused operator's output; no node has this name."""

FORMS = ("Cast", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Reshape", "Flatten")
"""What exporters write behind a class at the end, which changes its form alone."""
PASSING = (*FORMS, "ArgMax", "TopK", "LogSoftmax", "Log", "ai.onnx.ml.ZipMap")
"""What may stand between logits that are left in a class's place and the output."""


class Trace:
    """The tensors and nodes so far; handlers read operands from it and emit layers into it.

    So that every operator is judged, a refused one gives tensors of the shape that ONNX says it
    makes. Where that is not known, they have no entry; what reads them is left out, but operators
    that are not known are told wherever they stand. One that is known for constants alone is not
    known behind a refused tensor that depends on the network's input.
    """

    def __init__(self, graph: Graph, values: Mapping[str, Value], batch: int) -> None:
        self.open, self.batch = not batch, batch or distinctive(graph, values.values())
        self.tensors: dict[str, Result] = {**graph.constants, **values}
        self.nodes: dict[str, Node] = {}
        self.refusals: dict[str, RefusalError] = {}
        self.casts: dict[str, Shift] = {}  # of Quantize layers
        self._lost: set[str] = set()  # refused tensors that depend on the network's input
        self._uses = graph.uses
        self._ends = {name for name in graph.outputs if self._uses[name] == 1}
        for op in reversed(graph.ops):
            if op.kind in PASSING and self.ends(op) and self._uses[op.inputs[0]] == 1:
                self._ends.add(op.inputs[0])
        self.notes: list[str] = []
        self._names = Names(value.source for value in values.values())
        held = sum(array.size for array in graph.constants.values())
        self._most = self._budget = BUDGET + BUDGET_EACH * held
        self._settled: dict[Affine, Value] = {}
        self.homes: dict[str, tuple[str, Lay]] = {}  # of rows: the layer, and how it lies
        self._relabelled: dict[tuple[str, Shape], str] = {}

    def run(self, op: Op, handlers: Mapping[str, "Handler"]) -> None:
        """Bind the output of ``op`` to what its handler returns, or note why that cannot be."""
        if any(name and name not in self.tensors for name in op.inputs):
            varies = self._lose(op)
            if op.kind not in handlers and (varies or op.kind not in FOLDERS):
                self.refusals[op.name] = RefusalError(op, UNKNOWN)
            return
        try:
            self._bind(op, self._result(op, handlers))
        except ModelError as error:
            self.refusals[op.name] = RefusalError(op, str(error))
            self._stand_in(op, varies=self._lose(op))

    def _lose(self, op: Op) -> bool:
        """Tell whether a refused operator depends on the network's input, and note its outputs."""
        varies = op.kind != "Shape" and any(
            name in self._lost or isinstance(self.tensors.get(name), Value) for name in op.inputs
        )
        if varies:
            self._lost.update(op.outputs)
        return varies

    def _stand_in(self, op: Op, varies: bool) -> None:
        """Bind the outputs of a refused operator to what has their shape, where it is known."""
        known = [self.tensors[name] if name else None for name in op.inputs]
        first = known[0] if known else None
        if op.kind in QUANTIZERS and isinstance(first, np.ndarray):
            self.tensors[op.outputs[0]] = np.broadcast_to(np.float32(1), first.shape)
        if not varies or any(isinstance(x, Value) and not x.ahead for x in known):
            return
        full = [x.full(self.batch) if isinstance(x, Value) else x for x in known]
        for name, shape in zip(op.outputs, inferred(op, full), strict=False):
            if shape is not None and len(shape) > 1 and shape[0] == self.batch:
                self.tensors[name] = Value(REFUSED, shape[1:])

    def _bind(self, op: Op, results: "Results") -> None:
        made = results if isinstance(results, tuple) else (results,)
        for place, name in enumerate(op.outputs):
            result = made[place] if place < len(made) else None
            if result is not None:
                self.tensors[name] = result
            elif self._uses[name]:
                raise ModelError(f"its {'further ' * (place > 0)}output {name} must not be used")

    def _result(self, op: Op, handlers: Mapping[str, "Handler"]) -> "Results":
        known = [self.tensors[name] if name else None for name in op.inputs]
        constants = tuple(tensor for tensor in known if not isinstance(tensor, Value))
        if op.kind in FOLDERS and len(constants) == len(known):
            self.spend(size(op, constants))
            return fold(op, constants)
        first = known[0] if known else None
        if isinstance(first, Value) and first.chosen and op.kind in FORMS:
            return first
        if op.kind not in handlers:
            raise ModelError(UNKNOWN)
        return handlers[op.kind](self, op)

    def enter(self, name: str) -> None:
        """Take a tensor that is the input but for an affine map as the input itself."""
        value = self.tensors[name]
        assert isinstance(value, Value)
        self.tensors[name] = replace(value, affine=None)

    def spend(self, count: int) -> None:
        """Take ``count`` constant values off the budget, before they are made."""
        self._budget -= count
        if self._budget < 0:
            raise ModelError(f"must make at most {self._most} constant values in all")

    def spelled(self, full: Shape) -> str:
        """Spell a shape in the model; N is the number of images, where it is open."""
        named = {self.batch: "N"} if self.open else {}
        return f"({', '.join(str(named.get(size, size)) for size in full)})"

    def reads(self, name: str) -> bool:
        """Tell whether an operator reads a tensor, or it is an output."""
        return self._uses[name] > 0

    def ends(self, op: Op) -> bool:
        """Tell whether all that an operator gives is an output, or becomes one, and no more."""
        used = [name for name in op.outputs if self._uses[name]]
        return bool(used) and self._ends.issuperset(used)

    def operand(self, op: Op, index: int, *, any_axis: bool = False) -> Result:
        """Return an input, whatever it is; a value may still have an affine map to fold.

        Its images have the first axis for themselves, unless ``any_axis`` will do.
        """
        if not op.has(index):
            raise ModelError(f"must have an input {index + 1}")
        name = op.inputs[index]
        tensor = self.tensors[name]
        if not isinstance(tensor, Value):
            return tensor
        tensor = replace(tensor, shared=tensor.shared or self._uses[name] > 1)
        return tensor if any_axis else self.images_first(tensor)

    def images_first(self, value: Value) -> Value:
        """Return the value if its images have the first axis; of a single one any axis will do."""
        full = value.full(1)
        if self.batch == full[0] == 1 < value.rank:
            value = self.relabelled(value, full[1:], 0, 0)
        if not value.ahead:
            raise ModelError(elsewhere(value))
        return value

    def pending(self, op: Op, index: int = 0, *, any_axis: bool = False) -> Value:
        """Return an input that depends on the network's; it may have an affine map to fold."""
        tensor = self.operand(op, index, any_axis=any_axis)
        if not isinstance(tensor, Value):
            raise ModelError(f"input {index + 1} must depend on the network's input")
        return tensor

    def value(self, op: Op, index: int = 0, *, any_axis: bool = False) -> Value:
        """Return an input that depends on the network's and has nothing left to fold."""
        return self.settle(self.pending(op, index, any_axis=any_axis))

    def rows(self, value: Value) -> Value:
        """Return the value as it is in the model: rows are not held as maps of height 1."""
        if not value.maps:
            return value
        source = self._relabel(value, value.shape, ".rows")
        return replace(value, source=source, maps=False)

    def maps(self, value: Value) -> Value:
        """Return the value with rows held as maps of height 1; what is none stays as it is."""
        if value.maps or len(value.shape) != 2:
            return value
        held = replace(value, maps=True)
        return replace(held, source=self._relabel(value, held.held, ".maps"))

    def relabelled(self, value: Value, shape: Shape, axis: int, outer: int) -> Value:
        """Return the value with another shape of each image, and its images elsewhere."""
        x = replace(self.rows(value), axis=axis, outer=outer)
        if shape == x.shape:
            return x
        if x.affine is not None:
            moved = self.moved(x, len(shape), lambda array: array.reshape(shape))
            x = replace(x, affine=moved)
        return replace(x, source=self._relabel(x, shape, ".image"), shape=shape)

    def moved(self, x: Value, rank: int, move: "Lay") -> Affine | None:
        """Return what is left to fold of a value behind what moves it as ``move`` does."""
        if x.affine is None:
            return None
        self.spend(0 if x.affine.uniform else 2 * math.prod(x.shape))
        return x.affine.moved(x.shape, rank, move)

    def _relabel(self, value: Value, shape: Shape, part: str) -> str:
        """Return the node that reshapes a value's source, the same for all who ask, or undo one."""
        source, key = value.source, (value.source, shape)
        if key not in self._relabelled:
            name = self._append(source + part, Reshape(shape), (source,))
            self._relabelled |= {key: name, (name, value.held): source}
        return self._relabelled[key]

    def _append(self, name: str, layer: Layer, sources: tuple[str, ...], unrolled: str = "") -> str:
        name = self._names.unique(name)
        self.nodes[name] = Node(name, layer, sources, unrolled=unrolled)
        return name

    def constant(self, op: Op, index: int) -> Array:
        """Return an input that does not depend on the network's."""
        tensor = self.operand(op, index)
        if isinstance(tensor, Value):
            raise ModelError(f"input {index + 1} must be a constant")
        return tensor

    def integers(self, op: Op, index: int, name: str, default: Sequence[int] = ()) -> list[int]:
        """Return axes or counts: a constant input in newer opsets, an attribute in older ones."""
        return sizes(self.constant(op, index)) if op.has(index) else list(op.get(name, default))

    def number(self, op: Op, index: int, name: str, default: float = 0.0) -> float:
        """Return one number: a constant input in newer opsets, an attribute in older ones."""
        if not op.has(index):
            return float(op.get(name, default))
        array = self.constant(op, index)
        if array.size != 1:
            raise ModelError(f"its {name} must be one number, not {array.size}")
        return float(array.reshape(-1)[0])

    def emit(
        self, op: Op, layer: Layer, *values: Value, part: str = "", unrolled: str = ""
    ) -> Value:
        """Append a node with ``op``'s name (and ``part``) that reads ``values``.

        The images lie where the first value's do. ``unrolled`` names the layer of a loop of which
        the node is one step. Where one of several rows is held as maps, all are, and what the layer
        makes of them.
        """
        maps = any(value.maps for value in values) and all(len(v.shape) == 2 for v in values)
        read = [self.maps(value) if maps else self.rows(value) for value in values]
        shape = layer.shape(*(value.held for value in read))
        if min(shape) < 1 or math.prod(shape) > MAX_VALUES:
            raise ModelError(f"its output must hold 1 to {MAX_VALUES} values, not {shape}")
        sources = tuple(value.source for value in read)
        name = self._append(op.name + part, layer, sources, unrolled)
        if maps and len(shape) == 3 and shape[1] == 1:
            return Value(name, (shape[0], shape[2]), maps=True).like(values[0])
        return Value(name, shape).like(values[0])

    def transform(self, op: Op, value: Value, gain: Array, offset: Array) -> Value:
        """Apply ``gain * x + offset``: folded into the source, or kept for the next layer.

        ``gain`` and ``offset`` broadcast to the value's shape, float64; an offset of minus infinity
        hides a place from the softmax that follows.
        """
        affine = Affine(gain, offset, op).after(value.affine)
        if not (np.isfinite(affine.gain).all() and (affine.offset < np.inf).all()):
            raise ModelError("its parameters must be finite")
        if not affine.changes:
            return replace(value, affine=None)
        if not value.shared and not affine.hides and value.source in self.nodes:
            home, lay = self.homes.get(value.source, (value.source, lambda array: array))
            node, (gain, offset) = self.nodes[home], map(lay, (affine.gain, affine.offset))
            laid = replace(affine, gain=gain, offset=offset)
            if folded := fold_back(node.layer, laid):
                self.nodes[node.name] = replace(node, layer=folded)
                return replace(value, affine=None)
        return replace(value, affine=affine)

    def at_home(self, value: Value, weighted: Value, lay: "Lay") -> Value:
        """Let what follows ``value`` be folded into the weighted layer that it was moved from.

        ``lay`` puts an array that broadcasts to the value's shape into the layer's, channels first.
        """
        if value.source != weighted.source:
            self.homes[value.source] = weighted.source, lay
        return value

    def settle(self, value: Value) -> Value:
        """Return the value with nothing left to fold.

        What no layer takes becomes one, on maps where the value is none.
        """
        if value.affine is None:
            return value
        if value.affine.hides:
            raise ModelError("its mask of -inf must be read by a Softmax alone")
        if value.affine not in self._settled:
            affine, op, bare = value.affine, value.affine.op, replace(value, affine=None)
            shape = value.shape
            uniform = value.maps and affine.uniform
            maps = value.held if uniform else as_maps(affine.gain, affine.offset, shape)
            self.spend(2 * maps[0])
            layer = as_layer(affine.gain, affine.offset, shape, maps[0])
            if maps == value.held:
                made = self.emit(op, layer, bare)
            else:
                made = self.emit(op, Reshape(maps), self.rows(bare), part=".maps")
                made = self.emit(op, layer, made)
                made = self.emit(op, Reshape(shape), made, part=".shape")
            self._settled[value.affine] = made
        return self._settled[value.affine].like(value)


Lay: TypeAlias = Callable[[Array], Array]

Results: TypeAlias = Result | tuple[Result | None, ...]
"""What an operator's outputs are; several where a model may use another than the first."""

Handler: TypeAlias = Callable[[Trace, Op], Results]
