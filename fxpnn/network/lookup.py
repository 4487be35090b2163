"""What a layer of single values answers to each of the 65,536 words it can be given.

The integer formulas of activations, run once per word when a network is loaded: at inference an
activation is one look-up, whatever its formula, and its bounds are exact.
"""

from collections.abc import Hashable
from dataclasses import fields
from functools import cache, singledispatch
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fxpnn.fixedpoint.casting import Flags, Raw
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network import layers
from fxpnn.network.curves import SELU_FRAC, SELU_SCALE
from fxpnn.network.fixed import FixedNode
from fxpnn.network.layers import Layer

TABLE_FRAC = 34
"""Fraction bits of an interpolated value: the table's 18 and the position's 16."""
KEPT = 256
"""So many answers are kept, 200 KB each."""
SIXTH, SIXTH_FRAC = 43691, 18
"""HardSwish's 1/6 as round(2**18 / 6)."""
SIGN_FRAC = 46
"""Fraction bits of softsign's quotient, so that its numerator of 15 bits fits 62."""


class Response(NamedTuple):
    """What words give: the output's raw value, int16, and whether it overflowed.

    ``below`` is true where it is under the 0 of an unsigned format, ``over`` where it is out of
    range in any other way.
    """

    raw: npt.NDArray[np.int16]
    over: Flags
    below: Flags


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
    and count as no overflow. Proof and engine ask for the same, and so do layers that are alike:
    the last answers are kept, read-only.
    """
    if exact.dispatch(type(node.layer)) is exact.dispatch(Layer):
        return None
    asked = _asked(node, source)
    made = _ANSWERS.get(asked)
    if made is None and (made := _respond(node, source)) is not None:
        _ANSWERS[asked] = made
        if len(_ANSWERS) > KEPT:  # the oldest; another thread may have done so
            _ANSWERS.pop(next(iter(list(_ANSWERS))), None)
    return made


_ANSWERS: dict[Hashable, Response] = {}


def _asked(node: FixedNode, source: QFormat) -> Hashable:
    """Return all that answers depend on; layers that map single values have few parameters."""
    cast = (
        getattr(node, f.name) for f in fields(node) if f.name not in ("name", "layer", "inputs")
    )
    layer = (getattr(node.layer, f.name) for f in fields(node.layer))
    values = (v.tobytes() if isinstance(v, np.ndarray) else v for v in (*layer, *cast))
    return type(node.layer), source, *values


def _respond(node: FixedNode, source: QFormat) -> Response | None:
    x = words()
    found = exact(node.layer, node, x, source)
    if found is None:
        return None
    raw, out = found.values, np.zeros(x.shape, bool)
    if not (node.layer.traits.exact and node.output_format == source):
        raw, out = node.requantize.array(found.values, found.frac)
    if found.uncast is not None:
        raw, out = np.where(found.uncast, found.values, raw), out & ~found.uncast
    out &= (x >= source.min) & (x <= source.max)
    below = out & (found.values < 0) & (not node.output_format.signed)
    over = out & ~below & (not node.clips_one)
    made = Response(raw.astype(np.int16), over, below)
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
def _silu(
    layer: layers.Silu | layers.Gelu | layers.GeluTanh | layers.Mish,
    node: FixedNode,
    x: Raw,
    source: QFormat,
) -> Exact:
    relu, below, frac = _parts(node, x, source)
    return Exact(relu - below, frac)


@exact.register
def _elu(layer: layers.Elu, node: FixedNode, x: Raw, source: QFormat) -> Exact:
    relu, below, frac = _parts(node, x, source)
    return Exact(np.where(x < 0, -below, relu), frac)


@exact.register
def _selu(layer: layers.Selu, node: FixedNode, x: Raw, source: QFormat) -> Exact:
    frac = max(source.frac + SELU_FRAC, TABLE_FRAC)
    above = (np.maximum(x, 0) * SELU_SCALE) << (frac - source.frac - SELU_FRAC)
    below = interpolate(node, np.abs(x), source) << (frac - TABLE_FRAC)
    return Exact(np.where(x < 0, -below, above), frac)


@exact.register
def _softsign(layer: layers.Softsign, node: FixedNode, x: Raw, source: QFormat) -> Exact:
    fine, frac = max(source.frac, 0), SIGN_FRAC + min(source.frac, 0)
    magnitude = np.abs(x) << (fine - source.frac)
    return Exact(np.sign(x) * ((magnitude << frac) // ((1 << fine) + magnitude)), frac)


@exact.register
def _softplus(layer: layers.Softplus, node: FixedNode, x: Raw, source: QFormat) -> Exact:
    relu, above, frac = _parts(node, x, source)
    return Exact(relu + above, frac)


def _parts(node: FixedNode, x: Raw, source: QFormat) -> tuple[Raw, Raw, int]:
    """Return ReLU and the table's function of ``|x|``, aligned, and their fraction bits."""
    frac = max(source.frac, TABLE_FRAC)
    made = node.layer.traits.table
    beside = interpolate(node, np.abs(x), source, x > 0 if made and made.above else None)
    beside <<= frac - TABLE_FRAC
    return np.maximum(x, 0) << (frac - source.frac), beside, frac


@exact.register
def _abs(layer: layers.Abs, node: FixedNode, x: Raw, source: QFormat) -> Exact:
    return Exact(np.abs(x), source.frac)


def interpolate(
    node: FixedNode, magnitude: Raw, source: QFormat, above: Flags | None = None
) -> Raw:
    """Return the function of a node's table at words of 0 or more, with 34 fraction bits.

    Magnitudes are at most ``2**15``; a left shift past 26 bits puts every one but 0 beyond the
    table, so 27 stands for all of them. A position has 16 bits behind its segment's number.
    In a table of both sides of 0, ``above`` tells the words that are above 0.
    """
    made = node.layer.traits.table
    assert made is not None
    assert node.table is not None
    shift = 16 + made.steps - source.frac
    position = magnitude << min(shift, 27) if shift >= 0 else magnitude >> min(-shift, 63)
    index, last = np.minimum(position >> 16, made.segments), made.segments
    sides = node.table.reshape(-1, last + 1).astype(np.int64)
    entries = np.append(sides, sides[:, -1:], axis=1)
    side = 0 if above is None else above.astype(np.int64)
    entry, fraction = entries[side, index], position & 0xFFFF
    return np.asarray((entry << 16) + (entries[side, index + 1] - entry) * fraction)
