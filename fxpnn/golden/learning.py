"""One step of training in fixed point, in Python integers: ``fxpnn.network.learning`` says what.

Images are taken one after the other, and every sum one product after the other. Tensors are
``{name: words}``; those of a batch are ``(images, *shape)``, their elements numbered in C order.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from fxpnn.fixedpoint.chance import Stochastic
from fxpnn.fixedpoint.integers import cast_raw
from fxpnn.fixedpoint.qformat import Overflow, QFormat
from fxpnn.golden import moves, values
from fxpnn.golden.chance import cast_by_chance, drawn
from fxpnn.golden.slopes import Passed, back, bias_slopes, weight_slopes
from fxpnn.golden.sums import Ints, Unit, compute
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Array
from fxpnn.network.learning import MOMENTUM_FRAC, Kind, Learning, parameters_of

FORMULAS = (moves, values)
"""The modules whose layers' formulas ``compute`` knows, beside those of sums."""

Tensors = dict[str, Ints]


class Learned(NamedTuple):
    """What a step gives: every tensor, and how many values of each kind saturated."""

    words: Tensors
    velocity: Tensors
    gradients: Tensors
    deltas: Tensors
    activations: Tensors
    saturations: dict[Kind, int]


@dataclass
class Caster:
    """The one cast of every tensor in a step, and the saturations so far."""

    learning: Learning
    step: int
    saturations: dict[Kind, int] = field(default_factory=lambda: dict.fromkeys(Kind, 0))

    def raw(
        self, value: int, frac: int, target: QFormat, tensor: int, element: int, count: int = 1
    ) -> tuple[int, bool]:
        """Cast ``value / count @ frac`` for an element of a tensor; tell whether it saturated."""
        rounding = self.learning.rounding
        if not isinstance(rounding, Stochastic):
            modes = rounding, Overflow.SATURATE
            return cast_raw(value, frac, target, *modes, count=count)
        u = drawn(rounding, tensor, self.step, element)
        return cast_by_chance(value, frac, target, rounding.bits, u, count)

    def kept(
        self, kind: Kind, value: int, frac: int, target: QFormat, place: tuple[int, int], count: int
    ) -> int:
        """Cast and count."""
        raw, out = self.raw(value, frac, target, *place, count)
        self.saturations[kind] += out
        return raw


@dataclass
class LearningUnit(Unit):
    """A node's arithmetic that rounds as training does; it numbers the outputs as it casts them."""

    caster: Caster | None = None
    tensor: int = 0
    element: int = 0

    def cast(self, value: int, frac: int, source: QFormat | None = None, count: int = 1) -> int:
        """Cast ``value / count @ frac`` to the next output."""
        assert self.caster is not None
        target = self.node.output_format
        raw, out = self.caster.raw(value, frac, target, self.tensor, self.element, count)
        self.element += 1
        if not (value < 0 and self.rectified):
            self.saturations += out and not self.node.clips_one
        return raw


def step(
    learning: Learning,
    words: Mapping[str, Array],
    velocity: Mapping[str, Array],
    raw_images: Array,
    labels: Array,
    number: int,
) -> Learned:
    """Take the step of this number, from 1: raw inputs ``(images, *input_shape)``, classes."""
    caster = Caster(learning, number)
    fixed = learning.with_words(words)
    tensors = _forward(fixed, caster, raw_images)
    deltas = _backward(fixed, caster, tensors, labels)
    gradients, moving, moved = {}, {}, {}
    for node in fixed.nodes:
        for name in parameters_of(node):
            sums = _summed(name, node, deltas[node.name], tensors[node.inputs[0]])
            frac = learning.deltas[node.name].frac
            if name.endswith(".weight"):
                frac += fixed.formats[node.inputs[0]].frac
            gradients[name] = _gradient(caster, node, name, sums, frac, len(labels))
            moving[name] = _velocity(caster, node, name, velocity[name], gradients[name])
            moved[name] = _word(caster, node, name, words[name], moving[name])
    return Learned(moved, moving, gradients, deltas, tensors, caster.saturations)


def _forward(fixed: FixedNetwork, caster: Caster, raw_images: Array) -> Tensors:
    tensors = {INPUT: raw_images.astype(object)}
    for node in fixed.nodes:
        sources = tuple(fixed.formats[name] for name in node.inputs)
        if node is fixed.nodes[-1]:
            unit = Unit(node, sources)  # the softmax has its own bits
        else:
            tensor = caster.learning.number(Kind.ACTIVATIONS, node.name)
            unit = LearningUnit(node, sources, node.name in fixed.rectified, caster=caster)
            unit.tensor = tensor
        made = [compute(node.layer, unit, x) for x in tensors[node.inputs[0]]]
        tensors[node.name] = np.array(made, object)
        if node is not fixed.nodes[-1]:
            caster.saturations[Kind.ACTIVATIONS] += unit.saturations
    return tensors


def _backward(fixed: FixedNetwork, caster: Caster, tensors: Tensors, labels: Array) -> Tensors:
    """Give the deltas of all nodes that have a parameter behind them, ``p - onehot`` first."""
    learning, (*hidden, softmax) = caster.learning, fixed.nodes
    error = tensors[softmax.name].copy()
    for image, label in enumerate(labels.tolist()):
        error[image, label] -= 1 << 15
    deltas = {learning.logits: error}
    first = next(i for i, node in enumerate(hidden) if parameters_of(node))
    for node in reversed(hidden[first + 1 :]):
        name = node.inputs[0]
        frac, target = learning.deltas[node.name].frac, learning.deltas[name]
        tensor, made = learning.number(Kind.DELTAS, name), list[int]()
        images = zip(deltas[node.name], tensors[name], tensors[node.name], strict=True)
        for delta, x, y in images:
            sent = back(node.layer, Passed(node, frac, delta, x, y))
            for value in sent.sums.flat:
                place = tensor, len(made)
                made.append(caster.kept(Kind.DELTAS, value, sent.frac, target, place, sent.divisor))
        deltas[name] = np.array(made, object).reshape(tensors[name].shape)
    return deltas


def _summed(name: str, node: FixedNode, deltas: Ints, inputs: Ints) -> Ints:
    """Sum a parameter's slope over all images, exactly."""
    slopes = weight_slopes if name.endswith(".weight") else bias_slopes
    return sum(
        (slopes(node.layer, delta, x) for delta, x in zip(deltas, inputs, strict=True)),
        start=np.array(0, object),
    )


def _gradient(
    caster: Caster, node: FixedNode, name: str, sums: Ints, frac: int, batch: int
) -> Ints:
    """``cast(sum / batch)``, of 0 where the mask is 0."""
    learning = caster.learning
    mask = np.broadcast_to(learning.masks.get(name, 1), sums.shape)
    tensor = learning.number(Kind.GRADIENTS, node.name, name)
    made = [
        caster.kept(Kind.GRADIENTS, s * int(m), frac, learning.gradients[name], (tensor, i), batch)
        for i, (s, m) in enumerate(zip(sums.flat, mask.flat, strict=True))
    ]
    return np.array(made, object).reshape(sums.shape)


def _velocity(caster: Caster, node: FixedNode, name: str, velocity: Array, gradient: Ints) -> Ints:
    """``cast(momentum * velocity + gradient)``."""
    learning, target = caster.learning, caster.learning.velocity[name]
    product_frac, gradient_frac = MOMENTUM_FRAC + target.frac, learning.gradients[name].frac
    frac = max(product_frac, gradient_frac)
    tensor = learning.number(Kind.VELOCITY, node.name, name)
    made = []
    for i, (v, g) in enumerate(zip(velocity.flat, gradient.flat, strict=True)):
        exact = (learning.momentum * int(v) << frac - product_frac) + (g << frac - gradient_frac)
        made.append(caster.kept(Kind.VELOCITY, exact, frac, target, (tensor, i), 1))
    return np.array(made, object).reshape(gradient.shape)


def _word(caster: Caster, node: FixedNode, name: str, words: Array, velocity: Ints) -> Ints:
    """``cast(word - rate * velocity)``."""
    learning, target = caster.learning, caster.learning.weights[name]
    product_frac = learning.rate_frac + learning.velocity[name].frac
    frac, rate = max(product_frac, target.frac), int(learning.rates[caster.step - 1])
    tensor = learning.number(Kind.WEIGHTS, node.name, name)
    made = []
    for i, (w, v) in enumerate(zip(words.flat, velocity.flat, strict=True)):
        exact = (int(w) << frac - target.frac) - (rate * v << frac - product_frac)
        made.append(caster.kept(Kind.WEIGHTS, exact, frac, target, (tensor, i), 1))
    return np.array(made, object).reshape(velocity.shape)
