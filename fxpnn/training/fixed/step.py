"""One step of training in fixed point: equal to the golden model in every word, and fast.

``fxpnn.network.learning`` says what a step is, ``fxpnn.golden.learning`` what it gives.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

import numpy as np

from fxpnn.fixedpoint.casting import Raw
from fxpnn.fixedpoint.chance import Place
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.fixedpoint.softmax import softmax
from fxpnn.network.fixed import FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Array, Layer
from fxpnn.network.learning import MOMENTUM_FRAC, Kind, Learning, parameters_of
from fxpnn.training.fixed.casts import Counted, cast
from fxpnn.training.fixed.passes import Exact, moved, outputs, sent
from fxpnn.training.gradients import parameter_gradients

Tensors = dict[str, Array]
TERMS = 1 << 22
"""So many products of 16-bit words at most are summed in doubles at a time."""


class Asked(NamedTuple):
    """Of a parameter's words, how many had something to learn, and how many of these moved."""

    asked: int
    moved: int


@dataclass
class Stepped:
    """What a step gives: words and velocities, and what happened on the way.

    ``correct`` counts the images whose class the network knew before the step. The other tensors
    are there where they were to be kept.
    """

    words: Tensors = field(default_factory=dict)
    velocity: Tensors = field(default_factory=dict)
    gradients: Tensors = field(default_factory=dict)
    deltas: Tensors = field(default_factory=dict)
    activations: Tensors = field(default_factory=dict)
    saturations: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(Kind, 0))
    updates: dict[str, Asked] = field(default_factory=dict)
    correct: int = 0


def step(
    learning: Learning,
    words: Mapping[str, Array],
    velocity: Mapping[str, Array],
    raw_images: Array,
    labels: Array,
    number: int,
    *,
    block: int = 1 << 10,
    keep: bool = False,
) -> Stepped:
    """Take the step of this number, from 1, on raw inputs ``(N, *input_shape)`` and classes.

    The batch is cut in blocks of at most ``block`` images; their size changes no bit. ``keep``
    also gives gradients, deltas and activations.
    """
    run = _Step(learning, words, number, keep)
    block = min(block, run.largest_block)
    sums: dict[str, Raw] = {}
    for first in range(0, len(labels), block):
        part = slice(first, first + block)
        for name, values in run.block(raw_images[part], labels[part], first):
            sums[name] = sums[name] + values if name in sums else values
    for node in learning.fixed.nodes:
        for name in parameters_of(node):
            run.learn(node, name, velocity[name], sums[name], len(labels))
    return run.done


class _Step:
    """A step that is being taken: the layers with their words as doubles, and what is done."""

    def __init__(
        self, learning: Learning, words: Mapping[str, Array], number: int, keep: bool
    ) -> None:
        self.learning, self.words, self.number, self.keep = learning, words, number, keep
        self.done = Stepped()
        self.layers = {node.name: self._in_doubles(node) for node in learning.fixed.nodes}

    def _in_doubles(self, node: FixedNode) -> Layer:
        if not parameters_of(node):
            return node.layer
        weight, bias = (self.words[name] for name in parameters_of(node))
        arrays: dict[str, Any] = {
            "weight": weight.astype(np.float64),
            "bias": self.learning.aligned(node, bias).astype(np.float64),
        }
        for array in arrays.values():
            array.setflags(write=False)  # so that the layer takes it without a copy
        return replace(node.layer, **arrays)

    @property
    def largest_block(self) -> int:
        """Give how many images may be summed in doubles."""
        shapes = self.learning.fixed.shapes
        places = (
            prod(shapes[node.name][1:]) for node in self.learning.fixed.nodes if parameters_of(node)
        )
        return max(1, TERMS // max(places))

    def block(self, images: Array, labels: Array, first: int) -> Iterator[tuple[str, Raw]]:
        """Run some images, the first of which is ``first`` in the batch; give slopes' sums."""
        values = self._forward(images, first)
        deltas = self._backward(values, labels, first)
        if self.keep:
            for kept, made in ((self.done.activations, values), (self.done.deltas, deltas)):
                for name, tensor in made.items():
                    parts = (kept[name], tensor) if name in kept else (tensor,)
                    kept[name] = np.concatenate(parts)
        for node in self.learning.fixed.nodes:
            if parameters_of(node):
                x, layer = values[node.inputs[0]], self.layers[node.name]
                slopes = parameter_gradients(layer, deltas[node.name], x)
                for name, field_name in zip(parameters_of(node), ("weight", "bias"), strict=True):
                    yield name, slopes[field_name].astype(np.int64)

    def _cast(self, exact: Exact, target: QFormat, tensor: int, first: int = 0) -> Counted:
        place = Place(tensor, self.number, first)
        values, rounding = exact.whole, self.learning.rounding
        return cast(values, exact.frac, target, rounding, place, exact.divisor)

    def _kept(self, kind: Kind, exact: Exact, target: QFormat, tensor: int, first: int = 0) -> Raw:
        """Cast and count."""
        made = self._cast(exact, target, tensor, first)
        self.done.saturations[kind] += made.above + made.below
        return made.raw

    def _forward(self, images: Array, first: int) -> Tensors:
        fixed = self.learning.fixed
        values: Tensors = {INPUT: images.astype(np.float64)}
        for node in fixed.nodes[:-1]:
            x, source = values[node.inputs[0]], fixed.formats[node.inputs[0]]
            exact = outputs(self.layers[node.name], node, x, source)
            if exact is None:
                values[node.name] = moved(node.layer, x, source)
                continue
            tensor = self.learning.number(Kind.ACTIVATIONS, node.name)
            start = first * prod(fixed.shapes[node.name])
            made = self._cast(exact, node.output_format, tensor, start)
            if not node.clips_one:
                below = 0 if node.name in fixed.rectified else made.below
                self.done.saturations[Kind.ACTIVATIONS] += made.above + below
            values[node.name] = made.raw.astype(np.float64)
        return values

    def _backward(self, values: Tensors, labels: Array, first: int) -> Tensors:
        learning, fixed = self.learning, self.learning.fixed
        last, logits = fixed.nodes[-1], values[learning.logits]
        assert last.table is not None
        delta = softmax(logits.astype(np.int64), fixed.formats[learning.logits].frac, last.table)
        delta[np.arange(len(labels)), labels] -= 1 << 15
        self.done.correct += int((logits.argmax(axis=1) == labels).sum())
        deltas: Tensors = {learning.logits: delta.astype(np.float64)}
        for node in reversed(self._behind_parameters):
            name = node.inputs[0]
            exact = sent(
                self.layers[node.name],
                node,
                learning.deltas[node.name].frac,
                deltas[node.name],
                values[node.name],
                values[name],
            )
            tensor, start = learning.number(Kind.DELTAS, name), first * prod(fixed.shapes[name])
            made = self._kept(Kind.DELTAS, exact, learning.deltas[name], tensor, start)
            deltas[name] = made.astype(np.float64)
        return deltas

    @cached_property
    def _behind_parameters(self) -> tuple[FixedNode, ...]:
        """Give the nodes whose inputs depend on a parameter, but for the softmax."""
        hidden = self.learning.fixed.nodes[:-1]
        first = next(i for i, node in enumerate(hidden) if parameters_of(node))
        return hidden[first + 1 :]

    def learn(self, node: FixedNode, name: str, velocity: Array, sums: Raw, batch: int) -> None:
        """Cast a parameter's gradient, its velocity and its words."""
        learning, word = self.learning, self.learning.weights[name]
        frac = learning.deltas[node.name].frac
        if name.endswith(".weight"):
            frac += learning.fixed.formats[node.inputs[0]].frac
        if name in learning.masks:
            sums = sums * learning.masks[name].astype(np.int64)
        tensor = learning.number(Kind.GRADIENTS, node.name, name)
        exact = Exact(sums, frac, batch)
        gradient = self._kept(Kind.GRADIENTS, exact, learning.gradients[name], tensor)
        exact = _moving(learning, name, velocity, gradient)
        tensor = learning.number(Kind.VELOCITY, node.name, name)
        moving = self._kept(Kind.VELOCITY, exact, learning.velocity[name], tensor)
        before = self.words[name]
        exact = _updated(learning, name, before, moving, int(learning.rates[self.number - 1]))
        tensor = learning.number(Kind.WEIGHTS, node.name, name)
        after = self._kept(Kind.WEIGHTS, exact, word, tensor)
        changed = after != before
        asked = int(np.count_nonzero((sums != 0) | (moving != 0) | changed))
        self.done.updates[name] = Asked(asked, int(np.count_nonzero(changed)))
        self.done.words[name] = after.astype(np.int16)
        self.done.velocity[name] = moving.astype(np.int16)
        if self.keep:
            self.done.gradients[name] = gradient


def _moving(learning: Learning, name: str, velocity: Array, gradient: Raw) -> Exact:
    """Return ``momentum * velocity + gradient``, aligned."""
    before = MOMENTUM_FRAC + learning.velocity[name].frac
    fine = learning.gradients[name].frac
    frac = max(before, fine)
    if learning.momentum == 0 and fine == learning.velocity[name].frac:
        return Exact(gradient, fine)  # nothing is dropped, whatever stands behind the point
    moving = (velocity.astype(np.int64) * learning.momentum) << (frac - before)
    moving += gradient << (frac - fine)
    return Exact(moving, frac)


def _updated(learning: Learning, name: str, words: Array, moving: Raw, rate: int) -> Exact:
    """Return ``word - rate * velocity``, aligned."""
    change = learning.rate_frac + learning.velocity[name].frac
    fine = learning.weights[name].frac
    frac = max(change, fine)
    made = words.astype(np.int64) << (frac - fine)
    made -= (moving * rate) << (frac - change)
    return Exact(made, frac)
