"""Own the vector code: sums of 16-bit products, and their casts, for sixteen outputs at once.

This is the one file that speaks LLVM. It names no machine's instruction: vectors have 16 lanes, and
LLVM splits them to the width of the machine it compiles for (one register of AVX-512, two of AVX2,
four of SSE2 or NEON) and folds the products into the packed multiply-add that the machine has.

``packing`` explains rows, columns and pairs. Nothing is checked here: arrays are C-contiguous and
every index lies inside them. Arguments are tuples, so that a call reads as "of these words, those
pairs, from here, to there".
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from fxpnn.kernels import arithmetic
from fxpnn.kernels.packing import LANES

Value: TypeAlias = Any
"""A value of LLVM: what a register holds, or a pointer."""
Emitted: TypeAlias = tuple[Any, Callable[..., Value]]
"""An intrinsic's signature, and the function that writes its code."""

I16, I32, I64 = (ir.IntType(bits) for bits in (16, 32, 64))
PAIR, PAIRS = ir.VectorType(I16, 2), ir.VectorType(I16, 2 * LANES)
PARTIAL_SUMS = 4
"""Independent sums of a lone row: as many as the cycles that a multiply-add takes."""


def rows_per_tile() -> int:
    """Return how many rows' sums fit the registers of the machine that Numba compiles for."""
    _, name, features = cpu_target.target_context.codegen().magic_tuple()
    if "+avx512f" in features:
        return 8
    if features:
        return 5 if "+avx2" in features or "+neon" in features else 2
    return 2 if name in ("generic", "x86-64") else 5


ROWS = rows_per_tile()


@intrinsic(prefer_literal=True)
def dot(_: Any, rows: Any, words: Any, pairs: Any, init: Any, acc: Any) -> Emitted:
    """Add the products of a range of pairs to the sums of a tile of rows.

    Products are summed modulo ``2**32``: exact where the final sum fits, whatever happens on the
    way (two products of -32768 by -32768 make ``2**31``). Where sums are int32 the sum includes
    what the row begins with; where they are int64 that is added last, in 64 bits.

    Args:
        rows: how many, a literal.
        words: ``(x, starts, row)``: int16, int64, the first row.
        pairs: ``(weights, offsets, first, last)``: int16, int64, the first pair and the end.
        init: ``(array, index, pitch)``: row ``r`` begins with the 16 at ``index + r * pitch``.
        acc: ``(array, index)``: row ``r`` ends in the 16 at ``index + 16 * r``; int32 or int64, as
            ``init`` is.
    """
    bits = acc.types[0].dtype.bitwidth

    def emit(context: Any, b: Any, signature: Any, values: Sequence[Value]) -> Value:
        count = rows.literal_value
        _, x, table, first, end = _open(context, b, signature, values)
        begin = _load_rows(b, first, count, bits)
        sums = begin if bits == 32 else [_all(0, 32)] * count
        points = _points(b, x, count)
        if count == 1:
            sums, table = _partial_sums(b, points, table, sums)
        sums = _add_pairs(b, points, table, sums, b.add)
        if bits == 64:
            sums = [b.add(i, b.sext(s, i.type)) for i, s in zip(begin, sums, strict=True)]
        _store_rows(b, sums, end)
        return context.get_dummy_value()

    return types.void(rows, words, pairs, init, acc), emit


@intrinsic(prefer_literal=True)
def step(_: Any, rows: Any, words: Any, pairs: Any, init: Any, acc: Any, word: Any) -> Emitted:
    """Add products one by one, clamp after each, and count the adds that were clamped.

    The second weight of each pair is 0: a pair is one product. Sums are int32 for a word of 8 to 32
    bits, int64 for one of 33 to 62. Before its clamp a sum is exact: ``2**30`` and one product of
    ``2**30`` fit 32 bits, but for a word of 32, where signs tell which sum wrapped.

    Args:
        rows: how many, a literal.
        words: as ``dot`` has it.
        pairs: as ``dot`` has it.
        acc: as ``dot`` has it, int32 or int64; sums begin there, inside the word.
        word: ``(low, high)``: int64, the limits of two's complement.

    Returns:
        How many adds were clamped, in all rows and lanes.
    """
    bits = acc.types[0].dtype.bitwidth

    def emit(context: Any, b: Any, signature: Any, values: Sequence[Value]) -> Value:
        count = rows.literal_value
        _, x, table, init_, end, limits = _open(context, b, signature, values)
        points = _points(b, x, count)
        clamped = cgutils.alloca_once_value(b, I64(0))
        low, high = (_splat(b, _narrow(b, limit, bits)) for limit in limits)

        def clamp(total: Value, product: Value) -> Value:
            exact = b.add(total, product if bits == 32 else b.sext(product, low.type))
            kept = _call(b, "smin", _call(b, "smax", exact, low), high)
            _count(b, clamped, b.icmp_signed("!=", kept, exact))
            return kept

        def saturate(total: Value, product: Value) -> Value:
            added = b.add(total, product)
            signs = b.and_(b.xor(added, total), b.xor(added, product))
            wrapped = b.icmp_signed("<", signs, _all(0, 32))
            _count(b, clamped, wrapped)
            limit = b.add(b.lshr(total, _all(31, 32)), high)  # wraps to low where it was negative
            return b.select(wrapped, limit, added)

        def run(update: Callable[[Value, Value], Value]) -> None:
            sums = _load_rows(b, init_, count, bits)
            _store_rows(b, _add_pairs(b, points, table, sums, update), end)

        if bits == 64:
            run(clamp)
        else:
            full = b.icmp_signed("==", limits[0], I64(-(2**31)))
            with b.if_else(full) as (then, otherwise):
                with then:
                    run(saturate)
                with otherwise:
                    run(clamp)
        return b.load(clamped)

    return types.int64(rows, words, pairs, init, acc, word), emit


@intrinsic(prefer_literal=True)
def within(_: Any, rows: Any, init: Any, rooms: Any) -> Emitted:
    """Say whether all sums of a tile lie between a floor and a ceiling per lane.

    Args:
        rows: how many, a literal.
        acc: as ``dot`` has it.
        rooms: ``(floor, ceiling, index)``: 16 of each at ``index``, of the sums' type.
    """
    bits = init.types[0].dtype.bitwidth
    element = ir.IntType(bits)

    def emit(context: Any, b: Any, signature: Any, values: Sequence[Value]) -> Value:
        _, first, (floor, ceiling, at) = _open(context, b, signature, values)
        low, high = _load(b, floor, at, element), _load(b, ceiling, at, element)
        outside = _constant([0] * LANES, 1)
        for total in _load_rows(b, first, rows.literal_value, bits):
            outside = b.or_(outside, b.icmp_signed("<", total, low))
            outside = b.or_(outside, b.icmp_signed(">", total, high))
        return b.icmp_unsigned("==", b.bitcast(outside, I16), I16(0))

    return types.boolean(rows, init, rooms), emit


@intrinsic
def narrow(_: Any, rows: Any, acc: Any, shifts: Any, to: Any, out: Any) -> Emitted:
    """Cast rows of sums to 16-bit words; count the values out of range.

    Every rounding is one rule with other constants: with ``s`` the shift, ``q = a >> s`` and the
    remainder ``r = a & (2**s - 1)``, the result is ``q + (r + tie > threshold)``. A nearest one
    has the threshold ``2**(s-1)`` and moves it by one where ties go up; ``zero`` rounds up what is
    negative and has a remainder.

    Args:
        rows: how many, int64.
        acc: ``(array, index)``: int32 or int64, 16 of each row, one row behind the other.
        shifts: ``(array, index)``: int64, 16 from 0 to 30, or 62 where sums are int64.
        to: ``(rounding, overflow, low, high, least)``, int64: codes, the range, and a floor for
            the result once the range is judged.
        out: ``(array, index, pitch)``: int16; row ``r`` writes the 16 at ``index + r * pitch``,
            in order, so that a row may overlap the next ones.

    Returns:
        How many rounded values were out of range.
    """
    bits = acc.types[0].dtype.bitwidth
    element = ir.IntType(bits)

    def emit(context: Any, b: Any, signature: Any, values: Sequence[Value]) -> Value:
        (count, (array, index), (table, lane), modes, (target, place, pitch)) = _open(
            context, b, signature, values
        )
        rounding, overflow, *limits = modes
        shift = _narrow(b, _load(b, table, lane, I64), bits)
        rule = _rounding_rule(b, rounding, shift)
        low, high, least = (_splat(b, _narrow(b, limit, bits)) for limit in limits)
        outside = cgutils.alloca_once_value(b, I64(0))

        def run(keep: Callable[[Value, Value], Value]) -> None:
            with cgutils.for_range(b, count, intp=I64) as loop:
                a = _load(b, array, b.add(index, b.mul(loop.index, I64(LANES))), element)
                rounded = _round(b, a, shift, rule)
                clamped = _call(b, "smin", _call(b, "smax", rounded, low), high)
                over = b.icmp_signed("!=", clamped, rounded)
                _count(b, outside, over)
                kept = _call(b, "smax", keep(over, rounded, clamped), least)
                at = b.add(place, b.mul(loop.index, pitch))
                _store(b, b.trunc(kept, ir.VectorType(I16, LANES)), target, at)

        clamps = b.icmp_signed("<=", overflow, I64(arithmetic.SATURATE_SYMMETRIC))
        with b.if_else(clamps) as (then, otherwise):
            with then:
                run(lambda over, rounded, clamped: clamped)
            with otherwise:
                wraps = b.icmp_signed("==", overflow, I64(arithmetic.WRAP))
                nothing = _all(0, bits)
                span, base = (b.select(wraps, v, nothing) for v in (b.sub(high, low), low))
                run(
                    lambda over, rounded, clamped: b.select(
                        over, b.add(b.and_(b.sub(rounded, low), span), base), rounded
                    )
                )
        return b.load(outside)

    return types.int64(rows, acc, shifts, to, out), emit


def _add_pairs(
    b: Value,
    points: Sequence[Value],
    table: Sequence[Value],
    sums: Sequence[Value],
    update: Callable[[Value, Value], Value],
) -> list[Value]:
    """Loop over pairs; each sum takes its row's products, or a lone row's in turn."""
    weights, offsets, first, last = table
    cells = [cgutils.alloca_once_value(b, total) for total in sums]
    stride = len(sums) // len(points)
    with cgutils.for_range_slice(b, first, last, I64(stride), I64) as (pair, _):
        for ahead in range(stride):
            at = b.add(pair, I64(ahead))
            offset = b.load(b.gep(offsets, [at]))
            lanes = _load(b, weights, b.mul(at, I64(2 * LANES)), I16, 2 * LANES)
            for point, cell in zip(points, cells[ahead::stride], strict=True):
                product = _multiply_add(b, lanes, b.gep(point, [offset]))
                b.store(update(b.load(cell), product), cell)
    return [b.load(cell) for cell in cells]


def _partial_sums(
    b: Value, points: Sequence[Value], table: Sequence[Value], sums: Sequence[Value]
) -> tuple[list[Value], list[Value]]:
    """Add what a lone row's partial sums can share evenly; return the sum, and the pairs left."""
    weights, offsets, first, last = table
    rest = b.and_(b.sub(last, first), I64(PARTIAL_SUMS - 1))
    whole = b.sub(last, rest)
    begin = [*sums, *[_all(0, 32)] * (PARTIAL_SUMS - 1)]
    parts = _add_pairs(b, points, [weights, offsets, first, whole], begin, b.add)
    return [functools.reduce(b.add, parts)], [weights, offsets, whole, last]


def _multiply_add(b: Value, lanes: Value, point: Value) -> Value:
    """Multiply the two words at ``point`` by each lane's two weights; add both, modulo 2**32.

    LLVM knows this shape, whole vectors multiplied and neighbours added, as one instruction.
    """
    pair = _load(b, point, I64(0), I16, 2)
    pairs = b.shuffle_vector(pair, pair, _constant([0, 1] * LANES, 32))
    wide = ir.VectorType(I32, 2 * LANES)
    products = b.mul(b.sext(lanes, wide), b.sext(pairs, wide))
    halves = [
        b.shuffle_vector(products, products, _constant(range(odd, 2 * LANES, 2), 32))
        for odd in (0, 1)
    ]
    return b.add(*halves)


def _rounding_rule(b: Value, rounding: Value, shift: Value) -> tuple[Value, ...]:
    """Return the mask of the remainder, the threshold, and what ties add if odd or negative."""
    bits = shift.type.element.width
    one, nothing = _all(1, bits), _all(0, bits)

    def where(codes: Sequence[int], value: Value, other: Value) -> Value:
        for code in codes:
            other = b.select(b.icmp_signed("==", rounding, I64(code)), value, other)
        return other

    power = b.shl(one, shift)
    mask = b.sub(power, one)
    half = _call(b, "smax", b.lshr(power, one), one)  # with no remainder, never reached
    upward = (arithmetic.NEAREST_UP, arithmetic.NEAREST_AWAY)
    threshold = where(upward, b.sub(half, one), half)
    threshold = where((arithmetic.FLOOR, arithmetic.ZERO), mask, threshold)
    odd = where((arithmetic.NEAREST_EVEN,), one, nothing)
    negative = where((arithmetic.NEAREST_ZERO,), one, nothing)
    negative = where((arithmetic.NEAREST_AWAY,), _all(-1, bits), negative)
    negative = where((arithmetic.ZERO,), mask, negative)
    return mask, threshold, odd, negative


def _round(b: Value, a: Value, shift: Value, rule: tuple[Value, ...]) -> Value:
    """Divide by ``2**shift``; the remainder and the tie's share stay below ``2**(shift + 1)``."""
    mask, threshold, odd, negative = rule
    bits = a.type.element.width
    quotient = b.ashr(a, shift)
    sign = b.ashr(a, _all(bits - 1, bits))
    tie = b.add(b.and_(quotient, odd), b.and_(sign, negative))
    up = b.icmp_signed(">", b.add(b.and_(a, mask), tie), threshold)
    return b.sub(quotient, b.sext(up, a.type))


def _count(b: Value, cell: Value, flags: Value) -> None:
    """Add the number of lanes whose flag stands."""
    word = ir.IntType(LANES)
    ones = cgutils.get_or_insert_function(
        b.module, ir.FunctionType(word, [word]), f"llvm.ctpop.i{LANES}"
    )
    many = b.call(ones, [b.bitcast(flags, word)])
    b.store(b.add(b.load(cell), b.zext(many, I64)), cell)


def _open(context: Any, b: Value, signature: Any, values: Sequence[Value]) -> list[Any]:
    """Unpack tuples, turn arrays into pointers to their first element, leave integers."""

    def opened(kind: Any, value: Value) -> Any:
        if isinstance(kind, types.BaseTuple):
            parts = cgutils.unpack_tuple(b, value)
            return [opened(k, v) for k, v in zip(kind.types, parts, strict=True)]
        if isinstance(kind, types.Array):
            return context.make_array(kind)(context, b, value).data
        return value

    return [opened(k, v) for k, v in zip(signature.args, values, strict=True)]


def _points(b: Value, words: Sequence[Value], rows: int) -> list[Value]:
    """Return where each row's words start."""
    x, starts, row = words
    first = b.gep(starts, [row])
    return [b.gep(x, [b.load(b.gep(first, [I64(r)]))]) for r in range(rows)]


def _load(b: Value, array: Value, index: Value, element: ir.IntType, lanes: int = LANES) -> Value:
    pointer = b.bitcast(b.gep(array, [index]), ir.VectorType(element, lanes).as_pointer())
    return b.load(pointer, align=element.width // 8)


def _store(b: Value, value: Value, array: Value, index: Value) -> None:
    pointer = b.bitcast(b.gep(array, [index]), value.type.as_pointer())
    b.store(value, pointer, align=value.type.element.width // 8)


def _load_rows(b: Value, init: Sequence[Value], rows: int, bits: int) -> list[Value]:
    array, index, pitch = init
    places = [b.add(index, b.mul(pitch, I64(r))) for r in range(rows)]
    return [_load(b, array, place, ir.IntType(bits)) for place in places]


def _store_rows(b: Value, sums: Sequence[Value], acc: Sequence[Value]) -> None:
    for row, total in enumerate(sums):
        _store(b, total, acc[0], b.add(acc[1], I64(row * LANES)))


def _constant(values: Sequence[int], bits: int) -> Value:
    return ir.Constant(ir.VectorType(ir.IntType(bits), len(values)), list(values))


def _all(value: int, bits: int) -> Value:
    return _constant([value] * LANES, bits)


def _splat(b: Value, value: Value) -> Value:
    one = b.insert_element(ir.VectorType(value.type, LANES)(ir.Undefined), value, I32(0))
    return b.shuffle_vector(one, one, _all(0, 32))


def _narrow(b: Value, value: Value, bits: int) -> Value:
    """Truncate int64, alone or in lanes, to the width of the sums."""
    if bits == I64.width:
        return value
    kind = ir.IntType(bits)
    return b.trunc(value, ir.VectorType(kind, LANES) if value.type != I64 else kind)


def _call(b: Value, name: str, *values: Value) -> Value:
    """Call an LLVM intrinsic on vectors."""
    kind = values[0].type
    function = cgutils.get_or_insert_function(
        b.module,
        ir.FunctionType(kind, [kind] * len(values)),
        f"llvm.{name}.v{kind.count}i{kind.element.width}",
    )
    return b.call(function, values)
