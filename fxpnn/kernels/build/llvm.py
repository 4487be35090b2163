"""How vector code is written for LLVM: numbers with Python's operators, memory, loops.

A function of ``vector`` is an *intrinsic*: while a loop that calls it is compiled, Python runs its
``write``, which appends instructions to the loop. A ``Number`` stands for a value that is known
when these run: ``a + b`` appends an addition. None is one processor's own, but for what ``vector``
asks by name: LLVM splits vectors to the width of the processor that it compiles for, and chooses
the instructions.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeAlias

from llvmlite import ir
from numba import extending
from numba import types as types  # for signatures of vector code
from numba.core import cgutils
from numba.core.registry import cpu_target

Builder: TypeAlias = Any
"""Where instructions are appended."""
Intrinsic: TypeAlias = tuple[Any, Callable[..., Any]]
"""The signature of an intrinsic, and what writes its code."""

_code: Any = cgutils
_I64 = ir.IntType(64)


def intrinsic(function: Callable[..., Intrinsic]) -> Callable[..., Any]:
    """Make an intrinsic, which compiled loops can call; literal integers are known to it."""
    made: Callable[..., Any] = extending.intrinsic(prefer_literal=True)(function)
    return made


def writer(write: Callable[..., "Number | tuple[Number, ...] | None"]) -> Callable[..., Any]:
    """Let ``write`` take a builder, and arguments as numbers, memory, and tuples of them.

    It gives nothing, a number, or numbers of one type.
    """

    def emit(context: Any, b: Builder, signature: Any, values: Sequence[Any]) -> Any:
        def opened(kind: Any, value: Any) -> Any:
            if isinstance(kind, types.BaseTuple):
                return tuple(map(opened, kind, _code.unpack_tuple(b, value)))
            if isinstance(kind, types.Array):
                data = context.make_array(kind)(context, b, value).data
                return Memory(b, data, kind.dtype.bitwidth)
            return Number(b, value)

        result = write(b, *map(opened, signature.args, values))
        if isinstance(result, tuple):
            return _code.pack_array(b, [number.value for number in result])
        return context.get_dummy_value() if result is None else result.value

    return emit


def machine() -> tuple[str, str]:
    """Return the name and the features of the processor that Numba compiles for."""
    _, name, features = cpu_target.target_context.codegen().magic_tuple()
    return name, features


def _operator(instruction: str, *comparison: str) -> Callable[["Number", "Number | int"], "Number"]:
    def operate(self: "Number", other: "Number | int") -> "Number":
        right = other if isinstance(other, Number) else self.constant(other)
        append = getattr(self.b, instruction)
        return Number(self.b, append(*comparison, self.value, right.value))

    return operate


def _function(name: str) -> Callable[["Number", "Number"], "Number"]:
    def call(self: "Number", other: "Number") -> "Number":
        return self.call(name, other)

    return call


class Number:
    """An integer of the code being written, or a vector of them; sums wrap where the bits end.

    Comparisons give flags, integers of one bit; ``exceeds`` takes both sides for unsigned.
    """

    __add__, __sub__, __mul__ = _operator("add"), _operator("sub"), _operator("mul")
    __and__, __or__, __xor__ = _operator("and_"), _operator("or_"), _operator("xor")
    __lshift__, __rshift__, logical_shift = _operator("shl"), _operator("ashr"), _operator("lshr")
    __lt__, __gt__ = _operator("icmp_signed", "<"), _operator("icmp_signed", ">")
    exceeds = _operator("icmp_unsigned", ">")
    equals, differs = _operator("icmp_signed", "=="), _operator("icmp_signed", "!=")
    min, max = _function("llvm.smin"), _function("llvm.smax")

    def __init__(self, b: Builder, value: Any) -> None:
        self.b, self.value, kind = b, value, value.type
        vector = isinstance(kind, ir.VectorType)
        self.lanes: int = kind.count if vector else 1
        self.bits: int = kind.element.width if vector else kind.width

    def constant(self, value: int) -> "Number":
        """Return a constant of this number's width, in all its lanes."""
        kind = self.value.type
        return Number(self.b, ir.Constant(kind, [value] * self.lanes if self.lanes > 1 else value))

    def lane_numbers(self) -> "Number":
        """Return 0, 1, 2 and so on, in as many lanes of this width."""
        return Number(self.b, ir.Constant(self.value.type, [*range(self.lanes)]))

    def call(self, name: str, *others: "Number") -> "Number":
        """Call one of LLVM's own functions, whose arguments and result are of one type."""
        suffix = f"i{self.bits}" if self.lanes == 1 else f"v{self.lanes}i{self.bits}"
        return self.instruction(f"{name}.{suffix}", *others)

    def instruction(self, name: str, *others: "Number") -> "Number":
        """Call a function by its full name, as a processor's own are; it gives such a number."""
        values = [self.value, *(other.value for other in others)]
        signature = ir.FunctionType(self.value.type, [value.type for value in values])
        function = _code.get_or_insert_function(self.b.module, signature, name)
        return Number(self.b, self.b.call(function, values))

    def choose(self, one: "Number", other: "Number") -> "Number":
        """Select lane by lane: ``one`` where this flag is 1, else ``other``."""
        return Number(self.b, self.b.select(self.value, one.value, other.value))

    def count(self, lanes: "Number | None" = None) -> "Number":
        """Count the flags that are 1, in 64 bits; those of the first ``lanes`` if given."""
        word = self.b.bitcast(self.value, ir.IntType(self.lanes))
        flags = Number(self.b, self.b.zext(word, _I64))
        if lanes is not None:
            flags &= (flags.constant(1) << lanes) - 1
        return flags.call("llvm.ctpop")

    def total(self) -> "Number":
        """Add up the lanes, modulo ``2**bits``, and extend the sign to 64 bits."""
        kind = self.value.type
        name = f"llvm.vector.reduce.add.v{self.lanes}i{self.bits}"
        function = _code.get_or_insert_function(
            self.b.module, ir.FunctionType(kind.element, [kind]), name
        )
        return Number(self.b, self.b.call(function, [self.value])).sized(64)

    def clamped(self, bits: int) -> "Number":
        """Saturate to fewer bits."""
        if bits >= self.bits:
            return self
        limit = self.constant(2 ** (bits - 1) - 1)
        return self.min(limit).max(limit.constant(-(2 ** (bits - 1)))).sized(bits)

    def sized(self, bits: int) -> "Number":
        """Extend the sign, or keep the low bits; a flag that is 1 becomes -1."""
        kind = ir.IntType(bits)
        if self.lanes > 1:
            kind = ir.VectorType(kind, self.lanes)
        if bits == self.bits:
            return self
        resize = self.b.sext if bits > self.bits else self.b.trunc
        return Number(self.b, resize(self.value, kind))

    def below(self, upper: "Number") -> "Number":
        """Put another vector's bits above these, lane by lane."""
        order = [lane + half for lane in range(self.lanes) for half in (0, self.lanes)]
        kind = ir.VectorType(ir.IntType(2 * self.bits), self.lanes)
        pairs = self.joined(upper).shuffle(order)
        return Number(self.b, self.b.bitcast(pairs.value, kind))

    def halves(self) -> "Number":
        """Split each lane in two lanes, the lower bits first."""
        kind = ir.VectorType(ir.IntType(self.bits // 2), 2 * self.lanes)
        return Number(self.b, self.b.bitcast(self.value, kind))

    def shuffle(self, order: Sequence[int]) -> "Number":
        """Return the lanes of these numbers, in this order."""
        mask = ir.Constant(ir.VectorType(ir.IntType(32), len(order)), list(order))
        return Number(self.b, self.b.shuffle_vector(self.value, self.value, mask))

    def joined(self, other: "Number") -> "Number":
        """Append another vector's lanes."""
        lanes = self.lanes + other.lanes
        mask = ir.Constant(ir.VectorType(ir.IntType(32), lanes), list(range(lanes)))
        return Number(self.b, self.b.shuffle_vector(self.value, other.value, mask))

    def splat(self, lanes: int) -> "Number":
        """Repeat one number in all lanes."""
        nothing = ir.Constant(ir.VectorType(self.value.type, lanes), ir.Undefined)
        one = self.b.insert_element(nothing, self.value, ir.Constant(ir.IntType(32), 0))
        return Number(self.b, one).shuffle([0] * lanes)


class Memory(NamedTuple):
    """An array's words from some place on."""

    b: Builder
    pointer: Any
    bits: int

    def at(self, index: Number) -> "Memory":
        """Return the memory from an index on."""
        return Memory(self.b, self.b.gep(self.pointer, [index.value]), self.bits)

    def load(self, index: Number, lanes: int = 1) -> Number:
        """Read a number, or neighbours."""
        return Number(self.b, self.b.load(self._place(index, lanes), align=self.bits // 8))

    def store(self, number: Number, index: Number) -> None:
        """Write a number, or neighbours."""
        self.b.store(number.value, self._place(index, number.lanes), align=self.bits // 8)

    def _place(self, index: Number, lanes: int) -> Any:
        kind = ir.IntType(self.bits)
        pointer = self.at(index).pointer
        vector = ir.VectorType(kind, lanes) if lanes > 1 else kind
        return self.b.bitcast(pointer, vector.as_pointer())


class Variable:
    """A number that a loop changes; LLVM keeps it in a register."""

    def __init__(self, first: Number) -> None:
        self.b, self.cell = first.b, _code.alloca_once_value(first.b, first.value)

    def get(self) -> Number:
        """Return its value."""
        return Number(self.b, self.b.load(self.cell))

    def set(self, number: Number) -> None:
        """Give it another value."""
        self.b.store(number.value, self.cell)


def integer(b: Builder, value: int, bits: int = 64) -> Number:
    """Return a constant integer."""
    return Number(b, ir.Constant(ir.IntType(bits), value))


@contextmanager
def loop(first: Number, last: Number, stride: int = 1) -> Iterator[Number]:
    """Write a loop over ``range(first, last, stride)``."""
    step = integer(first.b, stride)
    with _code.for_range_slice(first.b, first.value, last.value, step.value, _I64) as (index, _):
        yield Number(first.b, index)


@contextmanager
def breakable_loop(count: Number) -> Iterator[tuple[Number, Callable[[], None]]]:
    """Write a loop over ``range(count)``; also give what writes a ``break``."""
    with _code.for_range(count.b, count.value) as (index, end):
        yield Number(count.b, index), end


def branch(
    flag: Number, then: Callable[[], None], otherwise: Callable[[], None] = lambda: None
) -> None:
    """Write an ``if`` with its ``else``."""
    with flag.b.if_else(flag.value) as (one, other):
        with one:
            then()
        with other:
            otherwise()
