"""Spell words in ONNX: as floats that a ``Quant`` rounds, or as integers and their scale.

QONNX's ``Quant`` says words of any width and most modes. ONNX's pair of QuantizeLinear and
DequantizeLinear, which ONNX Runtime runs, says words of 8 and 16 bits, rounded to nearest even.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
from onnx.helper import make_node

from fxpnn.errors import ModelError
from fxpnn.fixedpoint.qformat import MAX_WORD, Overflow, Rounding
from fxpnn.fixedpoint.requantize import Shift
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.graph import Network, Node
from fxpnn.network.layers import Array
from fxpnn.onnx.graph.quant import ROUNDINGS
from fxpnn.onnx.write.model import IR_VERSION, OPSET, Writer
from fxpnn.onnx.write.operators import Operator

QONNX = "qonnx.custom_op.general"
PARAMETERS = ("weight", "bias", "slope")
MODES = {mode: name for name, mode in ROUNDINGS.items() if name != "HALF_EVEN"}
"""QONNX's names of rounding modes; of two names the older, which all tools know."""


SATURATING = (Overflow.SATURATE, Overflow.SATURATE_SYMMETRIC)


class Words(NamedTuple):
    """A parameter: its raw words, int64, and their fraction bits, which broadcast to them.

    It is ``narrow`` where none is the least of its format.
    """

    raw: Array
    fracs: Array
    word: int
    signed: bool
    narrow: bool = False

    @property
    def scale(self) -> Array:
        """Give the value of one count: one number where it is one for all."""
        scale = np.ldexp(1.0, -self.fracs)
        return scale.flat[:1].reshape(()) if (scale == scale.flat[0]).all() else scale

    @property
    def numbers(self) -> Array:
        """Give what the words mean, float64."""
        return np.ldexp(self.raw.astype(np.float64), -self.fracs)


class Dialect(Writer, ABC):
    """Writes parameters as words, and the casts behind layers."""

    opsets: ClassVar[Mapping[str, int]]
    ir_version: ClassVar[int]
    fused_bias: ClassVar[int] = 64
    """Of how many bits a bias may be that stands in its layer."""

    def __init__(self, network: Network, fixed: FixedNetwork) -> None:
        super().__init__(network)
        self._formats = fixed.formats
        self._fixed = {node.name: node for node in fixed.nodes}

    @abstractmethod
    def refusals(self, cast: Shift) -> Iterator[str]:
        """Say what of a cast has no name here."""

    @abstractmethod
    def cast(self, cast: Shift, part: str) -> tuple[Operator, ...]:
        """Return the operators of a cast."""

    @abstractmethod
    def words(self, node: Node, name: str, words: Words) -> str:
        """Append a parameter that is words, and return the name of the tensor of its numbers."""

    def write(self, node: Node, chain: tuple[Operator, ...]) -> None:
        """Append operators, whose numbers must be exact."""
        for operator in chain:
            for name, value in operator.attributes.items():
                if isinstance(value, float):
                    _check_exact(node, name, np.array(value))
        super().write(node, chain)

    def constant(self, node: Node, name: str, array: Array | None) -> str:
        """Append a constant and return its name; parameters are words where those are not wide."""
        if array is None or name not in PARAMETERS:
            return self.exact(node, name, array)
        words = self._words(node, name, array)
        return (
            self.exact(node, name, array)
            if words.word > MAX_WORD
            else self.words(node, name, words)
        )

    def exact(self, node: Node, name: str, array: Array | None) -> str:
        """Append a constant as it is.

        Raises:
            ModelError: a number is none of float32.
        """
        if array is not None and array.dtype.kind == "f":
            _check_exact(node, name, array)
        return super().constant(node, name, array)

    def _words(self, node: Node, name: str, array: Array) -> Words:
        fixed = self._fixed[node.name]
        fracs, fmt = fixed.fracs(len(array)), fixed.weight_formats[0]
        if name == "bias":
            fracs = fixed.product_fracs(self._formats[fixed.inputs[0]])
        fracs = fracs.reshape(-1, *(1,) * (array.ndim - 1))
        raw = np.ldexp(array, fracs).astype(np.int64)
        if name == "bias":
            return Words(raw, fracs, max(2, int(np.abs(raw).max()).bit_length() + 1), True)
        narrow = fmt.signed and fixed.rounded.overflow is Overflow.SATURATE_SYMMETRIC
        return Words(raw, fracs, fmt.word, fmt.signed, narrow)


def _check_exact(node: Node, name: str, array: Array) -> None:
    with np.errstate(over="ignore"):
        if (array.astype(np.float32) != array).any():
            raise ModelError(f"layer {node.name} ({node.op}): {name} must fit float32")


class Qonnx(Dialect):
    """Writes ``Quant``, its scale, zero point and bits as numbers of float32."""

    opsets: ClassVar = {"": OPSET, QONNX: 1}
    ir_version: ClassVar = IR_VERSION

    def refusals(self, cast: Shift) -> Iterator[str]:
        """QONNX always saturates, and has no nearest mode that breaks ties up or down."""
        if cast.rounding not in MODES:
            names = ", ".join(mode.value for mode in MODES)
            yield f"rounding must be one of {names} in QONNX, not {cast.rounding.value}"
        if cast.overflow not in SATURATING:
            names = " or ".join(mode.value for mode in SATURATING)
            yield f"overflow must be {names} in QONNX, not {cast.overflow.value}"

    def cast(self, cast: Shift, part: str) -> tuple[Operator, ...]:
        """Return a ``Quant``."""
        fmt, narrow = cast.format, cast.overflow is Overflow.SATURATE_SYMMETRIC
        numbers = {"scale": fmt.lsb, "zero": 0.0, "bits": float(fmt.word)}
        constants = {name: np.array(number) for name, number in numbers.items()}
        modes = _modes(fmt.signed, narrow, MODES[cast.rounding])
        return (Operator("Quant", constants, modes, part, domain=QONNX),)

    def words(self, node: Node, name: str, words: Words) -> str:
        """Append numbers and a ``Quant`` that does nothing to them but say what they are."""
        numbers = {"scale": words.scale, "zero": 0.0, "bits": float(words.word)}
        reads = [self.exact(node, name, words.numbers)]
        reads += [self.exact(node, key, np.asarray(value)) for key, value in numbers.items()]
        output = self.names.unique(f"{node.name}.{name}.words")
        modes = _modes(words.signed, words.narrow, MODES[Rounding.NEAREST_EVEN])
        self.nodes.append(make_node("Quant", reads, [output], output, domain=QONNX, **modes))
        return output


def _modes(signed: bool, narrow: bool, rounding: str) -> dict[str, Any]:
    return {"signed": int(signed), "narrow": int(narrow), "rounding_mode": rounding}


class Qdq(Dialect):
    """Writes integers with a DequantizeLinear behind them, and pairs for casts."""

    opsets: ClassVar = {"": 21}
    """The first in which QuantizeLinear has words of 16 bits."""
    ir_version: ClassVar = 10
    fused_bias: ClassVar = 32
    """ONNX Runtime (1.31) makes integers of 32 bits of it, and does not look whether it fits."""

    def refusals(self, cast: Shift) -> Iterator[str]:
        """ONNX rounds to nearest even and saturates, to whole bytes."""
        if (cast.format.word, cast.format.signed) not in _INTEGERS:
            yield f"a word must be of 8 or, signed, 16 bits in QDQ, not {cast.format}"
        if cast.rounding is not Rounding.NEAREST_EVEN:
            yield f"rounding must be nearest-even in QDQ, not {cast.rounding.value}"
        if cast.overflow is not Overflow.SATURATE:
            yield f"overflow must be saturate in QDQ, not {cast.overflow.value}"

    def cast(self, cast: Shift, part: str) -> tuple[Operator, ...]:
        """Return the pair; its zero point has the type of the words."""
        fmt = cast.format
        zero = np.zeros((), _INTEGERS[fmt.word, fmt.signed])
        constants = {"scale": np.array(fmt.lsb), "zero": zero}
        return (
            Operator("QuantizeLinear", constants, part=part),
            Operator("DequantizeLinear", constants, part=".numbers"),
        )

    def words(self, node: Node, name: str, words: Words) -> str:
        """Append integers and a DequantizeLinear, along the channels where they differ in scale."""
        kind = next(
            kind
            for (word, signed), kind in _INTEGERS.items()
            if words.word <= word and (words.signed == signed or (signed and words.word < word))
        )
        scale = words.scale.reshape(-1) if words.scale.size > 1 else words.scale
        reads = [self.exact(node, name, words.raw.astype(kind)), self.exact(node, "scale", scale)]
        output = self.names.unique(f"{node.name}.{name}.numbers")
        self.nodes.append(make_node("DequantizeLinear", reads, [output], output, axis=0))
        return output


_INTEGERS = {(8, False): "uint8", (8, True): "int8", (16, True): "int16", (32, True): "int32"}
"""The types of words by their bits and sign, the narrowest first."""
