"""The memory of loops: arrays made and freed by hand, flat ones seen as matrices.

Numba would count the references to every slice, to know when an array is free. The loops do without
(``decorators.loop``): they compile in three quarters of the time, and what they compile to needs
nothing of Numba to run. So who makes an array frees it, and loops use this module instead of
``np.empty``, ``np.zeros`` and ``reshape``.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.typing.npydecl import parse_dtype
from numba.extending import lower_builtin, type_callable
from numba.np import arrayobj

Array: TypeAlias = npt.NDArray[Any]
Typer: TypeAlias = Callable[..., Any]

_code: Any = cgutils
_PLACE, _SIZE = ir.IntType(8).as_pointer(), ir.IntType(64)


def empty(size: int, dtype: Any) -> Array:
    """Allocate an array of unset values; who does, frees it. Raise ``MemoryError``."""
    return np.empty(size, dtype)


def zeros(size: int, dtype: Any) -> Array:
    """Allocate an array of zeros, as ``empty`` does."""
    return np.zeros(size, dtype)


def free(arrays: tuple[Array, ...]) -> None:
    """Free arrays of ``empty`` or ``zeros``; nothing may use them any more."""


def matrix(flat: Array, rows: int, columns: int) -> Array:
    """View the first ``rows * columns`` values as a matrix, row by row; nothing is copied."""
    return flat[: rows * columns].reshape(rows, columns)


def array_at(context: Any, b: Any, kind: Any, place: Any, shape: Sequence[Any]) -> Any:
    """Emit a contiguous array over memory; nothing counts its references."""
    made = context.make_array(kind)(context, b)
    item = _SIZE(context.get_abi_sizeof(context.get_data_type(kind.dtype)))
    strides = [item]
    for length in reversed(shape[1:]):
        strides.insert(0, b.mul(strides[0], length))
    data = b.bitcast(place, made.data.type)
    arrayobj.populate_array(made, data, list(shape), strides, item, meminfo=None)
    return made._getvalue()


@type_callable(empty)
@type_callable(zeros)
def _type_allocated(_: Any) -> Typer:
    return lambda size, dtype: types.Array(parse_dtype(dtype), 1, "C")


@type_callable(free)
def _type_free(_: Any) -> Typer:
    return lambda arrays: types.void


@type_callable(matrix)
def _type_matrix(_: Any) -> Typer:
    return lambda flat, rows, columns: types.Array(flat.dtype, 2, "C")


@lower_builtin(empty, types.Integer, types.Any)
def _emit_empty(context: Any, b: Any, signature: Any, values: Sequence[Any]) -> Any:
    return _allocated(context, b, signature, values[0])[0]


@lower_builtin(zeros, types.Integer, types.Any)
def _emit_zeros(context: Any, b: Any, signature: Any, values: Sequence[Any]) -> Any:
    array, place, size = _allocated(context, b, signature, values[0])
    _code.memset(b, place, size, 0)
    return array


@lower_builtin(free, types.BaseTuple)
def _emit_free(context: Any, b: Any, signature: Any, values: Sequence[Any]) -> Any:
    function = _function(b, "free", ir.VoidType(), _PLACE)
    arrays = _code.unpack_tuple(b, values[0])
    for kind, value in zip(signature.args[0], arrays, strict=True):
        b.call(function, [b.bitcast(context.make_array(kind)(context, b, value).data, _PLACE)])
    return context.get_dummy_value()


@lower_builtin(matrix, types.Array, types.Integer, types.Integer)
def _emit_matrix(context: Any, b: Any, signature: Any, values: Sequence[Any]) -> Any:
    flat = context.make_array(signature.args[0])(context, b, values[0])
    shape = [b.sext(value, _SIZE) for value in values[1:]]
    return array_at(context, b, signature.return_type, flat.data, shape)


def _allocated(context: Any, b: Any, signature: Any, count: Any) -> tuple[Any, Any, Any]:
    """Emit a new array of ``count`` values, its address and its size in bytes."""
    kind, length = signature.return_type, b.sext(count, _SIZE)
    size = b.mul(length, _SIZE(kind.dtype.bitwidth // 8))
    asked = b.add(size, _SIZE(1))  # malloc(0) may return NULL, which means no memory below
    place = b.call(_function(b, "malloc", _PLACE, _SIZE), [asked])
    with b.if_then(_code.is_null(b, place), likely=False):
        context.call_conv.return_user_exc(b, MemoryError, ("no room for a layer's sums",))
    return array_at(context, b, kind, place, [length]), place, size


def _function(b: Any, name: str, result: Any, *arguments: Any) -> Any:
    return _code.get_or_insert_function(b.module, ir.FunctionType(result, arguments), name)
