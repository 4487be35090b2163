"""The functions that layers call: rounding without a shift of a negative number, and the like.

``used`` finds which of them a text calls; the others are not written.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from fxpnn.fixedpoint.qformat import Rounding
from fxpnn.targets.c.text import comment, function, without_comments

LIMITS = {32: 30, 64: 62}
"""A value that is rounded is at least ``-2**limit``, and less than ``2**limit``."""

_UP = {
    Rounding.NEAREST_EVEN: "rest > half || (rest == half && floor % 2 != 0)",
    Rounding.NEAREST_UP: "rest >= half",
    Rounding.NEAREST_DOWN: "rest > half",
    Rounding.NEAREST_ZERO: "rest > half || (rest == half && floor < 0)",
    Rounding.NEAREST_AWAY: "rest > half || (rest == half && floor >= 0)",
    Rounding.ZERO: "rest != 0 && floor < 0",
}
"""Where the floor is not the answer, but one more."""

_SAID = {
    Rounding.NEAREST_EVEN: "to the nearest integer, a tie to the even one",
    Rounding.NEAREST_UP: "to the nearest integer, a tie upward",
    Rounding.NEAREST_DOWN: "to the nearest integer, a tie downward",
    Rounding.NEAREST_ZERO: "to the nearest integer, a tie toward 0",
    Rounding.NEAREST_AWAY: "to the nearest integer, a tie away from 0",
    Rounding.FLOOR: "downward",
    Rounding.ZERO: "toward 0",
}


def rounding(mode: Rounding, bits: int) -> str:
    """Name the helper that rounds a value of 32 or 64 bits."""
    name = {Rounding.FLOOR: "round_down", Rounding.ZERO: "round_to_zero"}.get(mode)
    return f"{name or mode.value.replace('-', '_')}_{bits}"


def rounding_rest(mode: Rounding) -> str:
    """Name the helper that rounds a floor and the rest above it."""
    return rounding(mode, 64).replace("_64", "_rest")


def rounded_rest(mode: Rounding, floor: str, rest: str, half: str) -> str:
    """Write the rounding of a floor and the rest above it."""
    if mode is Rounding.FLOOR:
        return floor
    halves = f", {half}" if "half" in _UP[mode] else ""
    return f"{rounding_rest(mode)}({floor}, {rest}{halves})"


def _rounding(mode: Rounding, bits: int) -> str:
    word, limit, up = f"int{bits}_t", LIMITS[bits], _UP.get(mode)
    half = ", half = one / 2" if up and "half" in up else ""
    body = [
        f"const {word} one = ({word})1 << shift{half}, offset = ({word})1 << {limit};",
        f"const {word} value = v + offset; {comment('not negative: it may be shifted')}",
        f"const {word} floor = (value >> shift) - (offset >> shift);",
    ]
    if up:
        body += [f"const {word} rest = value & (one - 1);", f"return floor + ({up} ? 1 : 0);"]
    else:
        body = [body[0].replace(f"one = ({word})1 << shift, ", ""), *body[1:], "return floor;"]
    note = f"Round v / 2^shift {_SAID[mode]}; 1 <= shift <= {limit}."
    head = f"static {word} {rounding(mode, bits)}({word} v, int shift)"
    return "\n".join(function(head, body, note))


def _rest(mode: Rounding) -> str:
    half = ", int64_t half" if "half" in _UP[mode] else ""
    note = f"Round floor + rest / 2^n {_SAID[mode]}{'; half is 2^n / 2' if half else ''}."
    head = f"static int64_t {rounding_rest(mode)}(int64_t floor, int64_t rest{half})"
    return "\n".join(function(head, [f"return floor + ({_UP[mode]} ? 1 : 0);"], note))


NO_CALLS = """\
/* Compilers turn loops that copy or fill into calls of memcpy and memset: not here. */
#if defined(__clang__)
#pragma clang attribute push(__attribute__((no_builtin)), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC optimize("no-tree-loop-distribute-patterns")
#endif
"""
NO_CALLS_END = """\
#if defined(__clang__)
#pragma clang attribute pop
#endif
"""

COPY = """\
/* Copy words. */
static void copy(const int16_t *x, int16_t *y, size_t count)
{
    for (size_t k = 0; k < count; k++) y[k] = x[k];
}
"""

SCALED_UP = """\
/* v * 2^left; of what is far beyond every word, only the sign and the low 16 bits. left <= 40. */
static int64_t scaled_up(int64_t v, int left)
{
    const int64_t low = (int64_t)(((uint64_t)v << left) & 65535u), far = (int64_t)1 << 40;
    if (v > 65536) return far + low;
    return v < -65536 ? low - far : v * ((int64_t)1 << left);
}
"""

WRAPPED = """\
/* The low bits of v as a signed word of so many bits, at most 62. */
static int64_t wrapped(int64_t v, int bits)
{
    const uint64_t half = (uint64_t)1 << (bits - 1);
    const uint64_t kept = ((uint64_t)v + half) & (2 * half - 1);
    return (int64_t)kept - (int64_t)half;
}
"""

WRAPPED_UP = """\
/* The low bits of v * 2^left as a signed word of so many bits; left <= 63. */
static int64_t wrapped_up(int64_t v, int left, int bits)
{
    const uint64_t half = (uint64_t)1 << (bits - 1);
    const uint64_t kept = (((uint64_t)v << left) + half) & (2 * half - 1);
    return (int64_t)kept - (int64_t)half;
}
"""

SCALED_FAR = """\
/* v * 2^left, cut at 2^62, which is beyond every accumulator; left <= 62. */
static int64_t scaled_far(int64_t v, int left)
{
    const int64_t far = (int64_t)1 << 62, most = far >> left;
    if (v > most) return far;
    return v < -most ? -far : v * ((int64_t)1 << left);
}
"""

FIRST_TAP = """\
/* The first tap of a window that is not in the padding before the map. */
static size_t first_tap(size_t at, size_t padding, size_t taps, size_t dilation)
{
    const size_t first = at < padding ? (padding - at + dilation - 1) / dilation : 0;
    return first < taps ? first : taps;
}
"""

TAPS_TO = """\
/* How many taps of a window lie before the end of the map. */
static size_t taps_to(size_t at, size_t end, size_t taps, size_t dilation)
{
    const size_t count = at < end ? (end - at + dilation - 1) / dilation : 0;
    return count < taps ? count : taps;
}
"""

RECIPROCAL = """\
/* 2^(bits + 18) / sum, rounded, for 2^bits <= sum < 2^(bits + 1): 19 steps, no division. */
static uint64_t reciprocal(uint64_t sum, int *bits)
{
    int b = 30;
    while (sum >> (b + 1) != 0) b++;
    *bits = b;
    const uint64_t n = ((uint64_t)1 << (b + 18)) + (sum >> 1);
    uint64_t rest = n >> 19, quotient = 0;
    for (int step = 18; step >= 0; step--) {
        rest = 2 * rest + ((n >> step) & 1);
        quotient *= 2;
        if (rest >= sum) {
            rest -= sum;
            quotient++;
        }
    }
    return quotient;
}
"""

ROOT = """\
/* The root of v, rounded down: 32 steps, each a bit. */
static uint32_t root(uint64_t v)
{
    uint64_t found = 0;
    for (int bit = 31; bit >= 0; bit--) {
        const uint64_t next = found + ((uint64_t)1 << bit);
        if (next * next <= v) found = next;
    }
    return (uint32_t)found;
}
"""

QUARTERS = """\
/* 4 total / count, but the last two bits say of the rest behind the integer whether it is nothing,
   less than a half, a half, or more: all that a rounding asks. */
static {0} quarters_{1}({0} total, {0} count)
{{
    {0} floor = total / count, rest = total % count;
    if (rest < 0) {{
        rest += count;
        floor--;
    }}
    return 4 * floor + (rest > 0) + (2 * rest >= count) + (2 * rest > count);
}}
"""


def _all() -> Mapping[str, str]:
    found: dict[str, str] = {"scaled_up": SCALED_UP, "wrapped": WRAPPED}
    found |= {"first_tap": FIRST_TAP, "taps_to": TAPS_TO, "reciprocal": RECIPROCAL}
    found |= {"root": ROOT, "wrapped_up": WRAPPED_UP, "scaled_far": SCALED_FAR, "copy": COPY}
    found |= {f"quarters_{bits}": QUARTERS.format(f"int{bits}_t", bits) for bits in LIMITS}
    for mode in Rounding:
        found |= {rounding(mode, bits): _rounding(mode, bits) for bits in LIMITS}
        if mode in _UP:
            found[rounding_rest(mode)] = _rest(mode)
    return MappingProxyType(found)


HELPERS = _all()
"""Each helper by its name; none calls another that stands behind it."""


def used(code: str) -> list[str]:
    """Return the helpers that a text calls, and those that they call, in order."""
    needed = set[str]()
    for name in reversed(list(HELPERS)):
        if re.search(rf"\b{name}\b", without_comments(code)):
            needed.add(name)
            code += HELPERS[name]
    return [text for name, text in HELPERS.items() if name in needed]
