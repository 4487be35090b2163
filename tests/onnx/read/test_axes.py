"""Images along any axis of a model's tensors: each is computed for itself, or the model refused."""

import math
from typing import Any

import numpy as np
import onnx
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from fxpnn.errors import ModelError
from fxpnn.network.layers import Array
from fxpnn.onnx import from_model
from fxpnn.reference import forward
from tests.support.onnx_models import floats, model, op, runtime

SHAPE = (2, 6, 2)
"""The shape of each image; its sizes are parted and joined, and one is that of a batch."""


class Chain:
    """Operators one behind another, drawn for a tensor whose ``shape`` is known as it grows."""

    def __init__(self, draw: st.DrawFn, batch: int) -> None:
        self.draw = draw
        self.shape: tuple[int, ...] = (batch, *SHAPE)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, Array] = {}
        self.last = "x"

    def add(self, kind: str, shape: tuple[int, ...], *others: Array, **attributes: Any) -> None:
        """Append an operator that reads the last tensor, and constants."""
        names = [f"c{len(self.weights) + i}" for i in range(len(others))]
        self.weights |= dict(zip(names, others, strict=True))
        output = f"t{len(self.nodes)}"
        self.nodes.append(op(kind, " ".join([self.last, *names]), output, **attributes))
        self.last, self.shape = output, shape

    def axis(self) -> int:
        """Draw an axis."""
        return self.draw(st.integers(0, len(self.shape) - 1))

    def without(self, axis: int, *instead: int) -> tuple[int, ...]:
        """Return the shape with other sizes instead of an axis."""
        return (*self.shape[:axis], *instead, *self.shape[axis + 1 :])

    def transpose(self) -> None:
        """Reorder the axes."""
        order = self.draw(st.permutations(range(len(self.shape))))
        self.add("Transpose", tuple(self.shape[axis] for axis in order), perm=order)

    def squeeze(self) -> None:
        """Take an axis of size 1 away."""
        ones = [axis for axis, size in enumerate(self.shape) if size == 1]
        if ones and len(self.shape) > 2:
            axis = self.draw(st.sampled_from(ones))
            self.add("Squeeze", self.without(axis), np.array([axis]))

    def unsqueeze(self) -> None:
        """Put an axis of size 1 somewhere."""
        axis = self.draw(st.integers(0, len(self.shape)))
        if len(self.shape) < 6:
            shape = (*self.shape[:axis], 1, *self.shape[axis:])
            self.add("Unsqueeze", shape, np.array([axis]))

    def reshape(self) -> None:
        """Join two axes, or part one, with one size maybe left open."""
        axis = self.axis()
        size = self.shape[axis]
        if self.draw(st.booleans()) and axis + 1 < len(self.shape):
            shape = (*self.shape[:axis], size * self.shape[axis + 1], *self.shape[axis + 2 :])
        else:
            part = self.draw(st.sampled_from([n for n in range(1, size + 1) if size % n == 0]))
            shape = self.without(axis, part, size // part)
        if 1 < len(shape) < 7:
            target = list(shape)
            if self.draw(st.booleans()):
                target[self.draw(st.integers(0, len(shape) - 1))] = -1
            self.add("Reshape", shape, np.array(target))

    def flatten(self) -> None:
        """Join the axes before one, and those from it on."""
        axis = self.axis()
        shape = (math.prod(self.shape[:axis]), math.prod(self.shape[axis:]))
        self.add("Flatten", shape, axis=axis)

    def slice(self) -> None:
        """Keep places from one on, to the end or another."""
        axis = self.axis()
        start = self.draw(st.integers(0, self.shape[axis] - 1))
        end = self.draw(st.sampled_from([start + 1, 2**31 - 1]))
        kept = min(end, self.shape[axis]) - start
        arrays = [np.array([n]) for n in (start, end, axis)]
        self.add("Slice", self.without(axis, kept), *arrays)

    def gather(self) -> None:
        """Take one place, or some."""
        axis = self.axis()
        index = self.draw(st.sampled_from([np.array(-1), np.array([0, -1]), np.array([[0], [0]])]))
        if len(self.shape) + index.ndim > 2:
            self.add("Gather", self.without(axis, *index.shape), index, axis=axis)

    def concat(self) -> None:
        """Put a tensor beside itself."""
        axis = self.axis()
        if math.prod(self.shape) < 500:
            self.nodes.append(op("Concat", f"{self.last} {self.last}", "joined", axis=axis))
            self.nodes[-1].output[0] = f"t{len(self.nodes) - 1}"
            self.last = f"t{len(self.nodes) - 1}"
            self.shape = self.without(axis, 2 * self.shape[axis])

    def reduce(self) -> None:
        """Keep the largest along an axis."""
        axis, keeps = self.axis(), self.draw(st.booleans())
        if keeps or len(self.shape) > 2:
            shape = self.without(axis, *[1] * keeps)
            self.add("ReduceMax", shape, axes=[axis], keepdims=int(keeps))

    def scale(self) -> None:
        """Multiply by a constant that differs along some axes."""
        some = tuple(self.draw(st.sampled_from([1, size])) for size in self.shape)
        self.add("Mul", self.shape, floats(*some))

    def add_itself(self) -> None:
        """Add a function of the tensor to it."""
        self.nodes.append(op("Abs", self.last, f"t{len(self.nodes)}"))
        both = f"{self.last} t{len(self.nodes) - 1}"
        self.last = f"t{len(self.nodes)}"
        self.nodes.append(op("Add", both, self.last))

    def multiply(self) -> None:
        """Multiply rows by a matrix."""
        if len(self.shape) > 1:
            weight = floats(self.shape[-1], 3)
            self.add("MatMul", (*self.shape[:-1], 3), weight)

    def product(self) -> None:
        """Multiply matrices by their own transposes."""
        rank = len(self.shape)
        if rank > 1:
            turned = f"t{len(self.nodes)}"
            order = [*range(rank - 2), rank - 1, rank - 2]
            self.nodes.append(op("Transpose", self.last, turned, perm=order))
            both, self.last = f"{self.last} {turned}", f"t{len(self.nodes) + 1}"
            self.nodes.append(op("MatMul", both, f"{self.last}.products"))
            self.nodes.append(op("Tanh", f"{self.last}.products", self.last))
            self.shape = (*self.shape[:-1], self.shape[-2])

    def softmax(self) -> None:
        """Make what lies along an axis add up to 1."""
        self.add("Softmax", self.shape, axis=self.axis())


MOVES = ("transpose", "squeeze", "unsqueeze", "reshape", "flatten")
STEPS = (
    *(*MOVES, *MOVES, "slice", "gather", "concat", "reduce", "scale", "add_itself"),
    *("multiply", "product", "softmax"),
)


@st.composite
def models(draw: st.DrawFn, batch: int, size: int | str) -> onnx.ModelProto:
    """Draw a chain of operators for a batch, of an opset in which all their forms are known."""
    chain = Chain(draw, batch)
    for step in draw(st.lists(st.sampled_from(STEPS), min_size=2, max_size=7)):
        getattr(chain, step)()
    chain.add("Sigmoid", chain.shape)
    chain.nodes[-1].output[0] = "y"
    return model(*chain.nodes, shape=(size, *SHAPE), weights=chain.weights)


def same(found: Array, wanted: Array) -> bool:
    """Tell whether two arrays are equal but for how sums are added."""
    return found.shape == wanted.shape and np.allclose(found, wanted, 1e-4, 1e-4)


@settings(max_examples=300)
@given(proto=models(batch=1, size=1))
def test_a_single_image_may_lie_along_any_axis(proto: onnx.ModelProto) -> None:
    """ONNX Runtime gives the same numbers in the same order, whatever axes are made of its own."""
    network = from_model(proto)
    x = floats(1, *SHAPE)
    (found,) = forward(network, x).values()
    (wanted,) = runtime(proto, x)
    assert same(found.reshape(-1), wanted.reshape(-1))


@settings(max_examples=300)
@given(proto=models(batch=3, size="N"))
def test_images_are_never_mixed(proto: onnx.ModelProto) -> None:
    """What is read gives ONNX Runtime's numbers of several images, or the model is refused."""
    try:
        network = from_model(proto)
    except ModelError:
        event("refused")
        assume(False)
    event("read")
    for batch in (3, 5):
        x = floats(batch, *SHAPE)
        (found,) = forward(network, x).values()
        (wanted,) = runtime(proto, x)
        moved = [np.moveaxis(wanted, axis, 0) for axis in range(wanted.ndim)]
        assert any(same(found, turned) for turned in moved)
