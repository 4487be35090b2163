"""What a fixed network costs in bits: weights, activations, multipliers, accumulators, or a sum."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite, prod
from types import MappingProxyType
from typing import Self

from fxpnn.errors import FormatError
from fxpnn.network.fixed import FixedNetwork, FixedNode, raw_weights
from fxpnn.network.layers import products

NAMES = ("weights", "activations", "multipliers", "accumulators")
_TERM = re.compile(r"(?:([0-9][0-9.eE]*)\s*\*\s*)?([a-z]+)(?:\s*\*\s*([0-9][0-9.eE]*))?")
MAX_TEXT = 200


@dataclass(frozen=True)
class Cost:
    """A weighted sum of costs in bits, as a user writes it: ``weights + 4*activations``.

    - *weights*: how many there are, times their word; biases are not counted.
    - *activations*: values of every output that is cast, times its word; neither the input nor what
      passes words on, as ReLUs and max pools do.
    - *multipliers*: for each product of one image the input's word times the weight's, as stored,
      or the other input's.
    - *accumulators*: the outputs of every layer that sums, times its accumulator's word.
    """

    text: str
    factors: Mapping[str, float]

    def __reduce__(self) -> tuple[type[Self], tuple[str, dict[str, float]]]:
        return type(self), (self.text, dict(self.factors))

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read names, numbers, ``+`` and ``*``.

        >>> dict(Cost.parse("weights + 4*activations").factors)
        {'weights': 1.0, 'activations': 4.0}

        Raises:
            FormatError: it is no such sum.
        """
        factors: dict[str, float] = {}
        for term in text[:MAX_TEXT].split("+"):
            match = _TERM.fullmatch(term.strip())
            if match is None or match[2] not in NAMES or len(text) > MAX_TEXT:
                raise FormatError(
                    f"a cost must be one of {', '.join(NAMES)}, or a sum as 'weights + "
                    f"4*activations', not {text[:MAX_TEXT]!r}"
                )
            factor = _number(match[1], text) * _number(match[3], text)
            factors[match[2]] = factors.get(match[2], 0.0) + factor
        return cls(text, MappingProxyType(factors))

    def of(self, fixed: FixedNetwork) -> float:
        """Return what a network costs."""
        return sum(factor * bits(fixed, name) for name, factor in self.factors.items())


def _number(text: str | None, whole: str) -> float:
    try:
        number = float(text or 1)
    except ValueError:
        number = float("nan")
    if not isfinite(number) or number < 0:
        raise FormatError(f"a cost's factors must be numbers, not {text!r} in {whole!r}")
    return number


def bits(fixed: FixedNetwork, name: str) -> int:
    """Return one of the costs of a network."""
    return sum(_bits(fixed, node, name) for node in fixed.nodes)


def _bits(fixed: FixedNetwork, node: FixedNode, name: str) -> int:
    traits, shape = node.layer.traits, fixed.shapes[node.name]
    words = raw_weights(node.layer)
    if name == "weights":
        return 0 if words is None else words.size * node.weight_formats[0].word
    if name == "activations":
        return prod(shape) * node.output_format.word if traits.casts else 0
    if name == "multipliers":
        if not traits.sums:
            return 0
        source, *others = fixed.sources(node)
        factor = (*node.weight_formats, *others)[0]
        return products(node.layer, shape, fixed.shapes[node.inputs[0]]) * source.word * factor.word
    return 0 if node.accumulator is None else prod(shape) * node.accumulator.word
