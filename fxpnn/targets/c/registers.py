"""Sums in an accumulator that has a fraction of its own, and drops bits of every product.

A fused product p that has s bits more makes a = R(a + p / 2^s). With p = 2^s q + r, R sees the
integer a + q and the rest r, so that a is never shifted. Where a wraps, the sum without overflow
is kept: its low bits are those of a, and only roundings that heed the sign need a as well. Where s
is 0 or less, no bit is dropped: a register that wraps is made of the exact sum in the end.
"""

import numpy as np

from fxpnn.fixedpoint.integers import round_quotient
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, Product, Rounding
from fxpnn.network.fixed import raw_bias
from fxpnn.network.layers import Array
from fxpnn.targets.c import helpers
from fxpnn.targets.c.casts import Held, cast, clamped, count
from fxpnn.targets.c.place import Place
from fxpnn.targets.c.summed import Sum, bias, note
from fxpnn.targets.c.text import Lines, function

FAR_RIGHT, FAR_LEFT = 40, 62
"""To drop more bits leaves no other rest of a product; to add more, nothing that any word holds."""
SIGNED = Rounding.NEAREST_ZERO, Rounding.NEAREST_AWAY, Rounding.ZERO


def sums(place: Place, register: Accumulator) -> Sum:
    """Write sums that are rounded, and clamped or wrapped, at every product."""
    node = place.step.node
    assert register.frac is not None
    dropped = node.dropped(*place.step.reads)
    kept = np.clip(dropped, -FAR_LEFT, FAR_RIGHT)
    wraps = register.overflow is Overflow.WRAP
    starts = _starts(register, raw_bias(node.layer), dropped, wraps)
    several = np.unique(kept).size > 1
    drop = (place.constant("drop", "int8_t", kept, "bits that a product drops"),) if several else ()
    shift = "drop" if several else str(int(kept[0]))
    sign = int(kept.min()) > 0, int(kept.max()) > 0
    both = wraps and sign[1] and register.product is Product.FUSED and register.rounding in SIGNED
    word = f"{place.symbol}_sum" if both else "int64_t"
    name = f"{place.symbol}_add"
    value = "a.endless" if both else "a"
    body = _entering(register, shift, sign, wraps)
    if both:
        body.append(f"a.held = wrapped({_summed(register, sign[1], 'a.held')}, {register.word});")
        body += [f"a.endless = {_summed(register, sign[1], value)};", "return a;"]
    elif wraps:
        body.append(f"return {_summed(register, sign[1], value)};")
    else:
        body += _clamp(place, register, sign[1])
    asked = any("drop" in line for line in body)
    head = f"static {word} {name}({word} a, int32_t product{', int drop' * asked})"
    said = f"Add a product to {register}, at F = {register.frac}."
    code = function(head, body, said)
    first = f"{name}(bias[{{0}}], 0{', drop[{0}]' * asked})"
    if both:
        typedef = f"typedef struct {{ int64_t held, endless; }} {word};"
        code = [typedef, *_pair(word, place, register), *code]
        first = f"{place.symbol}_start(bias[{{0}}])"
    held = None
    if wraps:
        lines = _held(place, register, shift, sign, both)
        held = Held(lines, drop * any("drop" in line for line in lines), word)
    ends = register.min, register.max
    shifts = register.frac - node.output_format.frac
    casting = cast(place, shifts, ends, note(place, ends), held, wide=True)
    start = bias(place, starts, "bias, as the accumulator takes it")
    return Sum(word, start, casting, first, adder=name, drop=drop * asked, code=code)


def _starts(register: Accumulator, biases: Array, dropped: Array, wraps: bool) -> Array:
    """Round biases to the register; of what is beyond it, keep that it is beyond.

    Where it wraps and drops no bits, sums are those of the products, and so are biases.
    """
    found = []
    for value, s in zip(biases.tolist(), dropped.tolist(), strict=True):
        if wraps and s <= 0:
            found.append(value)
            continue
        rounded = round_quotient(value << max(-s, 0), 1 << max(s, 0), register.rounding)
        near = min(max(rounded, register.min - 1), register.max + 1)
        found.append(rounded if wraps else near)
    return np.array(found, np.int64)


def _entering(register: Accumulator, shift: str, sign: tuple[bool, bool], wraps: bool) -> Lines:
    """Write the names ``term``, or ``floor``, ``rest`` and ``half``: what of a product enters."""
    every, some = sign
    up = "product" if wraps or shift == "0" else f"scaled_far(product, {_minus(shift)})"

    def choose(dropping: str, adding: str) -> str:
        if every or not some:
            return dropping if every else adding
        return f"drop > 0 ? {dropping} : {adding}"

    if register.product is Product.CAST or not some:
        rounding = helpers.rounding(register.rounding, 64)
        return [f"const int64_t term = {choose(f'{rounding}(product, {shift})', up)};"]
    down = helpers.rounding(Rounding.FLOOR, 64)
    lines = [f"const int64_t floor = {choose(f'{down}(product, {shift})', up)};"]
    one = f"((int64_t)1 << {shift})"
    if register.rounding is not Rounding.FLOOR:
        lines.append(f"const int64_t rest = {choose(f'product - floor * {one}', '0')};")
    if "half" in helpers.rounded_rest(register.rounding, "", "", "half"):
        lines.append(f"const int64_t half = {choose(f'{one} / 2', '1')};")
    return lines


def _minus(shift: str) -> str:
    return "-drop" if shift == "drop" else str(-int(shift))


def _summed(register: Accumulator, some: bool, value: str) -> str:
    """Write the sum of what the accumulator held and what of the product enters, rounded."""
    if register.product is Product.CAST or not some:
        return f"{value} + term"
    return helpers.rounded_rest(register.rounding, f"{value} + floor", "rest", "half")


def _clamp(place: Place, register: Accumulator, some: bool) -> Lines:
    low, high = register.min, register.max
    added, lost, lines = _summed(register, some, "a"), "", list[str]()
    if register.product is Product.CAST:
        lines.append(f"const int64_t kept = {clamped('term', low, high)};")
        added, lost = "a + kept", "kept != term || "
    return [
        *lines,
        f"const int64_t sum = {added};",
        count(place, "clamps", f"{lost}sum < {low} || sum > {high}"),
        f"return {clamped('sum', low, high)};",
    ]


def _held(
    place: Place, register: Accumulator, shift: str, sign: tuple[bool, bool], both: bool
) -> Lines:
    """Write what a register that wraps holds in the end, and count if the sum does not fit."""
    every, some = sign
    value, bits = "v.endless" if both else "v", register.word
    held, left, lines = "v.held" if both else f"wrapped(v, {bits})", "left", list[str]()
    if some and not every:
        lines = ["const int left = drop < 0 ? -drop : 0;"]
        held = f"drop > 0 ? {held} : wrapped_up({value}, left, {bits})"
    elif not some:
        left = _minus(shift)
        held = f"wrapped_up({value}, {left}, {bits})"
    least, most = f"(int64_t){-register.min}", f"(int64_t){register.max}"
    if not every:
        least, most = (f"({end} >> {left})" for end in (least, most))
    lines.append(count(place, "clamps", f"{value} < -{least} || {value} > {most}"))
    return [*lines, f"const int64_t held = {held};"]


def _pair(word: str, place: Place, register: Accumulator) -> Lines:
    """Write the type of a sum with and without overflow, and how one starts."""
    body = [f"const {word} a = {{wrapped(bias, {register.word}), bias}};", "return a;"]
    head = f"static {word} {place.symbol}_start(int64_t bias)"
    said = "What the accumulator holds, and the sum as if it never overflowed."
    return function(head, body, said)
