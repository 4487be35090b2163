"""What a layer of single values answers to each of the 65,536 words it can be given.

The integer formulas of activations, run once per word when a network is loaded: at inference an
activation is one look-up, whatever its formula, and its bounds are exact.
"""

from functools import cache, singledispatch
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt

from fxpnn.fixedpoint.casting import Flags, Raw
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network import layers
from fxpnn.network.fixed import FixedNode
from fxpnn.network.layers import Layer

TABLE_FRAC = 34
"""Fraction bits of an interpolated value: the table's 18 and the position's 16."""
SIXTH, SIXTH_FRAC = 43691, 18
"""HardSwish's 1/6 as round(2**18 / 6)."""


class Response(NamedTuple):
    """What words give: the output's raw value, int16, and whether it overflowed."""

    raw: npt.NDArray[np.int16]
    over: Flags


@cache
def words() -> Raw:
    """Return every 16-bit word as int64, in the order of its bits: 0..32767, -32768..-1.

    The array is one for all who ask, and read-only.
    """
    made = np.arange(1 << 16).astype(np.uint16).view(np.int16).astype(np.int64)
    made.setflags(write=False)
    return made


class Exact(NamedTuple):
    """A layer's values before the cast, int64 counts of ``2**-frac``, below ``2**62``.

    Where ``uncast`` is given and true, values are words of the output already.
    """

    values: Raw
    frac: int
    uncast: Flags | None = None


def response(node: FixedNode, source: QFormat) -> Response | None:
    """Return what the layer answers to each word, or ``None`` if it does not map single values.

    A join answers with the cast of one of its inputs. Words outside ``source`` are never given
    and count as no overflow. Proof and engine ask for the same: answers are kept, read-only, as
    long as the node lives.
    """
    kept = _ANSWERS.setdefault(node, {})
    if source not in kept:
        kept[source] = _respond(node, source)
    return kept[source]


_ANSWERS: WeakKeyDictionary[FixedNode, dict[QFormat, Response | None]] = WeakKeyDictionary()


def _respond(node: FixedNode, source: QFormat) -> Response | None:
    x = words()
    found = exact(node.layer, node, x, source)
    if found is None:
        return None
    raw, over = found.values, np.zeros(x.shape, bool)
    if not (node.layer.traits.exact and node.output_format == source):
        raw, over = node.requantize.array(found.values, found.frac)
        over &= not node.clips_one
    if found.uncast is not None:
        raw, over = np.where(found.uncast, found.values, raw), over & ~found.uncast
    made = Response(raw.astype(np.int16), over & (x >= source.min) & (x <= source.max))
    for array in made:
        array.setflags(write=False)
    return made


@singledispatch
def exact(layer: Layer, node: FixedNode, x: Raw, source: QFormat) -> Exact | None:
    """Return the exact values of a node's layer for words ``x`` of ``source``.

    ``None``: the layer does not map single values.
    """
    return None


@exact.register
def _relu(layer: layers.Relu, node: FixedNode, x: Raw, source: QFormat) -> Exact:
    return Exact(np.maximum(x, 0), source.frac)


@exact.register
def _clip(layer: layers.Clip, node: FixedNode, x: Raw, source: QFormat) -> Exact:
    return Exact(np.clip(x, int(layer.low), int(layer.high)), source.frac)


@exact.register
def _same(
    layer: layers.Concat | layers.Quantize, node: FixedNode, x: Raw, source: QFormat
) -> Exact:
    return Exact(x, source.frac)


@exact.register
def _leaky_relu(layer: layers.LeakyRelu, node: FixedNode, x: Raw, source: QFormat) -> Exact:
    values = np.where(x >= 0, x, x * int(layer.slope))
    return Exact(values, int(node.product_fracs(source)[0]), x >= 0)


@exact.register
def _step(layer: layers.Step, node: FixedNode, x: Raw, source: QFormat) -> Exact:
    return Exact((x >= int(layer.threshold)).astype(np.int64), 0)


@exact.register
def _hard_sigmoid(layer: layers.HardSigmoid, node: FixedNode, x: Raw, source: QFormat) -> Exact:
    frac = int(node.product_fracs(source)[0])
    return Exact(np.clip(x * int(layer.alpha) + int(layer.beta), 0, 1 << frac), frac)


@exact.register
def _hard_swish(layer: layers.HardSwish, node: FixedNode, x: Raw, source: QFormat) -> Exact:
    frac = max(source.frac, 0)
    value = x << (frac - source.frac)
    gate = np.clip(value + (3 << frac), 0, 6 << frac)
    return Exact(value * gate * SIXTH, 2 * frac + SIXTH_FRAC)


@exact.register
def _sigmoid(layer: layers.Sigmoid, node: FixedNode, x: Raw, source: QFormat) -> Exact:
    value = interpolate(node, np.abs(x), source)
    return Exact(np.where(x < 0, (1 << TABLE_FRAC) - value, value), TABLE_FRAC)


@exact.register
def _tanh(layer: layers.Tanh, node: FixedNode, x: Raw, source: QFormat) -> Exact:
    value = interpolate(node, np.abs(x), source)
    return Exact(np.where(x < 0, -value, value), TABLE_FRAC)


@exact.register
def _silu(layer: layers.Silu, node: FixedNode, x: Raw, source: QFormat) -> Exact:
    frac = max(source.frac, TABLE_FRAC)
    below = interpolate(node, np.abs(x), source) << (frac - TABLE_FRAC)
    return Exact((np.maximum(x, 0) << (frac - source.frac)) - below, frac)


def interpolate(node: FixedNode, magnitude: Raw, source: QFormat) -> Raw:
    """Return the function of a node's table at words of 0 or more, with 34 fraction bits.

    Magnitudes are at most ``2**15``; a left shift past 26 bits puts every one but 0 beyond the
    table, so 27 stands for all of them. A position has 16 bits behind its segment's number.
    """
    made = node.layer.traits.table
    assert made is not None
    assert node.table is not None
    shift = 16 + made.steps - source.frac
    position = magnitude << min(shift, 27) if shift >= 0 else magnitude >> min(-shift, 63)
    index = np.minimum(position >> 16, made.segments)
    entries = np.append(node.table, node.table[-1]).astype(np.int64)
    fraction = position & 0xFFFF
    return np.asarray((entries[index] << 16) + (entries[index + 1] - entries[index]) * fraction)
