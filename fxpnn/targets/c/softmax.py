"""Softmax: by the maximum, which cannot overflow, or by a constant."""

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import numpy as np

from fxpnn.fixedpoint.integers import LOG2E
from fxpnn.network.layers import MaskedSoftmax, Softmax
from fxpnn.targets.c.casts import clamped, count
from fxpnn.targets.c.place import Constant, Place, Written, inner
from fxpnn.targets.c.text import Lines, block, function, index, loop

FAR = 40
"""To drop so many bits of a distance leaves nothing; to add eight makes every one too long."""


Each: TypeAlias = Callable[[Lines], Lines]
"""What repeats statements for every k, a place of a vector that counts."""


def softmax(place: Place, layer: Softmax) -> Written:
    """Write a softmax along an axis: of each vector the maximum, the sum, then the quotients."""
    before, classes, behind = inner(place.step.shape, layer.axis)
    o, i = ("o" if before > 1 else "0"), ("i" if behind > 1 else "0")

    def at(k: str) -> str:
        return index((o, classes * behind), (k, behind), (i, 1))

    spans, each, first = list[Constant](), partial(loop, "k", classes), "0"
    if isinstance(layer, MaskedSoftmax):
        spans = [_spans(place, layer)]
        each, first = partial(block, "for (size_t k = start; k < end; k++)"), "start"
    table, step = place.table(), place.step
    if step.node.softmax_shift is None:
        code, body = _by_maximum(place, table, f"x[{at('k')}]", f"x[{at(first)}]", each, at("k"))
    else:
        code, body = _by_constant(place, table, f"x[{at('k')}]", each, at("k"))
    if isinstance(layer, MaskedSoftmax):
        turn = f"({index((o, behind), (i, 1))}) % {len(layer.spans)}"
        zero = f"y[{at('k')}] = {min(max(step.low, 0), step.high)};"
        body = [
            f"const uint16_t *span = {spans[0].name} + 2 * ({turn});",
            "const size_t start = span[0], end = span[1];",
            *loop("k", classes, [f"if (k < start || k >= end) {zero}"]),
            *body,
        ]
    lines = loop(o, before, loop(i, behind, body))
    return Written([*code, *place.function(lines)], (table, *spans))


def _spans(place: Place, layer: MaskedSoftmax) -> Constant:
    return place.constant(
        "spans", "uint16_t", np.array(layer.spans).reshape(-1), "starts and ends of what counts"
    )


def _by_maximum(
    place: Place, table: Constant, value: str, first: str, each: Each, at: str
) -> tuple[Lines, Lines]:
    name = f"{place.symbol}_exp"
    distance = f"(uint32_t)((int32_t)best - {value})"
    half = "((uint64_t)1 << (bits + 2))"
    quotient = [
        f"const uint64_t e = {name}({distance});",
        f"const int32_t p = (int32_t)((e * factor + {half}) >> (bits + 3));",
        f"y[{at}] = (int16_t){_limited(place)};",
    ]
    body = [
        f"int16_t best = {first};",
        *each([f"if ({value} > best) best = {value};"]),
        "uint64_t sum = 0;",
        *each([f"sum += {name}({distance});"]),
        "int bits = 0;",
        "const uint64_t factor = reciprocal(sum, &bits);",
        *each(quotient),
    ]
    return _exponential(place, table), body


def _limited(place: Place) -> str:
    """Write a probability p within the word and the step's limits; it is not negative."""
    low, high = place.step.low, place.step.high
    return clamped("p", low, high) if low > 0 else f"(p > {high} ? {high} : p)"


def _by_constant(
    place: Place, table: Constant, value: str, each: Each, at: str
) -> tuple[Lines, Lines]:
    """Subtract a constant instead, each exp a saturating Q7.8 word; all 0 where all exps are 0."""
    name = f"{place.symbol}_exp"
    e = f"const uint32_t e = {name}({value});"
    word = "(e > 32767 ? 32767 : e)"
    quotient = [
        e,
        f"const int32_t p = sum > 0 ? (int32_t)(({word} * 32768 + sum / 2) / sum) : 0;",
        f"y[{at}] = (int16_t){_limited(place)};",
    ]
    body = [
        "uint32_t sum = 0;",
        *each([e, count(place, "saturations", "e > 32767"), f"sum += {word};"]),
        *each(quotient),
    ]
    return _short_exponential(place, table), body


def _short_exponential(place: Place, table: Constant) -> Lines:
    """Write exp(v - shift) at F = 8, rounded down; beyond 2^8 it is some such number."""
    drop, shift = place.step.sources[0].format.frac + 2, place.step.node.softmax_shift or 0
    t = f"((int64_t)v - {shift}) * {LOG2E}".replace("- -", "+ ")
    if drop > 0:
        t = f"nearest_up_64({t}, {min(drop, FAR)})"
    elif drop < 0:
        t = f"{t} * {1 << min(-drop, 8)}"
    body = [
        f"const uint64_t u = ((uint64_t)1 << 48) - (uint64_t)({t});",
        f"const int32_t *table = {table.name} + ((u >> 8) & 255);",
        "const int32_t high = table[0], fall = high - table[1];",
        "const int32_t m = high - ((fall * (int32_t)(u & 255) + 128) >> 8);",
        "const int64_t n = (int64_t)(u >> 16) - ((int64_t)1 << 32) + 12;",
        "return (uint32_t)m >> (n < 4 ? 4 : n > 31 ? 31 : n);",
    ]
    head = f"static uint32_t {place.symbol}_exp(int16_t v)"
    return function(head, body, "exp(v - a constant) at F = 8; beyond 2^8 some such number.")


def _exponential(place: Place, table: Constant) -> Lines:
    """Write exp(-d) at F = 30: a power of 2, whose fraction is looked up in the table."""
    drop = place.step.sources[0].format.frac + 2
    t = f"(uint64_t)distance * {LOG2E}"
    if drop > 0:
        drop = min(drop, FAR)
        t = f"({t} + {1 << drop >> 1}) >> {drop}"
    else:
        t = f"{t} << {min(-drop, 8)}" if drop else t
    body = [
        f"const uint64_t t = {t};",
        f"const int32_t *table = {table.name} + ((t >> 8) & 255);",
        "const int32_t high = table[0], fall = high - table[1];",
        "const int32_t m = high - ((fall * (int32_t)(t & 255) + 128) >> 8);",
        "return t >> 16 > 30 ? 0 : ((uint32_t)m << 10) >> (t >> 16);",
    ]
    head = f"static uint32_t {place.symbol}_exp(uint32_t distance)"
    return function(head, body, "exp(-distance) at F = 30: a power of 2, looked up and shifted.")
