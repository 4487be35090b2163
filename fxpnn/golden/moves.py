"""Layers that move, join or cast values, in Python integers."""

import numpy as np

from fxpnn.golden.sums import Ints, Unit, activate, compute
from fxpnn.network import layers


@compute.register
def _concat(layer: layers.Concat, unit: Unit, *inputs: Ints) -> Ints:
    """Cast every input to the output's format and join them along the axis."""
    parts = []
    for x, source in zip(inputs, unit.sources, strict=True):
        y = [unit.cast(v, source.frac, source) for v in x.flat]
        parts.append(np.array(y, object).reshape(x.shape))
    return np.concatenate(parts, layer.axis)


@activate.register
def _quantize(layer: layers.Quantize, unit: Unit, x: int) -> int:
    """``cast(x)``."""
    return unit.cast(x, unit.frac, unit.sources[0])


@compute.register
def _pad(layer: layers.Pad, unit: Unit, x: Ints) -> Ints:
    """Surround every axis with the value."""
    y = np.full(layer.shape(x.shape), int(layer.value), object)
    y[layer.places(x.shape)] = x
    return y


@compute.register
def _slice(layer: layers.Slice, unit: Unit, x: Ints) -> Ints:
    """Keep every ``step``-th place of the axis, from ``start`` to before ``stop``."""
    return np.take(x, range(layer.start, layer.stop, layer.step), layer.axis)


@compute.register
def _take(layer: layers.Take, unit: Unit, x: Ints) -> Ints:
    """Put places of the axis side by side: ``y[i] = x[places[i]]``."""
    return np.take(x, layer.places, layer.axis)


@compute.register
def _reshape(layer: layers.Reshape | layers.Flatten, unit: Unit, x: Ints) -> Ints:
    """Relabel the values, last axis fastest."""
    return x.reshape(layer.shape(x.shape))


@compute.register
def _transpose(layer: layers.Transpose, unit: Unit, x: Ints) -> Ints:
    """Reorder the axes."""
    return x.transpose(layer.order)
