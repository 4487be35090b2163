"""Weights whose sums fit an accumulator, whatever the input.

A channel's sum is largest where each input takes the end that its weight's sign asks for. So with
inputs of ``low..high``, words ``w`` and a bias ``b`` every step of it lies in::

    b + high * (sum of positive w) - low * (sum of negative -w)       at most
    b + low * (sum of positive w) - high * (sum of negative -w)       at least

That is the bound of ``proofs.sums`` for inputs that use their whole format. Inputs without a sign,
``low = 0``, leave the whole register to the positive weights, and to the negative ones: twice what
a bound of their L1 norm does, as in "A2Q: Accumulator-Aware Quantization with Guaranteed Overflow
Avoidance" (Colbert, Pappalardo, Petri-Koenig, 2023, arXiv 2308.13504).
"""

import numpy as np

from fxpnn.errors import FormatError, ModelError
from fxpnn.fixedpoint.qformat import Accumulator, QFormat
from fxpnn.network.fixed import BIAS_BITS, FixedNode
from fxpnn.network.layers import Array, Conv2D, Dense
from fxpnn.proofs.bounds import signed_bits
from fxpnn.training.scales import Scales, by_channel, kept, rounded_to

INSIDE = 0.49
"""How far above its word a count is put that has to round to that word, and not to the next."""


def extremes(words: Array, source: QFormat) -> tuple[Array, Array]:
    """Return how far each channel's sum of products falls and rises at most, ``0`` or more.

    ``words`` is ``(channels, ...)``, whole numbers in floats; the result is float64.
    """
    rows = words.reshape(len(words), -1)
    positive = np.maximum(rows, 0).sum(1, dtype=np.float64)
    negative = positive - rows.sum(1, dtype=np.float64)
    rise = source.max * positive - source.min * negative
    fall = source.max * negative - source.min * positive
    return fall, rise


def check_register(node: FixedNode, source: QFormat) -> None:
    """Raise ``FormatError`` unless the accumulator holds the largest input times a weight of 1."""
    register, reach = node.accumulator, max(-source.min, source.max)
    sums = isinstance(node.layer, Dense | Conv2D)
    if sums and register is not None and reach > register.max:
        raise FormatError(
            f"layer {node.name} ({node.op}): an accumulator must hold the largest input times the "
            f"smallest weight, {signed_bits(-reach, reach)} bits, not {register.word}"
        )


def fitted(
    node: FixedNode, source: QFormat, scales: Scales, weight: Array, bias: Array
) -> tuple[Array, Array]:
    """Return a layer's float weight and bias, changed only where they round to sums too large.

    Raises:
        ModelError: a bias runs away to infinity.
    """
    register, ends, reach = node.accumulator, scales.ends, max(-source.min, source.max)
    assert register is not None
    known = rounded_to(kept(bias, node.rounded.bias_format), scales.bias) * scales.bias
    most = weight[0].size * max(-ends[0], ends[1]) * reach + float(np.abs(known).max())
    if most <= register.max or not np.isfinite(weight).all():  # which the network refuses
        return weight, bias
    if not np.abs(known).max() < 2.0 ** (BIAS_BITS - 1):
        raise ModelError(
            f"layer {node.name} ({node.op}): bias must fit {BIAS_BITS} bits at the accumulator's "
            f"scale, not reach {float(np.abs(bias).max()):g}"
        )
    if known.min() < register.min or known.max() > register.max:
        held = np.nextafter(known.dtype.type(register.max), known.dtype.type(0))
        known = np.clip(known, -held, held)
        bias = known / scales.bias
    up = by_channel(scales.weight, weight)
    counts = np.clip(weight * up, *ends)
    made = fitting_counts(counts, np.rint(known.astype(np.float64)), source, register)
    if made is not counts:
        weight = made / up
        weight.setflags(write=False)  # so that the layer takes it without a copy
    return weight, bias


def fitting_counts(counts: Array, bias: Array, source: QFormat, register: Accumulator) -> Array:
    """Return counts of weights that round to words whose sums the register holds at every step.

    ``counts`` is ``(channels, ...)``, within the word's ends; ``bias`` holds whole counts of a
    product. Channels that fit stay as they are. In others words become smaller by one, again and
    again, first those that are rounded up the most, or down the least: where all inputs weigh the
    same these are the nearest words that fit. No count changes but theirs.
    """
    fall, rise = extremes(np.rint(counts), source)
    above, below = register.max - bias, bias - register.min
    if not ((rise > above).any() or (fall > below).any()):
        return counts
    made = counts.reshape(len(counts), -1).copy()
    _shrink(made, rise - above, source.max, -source.min)
    fall, _ = extremes(np.rint(made), source)  # of inputs with a sign, smaller by now
    _shrink(made, fall - below, -source.min, source.max)
    return made.reshape(counts.shape)


def _shrink(counts: Array, excess: Array, positive: int, negative: int) -> None:
    """Shrink words, in place, until the extremes of their channels are, by ``excess`` each.

    A positive word adds its magnitude times ``positive`` to the extreme, a negative one
    ``negative``. Few words are not 0 where the register is narrow: only these are sorted.
    """
    words = np.rint(counts)
    adds = words > 0 if positive else np.zeros(words.shape, np.bool_)
    if negative:
        adds |= words < 0
    rows, columns = np.nonzero(adds & (excess > 0)[:, None])
    signs, before = np.sign(words[rows, columns]), np.abs(words[rows, columns])
    costs, after = np.where(signs > 0, positive, negative), before.copy()
    errors = np.abs(counts[rows, columns]) - before
    while (held := np.flatnonzero((after > 0) & (excess[rows] > 0))).size:
        place, least = rows[held], errors[held].astype(np.float64)
        order = np.argsort(least + place * (least.max() + 1))  # by channels, then by errors
        rank = np.arange(len(held)) - np.searchsorted(place, place)
        fewest = np.ceil(excess / max(positive, negative))
        chosen = held[order[rank < fewest[place]]]
        after[chosen] -= 1
        errors[chosen] += 1
        excess = excess - np.bincount(rows[chosen], costs[chosen], len(counts))
    less = after < before
    inside = (after[less] + counts.dtype.type(INSIDE)) * signs[less]
    counts[rows[less], columns[less]] = inside
