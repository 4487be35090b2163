"""Training in fixed point: its tensors, the format of each, and the constants of a step.

Every tensor is of one *kind*: the words that are trained (weights, biases), activations (outputs of
nodes), deltas (the cost's derivative by an output, of a whole batch's images each for itself),
gradients (the mean over the batch) and velocities. A step is::

    delta of the logits = softmax(logits) - onehot, in Q0.15
    delta of an output  = cast(the exact sum that the layer behind it sends back)
    gradient            = cast(the exact sum over the batch / batch)
    velocity            = cast(momentum * velocity + gradient)
    word                = cast(word - rate * velocity)

Each cast is one: the exact value is rounded once, to the tensor's own format, and saturates. A
quotient counts the bits that it drops from the exact sum's fraction; the velocity's cast from the
finer of ``momentum * velocity`` and the gradient, the word's from the finer of word and
``rate * velocity``. The cast of an activation passes its delta on as it is, saturated or not.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType

import numpy as np

from fxpnn.errors import FormatError, ModelError
from fxpnn.fixedpoint.casting import requantize
from fxpnn.fixedpoint.chance import Stochastic
from fxpnn.fixedpoint.qformat import Overflow, QFormat, Rounding
from fxpnn.network.fixed import FixedNetwork, FixedNode, Losses, raw_weights
from fxpnn.network.layers import (
    Array,
    AvgPool2D,
    Conv2D,
    Dense,
    Flatten,
    MaxPool2D,
    Relu,
    Reshape,
    Sigmoid,
    Softmax,
    Tanh,
)
from fxpnn.network.value import Value

MOMENTUM_FRAC = 15
"""Momentum is a word of Q0.15."""
LOGITS_DELTA = QFormat(16, 15)
"""The format of ``p - onehot``, which is exact in it."""
CURVED_FRAC = 15
"""The most fraction bits of an output y whose ``delta * (1 - y * y)`` a double holds exactly."""
FRACS = range(-6, 25)
"""The fraction bits that a tensor may have: then no cast drops more than 61."""
TRAINED = (Dense, Conv2D, Relu, Tanh, Sigmoid, MaxPool2D, AvgPool2D, Flatten, Reshape)
"""The layers that are trained in fixed point, in front of the softmax."""
ROOM = 62
"""The bits that the exact values of a step must fit."""


class Kind(Enum):
    """The kinds of tensors, as files and reports spell them."""

    WEIGHTS = "weights"
    ACTIVATIONS = "activations"
    DELTAS = "deltas"
    GRADIENTS = "gradients"
    VELOCITY = "velocity"


_FORMATS = "weights", "deltas", "gradients", "velocity"
_OF_NODE = {Kind.ACTIVATIONS: 0, Kind.DELTAS: 1}
_OF_WORDS = {Kind.WEIGHTS: 0, Kind.GRADIENTS: 1, Kind.VELOCITY: 2}


@dataclass(frozen=True, eq=False, repr=False)
class Learning(Value):
    """What stays the same in all steps: formats, rounding, and the constants as raw words.

    ``fixed`` is the network before the first step; its outputs' formats are the activations'.
    ``weights``, ``gradients`` and ``velocity`` hold a format for each parameter by its name,
    ``deltas`` for each node's output. ``momentum`` is a word of Q0.15; ``rates`` holds a word for
    each step, ``(steps,)``, at ``rate_frac``; no
    step has more images than ``batch``. ``masks`` holds 0 where a parameter may not change.

    Raises:
        FormatError: formats lie too far apart to compute in 62 bits, or that of the logits' deltas
            is not Q0.15.
        ModelError: the network is no chain of known layers with a softmax at its end.
    """

    fixed: FixedNetwork
    weights: Mapping[str, QFormat]
    deltas: Mapping[str, QFormat]
    gradients: Mapping[str, QFormat]
    velocity: Mapping[str, QFormat]
    rates: Array
    rate_frac: int
    momentum: int = 0
    batch: int = 1
    rounding: Rounding | Stochastic = Rounding.NEAREST_EVEN
    masks: Mapping[str, Array] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        for name in (*_FORMATS, "masks"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
        check_chain(self.fixed)
        if self.deltas[self.logits] != LOGITS_DELTA:
            raise FormatError(
                f"deltas of {self.logits}, the logits, must be {LOGITS_DELTA}, "
                f"not {self.deltas[self.logits]}"
            )
        self._check_fracs()
        for node in self.fixed.nodes[:-1]:
            _check_layer(node)
            self._check_room(node)

    def _check_fracs(self) -> None:
        """Check that no format is so fine or coarse that a cast drops more than 61 bits."""
        kinds = self.fixed.formats, self.weights, self.deltas, self.gradients, self.velocity
        for kind, formats in zip(("activations", *_FORMATS), kinds, strict=True):
            for name, fmt in formats.items():
                if fmt.for_tensor().frac not in FRACS:
                    raise FormatError(
                        f"{kind} of {name} must have {FRACS[0]} to {FRACS[-1]} fraction bits to be "
                        f"trained, not {fmt.frac} ({fmt})"
                    )

    def _check_room(self, node: FixedNode) -> None:
        """Check that sums fit their register, and all that a step computes for words 62 bits."""
        if not parameters_of(node):
            return
        shape, source = self.fixed.shapes[node.name], self.fixed.formats[node.inputs[0]]
        self._check_sums(node, source)
        places = self.batch * math.prod(shape[1:])
        for name, frac in zip(parameters_of(node), (source.frac, 0), strict=True):
            word, gradient = self.weights[name].frac, self.gradients[name].frac
            velocity = self.velocity[name].frac
            dropped = self.deltas[node.name].frac + frac - gradient
            momentum, step = MOMENTUM_FRAC + velocity - gradient, self.rate_frac + velocity - word
            for what, bits in (
                ("gradients", 31 + places.bit_length() + max(0, -dropped)),
                ("gradients", self.batch.bit_length() + max(0, dropped) + self.random_bits + 1),
                ("velocity", 1 + max(31 + max(0, -momentum), 16 + max(0, momentum))),
                ("weights", 1 + max(31 + max(0, -step), 16 + max(0, step))),
            ):
                if bits > ROOM:
                    raise FormatError(
                        f"{what} of {name} must be computed in {ROOM} bits, not {bits}; bring the "
                        "fraction bits of its formats nearer to each other"
                    )

    def _check_sums(self, node: FixedNode, source: QFormat) -> None:
        """Check that no register overflows, so that sums are the same in any order."""
        assert node.accumulator is not None
        weight, bias = (self.weights[name] for name in parameters_of(node))
        weights = raw_weights(node.layer)
        assert weights is not None
        terms = weights[0].size * (1 << weight.word - 1) * max(-source.min, source.max)
        finer = max(0, source.frac + weight.frac - bias.frac)
        bits = (terms + (1 << bias.word - 1 + finer)).bit_length() + 1
        if bits > node.accumulator.word:
            raise FormatError(
                f"sums of {node.name} ({node.op}) must fit an accumulator of "
                f"{node.accumulator.word} bits, not need {bits}; use shorter words, or a bias with "
                "more fraction bits"
            )

    @property
    def logits(self) -> str:
        """Name the node in front of the softmax."""
        return self.fixed.nodes[-1].inputs[0]

    @property
    def random_bits(self) -> int:
        """Give R, 0 where rounding is not by chance."""
        return self.rounding.bits if isinstance(self.rounding, Stochastic) else 0

    def number(self, kind: Kind, node: str, parameter: str = "") -> int:
        """Number a tensor, for its draws: 16 for each node, then which of its tensors it is."""
        index = next(i for i, known in enumerate(self.fixed.nodes) if known.name == node)
        if not parameter:
            return 16 * index + _OF_NODE[kind]
        return 16 * index + (5 if parameter.endswith(".bias") else 2) + _OF_WORDS[kind]

    def with_words(self, words: Mapping[str, Array]) -> FixedNetwork:
        """Return the network that holds these words: what runs as it is trained."""
        nodes = tuple(self._holding(node, words) for node in self.fixed.nodes)
        return replace(self.fixed, nodes=nodes)

    def _holding(self, node: FixedNode, words: Mapping[str, Array]) -> FixedNode:
        if not isinstance(node.layer, Dense | Conv2D):
            return node
        weight, bias = (words[name] for name in parameters_of(node))
        bias = self.aligned(node, bias)
        layer = replace(node.layer, weight=weight.astype(np.int16), bias=bias)
        return replace(node, layer=layer, losses=Losses())

    def aligned(self, node: FixedNode, bias: Array) -> Array:
        """Bring a bias's words to the scale of the products, int64; a finer one is cast to it."""
        source = self.weights[f"{node.name}.bias"]
        frac = int(self.fixed.product_fracs(node)[0])
        words = bias.astype(np.int64)
        if frac >= source.frac:
            return words << (frac - source.frac)
        coarse = QFormat(32, frac)
        return requantize(words, source.frac, coarse, Rounding.NEAREST_EVEN, Overflow.SATURATE)[0]


def _check_layer(node: FixedNode) -> None:
    """Check what only training asks of a layer."""
    if not isinstance(node.layer, TRAINED):
        known = ", ".join(kind.__name__ for kind in TRAINED)
        raise ModelError(
            f"layer {node.name} ({node.op}) must be one of {known} to be trained in fixed point"
        )
    if isinstance(node.layer, AvgPool2D) and (
        any(node.layer.window.padding) or node.layer.window.ceil_mode
    ):
        raise ModelError(
            f"layer {node.name} ({node.op}) must have windows that all lie inside the map to be "
            "trained in fixed point"
        )
    if node.weight_formats[1:]:
        raise FormatError(f"layer {node.name} ({node.op}) must have one format of weights")
    curved = isinstance(node.layer, Tanh | Sigmoid)
    if curved and not 0 <= node.output_format.frac <= CURVED_FRAC:
        raise FormatError(
            f"layer {node.name} ({node.op}): output must have 0 to {CURVED_FRAC} fraction bits, "
            f"not {node.output_format.frac}"
        )


def parameters_of(node: FixedNode) -> tuple[str, ...]:
    """Name the parameters of a node that are trained: its weight and bias, or none."""
    return (f"{node.name}.weight", f"{node.name}.bias") if node.layer.traits.sums else ()


def check_chain(network: FixedNetwork) -> None:
    """Raise ``ModelError`` unless each node reads the one before it, and the last is a softmax."""
    before = "input"
    for node in network.nodes:
        if node.inputs != (before,):
            raise ModelError(
                f"layer {node.name} ({node.op}) must read {before} alone to be trained in fixed "
                f"point, not {', '.join(node.inputs)}"
            )
        before = node.name
    last = network.nodes[-1]
    if not isinstance(last.layer, Softmax) or len(network.shapes[last.name]) != 1:
        raise ModelError(
            f"layer {last.name} ({last.op}) must be a softmax of a vector, the last of a network "
            "that is trained in fixed point"
        )
    if len(network.nodes) == 1 or network.outputs != (last.name,):
        raise ModelError("training in fixed point must have layers, and the softmax as its output")
