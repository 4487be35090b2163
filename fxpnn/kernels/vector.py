"""Own the vector code: sums of 16-bit products, and their casts, for sixteen outputs at once.

This is the one file that speaks LLVM. It names no machine's instruction: vectors have 16 lanes, and
LLVM splits them to the width of the machine it compiles for (one register of AVX-512, two of AVX2,
four of SSE2 or NEON) and folds the products into the packed multiply-add that the machine has.

``packing`` explains rows, columns and pairs. Nothing is checked here: arrays are C-contiguous and
every index lies inside them. Arrays come in tuples of their own, that loops can build outside:
Numba counts the references of a tuple's arrays wherever it builds one.
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
def dot(_: Any, rows: Any, arrays: Any, at: Any) -> Emitted:
    """Add the products of a range of pairs to the sums of a tile of rows.

    Products are summed modulo ``2**32``: exact where the final sum fits, whatever happens on the
    way (two products of -32768 by -32768 make ``2**31``). Where sums are int32 that includes what
    the row begins with; where they are int64 the row's beginning is added last, in 64 bits.

    Args:
        rows: how many, a literal.
        arrays: ``(x, starts, weights, offsets, init, acc)``: int16, int64, int16, int64, and two of
            the sums' type, int32 or int64.
        at: ``(row, first, last, begin, pitch)``: the first row; the first pair and the one behind
            the last; row ``r`` begins with the 16 at ``init[begin + r * pitch]``. It ends in the
            16 at ``acc[16 * (row + r)]``.
    """
    bits = arrays.types[-1].dtype.bitwidth
    many = rows.literal_value

    def emit(context: Any, b: Any, signature: Any, values: Sequence[Value]) -> Value:
        _, (x, starts, *table, init, acc), (row, first, last, begin, pitch) = _open(
            context, b, signature, values
        )
        points = _points(b, x, starts, row, many)
        places = [b.add(begin, b.mul(pitch, I64(r))) for r in range(many)]
        begins = [_load(b, init, place, bits) for place in places]
        sums = begins if bits == 32 else [_all(b, 0)] * many
        if many == 1:  # a lone row: its pairs go to several sums in turn
            whole = b.sub(last, b.and_(b.sub(last, first), I64(PARTIAL_SUMS - 1)))
            zeros = [_all(b, 0)] * (PARTIAL_SUMS - 1)
            parts = _add_pairs(b, points, [*table, first, whole], [*sums, *zeros], Lanes.__add__)
            sums, first = [functools.reduce(Lanes.__add__, parts)], whole
        sums = _add_pairs(b, points, [*table, first, last], sums, Lanes.__add__)
        if bits == 64:
            sums = [start + total.widen(64) for start, total in zip(begins, sums, strict=True)]
        for total, place in zip(sums, _places(b, row, many), strict=True):
            _store(b, total, acc, place)
        return context.get_dummy_value()

    return types.void(rows, arrays, at), emit


@intrinsic(prefer_literal=True)
def step(_: Any, rows: Any, arrays: Any, at: Any, word: Any) -> Emitted:
    """Add products one by one, clamp after each, and count the adds that were clamped.

    The second weight of each pair is 0: a pair is one product. Sums are int32 for a word of 8 to 32
    bits, int64 for one of 33 to 62. Before its clamp a sum is exact: a word of up to 31 bits and
    one product of ``2**30`` fit 32, and for a word of 32 signs tell which sum wrapped.

    Args:
        rows: how many, a literal.
        arrays: ``(x, starts, weights, offsets, acc)``, as ``dot`` has them.
        at: ``(row, first, last)``, as ``dot`` has it; sums begin and end in ``acc``, inside the
            word.
        word: ``(low, high)``, the limits of two's complement.

    Returns:
        How many adds were clamped, in all rows and lanes.
    """
    bits = arrays.types[-1].dtype.bitwidth
    many = rows.literal_value

    def emit(context: Any, b: Any, signature: Any, values: Sequence[Value]) -> Value:
        _, (x, starts, *table, acc), (row, first, last), limits = _open(
            context, b, signature, values
        )
        low, high = (_splat(b, limit, bits) for limit in limits)
        points = _points(b, x, starts, row, many)
        counter = _Counter(b)

        def clamp(total: Lanes, product: Lanes) -> Lanes:
            exact = total + product.widen(bits)
            kept = exact.max(low).min(high)
            counter.add(kept.differs(exact))
            return kept

        def saturate(total: Lanes, product: Lanes) -> Lanes:
            added = total + product
            wrapped = ((added ^ total) & (added ^ product)) < 0
            counter.add(wrapped)
            return wrapped.choose(total.logical_shift(31) + (2**31 - 1), added)

        def run(update: Callable[[Lanes, Lanes], Lanes]) -> None:
            places = _places(b, row, many)
            sums = [_load(b, acc, place, bits) for place in places]
            sums = _add_pairs(b, points, [*table, first, last], sums, update)
            for total, place in zip(sums, places, strict=True):
                _store(b, total, acc, place)

        if bits == 64:
            run(clamp)
        else:
            with b.if_else(b.icmp_signed("==", limits[0], I64(-(2**31)))) as (full, narrower):
                with full:
                    run(saturate)
                with narrower:
                    run(clamp)
        return counter.value()

    return types.int64(rows, arrays, at, word), emit


@intrinsic(prefer_literal=True)
def within(_: Any, rows: Any, arrays: Any, at: Any) -> Emitted:
    """Say whether all sums of a tile of rows lie between a floor and a ceiling per lane.

    Args:
        rows: how many, a literal.
        arrays: ``(acc, floor, ceiling)``, of one type.
        at: ``(row, room)``: the first row, and where 16 lanes' floors and ceilings lie.
    """
    bits = arrays.types[0].dtype.bitwidth

    def emit(context: Any, b: Any, signature: Any, values: Sequence[Value]) -> Value:
        _, (acc, floor, ceiling), (row, room) = _open(context, b, signature, values)
        sums = [_load(b, acc, place, bits) for place in _places(b, row, rows.literal_value)]
        under = functools.reduce(Lanes.min, sums) < _load(b, floor, room, bits)
        over = functools.reduce(Lanes.max, sums) > _load(b, ceiling, room, bits)
        return b.icmp_unsigned("==", b.bitcast((under | over).value, I16), I16(0))

    return types.boolean(rows, arrays, at), emit


@intrinsic
def narrow(_: Any, rows: Any, arrays: Any, at: Any, to: Any) -> Emitted:
    """Cast rows of sums to 16-bit words; count the values out of range.

    Args:
        rows: how many.
        arrays: ``(acc, shifts, out)``: int32 or int64, row ``r`` has the 16 at ``16 * r``; int64, 0
            to 30, or to 62 where sums are int64; int16.
        at: ``(lane, pitch)``: where the 16 shifts lie; row ``r`` writes the 16 words at ``out[r *
            pitch]``, in order, so that it may overlap the next ones.
        to: ``(rounding, overflow, low, high, least)``: the codes, the range, and what a word is
            raised to once the range is judged.

    Returns:
        How many rounded values were out of range.
    """
    bits = arrays.types[0].dtype.bitwidth

    def emit(context: Any, b: Any, signature: Any, values: Sequence[Value]) -> Value:
        count, (acc, shifts, out), (lane, pitch), (rounding, overflow, *limits) = _open(
            context, b, signature, values
        )
        low, high, least = (_splat(b, limit, bits) for limit in limits)
        shift = _load(b, shifts, lane, 64).narrow(bits)
        rule = _rounding_rule(b, rounding, shift)
        counter = _Counter(b)

        def run(keep: Callable[[Lanes, Lanes, Lanes], Lanes]) -> None:
            with cgutils.for_range(b, count, intp=I64) as loop:
                total = _load(b, acc, b.mul(loop.index, I64(LANES)), bits)
                rounded = _round(total, shift, rule)
                clamped = rounded.max(low).min(high)
                over = clamped.differs(rounded)
                counter.add(over)
                word = keep(over, rounded, clamped).max(least).narrow(16)
                _store(b, word, out, b.mul(loop.index, pitch))

        def otherwise(over: Lanes, rounded: Lanes, clamped: Lanes) -> Lanes:
            return over.choose(((rounded - low) & span) + base, rounded)

        clamps = b.icmp_signed("<=", overflow, I64(arithmetic.SATURATE_SYMMETRIC))
        wraps = b.icmp_signed("==", overflow, I64(arithmetic.WRAP))
        span, base = (_either(wraps, value, low - low) for value in (high - low, low))
        with b.if_else(clamps) as (then, other):
            with then:
                run(lambda over, rounded, clamped: clamped)
            with other:
                run(otherwise)
        return counter.value()

    return types.int64(rows, arrays, at, to), emit


@intrinsic
def largest(_: Any, pixels: Any, arrays: Any, at: Any) -> Emitted:
    """Keep the largest words of each window, lane by lane.

    Args:
        pixels: how many windows.
        arrays: ``(made, windows, out)``: int16, int64, int16; the windows' taps, where each finds
            16 words in ``made``, lie one behind the other.
        at: ``(taps, pitch)``: a window's taps, at least 1; pixel ``p`` writes the 16 words at
            ``out[p * pitch]``, in order.
    """

    def emit(context: Any, b: Any, signature: Any, values: Sequence[Value]) -> Value:
        count, (made, windows, out), (taps, pitch) = _open(context, b, signature, values)
        with cgutils.for_range(b, count, intp=I64) as pixel:
            window = b.gep(windows, [b.mul(pixel.index, taps)])
            best = cgutils.alloca_once_value(b, _load(b, made, b.load(window), 16).value)
            with cgutils.for_range_slice(b, I64(1), taps, I64(1), I64) as (tap, _):
                words = _load(b, made, b.load(b.gep(window, [tap])), 16)
                b.store(Lanes(b, b.load(best)).max(words).value, best)
            _store(b, Lanes(b, b.load(best)), out, b.mul(pixel.index, pitch))
        return context.get_dummy_value()

    return types.void(pixels, arrays, at), emit


class Lanes:
    """A vector of integers, or of flags; its operators write code, and wrap where the bits end."""

    def __init__(self, b: Any, value: Value) -> None:
        self.b, self.value = b, value

    def _write(self, name: str, other: "Lanes | int", *comparison: str) -> "Lanes":
        if isinstance(other, int):
            other = _all(self.b, other, self.value.type.element.width)
        return Lanes(self.b, getattr(self.b, name)(*comparison, self.value, other.value))

    def _call(self, name: str, other: "Lanes") -> "Lanes":
        kind = self.value.type
        suffix = f"v{kind.count}i{kind.element.width}"
        return Lanes(self.b, _call(self.b, f"{name}.{suffix}", kind, self.value, other.value))

    def __add__(self, other: "Lanes | int") -> "Lanes":
        return self._write("add", other)

    def __sub__(self, other: "Lanes | int") -> "Lanes":
        return self._write("sub", other)

    def __mul__(self, other: "Lanes") -> "Lanes":
        return self._write("mul", other)

    def __and__(self, other: "Lanes") -> "Lanes":
        return self._write("and_", other)

    def __or__(self, other: "Lanes") -> "Lanes":
        return self._write("or_", other)

    def __xor__(self, other: "Lanes") -> "Lanes":
        return self._write("xor", other)

    def __lshift__(self, other: "Lanes") -> "Lanes":
        return self._write("shl", other)

    def __rshift__(self, other: "Lanes | int") -> "Lanes":
        return self._write("ashr", other)

    def __lt__(self, other: "Lanes | int") -> "Lanes":
        return self._write("icmp_signed", other, "<")

    def __gt__(self, other: "Lanes") -> "Lanes":
        return self._write("icmp_signed", other, ">")

    def logical_shift(self, places: int) -> "Lanes":
        """Shift right and fill with zeros."""
        return self._write("lshr", places)

    def differs(self, other: "Lanes") -> "Lanes":
        """Flag the lanes that are not equal."""
        return self._write("icmp_signed", other, "!=")

    def choose(self, one: "Lanes", other: "Lanes") -> "Lanes":
        """Take ``one`` where the flag stands."""
        return Lanes(self.b, self.b.select(self.value, one.value, other.value))

    def min(self, other: "Lanes") -> "Lanes":
        """Take the smaller of each lane."""
        return self._call("llvm.smin", other)

    def max(self, other: "Lanes") -> "Lanes":
        """Take the larger of each lane."""
        return self._call("llvm.smax", other)

    def widen(self, bits: int) -> "Lanes":
        """Extend the signs; a flag that stands becomes -1."""
        kind = ir.VectorType(ir.IntType(bits), self.value.type.count)
        return self if self.value.type == kind else Lanes(self.b, self.b.sext(self.value, kind))

    def narrow(self, bits: int) -> "Lanes":
        """Keep the low bits."""
        kind = ir.VectorType(ir.IntType(bits), self.value.type.count)
        return self if self.value.type == kind else Lanes(self.b, self.b.trunc(self.value, kind))

    def shuffle(self, order: Sequence[int]) -> "Lanes":
        """Take lanes in another order."""
        mask = ir.Constant(ir.VectorType(I32, len(order)), list(order))
        return Lanes(self.b, self.b.shuffle_vector(self.value, self.value, mask))


class _Counter:
    """Counts flags that stand."""

    def __init__(self, b: Any) -> None:
        self.b, self.cell = b, cgutils.alloca_once_value(b, I64(0))

    def add(self, flags: Lanes) -> None:
        """Count the lanes whose flag stands."""
        bits = self.b.bitcast(flags.value, I16)
        ones = self.b.zext(_call(self.b, "llvm.ctpop.i16", I16, bits), I64)
        self.b.store(self.b.add(self.b.load(self.cell), ones), self.cell)

    def value(self) -> Value:
        """Return how many there were, int64."""
        return self.b.load(self.cell)


def _add_pairs(
    b: Any,
    points: Sequence[Value],
    table: Sequence[Value],
    sums: Sequence[Lanes],
    update: Callable[[Lanes, Lanes], Lanes],
) -> list[Lanes]:
    """Loop over pairs and update each row's sum, or a lone row's sums in turn."""
    weights, offsets, first, last = table
    cells = [cgutils.alloca_once_value(b, total.value) for total in sums]
    stride = len(sums) // len(points)
    with cgutils.for_range_slice(b, first, last, I64(stride), I64) as (pair, _):
        for ahead in range(stride):
            index = b.add(pair, I64(ahead))
            offset = b.load(b.gep(offsets, [index]))
            lanes = _load(b, weights, b.mul(index, I64(2 * LANES)), 16, 2 * LANES)
            for point, cell in zip(points, cells[ahead::stride], strict=True):
                words = _load(b, point, offset, 16, 2)
                total = update(Lanes(b, b.load(cell)), _multiply_add(lanes, words))
                b.store(total.value, cell)
    return [Lanes(b, b.load(cell)) for cell in cells]


def _multiply_add(lanes: Lanes, words: Lanes) -> Lanes:
    """Multiply each lane's two weights with the two words, and add both products.

    LLVM knows this shape, whole vectors multiplied and neighbours added, as one instruction.
    """
    products = lanes.widen(32) * words.shuffle([0, 1] * LANES).widen(32)
    return products.shuffle(range(0, 2 * LANES, 2)) + products.shuffle(range(1, 2 * LANES, 2))


def _rounding_rule(b: Any, rounding: Value, shift: Lanes) -> list[Lanes]:
    """Return what ``_round`` needs: the remainder's mask, and three constants of the rounding.

    A nearest rounding goes up from half on, or beyond half; which, may depend on an odd quotient
    or on the sign. ``zero`` goes up where a negative value has a remainder, ``floor`` never.
    """
    one, none = _all(b, 1, shift.value.type.element.width), shift - shift
    mask = (one << shift) - 1
    half = (one << shift).logical_shift(1).max(one)  # with no remainder, never reached
    rules = {  # the threshold, and what an odd quotient and a negative sign add to the remainder
        arithmetic.NEAREST_EVEN: (half, one, none),
        arithmetic.NEAREST_UP: (half - 1, none, none),
        arithmetic.NEAREST_DOWN: (half, none, none),
        arithmetic.NEAREST_ZERO: (half, none, one),
        arithmetic.NEAREST_AWAY: (half - 1, none, none - 1),
        arithmetic.FLOOR: (mask, none, none),
        arithmetic.ZERO: (mask, none, mask),
    }
    chosen = rules[arithmetic.FLOOR]
    for code, rule in rules.items():
        mine = b.icmp_signed("==", rounding, I64(code))
        chosen = tuple(_either(mine, new, old) for new, old in zip(rule, chosen, strict=True))
    return [mask, *chosen]


def _round(total: Lanes, shift: Lanes, rule: Sequence[Lanes]) -> Lanes:
    """Divide by ``2**shift``; the remainder and what is added stay below ``2**(shift + 1)``."""
    mask, threshold, odd, negative = rule
    quotient, sign = total >> shift, total >> total.value.type.element.width - 1
    up = (total & mask) + (quotient & odd) + (sign & negative) > threshold
    return quotient - up.widen(total.value.type.element.width)


def _open(context: Any, b: Any, signature: Any, values: Sequence[Value]) -> list[Any]:
    """Unpack tuples, turn arrays into pointers to their first element, leave integers."""

    def opened(kind: Any, value: Value) -> Any:
        if isinstance(kind, types.BaseTuple):
            parts = cgutils.unpack_tuple(b, value)
            return [opened(k, v) for k, v in zip(kind, parts, strict=True)]
        if isinstance(kind, types.Array):
            return context.make_array(kind)(context, b, value).data
        return value

    return [opened(k, v) for k, v in zip(signature.args, values, strict=True)]


def _points(b: Any, x: Value, starts: Value, row: Value, many: int) -> list[Value]:
    """Return where each row's words start."""
    return [b.gep(x, [b.load(b.gep(starts, [b.add(row, I64(r))]))]) for r in range(many)]


def _load(b: Any, array: Value, index: Value, bits: int, lanes: int = LANES) -> Lanes:
    kind = ir.VectorType(ir.IntType(bits), lanes)
    pointer = b.bitcast(b.gep(array, [index]), kind.as_pointer())
    return Lanes(b, b.load(pointer, align=bits // 8))


def _store(b: Any, lanes: Lanes, array: Value, index: Value) -> None:
    kind = lanes.value.type
    pointer = b.bitcast(b.gep(array, [index]), kind.as_pointer())
    b.store(lanes.value, pointer, align=kind.element.width // 8)


def _places(b: Any, row: Value, many: int) -> list[Value]:
    return [b.mul(b.add(row, I64(r)), I64(LANES)) for r in range(many)]


def _all(b: Any, value: int, bits: int = 32) -> Lanes:
    return Lanes(b, ir.Constant(ir.VectorType(ir.IntType(bits), LANES), [value] * LANES))


def _splat(b: Any, value: Value, bits: int) -> Lanes:
    """Repeat an int64 in all lanes of fewer or equal bits."""
    nothing = ir.Constant(ir.VectorType(I64, LANES), ir.Undefined)
    one = Lanes(b, b.insert_element(nothing, value, I32(0)))
    return one.shuffle([0] * LANES).narrow(bits)


def _either(condition: Value, one: Lanes, other: Lanes) -> Lanes:
    return Lanes(one.b, one.b.select(condition, one.value, other.value))


def _call(b: Any, name: str, kind: Any, *values: Value) -> Value:
    """Call one of LLVM's own functions, whose values and result are of one type."""
    signature = ir.FunctionType(kind, [kind] * len(values))
    return b.call(cgutils.get_or_insert_function(b.module, signature, name), values)
