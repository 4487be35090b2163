"""The compilation of kernels by Numba, to machine code that needs nothing of Numba to run."""

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import from_dtype, types
from numba.core import cgutils
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target

from fxpnn.kernels.build.memory import array_at
from fxpnn.kernels.build.object_code import ENTRY, Array, Kind, ObjectFiles, target_machine
from fxpnn.kernels.build.pipeline import alone

FORKS_WAIT_FOR = global_compiler_lock.acquire, global_compiler_lock.release
"""``kernel`` looks for these where only others compile; here they must be there."""

_code: Any = cgutils
_STATUS, _WORD, _FLOAT = ir.IntType(32), ir.IntType(64), ir.DoubleType()
_ARRAY = ir.LiteralStructType([ir.IntType(8).as_pointer(), _STATUS, _WORD.as_pointer()])
"""An array object of NumPy behind the header that every Python object has.

It has a pointer to the data, the number of axes, and a pointer to their lengths."""


def compile_loop(loop: str, arguments: Sequence[Kind]) -> ObjectFiles:
    """Compile a loop (``module.function``) to two object files: the loop, and what calls it.

    The second defines ``ENTRY``, in the form that ``object_code`` tells.
    """
    module, _, name = loop.partition(".")
    kinds = tuple(map(_numba_type, arguments))
    found = alone(getattr(import_module(f"fxpnn.kernels.{module}"), name), wrapped=False)
    found.compile(kinds)
    made = found.overloads[kinds]
    entry = binding.parse_assembly(str(_entry(made.fndesc, kinds)))
    return made.library._get_compiled_object(), target_machine().emit_object(entry)


def _numba_type(kind: Kind) -> Any:
    if isinstance(kind, Array):
        return types.Array(from_dtype(np.dtype(kind.dtype)), kind.axes, "C")
    return types.int64 if kind is int else types.float64


def _entry(loop: Any, kinds: Sequence[Any]) -> Any:
    """Emit the C function that unpacks a block of arguments and calls the loop with them."""
    context = cpu_target.target_context
    module = context.codegen()._create_empty_module("entry")
    taken = ir.FunctionType(_STATUS, [_WORD.as_pointer(), _WORD])
    entry = ir.Function(module, taken, ENTRY)
    b = ir.IRBuilder(entry.append_basic_block())
    block, first = entry.args
    places = [b.gep(block, [_WORD(i)]) for i in range(len(kinds))]
    values = [first, *map(b.load, places[:-1])]
    unpacked = [_unpacked(context, b, *pair) for pair in zip(kinds, values, strict=True)]
    callee = context.declare_function(module, loop)
    status, results = context.call_conv.call_function(b, callee, loop.restype, kinds, unpacked)
    if loop.restype != types.none:
        b.store(results, b.bitcast(places[-1], results.type.as_pointer()))
    b.ret(status.code)
    return module


def _unpacked(context: Any, b: Any, kind: Any, value: Any) -> Any:
    """Emit what the loop takes for a word: an object's array, the float of its bits, or itself."""
    if not isinstance(kind, types.Array):
        return b.bitcast(value, _FLOAT) if kind is types.float64 else value
    place = b.add(value, _WORD(object.__basicsize__))
    data, _, lengths = _code.unpack_tuple(b, b.load(b.inttoptr(place, _ARRAY.as_pointer())))
    shape = [b.load(b.gep(lengths, [_WORD(axis)])) for axis in range(kind.ndim)]
    return array_at(context, b, kind, data, shape)
