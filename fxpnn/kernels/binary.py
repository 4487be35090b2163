"""Own the form of a compiled kernel: what it takes, its object files, how they become a function.

A kernel is two object files: a loop as Numba compiled it, and a C function that calls it. LLVM's
loader links them in milliseconds and needs nothing of Numba, whose import takes half a second.
"""

import ctypes
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias

from llvmlite import binding

ENTRY = "fxpnn_kernel"
"""The C function's name: it takes the place for results, then what the loop takes, and returns 0
unless the loop failed. Arrays are pointers to their Python objects."""

Binary: TypeAlias = tuple[bytes, bytes]


class Array(NamedTuple):
    """An argument that is a contiguous array, of a dtype and a number of axes."""

    dtype: Any
    axes: int = 1


Kind: TypeAlias = Array | type[int] | type[float]
"""What a kernel takes: an array, a 64-bit integer or a float64."""

INTEGER: Any = ctypes.c_int64
FLOAT: Any = ctypes.c_double


def join(binary: Binary) -> bytes:
    """Spell both object files as one."""
    return len(binary[0]).to_bytes(8, "big") + binary[0] + binary[1]


def split(joined: bytes) -> Binary:
    """Return what was joined."""
    end = 8 + int.from_bytes(joined[:8], "big")
    return joined[8:end], joined[end:]


def link(binary: Binary, kinds: Sequence[Kind]) -> tuple[Callable[..., int], object]:
    """Return the function, and the linker in whose memory it lies."""
    linker = binding.create_mcjit_compiler(binding.parse_assembly(""), target_machine())
    for code in binary:
        linker.add_object_file(binding.ObjectFileRef.from_data(code))
    linker.finalize_object()
    c_types = {int: INTEGER, float: FLOAT}
    types = [ctypes.py_object if isinstance(kind, Array) else c_types[kind] for kind in kinds]
    prototype = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, *types)
    return prototype(linker.get_function_address(ENTRY)), linker


def target_machine() -> Any:
    """Return LLVM's idea of this machine."""
    with suppress(RuntimeError):  # llvmlite says so where LLVM needs no such call any more
        binding.initialize()
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    return binding.Target.from_triple(binding.get_process_triple()).create_target_machine()
