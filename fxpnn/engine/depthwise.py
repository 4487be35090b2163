"""Depthwise convolutions: which of them vector code of their own runs, and how they are laid out.

Their accumulator must overflow nowhere, and their cast drop 0 to 30 bits; sums are of 32 bits or
``rounding.near``. Rows of few words would leave most lanes empty. Others go the way of all
convolutions.
"""

from typing import NamedTuple

import numpy as np

from fxpnn.engine.program import INT16, INT32, INT64, Constants, Fields, Places, Tensor
from fxpnn.engine.sums import Known, drops, fits
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.kernels.layout import depthwise, instructions, rounding
from fxpnn.network.fixed import FixedNode
from fxpnn.network.layers import Array, Conv2D

MOST_DROPPED = 30
FEWEST = 8
"""Words of a row; one of 8 takes as long as in the other code, one of 2 three times as long."""


class Lanes(NamedTuple):
    """What each lane of a row has for itself; ``cuts`` and ``rule`` hold of all that are there.

    ``weight`` is int16 ``(lanes, taps)``, ``bias`` int64 ``(lanes,)``. ``rule`` is None where the
    mode has none. ``near`` says that sums have more than 32 bits.
    """

    weight: Array
    bias: Places
    shifts: Places
    cuts: Places
    rule: Places | None
    near: bool


def fields(
    node: FixedNode, x: Tensor, known: Known, source: QFormat, constants: Constants
) -> Fields | None:
    """Put a depthwise layer's constants and give its fields; None where it does not suit."""
    layer = node.layer
    if not isinstance(layer, Conv2D) or not 1 < layer.groups == len(layer.weight):
        return None
    if layer.weight.shape[1] != 1 or not known.proved or drops(node, known, source):
        return None
    channels, height, width = x.places.shape
    window, (top, left, _, right) = layer.window, layer.window.padding
    framed, across = any(window.padding), left + width + right
    lines, pixels = window.output(height, width)
    share = depthwise.share(channels, window.stride[1], pixels)
    lanes = _lanes(node, share, known, source) if channels * share >= FEWEST else None
    if lanes is None:
        return None
    laid = depthwise.strips(
        *(channels, across, window.kernel, window.stride, window.dilation, (lines, pixels)),
        framed=framed,
    )
    weights, offsets = depthwise.pack(lanes.weight, laid.offsets)
    rule = np.zeros(4 * lanes.shifts.size, np.int64) if lanes.rule is None else lanes.rule
    pitch = across * channels
    return {
        "apart": int(known.below_zero),
        "outputs": len(lanes.weight),
        "made": lines,
        "rows": pixels // share,
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
        "cuts": constants.put(INT64, lanes.cuts),
        "segments": lanes.cuts.size - 1,
        "bias": constants.put(INT64, lanes.bias),
        "shifts": constants.put(INT64, lanes.shifts),
        "lanes": lanes.shifts.size,
        "level": int(lanes.rule is not None),
        "near": int(lanes.near),
        "rule": constants.put(INT32, rule),
    }


def _lanes(node: FixedNode, share: int, known: Known, source: QFormat) -> Lanes | None:
    """Lay out what a row's lanes have, if sums and shifts suit."""
    layer, to = node.layer, instructions.target(node.requantize)
    assert isinstance(layer, Conv2D)
    to = to.with_sign if known.below_zero else to
    dropped = np.asarray(node.requantize.dropped(node.product_fracs(source)))
    if dropped.min() < 0 or dropped.max() > MOST_DROPPED:
        return None
    weight = np.tile(np.asarray(layer.weight, np.int16).reshape(len(layer.weight), -1), (share, 1))
    shifts = depthwise.deal(np.tile(dropped, share), int(dropped[-1]))
    bias = depthwise.deal(np.tile(layer.bias, share))
    if fits(known.terms) and fits(known.total):
        cuts = np.array([0, -(-weight.shape[1] // 2)])
        return Lanes(weight, bias, shifts, cuts, rounding.rule(shifts, to, known.total), False)
    rule = rounding.rule(shifts, to, (0, 0))  # signs tell of sums that come round
    low, high = np.zeros((2, len(layer.weight)), np.int64)
    low[:] = np.minimum(known.inputs.once.low.min(axis=(1, 2)), 0)
    high[:] = np.maximum(known.inputs.once.high.max(axis=(1, 2)), 0)
    chunks = depthwise.cuts(weight, np.tile(low, share), np.tile(high, share))
    if chunks is None or rule is None or not rounding.near(shifts, bias, to):
        return None
    return Lanes(weight, bias, shifts, chunks, rule, True)
