"""The C function that casts a layer's exact values to its words, and keeps its limits."""

from dataclasses import dataclass

import numpy as np

from fxpnn.fixedpoint.qformat import Overflow, Rounding
from fxpnn.network.layers import Array
from fxpnn.targets.c import helpers
from fxpnn.targets.c.place import Constant, Place
from fxpnn.targets.c.text import Lines, function
from fxpnn.targets.lowering import Step

FAR_LEFT = 40
"""To add as many bits as this, or more, makes every value but 0 overflow, and its low bits 0."""


@dataclass(frozen=True)
class Cast:
    """A function that casts a value of type ``word``.

    Where channels differ in their shifts, it takes the shift as well.
    """

    name: str
    word: str
    code: Lines
    constants: tuple[Constant, ...] = ()

    def of(self, value: str, channel: str = "0") -> str:
        """Write the call for a value of a channel."""
        shifts = "".join(f", {constant.what}[{channel}]" for constant in self.constants)
        return f"{self.name}({value}{shifts})"


@dataclass(frozen=True)
class Held:
    """How ``held``, what an accumulator holds, is made of the sum ``v``; ``drop`` may be asked."""

    code: Lines
    drop: tuple[Constant, ...] = ()
    word: str = "int64_t"


def cast(
    place: Place,
    shifts: int | Array,
    reach: tuple[int, int],
    note: str,
    held: Held | None = None,
    suffix: str = "cast",
    wide: bool = False,
) -> Cast:
    """Write the cast of values that lie in ``reach``, and drop ``shifts`` bits of each channel.

    ``wide`` says that values have 64 bits, even where 32 would do.
    """
    step, (low, high) = place.step, reach
    different = np.unique(np.asarray(shifts))
    limit = 1 << helpers.LIMITS[32]
    narrow = -limit <= low and high < limit and held is None and different.size == 1 and not wide
    bits = 32 if narrow else 64
    body, value, constants = list[str](), "v", tuple[Constant, ...]()
    if held is not None:
        body, value, constants = [*held.code], "held", held.drop
    arguments = "".join(f", int {constant.what}" for constant in constants)
    if different.size > 1:
        kept = np.clip(np.asarray(shifts), -FAR_LEFT, 63)
        constants += (place.constant("shift", "int8_t", kept, "bits that the cast drops"),)
        arguments += ", int shift"
        rounded = _round_each(step.node.rounding, value, different)
    else:
        rounded = _round(step, value, int(different[0]), bits)
    if rounded != value:
        size = 64 if "scaled_up" in rounded else bits
        body.append(f"const int{size}_t r = {rounded};")
        value = "r"
    body += finish(place, value)
    name, word = f"{place.symbol}_{suffix}", f"int{bits}_t" if held is None else held.word
    code = function(f"static int16_t {name}({word} v{arguments})", body, note)
    return Cast(name, word, code, constants)


def _round(step: Step, value: str, shift: int, bits: int) -> str:
    """Write the rounding of a value that drops ``shift`` bits, or adds some."""
    if shift == 0:
        return value
    if shift < 0:
        if not overflows(step):  # the product is a word: by 2**16 and more, it is 0
            return f"{value} * {1 << -shift}" if shift > -16 else value
        return f"scaled_up({value}, {min(-shift, FAR_LEFT)})"
    name = helpers.rounding(step.node.rounding, bits)
    if shift > helpers.LIMITS[bits]:  # less than half a count: as a quarter is rounded
        return f"{name}(({value} > 0) - ({value} < 0), 2)"
    return f"{name}({value}, {shift})"


def _round_each(rounding: Rounding, value: str, shifts: Array) -> str:
    """Write the rounding of a value whose channel says how many bits are dropped, or added."""
    name = helpers.rounding(rounding, 64)
    text = f"{name}({value}, shift)"
    if shifts[-1] > helpers.LIMITS[64]:
        text = f"shift > 62 ? {name}(({value} > 0) - ({value} < 0), 2) : {text}"
    if shifts[0] < 1:
        text = f"shift < 1 ? scaled_up({value}, -shift) : {text}"
    return text


def overflows(step: Step) -> bool:
    """Say whether any input can make the step's cast overflow."""
    return step.proof.saturates or step.proof.below_zero or step.node.clips_one


def count(place: Place, what: str, when: str) -> str:
    """Write the statement that counts an overflow."""
    return f"COUNT({place.number}, {what}, {when});"


def finish(place: Place, name: str) -> Lines:
    """Judge overflow of a rounded value, keep the step's limits, and return the word."""
    step, node = place.step, place.step.node
    if not overflows(step):
        return limited(step, name)
    (low, high), fmt = node.requantize.limits, node.output_format
    body, rectified = list[str](), step.rectified and not fmt.signed
    if rectified:
        body.append(count(place, "below_zero", f"{name} < 0"))
    if not node.clips_one:
        below = "" if rectified else f"{name} < {low} || "
        body.append(count(place, "saturations", f"{below}{name} > {high}"))
    if node.requantize.clamps:
        least, most = (min(max(end, low), high) for end in (step.low, step.high))
        return [*body, f"return (int16_t){clamped(name, least, most)};"]
    if node.overflow is Overflow.SATURATE_ZERO:
        body.append(
            f"const int32_t kept = (int32_t)({name} < {low} || {name} > {high} ? 0 : {name});"
        )
    elif fmt.signed:
        body.append(f"const int32_t kept = (int32_t)wrapped({name}, {fmt.word});")
    else:
        body.append(f"const int32_t kept = (int32_t)((uint64_t){name} & {fmt.max}u);")
    return body + limited(step, "kept")


def limited(step: Step, name: str) -> Lines:
    """Return a value that is a word of the step's format, within the step's limits."""
    if not step.limited:
        return [f"return (int16_t){name};"]
    return [f"return (int16_t){clamped(name, step.low, step.high)};"]


def clamped(name: str, low: int, high: int) -> str:
    """Write a value, or the limit beyond which it is."""
    return f"({name} < {low} ? {low} : {name} > {high} ? {high} : {name})"


@dataclass(frozen=True)
class Limits:
    """The function that keeps a step's limits where its layer casts nothing; none may be needed."""

    name: str = ""
    code: Lines | tuple[()] = ()

    def of(self, word: str) -> str:
        """Write the word within the limits."""
        return f"{self.name}({word})" if self.name else word


def limits(place: Place) -> Limits:
    """Write the limits of a step on words of its format."""
    step, name = place.step, f"{place.symbol}_limits"
    if not step.limited:
        return Limits()
    head = f"static int16_t {name}(int32_t v)"
    return Limits(name, function(head, limited(step, "v"), "Keep a word within limits."))
