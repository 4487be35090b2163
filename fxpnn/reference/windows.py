"""Sliding windows on maps: views, patches, and counts of covered values.

Maps are ``(N, C, H, W)``; the window takes H' x W' positions on them.
"""

import math
from collections.abc import Iterator
from functools import reduce
from typing import TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from fxpnn.network.layers import Array, AvgPool2D, Window

PATCHES = 1 << 24
"""The most values of patches that are copied at once: 64 MB of float32."""
Part: TypeAlias = tuple[slice, slice]
"""Some lines of positions, and some places in each."""


def columns(x: Array, window: Window, groups: int = 1) -> Array:
    """Copy the patch under each window position into a column of a matrix.

    A convolution is then ``kernel_matrix @ columns``. Maps ``(N, C, H, W)`` give
    ``(N, groups, C / groups * kernel height * kernel width, H' * W')``.
    """
    return _flat(patches(x, window), groups)


def blocks(x: Array, window: Window, groups: int = 1) -> Iterator[tuple[Part, Array]]:
    """Give ``columns`` of some positions at a time, and which: lines, and places in each.

    All come at once where they are few enough.
    """
    seen = patches(x, window)
    rows, width = seen.shape[4:]
    places = max(1, PATCHES // math.prod(seen.shape[:4]))
    across = min(places, width)
    down = max(1, places // width)
    for top in range(0, rows, down):
        for left in range(0, width, across):
            part = slice(top, top + down), slice(left, left + across)
            yield part, _flat(seen[..., part[0], part[1]], groups)


def patches(x: Array, window: Window) -> Array:
    """Return a view of what windows see: ``(N, C, kernel height, kernel width, H', W')``."""
    (sh, sw), (dh, dw) = window.stride, window.dilation
    seen = sliding_window_view(padded(x, window), window.span, axis=(2, 3))
    return seen[:, :, ::sh, ::sw, ::dh, ::dw].transpose(0, 1, 4, 5, 2, 3)


def _flat(seen: Array, groups: int) -> Array:
    """Copy patches into columns."""
    return seen.reshape(len(seen), groups, -1, math.prod(seen.shape[4:]))


def positions(x: Array, window: Window, padding: float = 0.0) -> Iterator[Array]:
    """Give, for each place in the window, rows first, what it sees as the window slides.

    Each is a strided view ``(N, C, H', W')`` of the padded maps ``(N, C, H, W)``.
    """
    return slide(padded(x, window, padding), window, window.output(*x.shape[2:]))


def slide(maps: Array, window: Window, size: tuple[int, int]) -> Iterator[Array]:
    """Give the views of ``positions`` into maps that are padded already."""
    (rows, width), (sh, sw), (dh, dw) = size, window.stride, window.dilation
    for top in range(0, window.span[0], dh):
        for left in range(0, window.span[1], dw):
            bottom, right = top + (rows - 1) * sh + 1, left + (width - 1) * sw + 1
            yield maps[:, :, top:bottom:sh, left:right:sw]


def padded(x: Array, window: Window, value: float = 0.0) -> Array:
    """Surround maps ``(N, C, H, W)`` so that every window position lies inside."""
    top, left, bottom, right = window.reach(*x.shape[2:])
    if not any((top, left, bottom, right)):
        return x
    height, width = x.shape[2:]
    maps = np.full((*x.shape[:2], top + height + bottom, left + width + right), value, x.dtype)
    maps[:, :, top : top + height, left : left + width] = x
    return maps


def counts(layer: AvgPool2D, x: Array) -> Array:
    """Count what each window position averages over: ``(1, 1, H', W')``, in ``x``'s dtype.

    Padding counts with ``count_padding``; what hangs over the padded edge never does. A window
    that sees nothing counts 1: its average is then 0.
    """
    height, width = x.shape[2:]
    top, left, bottom, right = layer.window.padding if layer.count_padding else (0, 0, 0, 0)
    counted = np.ones((1, 1, top + height + bottom, left + width + right), x.dtype)
    outer = np.subtract(layer.window.reach(height, width), (top, left, bottom, right))
    maps = np.pad(counted, [(0, 0), (0, 0), (outer[0], outer[2]), (outer[1], outer[3])])
    size = layer.window.output(height, width)
    return np.maximum(reduce(np.add, slide(maps, layer.window, size)), 1)
