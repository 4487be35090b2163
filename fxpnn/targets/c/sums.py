"""How a layer's sums are computed in C: what the proof licenses, as the engine does.

Sums that provably fit 32 bits are added up in that word; longer ones in parts that provably fit,
or in 64 bits. Those that may have to be clamped are clamped after every add, and those in an
accumulator that drops bits are rounded at every add, too (``registers``).
"""

from collections.abc import Iterable

import numpy as np

from fxpnn.fixedpoint.interval import Interval
from fxpnn.fixedpoint.qformat import Accumulator, Overflow
from fxpnn.network.fixed import FixedNode, raw_bias, raw_weights
from fxpnn.network.layers import Array
from fxpnn.targets.c import registers
from fxpnn.targets.c.casts import Held, cast, clamped, count
from fxpnn.targets.c.place import Place
from fxpnn.targets.c.summed import Ends, Sum, fits, note
from fxpnn.targets.c.summed import bias as start_of
from fxpnn.targets.c.text import function

BLOCK = 1 << 22
"""So many products are bounded at once."""


def sums(place: Place, x: Interval, parts: Iterable[int]) -> Sum:
    """Choose how the sums of a layer are computed.

    ``x`` bounds the value that each weight of an output meets, in the order of summing: arrays
    ``(k,)`` or, where outputs meet others, ``(outputs, k)``; or each product of two inputs, where
    the layer has no weights. ``parts`` are the numbers of products
    that may be taken together, the most first.
    """
    step, node = place.step, place.step.node
    register = node.accumulator
    assert register is not None
    if _drops(node, step.proof.proved, place):
        return registers.sums(place, register)
    weight = raw_weights(node.layer)
    weight = np.ones((1, *x.low.shape), int) if weight is None else weight.reshape(len(weight), -1)
    bias = raw_bias(node.layer)
    shifts = node.requantize.dropped(node.product_fracs(*step.reads))
    if register.frac is not None:  # it keeps all bits, and holds them
        register = Accumulator()
    if not step.proof.proved and register.overflow is Overflow.SATURATE:
        return _clamped(place, register, bias, shifts)
    low, high = reach(weight, x, weight.shape[1])
    total = int((low + bias).min()), int((high + bias).max())
    held = None
    if not step.proof.proved:
        lines = [
            count(place, "clamps", f"v < {register.min} || v > {register.max}"),
            f"const int64_t held = wrapped(v, {register.word});",
        ]
        held = Held(lines)
    terms = int(low.min()), int(high.max())
    short = fits(total) and fits(terms)
    casting = cast(place, shifts, total, note(place, total), held, wide=not short)
    if short:
        return Sum("int32_t", start_of(place, bias), casting)
    return Sum("int64_t", start_of(place, bias), casting, part=_part(weight, x, parts, terms))


def _drops(node: FixedNode, proved: bool, place: Place) -> bool:
    """Say whether the accumulator makes other sums than those of all the products' bits."""
    assert node.accumulator is not None
    kept = proved and bool((node.dropped(*place.step.reads) <= 0).all())
    return node.accumulator.frac is not None and not kept


def reach(weight: Array, x: Interval, part: int) -> tuple[Array, Array]:
    """Bound the sums of each ``part`` products in a row; each input's interval contains 0 too.

    Returns the least and the largest of each output, over its parts.
    """
    low, high = np.minimum(x.low, 0), np.maximum(x.high, 0)
    low, high = (np.broadcast_to(end, weight.shape) for end in (low, high))
    starts, rows = range(0, weight.shape[1], part), max(1, BLOCK // weight.shape[1])
    ends = []
    for first in range(0, len(weight), rows):
        some = slice(first, first + rows)
        factor = weight[some].astype(np.int64)
        sides = factor * low[some], factor * high[some]
        fall = np.add.reduceat(np.minimum(*sides), starts, axis=1).min(axis=1)
        rise = np.add.reduceat(np.maximum(*sides), starts, axis=1).max(axis=1)
        ends.append((fall, rise))
    falls, rises = zip(*ends, strict=True)
    return np.concatenate(falls), np.concatenate(rises)


def _part(weight: Array, x: Interval, parts: Iterable[int], total: Ends) -> int:
    """Return the most products whose sum fits 32 bits wherever they begin, 0 if none are enough.

    Of ``terms`` products that sum to as much as ``total``, some part has its share of that.
    """
    terms, most = weight.shape[1], max(-total[0], total[1])
    for part in parts:
        if most * part < terms << 31:
            low, high = reach(weight, x, part)
            if fits((int(low.min()), int(high.max()))):
                return part
    return 0


def _clamped(place: Place, register: Accumulator, bias: Array, shifts: Array) -> Sum:
    """Clamp after every add: of 31 bits and a product, the sum fits 32 bits."""
    word = "int32_t" if register.word < 32 else "int64_t"
    name, (low, high) = f"{place.symbol}_add", (register.min, register.max)
    body = [
        f"const {word} sum = a + product;",
        count(place, "clamps", f"sum < {low} || sum > {high}"),
        f"return {clamped('sum', low, high)};",
    ]
    head = f"static {word} {name}({word} a, int32_t product)"
    code = function(head, body, f"Add a product, and clamp to {register.word} bits.")
    casting = cast(place, shifts, (low, high), note(place, (low, high)))
    near = np.clip(bias, low - 1, high + 1)  # as far beyond as an overflow shows
    first = f"{name}(bias[{{0}}], 0)"
    return Sum(word, start_of(place, near), casting, first, adder=name, code=code)
