"""Dense layers and convolutions: loops over the products, several outputs at a time.

A word of the input is read once for up to four outputs: on a Cortex-M4 this takes 11 instructions
for four products, not 5 for one.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fxpnn.fixedpoint.interval import Interval
from fxpnn.network.layers import Array, Conv2D, Dense, Shape
from fxpnn.targets.c import windows
from fxpnn.targets.c.place import Place, Written
from fxpnn.targets.c.summed import Sum
from fxpnn.targets.c.sums import sums
from fxpnn.targets.c.text import Lines, block, index, loop, shape_text, wrap

ROWS = 4, 3, 2, 1
"""The outputs that are summed at a time: as many as divide their number."""
SHORTEST, FEWEST = 8, 3
"""Parts of fewer products are not worth adding up in 32 bits first: in a row, and in a window."""


def covers(layer: Dense | Conv2D, shape: Shape) -> bool:
    """Say whether each output is a sum over the whole input, in its order."""
    if isinstance(layer, Dense):
        return True
    whole = layer.weight.shape[1:] == shape and layer.window.dilation == (1, 1)
    return whole and not any(layer.window.padding)


@dataclass(frozen=True)
class Rows:
    """Outputs that are summed at a time: ``a0``, ``a1``, ... are their sums, ``o`` the first."""

    sum: Sum
    count: int
    outputs: int

    @property
    def o(self) -> str:
        """Name the first of them; ``0`` where all are summed at a time."""
        return "o" if self.outputs > self.count else "0"

    def channel(self, row: int) -> str:
        """Write the output's number."""
        return index((self.o, 1), ("", row))

    def starts(self) -> Lines:
        """Declare the sums."""
        starts = (f"a{row} = {self.sum.start(self.channel(row))}" for row in range(self.count))
        return wrap(f"{self.sum.word} ", starts)

    def parts(self) -> tuple[Lines, Lines]:
        """Declare sums of a part in 32 bits, and add them to the others."""
        names = [f"p{row}" for row in range(self.count)]
        declared = f"int32_t {' = 0, '.join(names)} = 0;"
        return [declared], [f"a{row} += p{row};" for row in range(self.count)]

    def multiply(self, word: str, weight: str, k: str, pitch: int) -> Lines:
        """Multiply a word by its weight in each row; rows of weights lie ``pitch`` apart."""
        lines = [f"const int32_t v = {word};"]
        for row in range(self.count):
            product = f"v * {weight}[{index((k, 1), ('', row * pitch))}]"
            if self.sum.part:
                lines.append(f"p{row} += {product};")
            else:
                lines.append(self.sum.add(f"a{row}", product, self.channel(row)))
        return lines

    def casts(self, place: Callable[[tuple[str, int], tuple[str, int]], str], area: int) -> Lines:
        """Write the words; ``place`` makes an index of an output's, ``area`` words apart."""
        return [
            f"y[{place((self.o, area), ('', row * area))}] = "
            f"{self.sum.cast.of(f'a{row}', self.channel(row))};"
            for row in range(self.count)
        ]

    def written(self, place: Place, weights: Array, body: Lines) -> Written:
        """Write the layer's function: the body for all outputs."""
        name = f"weight of {shape_text(weights.shape)}"
        constants = place.constant("weight", "int16_t", weights, name), *self.sum.constants
        names = ["w", *(constant.what for constant in self.sum.constants)]
        lines = [
            f"const {constant.ctype} *{short} = {constant.name};"
            for short, constant in zip(names, constants, strict=True)
        ]
        if self.o != "0":
            body = [*body, f"w += {self.count * weights[0].size};"]
        lines += loop(self.o, self.outputs, body, self.count)
        return Written([*self.sum.functions, *place.function(lines)], constants)


def _rows(found: Sum, outputs: int, groups: int = 1) -> Rows:
    """Choose how many outputs, of one group, are summed at a time."""
    return Rows(found, next(n for n in ROWS if outputs // groups % n == 0), outputs)


def dense(place: Place, layer: Dense | Conv2D) -> Written:
    """Write a dense layer, or a convolution with one position."""
    terms = layer.weight[0].size
    x = Interval(*(end.reshape(-1) for end in place.bounds[0]))
    found = sums(place, x, divisions(terms))
    rows = _rows(found, len(layer.weight))
    inner = rows.multiply("x[k]", "w", "k", terms)
    if found.part:
        start, flush = rows.parts()
        end = f"part + {found.part}"
        if terms % found.part:
            end = f"{terms} - part < {found.part} ? {terms} : {end}"
        products = block("for (size_t k = part; k < end; k++)", inner)
        part = [*start, f"const size_t end = {end};", *products, *flush]
        products = loop("part", terms, part, found.part)
    else:
        products = loop("k", terms, inner)
    return rows.written(place, layer.weight, [*rows.starts(), *products, *rows.casts(index, 1)])


def divisions(terms: int) -> list[int]:
    """List how many products may be a part: even parts first, which vector units add up whole."""
    even = [n for n in range(terms // 2, SHORTEST - 1, -1) if terms % n == 0]
    whole = [n for n in even if n % 8 == 0]
    return [*whole, *even, *(n for n in (64, 32, 16, SHORTEST) if n < terms)]


def convolution(place: Place, layer: Conv2D) -> Written:
    """Write a convolution: each position sums over maps, then lines, then columns."""
    (outputs, maps, *kernel), shape = layer.weight.shape, place.step.sources[0].shape
    slide = windows.sliding(layer.window, shape, place.step.shape)
    taps = math.prod(kernel)
    parts = [n for n in (taps, kernel[1]) if n >= FEWEST]
    found = sums(place, _seen(layer, place.bounds[0]), parts)
    rows = _rows(found, outputs, layer.groups)
    pointer, before = "x", list[str]()
    if layer.groups > 1:
        each, size = outputs // layer.groups, maps * math.prod(shape[1:])
        group = rows.o if each == 1 else f"{rows.o} / {each}"
        pointer, before = "maps", [f"const int16_t *maps = x + {group} * {size};"]
    c = "c" if maps > 1 else "0"
    inner = rows.multiply(slide.word, "tap", slide.columns.tap, maps * taps)
    start, flush = rows.parts() if found.part else ([], [])
    if found.part == taps:
        swept = [*start, *slide.taps(pointer, c, inner, weights=True), *flush]
    else:
        swept = slide.taps(pointer, c, inner, weights=True, around=(start, flush))
    casts = rows.casts(slide.output, math.prod(place.step.shape[1:]))
    body = [*before, *slide.positions([*rows.starts(), *loop(c, maps, swept), *casts])]
    return rows.written(place, layer.weight, body)


def _seen(layer: Conv2D, x: Interval) -> Interval:
    """Bound what the weights of each output meet: any value of the map that is theirs."""
    ends = x.low.min(axis=(1, 2)), x.high.max(axis=(1, 2))
    (outputs, maps), taps = layer.weight.shape[:2], layer.weight[0, 0].size
    first = np.arange(outputs) * layer.groups // outputs * maps
    which = np.repeat(first[:, None] + np.arange(maps), taps, axis=1)
    return Interval(*(end[which] for end in ends))
