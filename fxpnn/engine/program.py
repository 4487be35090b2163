"""A program for the interpreter: instructions, constants, and where tensors lie."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import NamedTuple, Self, TypeAlias
from weakref import WeakValueDictionary

import numpy as np
import numpy.typing as npt

from fxpnn.errors import ModelError
from fxpnn.kernels import compiled
from fxpnn.kernels.build.kernel import Kernel
from fxpnn.kernels.layout import instructions
from fxpnn.kernels.layout.instructions import Code
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.inputs import FixedInput
from fxpnn.network.layers import Array, Shape

Places: TypeAlias = npt.NDArray[np.int64]
Words: TypeAlias = npt.NDArray[np.int16]
Fields: TypeAlias = dict[str, int]
"""Fields of an instruction by their names in ``instructions.FIELDS``."""

INT16, INT32, INT64, BOOL = "<i2", "<i4", "<i8", "?"
CONSTANTS = 1 << 27
"""The bytes that constants of a program without weights may take."""
CONSTANTS_EACH = 64
"""So many more for each parameter: packed, one takes some bytes, with its place and its bounds."""
TILES = (40, 8, 1)
"""Multiples of the rows of a tile, which are 8, 5 or 2 by the machine."""
FIRST = (
    *(instructions.SLOPE, instructions.CLAMP_32, instructions.DEPTHWISE, instructions.NORM),
    *(instructions.MATMUL, instructions.SUM_8),
)
"""The first instruction of each kernel's but the first's."""
LINE = 64
"""Bytes of a line of the cache: a vector that lies across two takes twice as long."""


def whole_tiles(images: int) -> int:
    """Round a number of images down, so that rows that are images fill the vector code's tiles."""
    rows = next(rows for rows in TILES if images >= rows)
    return images - images % rows


class Tensor(NamedTuple):
    """Where a tensor lies: its first word in the workspace, its words per image, and the places.

    ``places`` has the tensor's shape and holds, for each value, its word within an image.
    """

    base: int
    words: int
    places: Places

    def lies_as(self, places: Places) -> bool:
        """Say whether values lie at these places."""
        return self.places is places or np.array_equal(self.places, places)


NONE: Places = np.zeros(0, np.int64)
NONE.flags.writeable = False


class Kept(NamedTuple):
    """Where a tensor lies that is read or written between runs, without the places of all values.

    The place of a value is ``first`` and each of its indices times the axis's step, of ``steps``;
    where it is not, ``order`` holds all places, flat, else nothing.
    """

    base: int
    words: int
    shape: Shape
    first: int
    steps: tuple[int, ...]
    order: Places

    @classmethod
    def of(cls, tensor: Tensor) -> Self:
        """Tell where a tensor lies."""
        base, words, places = tensor
        seconds = np.minimum(np.eye(places.ndim, dtype=int), np.subtract(places.shape, 1))
        first, *nexts = (int(places[tuple(index)]) for index in [0 * seconds[0], *seconds])
        kept = cls(base, words, places.shape, first, tuple(n - first for n in nexts), NONE)
        return kept if np.array_equal(kept.places, places) else kept._replace(order=places.ravel())

    @property
    def places(self) -> Places:
        """Give the places of all values, of the tensor's shape."""
        if self.order.size:
            return self.order.reshape(self.shape)
        lines = (np.arange(n) * step for n, step in zip(self.shape, self.steps, strict=True))
        return reduce(np.add, np.ix_(*lines)) + self.first


class StandardPlaces:
    """Where the values of fresh tensors lie: maps pixel by pixel, all others in order.

    The places of a shape are the same array for all tensors that have it at a time.
    """

    def __init__(self) -> None:
        self._known: WeakValueDictionary[Shape, Places] = WeakValueDictionary()

    def __call__(self, shape: Shape) -> Places:
        """Return those of a shape."""
        places = self._known.get(shape)
        if places is None:
            places = np.arange(math.prod(shape)).reshape((*shape[1:], *shape[:1]))
            places = np.moveaxis(places, -1, 0) if len(shape) == 3 else places.reshape(shape)
            self._known[shape] = places
        return places


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
    room: int = CONSTANTS

    def allow(self, fixed: FixedNetwork) -> None:
        """Make room for the constants of a network by its parameters, and not for more.

        What several layers share counts for each: by its inputs, each may pack it in its own way.
        """
        sizes = (getattr(n.layer, name).size for n in fixed.nodes for name in n.layer.arrays())
        self.room = CONSTANTS + CONSTANTS_EACH * sum(sizes)

    def put(self, dtype: str, values: Array) -> int:
        """Append values to the pool of a dtype, on a new line, and return where they begin.

        The same values stand there once: layers that are alike share them in the cache.
        """
        flat = np.asarray(values, dtype).reshape(-1)
        key = dtype, hashlib.sha256(flat.data).digest()
        if key in self.begins:
            return self.begins[key]
        self.room -= flat.nbytes
        if self.room < 0:
            raise ModelError("the constants of its program must take less memory; fewer layers do")
        line = LINE // flat.itemsize
        filled = np.zeros(-(-flat.size // line) * line, flat.dtype)
        filled[: flat.size] = flat
        begin = self.begins[key] = self.sizes.get(dtype, 0)
        self.parts.setdefault(dtype, []).append(filled)
        self.sizes[dtype] = begin + filled.size
        return begin

    def pools(self) -> Pools:
        """Return the pools; the parts go, so that no constant is held twice for long."""
        return Pools(*(self._pool(dtype) for dtype in (INT16, INT32, INT64, BOOL)))

    def _pool(self, dtype: str) -> Array:
        pool, parts = aligned(self.sizes.get(dtype, 0), dtype), self.parts.pop(dtype, [])
        end = pool.size
        while parts:  # each goes as soon as it is copied
            part = parts.pop()
            pool[end - part.size : end] = part
            end -= part.size
        return pool


@dataclass(frozen=True, eq=False)
class Program:
    """A program for blocks of up to ``images`` images, in a workspace of ``size`` words.

    ``tensors`` says where the ``inputs`` and the kept tensors lie. ``parts`` is the code in runs of
    instructions, each behind the kernel that runs it. ``nodes`` names the rows of the counts.
    ``methods`` says in words how each layer's sums are computed.
    """

    code: Code
    pools: Pools
    images: int
    size: int
    inputs: tuple[FixedInput, ...]
    tensors: Mapping[str, Kept]
    nodes: tuple[str, ...]
    methods: Mapping[str, str]
    parts: tuple[tuple[Kernel, Code], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", _parts(self.code))

    def has_vector_code(self) -> bool:
        """Fetch or compile the kernels; return whether all have the vector code of fast sums."""
        return all(kernel.has_vector_code() for kernel, _ in self.parts)


def _parts(code: Code) -> tuple[tuple[Kernel, Code], ...]:
    """Split instructions into runs of those that one kernel runs."""
    code = code.view(np.recarray)  # plain Python finds fields as attributes of these only
    kinds = np.searchsorted(FIRST, code["op"], side="right")
    cuts = np.flatnonzero(np.diff(kinds)) + 1
    parts = zip(np.split(kinds, cuts), np.split(code, cuts), strict=True)
    kernels = (
        *(compiled.run, compiled.run_rare, compiled.run_steps),
        *(compiled.run_depthwise, compiled.run_norms, compiled.run_matmul, compiled.run_octets),
    )
    return tuple((kernels[kind[0]], part) for kind, part in parts if part.size)
