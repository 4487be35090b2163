"""Parameters become integers: the formats of weights, and biases at the scale of the products."""

import math
from dataclasses import replace
from fractions import Fraction

import numpy as np

from fxpnn.errors import FormatError, ModelError
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, QFormat
from fxpnn.fixedpoint.requantize import Shift
from fxpnn.network import layers
from fxpnn.network.fixed import BIAS_BITS, Losses
from fxpnn.network.graph import Node
from fxpnn.network.layers import Array, Layer, parts_of
from fxpnn.network.rounded import WeightRounding
from fxpnn.quantization import feedback
from fxpnn.quantization.calibration import choose
from fxpnn.quantization.moments import Moments
from fxpnn.quantization.settings import Method, Settings

SLOPE_WORD = 16
BLOCK = 1 << 18
"""So many weights are rounded at a time, where one output has no more: they stay in the cache."""


def raw_layer(
    node: Node,
    source: QFormat,
    settings: Settings,
    largest: float,
    moments: Moments | None = None,
    corrected: bool = False,
) -> tuple[Layer, tuple[QFormat, ...], Losses]:
    """Return the layer with raw parameters, the formats of its weight, and what was lost.

    ``source`` is the input's format, ``largest`` the largest magnitude that an output is expected
    to have, infinity where nothing is known. ``moments`` are those of the input where weights are
    rounded with feedback, or the bias is ``corrected``.

    Raises:
        FormatError: a given weight has not as many formats as channels.
        ModelError: a bias does not fit any integer at its scale.
    """
    layer, traits = node.layer, node.layer.traits
    if isinstance(layer, layers.Step):
        # The smallest word at or above the threshold decides as the threshold does.
        exact = math.ceil(Fraction(layer.threshold) * Fraction(2) ** source.frac)
        clamped = max(min(exact, source.max + 1), source.min)
        return replace(layer, threshold=clamped), (), Losses()
    raw, losses = _constants(layer, source)
    if traits.weight is None:
        return replace(layer, **raw), (), losses
    weight = np.asarray(getattr(layer, traits.weight))
    bias, clipped_biases = _bias(layer, settings)
    fed = moments if settings.weight_rounding is WeightRounding.FEEDBACK else None
    formats = settings.weights or _chosen(
        layer, np.atleast_1d(weight), bias, source, settings, largest, fed
    )
    overflow = clipping(layer, settings)
    words, clipped = _words(node, np.atleast_1d(weight), formats, fed, overflow)
    if moments is not None and corrected:
        error = _mean_error(weight, words, formats, moments)
        bias, clipped_biases = _bias(layer, settings, error)
    chosen = traits.sums and not settings.weights  # by an error that weighs what is clipped
    losses = replace(
        losses,
        clipped_weights=0 if chosen else clipped,
        clipped_biases=clipped_biases,
        vanished_channels=_vanished(np.atleast_1d(weight), words),
    )
    raw[traits.weight] = words if weight.ndim else int(words[0])
    if traits.bias is not None:
        fracs = source.frac + np.array([fmt.frac for fmt in formats])
        scaled = _scaled(node, traits.bias, bias, fracs)
        raw[traits.bias] = scaled if np.ndim(getattr(layer, traits.bias)) else int(scaled[0])
    if isinstance(layer, layers.LayerNorm):
        raw["epsilon"] = layer.raw_epsilon(source)
    return replace(layer, **raw), formats, losses


def clipping(layer: Layer, settings: Settings) -> Overflow:
    """Return how a layer's weights saturate; slopes have no choice."""
    return settings.weight_overflow if layer.traits.weighted else Overflow.SATURATE


def _constants(layer: Layer, source: QFormat) -> tuple[dict[str, Array | int], Losses]:
    """Cast the scalars in the input's format; also count those outside it."""
    traits = layer.traits
    floats = np.array([getattr(layer, name) for name in traits.limits], np.float64)
    words, beyond = Shift(source).counted(floats)
    raw: dict[str, Array | int] = {n: int(w) for n, w in zip(traits.limits, words, strict=True)}
    lost = int(beyond.sum())
    if traits.endless:  # a bound outside the format clamps nothing, unless it clamps everything
        lost = int(beyond.all() and len(set(raw.values())) == 1)
    return raw, Losses(clipped_constants=lost)


def _vanished(weight: Array, words: Array) -> int:
    """Count the channels whose weights were not all 0 and whose words all are."""
    axes = tuple(range(1, weight.ndim))
    return int((weight.any(axes) & ~words.any(axes)).sum())


def _bias(layer: Layer, settings: Settings, error: Array | float = 0.0) -> tuple[Array, int]:
    """Return the bias as float64, cast to the format that is given for it; count the clipped.

    ``error`` is the part of the output's mean that it has to make good.
    """
    name = layer.traits.bias
    bias = np.atleast_1d(np.asarray(0 if name is None else getattr(layer, name), np.float64))
    bias = bias + error
    if name is None or settings.bias is None:
        return bias, 0
    words, clipped = Shift(settings.bias).counted(bias)
    return np.ldexp(words.astype(np.float64), -settings.bias.frac), int(clipped.sum())


def _chosen(
    layer: Layer,
    weight: Array,
    bias: Array,
    source: QFormat,
    settings: Settings,
    largest: float,
    fed: Moments | None,
) -> tuple[QFormat, ...]:
    """Choose the format of a weight, or one for each output channel.

    ``fed`` are the moments of the input where weights are rounded with feedback.
    """
    traits = layer.traits
    if not traits.sums:
        method, groups, register = Method.MINMAX, [slice(None)], Accumulator(BIAS_BITS)
    else:
        method = Method.MSE if settings.method is Method.PERCENTILE else settings.method
        each = [slice(row, row + 1) for row in range(len(weight))]
        groups = each if settings.per_channel else [slice(None)]
        register = settings.accumulator
        if register.frac is not None:  # then its range is the same whatever the weights' fraction
            register = Accumulator(BIAS_BITS)
    word = settings.weight_bits if traits.sums else SLOPE_WORD
    overflow = clipping(layer, settings)
    bias = np.broadcast_to(bias, len(weight))
    rows = weight.reshape(len(weight), -1)
    if traits.product_fracs is not None and not weight.any():
        finest = [QFormat(word, _fraction_bits(bias) - source.frac)]  # then the bias is all
    elif fed is None:
        finest = [choose(weight[group], word, method, overflow) for group in groups]
    else:
        finest = feedback.finest(rows.astype(np.float64), word, settings.per_channel, fed, overflow)
    formats = [
        _with_room(
            Shift(fmt, overflow=overflow), rows[group], bias[group], source, register, largest
        )
        for fmt, group in zip(finest, groups, strict=True)
    ]
    if traits.product_fracs is None:
        return tuple(formats)
    low, high = (frac - source.frac for frac in traits.product_fracs)
    return tuple(replace(fmt, frac=min(max(fmt.frac, low), high)) for fmt in formats)


def _fraction_bits(values: Array) -> int:
    """Return the fewest fraction bits with which values are whole counts."""
    mantissas, exponents = np.frexp(values[values != 0])
    whole = np.ldexp(mantissas, 53).astype(np.int64)
    trailing = np.log2(whole & -whole).astype(np.int64)  # zeros at the end
    return int((53 - exponents - trailing).max(initial=0))


@np.errstate(over="ignore")  # what no double holds leaves every register
def _with_room(
    widest: Shift,
    rows: Array,
    bias: Array,
    source: QFormat,
    register: Accumulator,
    largest: float,
) -> QFormat:
    """Return the format of weights, coarser than the finest where sums would leave the register.

    A bias is stored at the scale of the products. Where it is far above its weights, their finest
    fraction would put it out of the register's range; a coarser one costs the weights bits. Of all
    fractions that leave the bias within its own limits, the one with the smallest error of the
    output is taken: what the register cuts off, and what rounding the weights adds for inputs as
    large as their format's largest.
    """
    reach = max(-source.min, source.max) * source.lsb
    parts = [np.abs(rows[part].astype(np.float64)).sum(1) for part in parts_of(rows, BLOCK)]
    sums, known = np.concatenate(parts) * reach, np.abs(bias)
    # A saturating register begins at the bias; a wrapping one holds whatever its final value is.
    saturates = register.overflow is not Overflow.WRAP
    needed = known + np.minimum(sums, largest) if saturates else np.minimum(known + sums, largest)
    finest = widest.format
    if not np.isfinite(needed).all():  # no fraction is coarse enough
        return finest
    best, least = finest, math.inf
    for frac in range(finest.frac, -1001, -1):
        fmt, scale = replace(finest, frac=frac), source.frac + frac
        if np.abs(bias).max() >= np.ldexp(1.0, BIAS_BITS - 1 - scale):
            continue
        cut = np.maximum(needed - np.ldexp(1.0, register.word - 1 - scale), 0)
        if frac == finest.frac and not cut.any():
            return finest
        rows = rows.astype(np.float64, copy=False)
        words = replace(widest, format=fmt).floats(rows)
        rounded = (rows - np.ldexp(words.astype(np.float64), -frac)) * reach
        error = float(np.square(cut).sum() + np.square(rounded).sum())
        if error < least:
            best, least = fmt, error
        if not cut.any():
            break
    return best


def _words(
    node: Node,
    weight: Array,
    formats: tuple[QFormat, ...],
    fed: Moments | None,
    overflow: Overflow,
) -> tuple[Array, int]:
    """Round weights to one format, or each channel's to its own; also count the clipped."""
    if len(formats) not in (1, len(weight)):
        raise FormatError(
            f"layer {node.name} ({node.op}): weight formats must be 1 or {len(weight)}, "
            f"not {len(formats)}"
        )
    by_row = np.array([fmt.frac for fmt in formats]).reshape(-1, *[1] * (weight.ndim - 1))
    fracs = np.broadcast_to(by_row, (len(weight), *by_row.shape[1:]))
    words, clipped = np.empty(weight.shape, np.int16), 0
    for part in parts_of(weight, BLOCK):
        with np.errstate(over="ignore"):  # infinity saturates in the cast that follows
            scaled = np.ldexp(weight[part].astype(np.float64), fracs[part])
        words[part], beyond = Shift(replace(formats[0], frac=0), overflow=overflow).counted(scaled)
        clipped += int(beyond.sum())
    if fed is not None:
        rows = weight.reshape(len(weight), -1).astype(np.float64)
        shared = [formats[0]] * len(rows) if len(formats) == 1 else [*formats]
        words = feedback.rounded(rows, shared, fed, overflow).raw.reshape(weight.shape)
    words.flags.writeable = False  # a layer takes it as it is then
    return words, clipped


def _mean_error(
    weight: Array, words: Array, formats: tuple[QFormat, ...], moments: Moments
) -> Array:
    """Return by how much the mean of each output is too small for weights that were rounded."""
    fracs = np.array([fmt.frac for fmt in formats]).reshape(-1, *[1] * (weight.ndim - 1))
    off = weight - np.ldexp(words.astype(np.float64), -fracs)
    mean = moments.first / moments.count
    return np.asarray((off.reshape(len(mean), -1, mean.shape[1]) @ mean[..., None]).reshape(-1))


def _scaled(node: Node, name: str, values: Array, fracs: Array) -> Array:
    """Cast values to the accumulator's scale, where words are wide enough not to saturate."""
    with np.errstate(over="ignore"):
        raw = np.rint(np.ldexp(values, fracs))
    if np.abs(raw).max() >= 2.0 ** (BIAS_BITS - 1):
        raise ModelError(
            f"layer {node.name} ({node.op}): {name} must fit {BIAS_BITS} bits at the "
            f"accumulator's scale, not reach {float(np.abs(values).max()):g}"
        )
    return np.asarray(raw, np.int64)
