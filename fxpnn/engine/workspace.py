"""One run of a program on one block of images, in a workspace of its own."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import as_strided

from fxpnn.engine.program import Kept, Program, Words, aligned
from fxpnn.errors import DataError
from fxpnn.kernels import compiled
from fxpnn.kernels.build.kernel import Bound
from fxpnn.network.fixed import Counts
from fxpnn.network.inputs import Input, split
from fxpnn.network.layers import Array


class Conversion(NamedTuple):
    """How images become raw words.

    ``raws`` and ``over`` are ``(channels, 256)``: what a channel's pixel becomes, and whether it
    overflowed. Floats are multiplied by ``scale``, rounded, and kept within ``low`` and ``high``.
    """

    raws: Words
    over: npt.NDArray[np.bool_]
    scale: float
    low: float
    high: float


class Workspace:
    """The memory in which one thread at a time runs a program, block by block.

    Kernels are bound to it once: one image takes little longer to compute than Python would take to
    hand over what they need. ``counts`` grows by every block, ``(nodes, 3)``, as ``Counts`` has
    them. ``conversions`` are those of the inputs; without any, images are raw words.
    """

    def __init__(self, program: Program, conversions: Sequence[Conversion] = ()) -> None:
        self.program = program
        self.counts = np.zeros((len(program.nodes), 3), np.int64)
        self._words = aligned(program.size, np.int16)
        self._tensors = {name: self._tensor(name) for name in program.tensors}
        given = (*program.pools, self._words, self.counts)
        self._parts = [kernel.bind(code, *given) for kernel, code in program.parts]
        each: Sequence[Conversion | None] = conversions or [None] * len(program.inputs)
        self._entries = tuple(
            _Entry(it.name, program.tensors[it.name], self._words, conversion)
            for it, conversion in zip(program.inputs, each, strict=True)
        )
        # Who counts nothing calls this: for one input a call less, a twentieth of a tiny network.
        alone = len(self._entries) == 1
        parted = partial(_enter, program.inputs, self._entries)  # no cycle: ``self`` is not in it
        self.put: Callable[[Array], object] = self._entries[0].enter if alone else parted

    def enter(self, x: Array, start: int = 0) -> list[int]:
        """Put images where the program reads them; return how many values of each input saturated.

        Args:
            x: pixels, floats or raw words, ``(n, *shape)`` or rows, n at most the program's.
            start: the first image's number, for an error.

        Raises:
            DataError: a float is NaN.
        """
        return _enter(self.program.inputs, self._entries, x, start)

    def run(self, images: int) -> None:
        """Run the program on the images that were entered."""
        for part in self._parts:
            part(images)

    def fetch(self, name: str, images: int) -> Words:
        """Copy a kept tensor of the images, ``(images, *shape)``."""
        kept, block = self.program.tensors[name], self._tensors[name][:images]
        if kept.order.size:
            return block.take(kept.order, axis=1).reshape(images, *kept.shape)
        return block.copy()

    def _tensor(self, name: str) -> Words:
        """Return a view of a tensor's values, or of its words where their places are no steps."""
        base, words, shape, first, steps, order = self.program.tensors[name]
        block = self._words[base : base + self.program.images * words].reshape(-1, words)
        if order.size:
            return block
        strides = block.itemsize * np.array([words, *steps])
        return as_strided(block[:, first:], (len(block), *shape), strides.tolist())


def _enter(
    inputs: Sequence[Input], entries: Sequence["_Entry"], x: Array, start: int = 0
) -> list[int]:
    """Put each input's part of images in its place; return how many values of each saturated."""
    parts = split(inputs, x)
    return [entry.enter(parts[entry.name], start) for entry in entries]


class _Entry:
    """The way by which one input's images enter a workspace; its kernels are bound once."""

    def __init__(self, name: str, kept: Kept, words: Words, conversion: Conversion | None) -> None:
        self.name = name
        self._kept, self._words, self._conversion = kept, words, conversion
        self._bound: dict[np.dtype[np.generic], Bound] = {}

    def enter(self, x: Array, start: int = 0) -> int:
        """Put images ``(n, *shape)`` where the program reads them; return how many saturated."""
        entry = self._bound.get(x.dtype)
        if entry is None:  # or it is of another byte order, or a rarer kind of float
            kind = x.dtype.char if x.dtype.char in "Bhfd" else "d"
            if kind == "f" and not self._scales_float32():
                kind = "d"
            x = x.astype(kind, copy=False)
            entry = self._bound.setdefault(x.dtype, self._bind(kind))
        if not (x.flags.c_contiguous and x.flags.aligned):  # kernels take no others
            x = x.copy()
        counts = entry(x.reshape(len(x), -1))
        if len(counts) > 1 and counts[1]:
            index = [int(i) for i in np.argwhere(np.isnan(x))[0]]
            index[0] += start
            raise DataError(f"{self.name}{index} must be a number, not NaN")
        return int(counts[0])

    def _bind(self, kind: str) -> Bound:
        """Bind what takes images of a dtype to where the program reads them."""
        base, words, *_ = self._kept
        places = self._kept.places.ravel()
        in_order = np.array_equal(places, np.arange(words))
        ends = places[: 0 if in_order else None], words, self._words[base:]
        if kind == "h":
            return compiled.words.bind(*ends)
        assert self._conversion is not None
        raws, over, *limits = self._conversion
        if kind == "B":
            return compiled.pixels.bind(raws, over, *ends)
        return compiled.floats[kind].bind(*limits, *ends)

    def _scales_float32(self) -> bool:
        """Say whether the scale is no infinity, and nothing is rounded to 0 that a cast keeps."""
        return self._conversion is None or 2.0**-100 <= self._conversion.scale <= 2.0**100


def counts(program: Program, totals: npt.NDArray[np.int64]) -> dict[str, Counts]:
    """Name the rows of the counts."""
    nothing = Counts()  # what most layers lose, made once
    rows = zip(program.nodes, totals.tolist(), strict=True)
    return {name: Counts(*row) if any(row) else nothing for name, row in rows}
