"""Own the run of a whole fixed network: images in blocks on threads, counts, traces."""

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from fxpnn.assembly import assemble
from fxpnn.bounds import Proof, full, prove
from fxpnn.casting import from_float_counted, scale_pixels, to_float
from fxpnn.errors import DataError
from fxpnn.fixed import Counts, FixedNetwork
from fxpnn.kernels import native
from fxpnn.layers import Array, Softmax
from fxpnn.network import INPUT
from fxpnn.program import Program, Words
from fxpnn.qformat import Overflow, Rounding
from fxpnn.runner import counts, enter, execute, fetch
from fxpnn.sums import Known

CACHED_WORDS = 1 << 18
"""A block's tensors take at most this many words where they can: they stay in a core's cache."""
BLOCK = 240
"""The most images of a block, a multiple of the rows that the vector code sums at once."""
SERIAL = 64
"""So few images run on the caller's thread."""
PLAIN = "FXPNN_KERNELS"
"""The environment variable that, set to ``plain``, asks for the plain loops."""

Progress: TypeAlias = Callable[[int], None]
"""Called with the number of images done since the last call."""


@dataclass(frozen=True, eq=False)
class Run:
    """What a fixed network gave for a batch of images.

    ``tensors`` holds the raw outputs (and every node that was asked for) by name, int16
    ``(N, *shape)``; ``raw`` is the first output. ``probabilities`` are its values, float64, where
    the network ends in a softmax, else ``None``. ``predictions`` are the first maxima of the
    logits' raw values. ``layers`` holds every node's counts, the input's too.
    """

    raw: Words
    predictions: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64] | None
    tensors: Mapping[str, Words]
    layers: Mapping[str, Counts]


class Engine:
    """A fixed network made ready to run: proofs done, loops chosen, constants packed.

    It may be used by several threads at once.
    """

    def __init__(self, fixed: FixedNetwork) -> None:
        self.fixed = fixed
        self.proofs = prove(fixed)
        self._known = known(fixed, self.proofs)
        self._pixels = _pixel_table(fixed)
        self._plainly = os.environ.get(PLAIN) == "plain"
        self._programs: dict[frozenset[str], Program] = {}
        self._spaces: list[Words] = []
        fmt = fixed.input_format
        self._scale = 2.0**fmt.frac, float(fmt.min), float(fmt.max)

    def __call__(self, x: Array) -> Words:
        """Return the first output's raw words for images, and nothing else: the shortest way.

        One image takes microseconds; more than a block's go the way of ``run``.
        """
        program, images = self._main, len(x)
        fits = 0 < images <= program.images and x.dtype.char in "Bfd"
        if not fits or x.shape[1:] != self.fixed.input_shape:
            return self.run(x).raw
        try:
            space = self._spaces.pop()  # of this engine's threads, each has one at a time
        except IndexError:
            space = np.empty(program.size, np.int16)
        self._enter(program, x, space, 0)
        execute(program, space, images)
        raw = fetch(program, space, self.fixed.outputs[0], images)
        self._spaces.append(space)
        return raw

    @property
    def methods(self) -> Mapping[str, str]:
        """Say in words how the sums of each layer that has an accumulator are computed."""
        return self._main.methods

    @cached_property
    def _main(self) -> Program:
        return self.program()

    def program(self, keep: Iterable[str] = ()) -> Program:
        """Return the program that keeps the logits and the named tensors, made when first asked."""
        names = frozenset({*keep, logits_of(self.fixed)})
        if names not in self._programs:
            words = sum(int(np.prod(shape)) for shape in self.fixed.shapes.values())
            images = max(1, min(BLOCK, CACHED_WORDS // words))
            program = assemble(self.fixed, self._known, names, images, self._plainly)
            self._programs[names] = program
        return self._programs[names]

    def run(
        self,
        x: Array,
        threads: int | None = None,
        keep: Iterable[str] = (),
        progress: Progress | None = None,
    ) -> Run:
        """Run images, as ``infer`` takes them; keep the named tensors too."""
        check_images(self.fixed, x)
        logits = logits_of(self.fixed)
        program = self.program(keep)
        names = {*self.fixed.outputs, *keep, logits}
        tensors = {n: np.empty((len(x), *self.fixed.shapes[n]), np.int16) for n in names}
        starts = range(0, len(x), program.images)
        workers = 1 if len(x) < SERIAL else min(threads or os.cpu_count() or 1, len(starts))

        def work(number: int) -> npt.NDArray[np.int64]:
            """Run every ``workers``-th block in one workspace."""
            space = np.empty(program.size, np.int16)
            totals = np.zeros((len(program.nodes) + 1, 2), np.int64)
            for start in starts[number::workers]:
                block = x[start : start + program.images]
                totals[-1, 1] += self._enter(program, block, space, start)
                totals[:-1] += execute(program, space, len(block))
                for name, tensor in tensors.items():
                    tensor[start : start + len(block)] = fetch(program, space, name, len(block))
                if progress is not None:
                    progress(len(block))
            return totals

        if workers == 1:
            totals = work(0)
        else:
            with ThreadPoolExecutor(workers) as pool:
                totals = np.sum(list(pool.map(work, range(workers))), axis=0)
        found = {INPUT: Counts(saturations=int(totals[-1, 1])), **counts(program, totals[:-1])}
        return _finish(self.fixed, tensors, found, logits)

    def _enter(self, program: Program, x: Array, space: Words, start: int) -> int:
        """Put a block's images into the workspace as raw words; return how many saturated."""
        kind = x.dtype.char
        if kind == "h":
            enter(program, x, space)
            return 0
        tensor, order = program.tensors[INPUT], program.orders[INPUT]
        flat, place = np.ascontiguousarray(x).reshape(len(x), -1), space[tensor.base :]
        if kind == "B":
            return int(native.pixels(flat, *self._pixels, order, tensor.words, place)[0])
        if kind not in "fd" or not flat.dtype.isnative:
            flat, kind = flat.astype(np.float64), "d"
        saturations, strange = native.floats[kind](flat, *self._scale, order, tensor.words, place)
        if strange:
            index = [int(i) for i in np.argwhere(np.isnan(x))[0]]
            index[0] += start
            raise DataError(f"{INPUT}{index} must be a number, not NaN")
        return int(saturations)


def infer(
    fixed: FixedNetwork,
    x: Array,
    threads: int | None = None,
    keep: Iterable[str] = (),
    progress: Progress | None = None,
) -> Run:
    """Run images through a fixed network, bit for bit as the hardware would.

    Args:
        fixed: the network.
        x: ``(N, *input_shape)``: uint8 pixels (scaled as the network says), scaled floats, or int16
            raw words of the input's format.
        threads: how many to use, by default one per core; results do not depend on it.
        keep: names of further nodes whose raw output is wanted.
        progress: called with the number of images done since the last call, from any thread.

    Raises:
        DataError: the images are none, of another shape or dtype, or hold NaN or words that the
            input's format has not.
    """
    return Engine(fixed).run(x, threads, keep, progress)


def check_images(fixed: FixedNetwork, x: Array) -> None:
    """Raise ``DataError`` unless the network takes these images."""
    if x.shape[1:] != fixed.input_shape or not len(x):
        wanted = ", ".join(map(str, ("N", *fixed.input_shape)))
        raise DataError(f"images must be ({wanted}) with N of 1 or more, not {x.shape}")
    if x.dtype not in (np.uint8, np.int16) and x.dtype.kind != "f":
        raise DataError(
            f"images must be uint8 pixels, scaled floats or int16 raw words, not {x.dtype}"
        )
    fmt = fixed.input_format
    if x.dtype == np.int16 and (x.min() < fmt.min or x.max() > fmt.max):
        raise DataError(f"raw words must fit {fmt}, not reach {x.min()}..{x.max()}")


def logits_of(fixed: FixedNetwork) -> str:
    """Name the node whose first maximum is the class: the softmax's input, else the output."""
    node = fixed[fixed.outputs[0]]
    return node.inputs[0] if isinstance(node.layer, Softmax) else node.name


def known(fixed: FixedNetwork, proofs: Mapping[str, Proof]) -> dict[str, Known]:
    """Gather what the proofs say of the sums of each layer that has an accumulator."""
    intervals = {INPUT: full(fixed.input_format, fixed.input_shape)}
    intervals |= {name: proof.output for name, proof in proofs.items()}
    found = {}
    for node in fixed.nodes:
        proof, source = proofs[node.name], intervals[node.inputs[0]]
        if proof.total is not None:
            total = int(proof.total.low.min()), int(proof.total.high.max())
            found[node.name] = Known(proof.proved, proof.terms, total, source)
    return found


def _pixel_table(fixed: FixedNetwork) -> tuple[Words, npt.NDArray[np.bool_]]:
    """Return the raw value of each of 256 pixels per channel, and whether it overflowed."""
    channels = max(len(fixed.scaling.mean), len(fixed.scaling.std))
    channels = fixed.input_shape[0] if channels > 1 else 1
    pixels = np.broadcast_to(np.arange(256, dtype=np.uint8), (1, channels, 256))
    raw, over = from_float_counted(
        scale_pixels(pixels, fixed.scaling)[0],
        fixed.input_format,
        Rounding.NEAREST_EVEN,
        Overflow.SATURATE,
        INPUT,
    )
    return np.ascontiguousarray(raw, np.int16), np.ascontiguousarray(over)


def _finish(
    fixed: FixedNetwork, tensors: dict[str, Words], found: dict[str, Counts], logits: str
) -> Run:
    node = fixed[fixed.outputs[0]]
    raw = tensors[node.name]
    softmax = isinstance(node.layer, Softmax)
    classes = tensors[logits].reshape(len(raw), -1).argmax(1)
    return Run(
        raw,
        classes.astype(np.int64),
        to_float(raw, node.output_format) if softmax else None,
        MappingProxyType(tensors),
        MappingProxyType(found),
    )
