"""A program for the interpreter: instructions, constants, and where tensors lie."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fxpnn.kernels import compiled
from fxpnn.kernels.build.kernel import Kernel
from fxpnn.kernels.layout import instructions
from fxpnn.kernels.layout.instructions import Code
from fxpnn.network.layers import Array, Shape

Places: TypeAlias = npt.NDArray[np.int64]
Words: TypeAlias = npt.NDArray[np.int16]
Fields: TypeAlias = dict[str, int]
"""Fields of an instruction by their names in ``instructions.FIELDS``."""

INT16, INT32, INT64, BOOL = "<i2", "<i4", "<i8", "?"
LINE = 64
"""Bytes of a line of the cache: a vector that lies across two takes twice as long."""


class Tensor(NamedTuple):
    """Where a tensor lies: its first word in the workspace, its words per image, and the places.

    ``places`` has the tensor's shape and holds, for each value, its word within an image.
    """

    base: int
    words: int
    places: Places

    @property
    def in_order(self) -> bool:
        """Say whether values lie in the order of their shape, last axis fastest."""
        return bool((self.places.reshape(-1) == np.arange(self.words)).all())

    @property
    def standard(self) -> bool:
        """Say whether values lie as in a fresh tensor."""
        return bool((self.places == standard_places(self.places.shape)).all())


def standard_places(shape: Shape) -> Places:
    """Return where a fresh tensor's values lie: maps pixel by pixel, all others in order."""
    count = np.arange(math.prod(shape))
    if len(shape) != 3:
        return count.reshape(shape)
    channels, height, width = shape
    return count.reshape(height, width, channels).transpose(2, 0, 1)


class Pools(NamedTuple):
    """The constants that instructions point into, by their width, and flags of words."""

    words: npt.NDArray[np.int16]
    doubles: npt.NDArray[np.int32]
    quads: npt.NDArray[np.int64]
    flags: npt.NDArray[np.bool_]


def aligned(size: int, dtype: npt.DTypeLike) -> Array:
    """Allocate an array that begins on a line of the cache."""
    length = size * np.dtype(dtype).itemsize
    room = np.empty(length + LINE, np.uint8)
    first = -room.ctypes.data % LINE
    return room[first : first + length].view(dtype)


@dataclass
class Constants:
    """Pools that grow while a program is assembled."""

    parts: dict[str, list[Array]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    begins: dict[tuple[str, bytes], int] = field(default_factory=dict)

    def put(self, dtype: str, values: Array) -> int:
        """Append values to the pool of a dtype, on a new line, and return where they begin.

        The same values stand there once: layers that are alike share them in the cache.
        """
        flat = np.asarray(values, dtype).reshape(-1)
        key = dtype, flat.tobytes()
        if key in self.begins:
            return self.begins[key]
        filled = np.pad(flat, (0, -flat.size % (LINE // flat.itemsize)))
        begin = self.begins[key] = self.sizes.get(dtype, 0)
        self.parts.setdefault(dtype, []).append(filled)
        self.sizes[dtype] = begin + filled.size
        return begin

    def pools(self) -> Pools:
        """Return the pools as they are now."""
        return Pools(*(self._pool(dtype) for dtype in (INT16, INT32, INT64, BOOL)))

    def _pool(self, dtype: str) -> Array:
        pool = aligned(self.sizes.get(dtype, 0), dtype)
        return np.concatenate([np.zeros(0, dtype), *self.parts.get(dtype, [])], out=pool)


@dataclass(frozen=True, eq=False)
class Program:
    """A program for blocks of up to ``images`` images, in a workspace of ``size`` words.

    ``tensors`` says where the input and the kept tensors lie; ``orders`` holds their places, flat,
    or nothing where values lie in the order of their shape. ``parts`` is the code in runs of
    instructions, each behind the kernel that runs it. ``nodes`` names the rows of the
    counts. ``methods`` says in words how each layer's sums are computed.
    """

    code: Code
    pools: Pools
    images: int
    size: int
    tensors: Mapping[str, Tensor]
    nodes: tuple[str, ...]
    methods: Mapping[str, str]
    orders: Mapping[str, Places] = field(init=False, repr=False)
    parts: tuple[tuple[Kernel, Code], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        orders = {
            name: np.zeros(0, np.int64) if tensor.in_order else tensor.places.flatten()
            for name, tensor in self.tensors.items()
        }
        object.__setattr__(self, "orders", MappingProxyType(orders))
        object.__setattr__(self, "parts", _parts(self.code))


def _parts(code: Code) -> tuple[tuple[Kernel, Code], ...]:
    """Split instructions into runs of those that one kernel runs."""
    code = code.view(np.recarray)  # plain Python finds fields as attributes of these only
    kinds = np.searchsorted([instructions.SLOPE, instructions.CLAMP_32], code["op"], side="right")
    cuts = np.flatnonzero(np.diff(kinds)) + 1
    parts = zip(np.split(kinds, cuts), np.split(code, cuts), strict=True)
    kernels = compiled.run, compiled.run_rare, compiled.run_steps
    return tuple((kernels[kind[0]], part) for kind, part in parts if part.size)
