"""Operators that quantize: the words they round to, from scale, zero point and bit width.

QONNX's ``Quant`` divides by the scale, clips to its word and rounds by a mode of its own; ONNX's
``QuantizeLinear`` rounds to nearest even. A scale must be a power of two, which is a format.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np

from fxpnn.errors import FormatError, ModelError
from fxpnn.fixedpoint.casting import from_float
from fxpnn.fixedpoint.qformat import MAX_WORD, Overflow, QFormat, Rounding
from fxpnn.fixedpoint.requantize import Shift
from fxpnn.network.folding import narrow
from fxpnn.network.layers import Array
from fxpnn.onnx.graph.normal import Op
from fxpnn.onnx.graph.proto import QUANTIZING, DType, number_type
from fxpnn.quantization.settings import held

QUANT = tuple(f"{domain}.{kind}" for domain, kind in product(QUANTIZING, ("Quant", "IntQuant")))
LINEAR, DELINEAR = (
    tuple(f"{domain}{kind}" for domain in ("", "com.microsoft."))
    for kind in ("QuantizeLinear", "DequantizeLinear")
)
QUANTIZERS = (*QUANT, *LINEAR, *DELINEAR)
PAIRED = "paired"
"""The attribute of a QuantizeLinear that gives numbers again, as the operator behind it does."""
LIMITS = "limits"
"""The attribute of one whose words a Clip keeps to these: Brevitas says narrow words so (QCDQ)."""

ROUNDINGS: Mapping[str, Rounding] = {
    "ROUND": Rounding.NEAREST_EVEN,
    "HALF_EVEN": Rounding.NEAREST_EVEN,
    "FLOOR": Rounding.FLOOR,
    "DOWN": Rounding.ZERO,
    "HALF_UP": Rounding.NEAREST_AWAY,
    "HALF_DOWN": Rounding.NEAREST_ZERO,
}
"""QONNX's rounding modes: its UP and DOWN are away from and toward zero. CEIL and UP have no equal.

From the table of the operator ``Quant`` in QONNX's documentation.
"""
_INTEGERS = ("int8", "uint8", "int16", "uint16", "int32")


@dataclass(frozen=True, eq=False)
class Quantizer:
    """Rounds numbers to words; ``fracs``, int64, broadcasts to what it quantizes."""

    word: int
    fracs: Array
    signed: bool
    rounding: Rounding = Rounding.NEAREST_EVEN
    overflow: Overflow = Overflow.SATURATE

    def formats(self, fracs: Array) -> tuple[QFormat, ...]:
        """Return its format at each of the fraction bits."""
        return tuple(QFormat(self.word, int(frac), self.signed) for frac in fracs.reshape(-1))

    def cast(self) -> Shift:
        """Return the one format and the modes; a tensor can have the bits that are ``held``.

        Raises:
            ModelError: no tensor can have it.
        """
        if self.fracs.size != 1:
            raise ModelError(f"scale must be one number, not {self.fracs.size}")
        try:
            (fmt,) = self.formats(self.fracs)
            held(fmt).for_tensor()
            return Shift(fmt, self.rounding, self.overflow)
        except FormatError as error:
            raise ModelError(str(error)) from None

    def raw(self, values: Array) -> Array:
        """Quantize constants to words, int64.

        Raises:
            ModelError: they are no numbers, or the scale does not fit their shape.
        """
        if values.dtype.kind != "f" or np.isnan(values).any():
            raise ModelError("must quantize numbers")
        self._check_shape(values)
        scaled = np.ldexp(values.astype(np.float64), self.fracs)
        return from_float(scaled, QFormat(self.word, 0, self.signed), self.rounding, self.overflow)

    def values(self, raw: Array) -> Array:
        """Return the numbers that words mean, exactly."""
        self._check_shape(raw)
        return narrow(np.ldexp(raw.astype(np.float64), -self.fracs))

    def _check_shape(self, values: Array) -> None:
        pairs = zip(values.shape[::-1], self.fracs.shape[::-1], strict=False)
        if self.fracs.ndim > values.ndim or any(size not in (1, n) for n, size in pairs):
            raise ModelError(f"scale must fit {values.shape}, not be {self.fracs.shape}")


def quantizer(op: Op, inputs: tuple[Array | None, ...], rank: int) -> Quantizer:
    """Read what a quantizing operator does to a tensor of ``rank`` axes.

    ``inputs`` are its own; the first, unless it is the words of a constant, plays no part.

    Raises:
        ModelError: it does what no format can say.
    """
    return _quant(op, inputs) if op.kind in QUANT else _linear(op, inputs, rank)


def _quant(op: Op, inputs: tuple[Array | None, ...]) -> Quantizer:
    if len(inputs) != 4:
        raise ModelError(f"must have 4 inputs, not {len(inputs)}")
    scale, zero, bits = (_given(array, i + 2) for i, array in enumerate(inputs[1:]))
    word = float(bits.reshape(-1)[0]) if bits.size == 1 else 0.0
    if word not in range(2, MAX_WORD + 1):
        raise ModelError(f"bit width must be one of 2 to {MAX_WORD}, not {bits.tolist()}")
    _check_zero(zero)
    signed, thin = op.flag("signed", default=True), op.flag("narrow")
    if thin and not signed:
        raise ModelError("narrow must be 0 where signed is 0")
    mode = str(op.get("rounding_mode", "ROUND"))
    if mode.upper() not in ROUNDINGS:
        raise ModelError(f"rounding_mode must be one of {', '.join(ROUNDINGS)}, not {mode}")
    overflow = Overflow.SATURATE_SYMMETRIC if thin else Overflow.SATURATE
    return Quantizer(int(word), _fracs(scale), signed, ROUNDINGS[mode.upper()], overflow)


def _linear(op: Op, inputs: tuple[Array | None, ...], rank: int) -> Quantizer:
    words, scale, zero = (*inputs, None)[:3]
    if op.get("block_size", 0):
        raise ModelError(f"block_size must be 0, not {op.get('block_size')}")
    if zero is not None:
        _check_zero(zero)
    if op.kind in DELINEAR:
        zero = words
    kind = number_type(op.get("output_dtype") or 2) if zero is None else zero.dtype
    if kind.name not in _INTEGERS:
        raise ModelError(f"words must be {', '.join(_INTEGERS)}, not {kind}")
    fracs = _fracs(_given(scale, 2))
    if fracs.ndim == 1 and fracs.size > 1:  # along one axis
        axis = op.get("axis", 1)
        if not -rank <= axis < rank:
            raise ModelError(f"axis must be inside the {rank} axes, not {axis}")
        fracs = fracs.reshape(-1, *(1,) * (rank - 1 - axis % rank))
    word, signed, overflow = _clipped(kind, *op.get(LIMITS, (None, None)))
    return Quantizer(word, fracs, signed, overflow=overflow)


def _clipped(kind: DType, low: int | None, high: int | None) -> tuple[int, bool, Overflow]:
    """Return the word whose limits a type has, or those that a Clip leaves of it."""
    info = np.iinfo(kind)
    low, high = (info.min if low is None else low), (info.max if high is None else high)
    low, high = max(low, int(info.min)), min(high, int(info.max))
    word = high.bit_length() + (low < 0) if high > 0 else 0
    if word >= 2 and low == 0 and high == 2**word - 1:
        return word, False, Overflow.SATURATE
    if word >= 2 and high == 2 ** (word - 1) - 1 and low in (-high - 1, -high):
        symmetric = low == -high
        return word, True, Overflow.SATURATE_SYMMETRIC if symmetric else Overflow.SATURATE
    raise ModelError(
        f"the Clip of its words must keep those of 2 bits or more, not {low} to {high}"
    )


def _given(array: Array | None, place: int) -> Array:
    if array is None or not array.size:
        raise ModelError(f"must have an input {place}")
    return array


def _check_zero(zero: Array) -> None:
    if zero.any():
        raise ModelError(f"zero point must be 0, not {zero[zero != 0].flat[0]:g}")


def _fracs(scale: Array) -> Array:
    """Return the fraction bits of scales ``2**-frac``; one number becomes an array of no axes."""
    mantissas, exponents = np.frexp(scale.astype(np.float64))
    if (odd := mantissas != 0.5).any():
        raise ModelError(f"scale must be a power of two, not {scale[odd].flat[0]:g}")
    fracs = 1 - exponents.astype(np.int64)
    return fracs.reshape(()) if fracs.size == 1 else fracs


def fold_quantized(op: Op, inputs: tuple[Array | None, ...]) -> Array:
    """Return what a quantizing operator makes of constants.

    Raises:
        ModelError: it cannot be read, or does not fit them.
    """
    array = _given(inputs[0] if inputs else None, 1)
    does = quantizer(op, inputs, array.ndim)
    if op.kind in DELINEAR:
        return does.values(array)
    raw = does.raw(array)
    if op.kind in LINEAR and not op.get(PAIRED):
        return raw.astype(f"{'i' if does.signed else 'u'}{does.word // 8}")
    return does.values(raw)
