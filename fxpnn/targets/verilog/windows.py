"""The loops of a window that slides over maps, for convolutions and pools alike."""

from typing import NamedTuple

from fxpnn.network.layers import Shape
from fxpnn.network.window import Window
from fxpnn.targets.verilog.instruction import Loop


class Slide(NamedTuple):
    """Loops over a window's taps and over its positions, and where they begin.

    ``address`` is that of the first tap on the first map, ``first`` its row and column.
    """

    taps: tuple[Loop, Loop]
    positions: tuple[Loop, Loop]
    address: int
    first: tuple[int, int]


def slide(window: Window, maps: Shape, positions: Shape) -> Slide:
    """Return the loops of a window over maps ``(channels, height, width)``, innermost first.

    ``positions`` are the output's rows and columns.
    """
    width = maps[2]
    (kh, kw), (dh, dw), (sh, sw) = window.kernel, window.dilation, window.stride
    (rows, columns), (top, left) = positions, window.padding[:2]
    return Slide(
        taps=(Loop(kw, dw, 0, dw), Loop(kh, dh * width, dh, 0)),
        positions=(Loop(columns, sw, 0, sw), Loop(rows, sh * width, sh, 0)),
        address=-top * width - left,
        first=(-top, -left),
    )
