"""Own what a layer of single values answers to each of the 65,536 words it can be given.

The integer formulas of activations, run once per word when a network is loaded: at inference an
activation is one look-up, whatever its formula, and its bounds are exact.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fxpnn.fixedpoint.casting import Flags, Raw, requantize
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.fixed import FixedNode
from fxpnn.network.layers import (
    Clip,
    Concat,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    Quantize,
    Relu,
    Sigmoid,
    Silu,
    Step,
    Tanh,
)

TABLE_FRAC = 34
"""Fraction bits of an interpolated value: the table's 18 and the position's 16."""
SIXTH, SIXTH_FRAC = 43691, 18
"""HardSwish's 1/6 as round(2**18 / 6)."""
SEGMENT_BITS = {Sigmoid: 6, Tanh: 7, Silu: 6}
"""A table's segments are 2**-bits wide; 1024 of them reach to 16, 8 and 16."""


class Response(NamedTuple):
    """Answers by a word's 16 bits: the output's raw value, int16, and whether it overflowed."""

    raw: npt.NDArray[np.int16]
    over: Flags


def words() -> Raw:
    """Return every 16-bit word as int64, in the order of its bits: 0..32767, -32768..-1."""
    return np.arange(1 << 16).astype(np.uint16).view(np.int16).astype(np.int64)


def response(node: FixedNode, source: QFormat) -> Response | None:
    """Return what the layer answers to each word, or ``None`` if it does not map single values.

    A join answers with the cast of one of its inputs. Words outside ``source`` are never given
    and count as no overflow.
    """
    x = words()
    exact = _exact(node, x, source)
    if exact is None:
        return None
    values, frac = exact
    if _passes(node, source):
        raw, over = values, np.zeros(x.shape, bool)
    else:
        raw, over = requantize(values, frac, node.output_format, node.rounding, node.overflow)
        over &= not node.clips_one
    if isinstance(node.layer, LeakyRelu):
        raw, over = np.where(x >= 0, x, raw), over & (x < 0)
    return Response(raw.astype(np.int16), over & (x >= source.min) & (x <= source.max))


def _passes(node: FixedNode, source: QFormat) -> bool:
    """Say whether the layer's values need no cast."""
    layer = node.layer
    return isinstance(layer, Relu | Clip | Concat | Quantize) and node.output_format == source


def _exact(node: FixedNode, x: Raw, source: QFormat) -> tuple[Raw, int] | None:
    """Return the exact values before the cast, and their fraction bits."""
    layer, frac = node.layer, source.frac
    match layer:
        case Relu():
            return np.maximum(x, 0), frac
        case Clip():
            return np.clip(x, int(layer.low), int(layer.high)), frac
        case Concat() | Quantize():
            return x, frac
        case LeakyRelu():
            return x * int(layer.slope), frac + node.weight_formats[0].frac
        case Step():
            return (x >= int(layer.threshold)).astype(np.int64), 0
        case HardSigmoid():
            total = frac + node.weight_formats[0].frac
            value = x * int(layer.alpha) + int(layer.beta)
            return np.clip(value, 0, 1 << total), total
        case HardSwish():
            common = max(frac, 0)
            value = x << (common - frac)
            gate = np.clip(value + (3 << common), 0, 6 << common)
            return value * gate * SIXTH, 2 * common + SIXTH_FRAC
        case Sigmoid() | Tanh() | Silu():
            return _tabled(node, x, frac)
    return None


def _tabled(node: FixedNode, x: Raw, frac: int) -> tuple[Raw, int]:
    assert node.table is not None
    value = _interpolate(node.table, np.abs(x), 16 + SEGMENT_BITS[type(node.layer)] - frac)
    match node.layer:
        case Tanh():
            return np.where(x < 0, -value, value), TABLE_FRAC
        case Sigmoid():
            return np.where(x < 0, (1 << TABLE_FRAC) - value, value), TABLE_FRAC
    common = max(frac, TABLE_FRAC)
    return (np.maximum(x, 0) << (common - frac)) - (value << (common - TABLE_FRAC)), common


def _interpolate(table: npt.NDArray[np.int32], magnitude: Raw, shift: int) -> Raw:
    """Return the table's function at 34 fraction bits; ``shift`` leads to segments of 16 bits.

    Magnitudes are at most ``2**15``; a left shift past 26 bits puts every one but 0 beyond the
    table, so 27 stands for all of them.
    """
    position = magnitude << min(shift, 27) if shift >= 0 else magnitude >> min(-shift, 63)
    index = np.minimum(position >> 16, 1024)
    entries = np.append(table, table[-1]).astype(np.int64)
    fraction = position & 0xFFFF
    return np.asarray((entries[index] << 16) + (entries[index + 1] - entries[index]) * fraction)
