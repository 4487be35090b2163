"""Linear interpolation by powers of two, as a convolution whose weights are dyadic fractions.

Between two pixels lie as many places as the scale says, always at the same fractions. So each place
is a channel of its own of one depthwise convolution over the map, whose edges are repeated; the sum
is exact and cast once, like that of any convolution.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from fxpnn.errors import ModelError
from fxpnn.network.layers import Array, Conv2D, Window
from fxpnn.onnx.graph.normal import Op
from fxpnn.onnx.read.relabel import taken
from fxpnn.onnx.read.resized import Axis, way
from fxpnn.onnx.read.trace import Trace, Value

CENTRED: Mapping[str, bool] = {
    "half_pixel": True,
    "half_pixel_symmetric": True,
    "pytorch_half_pixel": True,
    "asymmetric": False,
}
"""The ways of counting whose fractions are dyadic, and whether pixels are centred in them."""

LARGEST = 64
"""The largest scale: a 16-bit word of a weight has no more fractions for two axes."""


class Side(NamedTuple):
    """One axis of the convolution: ``(phases, taps)`` weights, the stride, and the edge before."""

    weights: Array
    stride: int = 1
    edge: int = 0


class Interpolated(NamedTuple):
    """Maps with a channel for each phase of each axis, and how many phases there are."""

    maps: Value
    phases: tuple[int, int]


def dyadic(op: Op, axes: Iterable[Axis]) -> bool:
    """Tell whether all places lie at dyadic fractions between pixels, the same between any two."""
    return way(op) in CENTRED and all(
        np.frexp(axis.scale)[0] == 0.5 and 1 / LARGEST <= axis.scale <= LARGEST for axis in axes
    )


def interpolated(trace: Trace, op: Op, x: Value, axes: tuple[Axis, Axis]) -> Interpolated:
    """Emit the convolution that interpolates maps along their height and width."""
    if op.flag("antialias") or op.flag("exclude_outside"):
        raise ModelError("antialias and exclude_outside must be 0 where mode is linear")
    where = way(op)
    first = where == "pytorch_half_pixel"  # what becomes one place is the first
    rows, columns = (
        _side(axis, CENTRED[where] and not (first and axis.target == 1)) for axis in axes
    )
    channels = x.shape[0]
    kernels = np.einsum("am,bn->abmn", rows.weights, columns.weights)
    phases, kernel = kernels.shape[:2], kernels.shape[2:]
    trace.spend(channels * (kernels.size + phases[0] * phases[1]) + sum(x.shape[1:]) + 4)
    for axis, side in ((2, rows), (3, columns)):
        places = np.arange(-side.edge, x.shape[axis - 1] + side.edge)
        x = taken(trace, op, x, axis - 1, places.clip(0, x.shape[axis - 1] - 1), f".edge{axis}")
    weight = np.tile(kernels.reshape(-1, 1, *kernel), (channels, 1, 1, 1)).astype(np.float32)
    window = Window((kernel[0], kernel[1]), (rows.stride, columns.stride))
    layer = Conv2D(weight, np.zeros(len(weight), np.float32), window, channels)
    part = "" if phases == (1, 1) else ".places"
    return Interpolated(trace.emit(op, layer, x, part=part), (phases[0], phases[1]))


def _side(axis: Axis, centred: bool) -> Side:
    """Return the weights of the two pixels beside each place, by their distance from it."""
    if axis.scale == 1:
        return Side(np.ones((1, 1)))
    if axis.scale < 1:  # between the two pixels in the middle, or on the first
        step = int(1 / axis.scale)
        weights = np.zeros((1, step))
        weights[0, step // 2 - 1 : step // 2 + 1] = 0.5
        return Side(weights if centred else np.eye(1, step), step)
    phases = np.arange(axis.scale)
    at = (phases + 0.5) / axis.scale - 0.5 if centred else phases / axis.scale
    taps = np.arange(-1, 2)
    return Side(np.maximum(1 - np.abs(at[:, None] - taps), 0), edge=1)
