"""The form of a compiled kernel: what it takes, its object files, how they become a function.

A kernel is two object files: a loop as Numba compiled it, and a C function that calls it. LLVM's
loader links them in milliseconds and needs nothing of Numba, whose import takes half a second.

Python takes the time of a thousand products for each argument that it hands to a C function. So a
kernel takes two: the address of a block of 64-bit words, and its loop's first argument, which alone
changes from call to call. The block holds the other arguments (an array as the address of its
Python object, a float as its bits), then room for the results.
"""

import ctypes
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias

from llvmlite import binding

ENTRY = "fxpnn_kernel"
"""The C function's name; it returns 0 unless the loop failed."""

ObjectFiles: TypeAlias = tuple[bytes, bytes]


class Array(NamedTuple):
    """An argument that is a contiguous array, of a dtype and a number of axes."""

    dtype: Any
    axes: int = 1


Kind: TypeAlias = Array | type[int] | type[float]
"""What a kernel takes: an array, a 64-bit integer or a float64."""

INTEGER: Any = ctypes.c_int64
FLOAT: Any = ctypes.c_double
_TYPES = {int: INTEGER, float: FLOAT}

Function: TypeAlias = Callable[[int, Any], int]
"""``ENTRY`` as Python calls it: with the block's address and the first argument."""


def join(files: ObjectFiles) -> bytes:
    """Join both object files: the length of the first in 8 bytes, then the two."""
    return len(files[0]).to_bytes(8, "big") + files[0] + files[1]


def split(joined: bytes) -> ObjectFiles:
    """Return the two files that were joined."""
    end = 8 + int.from_bytes(joined[:8], "big")
    return joined[8:end], joined[end:]


def link(files: ObjectFiles, first: Kind) -> tuple[Function, object]:
    """Return the function, and the linker in whose memory it lies."""
    linker = binding.create_mcjit_compiler(binding.parse_assembly(""), target_machine())
    for code in files:
        linker.add_object_file(binding.ObjectFileRef.from_data(code))
    linker.finalize_object()
    taken = ctypes.py_object if isinstance(first, Array) else _TYPES[first]
    prototype = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, taken)
    return prototype(linker.get_function_address(ENTRY)), linker


def block(kinds: Sequence[Kind], values: Sequence[Any], results: Any) -> tuple[int, Any]:
    """Return where the block of all arguments but the first lies, and its room for the results.

    The block lives as long as that room; who calls must keep the arrays alive.
    """
    made = (INTEGER * (len(values) + len(results())))()
    for i, (kind, value) in enumerate(zip(kinds, values, strict=True)):
        if isinstance(kind, Array):
            made[i] = id(value)
        else:
            _TYPES[kind].from_buffer(made, 8 * i).value = value
    return ctypes.addressof(made), results.from_buffer(made, 8 * len(values))


def target_machine() -> Any:
    """Return LLVM's description of this machine."""
    with suppress(RuntimeError):  # llvmlite says so where LLVM needs no such call any more
        binding.initialize()
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding.Target.from_triple(binding.get_process_triple()).create_target_machine()
