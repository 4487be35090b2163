"""Depthwise convolutions: which of them vector code of their own runs, and how they are laid out.

Sums must provably fit 32 bits, as an accumulator that overflows nowhere holds them, and be cast by
dropping 0 to 30 bits; rows of few words would leave most lanes empty. Others go the way of all
convolutions.
"""

import numpy as np

from fxpnn.engine.program import INT16, INT32, INT64, Constants, Fields, Places, Tensor
from fxpnn.engine.sums import Known, drops, fits
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.kernels.layout import depthwise, instructions, rounding
from fxpnn.network.fixed import FixedNode
from fxpnn.network.layers import Conv2D

MOST_DROPPED = 30
FEWEST = 8
"""Words of a row; one of 8 takes as long as in the other code, one of 2 three times as long."""


def suits(node: FixedNode, x: Tensor, known: Known, source: QFormat) -> bool:
    """Say whether the layer is depthwise, its rows are long and its sums are of 32 bits."""
    layer = node.layer
    if not isinstance(layer, Conv2D) or not 1 < layer.groups == len(layer.weight):
        return False
    if layer.weight.shape[1] != 1 or not known.proved or drops(node, known, source):
        return False
    channels, *size = x.places.shape
    pixels = layer.window.output(*size)[1]
    if channels * depthwise.share(channels, layer.window.stride[1], pixels) < FEWEST:
        return False
    shifts = _shifts(node, source)
    short = int(shifts.min()) >= 0 and int(shifts.max()) <= MOST_DROPPED
    return short and fits(known.terms) and fits(known.total)


def fields(
    node: FixedNode, x: Tensor, known: Known, source: QFormat, constants: Constants
) -> Fields:
    """Put the constants of a layer that suits, and give its fields."""
    layer = node.layer
    assert isinstance(layer, Conv2D)
    channels, height, width = x.places.shape
    window, (top, left, _, right) = layer.window, layer.window.padding
    framed, across = any(window.padding), left + width + right
    lines, pixels = window.output(height, width)
    laid = depthwise.strips(
        *(channels, across, window.kernel, window.stride, window.dilation, (lines, pixels)),
        framed=framed,
    )
    rows = np.tile(np.asarray(layer.weight, np.int16).reshape(channels, -1), (laid.share, 1))
    weights, offsets = depthwise.pack(rows, laid.offsets)
    shifts = np.tile(_shifts(node, source), laid.share)
    shifts = depthwise.deal(shifts, int(shifts[-1]))
    to = instructions.target(node.requantize)
    to = to.with_sign if known.below_zero else to
    rule = rounding.rule(shifts, to, known.total)
    numbers = np.zeros(4 * shifts.size, np.int64) if rule is None else rule
    pitch = across * channels
    return {
        "apart": int(known.below_zero),
        "outputs": len(rows),
        "made": lines,
        "rows": pixels // laid.share,
        "strip": laid.lines,
        "stride_h": window.stride[0],
        "origin_h": top,
        "reach": laid.reach,
        "lines": height,
        "length": width * channels,
        "pitch": pitch,
        "origin": left * channels,
        "total": (laid.reach * pitch + depthwise.WIDE) * framed,
        "starts": constants.put(INT64, laid.starts),
        "weights": constants.put(INT16, weights),
        "weights_size": weights.size,
        "offsets": constants.put(INT64, offsets),
        "offsets_size": offsets.size,
        "bias": constants.put(INT32, depthwise.deal(np.tile(layer.bias, laid.share))),
        "shifts": constants.put(INT64, shifts),
        "lanes": shifts.size,
        "level": int(rule is not None),
        "rule": constants.put(INT32, numbers),
    }


def _shifts(node: FixedNode, source: QFormat) -> Places:
    """Return how many bits each channel's cast drops of a sum that has all bits of its products."""
    return np.asarray(node.requantize.dropped(node.product_fracs(source)))
