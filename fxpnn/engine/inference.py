"""Run a whole fixed network: images in blocks on threads, counts, traces."""

import math
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from fxpnn.engine.assembler import assemble
from fxpnn.engine.program import Program, Words
from fxpnn.engine.sums import Known, known_of
from fxpnn.engine.threads import spread
from fxpnn.engine.workspace import Conversion, Workspace, counts
from fxpnn.fixedpoint.casting import from_float_counted, to_float
from fxpnn.fixedpoint.interval import full
from fxpnn.fixedpoint.qformat import Overflow, QFormat, Rounding
from fxpnn.kernels.build import fallback
from fxpnn.network.fixed import Counts, FixedNetwork, FixedNode
from fxpnn.network.images import check_images, check_names, logits_of, takes_every_word
from fxpnn.network.inputs import FixedInput
from fxpnn.network.layers import Array, Softmax, products
from fxpnn.network.rows import Images, as_rows
from fxpnn.network.value import Value
from fxpnn.proofs.bounds import Proof, prove

CACHED_WORDS = 1 << 18
"""A block's workspace takes at most this many words where it can: it stays in a core's cache."""
REUSE = 8
"""Unless there are so many times as many weights, which each block reads anew."""
BLOCK = 1920
"""The most images of a block, a multiple of the rows that the vector code sums at once.

Only tiny networks have so many: others fill their workspace with fewer.
"""
WORTH = 1 << 25
"""So much work, in products, is worth the start of a thread."""
PLAIN = "FXPNN_KERNELS"
"""The environment variable that, set to ``plain``, asks for the plain loops.

They run too where Numba compiles nothing, or not as expected (``kernels.build.fallback``): the
vector code has no other form."""

ENGINE = "_engine"
"""Where a network keeps its engine."""

Progress: TypeAlias = Callable[[int], None]
"""Called with the number of images done since the last call."""


@dataclass(frozen=True, eq=False, repr=False)
class Run(Value):
    """What a fixed network gave for a batch of images.

    ``tensors`` holds the raw outputs (and every node that was asked for) by name, int16
    ``(N, *shape)``; ``raw`` is the first output, ``logits`` what its softmax takes or, without one,
    the same. ``layers`` holds every node's counts, the input's too. ``softmax`` is the format of
    the output where that is a softmax, else ``None``.
    """

    raw: Words
    logits: Words
    tensors: Mapping[str, Words]
    layers: Mapping[str, Counts]
    softmax: QFormat | None

    def __post_init__(self) -> None:
        for name in ("tensors", "layers"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    @cached_property
    def predictions(self) -> npt.NDArray[np.int64]:
        """The first maxima of the logits, int64 ``(N,)``."""
        classes = self.logits.reshape(len(self.logits), -1).argmax(1)
        return np.asarray(classes, np.int64)

    @cached_property
    def probabilities(self) -> npt.NDArray[np.float64] | None:
        """The output's values where the network ends in a softmax, else ``None``."""
        return None if self.softmax is None else to_float(self.raw, self.softmax)


class Engine:
    """A fixed network made ready to run: proofs done, loops chosen, constants packed.

    It may be used by several threads at once.
    """

    def __init__(self, fixed: FixedNetwork) -> None:
        self.fixed = fixed
        self.proofs = prove(fixed)
        self._known = known(fixed, self.proofs)
        self._conversions = tuple(_conversion(fixed, it) for it in fixed.inputs)
        self._shape = fixed.image_shape
        self._plainly = os.environ.get(PLAIN) == "plain" or fallback.active()
        self._work = sum(_work(node, fixed) for node in fixed.nodes)
        self._logits = logits_of(fixed)
        self._programs: dict[frozenset[str], Program] = {}
        self._unchecked = "Bfdh" if takes_every_word(fixed) else "Bfd"
        self._spaces: list[Workspace] = []

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.fixed,)

    def __repr__(self) -> str:
        return f"Engine({self.fixed!r})"

    def __call__(self, x: Images) -> Words:
        """Return the first output's raw words for images, and nothing else: the shortest way.

        One image takes microseconds, most of them in its sums: kernels are bound to a workspace
        that stays. More than a block's images go the way of ``run``, and so does what ``run`` must
        check: raw words where the input's format has fewer.
        """
        if type(x) is not np.ndarray or not x.ndim:
            return self.run(x).raw
        program, images = self._main, len(x)
        fits = 0 < images <= program.images and x.dtype.char in self._unchecked
        fits = fits and self.fixed.normalisation is None
        if not fits or x.shape[1:] != self._shape:
            return self.run(x).raw
        space = self._space(program)
        space.put(x)
        space.run(images)
        raw = space.fetch(self.fixed.outputs[0], images)
        self._spaces.append(space)
        return raw

    @property
    def methods(self) -> Mapping[str, str]:
        """How the sums of each layer that has an accumulator are computed, in words."""
        return self.program().methods if self._known else {}

    @cached_property
    def _main(self) -> Program:
        return self._compiled()

    def _compiled(self, keep: Iterable[str] = ()) -> Program:
        """Return a program whose kernels are at hand, of plain loops if these lack vector code."""
        program = self.program(keep)
        if self._plainly or program.has_vector_code():
            return program
        self._plainly, self._programs = True, {}
        return self.program(keep)

    def program(self, keep: Iterable[str] = ()) -> Program:
        """Return the program that keeps the logits and the named tensors, made when first asked."""
        names, programs = frozenset({*keep, self._logits}), self._programs
        if names not in programs:
            weights = sum(int(np.size(getattr(n.layer, "weight", ()))) for n in self.fixed.nodes)
            words = max(CACHED_WORDS, weights // REUSE)
            programs[names] = assemble(self.fixed, self._known, names, BLOCK, words, self._plainly)
        return programs[names]

    def _space(self, program: Program) -> Workspace:
        """Return a workspace of this thread's own; those of the main program stay for the next."""
        if program is self._main:
            with suppress(IndexError):  # another thread may take the last
                return self._spaces.pop()
        return Workspace(program, self._conversions)

    def _entered(self, x: Array) -> Array:
        """Return images behind the normalisation, as float64; raw words are behind it already."""
        normalisation = self.fixed.normalisation
        if normalisation is None or x.dtype.char == "h":
            return x
        return normalisation.apply(self.fixed.scaling.apply(x) if x.dtype.char == "B" else x)

    def run(
        self,
        x: Images,
        threads: int | None = None,
        keep: Iterable[str] = (),
        progress: Progress | None = None,
    ) -> Run:
        """Run images, as ``infer`` takes them; keep the named tensors too."""
        x = as_rows(self.fixed, x)
        check_images(self.fixed, x)
        keep = tuple(keep)  # it may be an iterator, and is read twice
        check_names(self.fixed, keep)
        program = self._compiled(keep)
        names = {*self.fixed.outputs, *keep, self._logits}
        tensors = {n: np.empty((len(x), *self.fixed.shapes[n]), np.int16) for n in names}
        starts = range(0, len(x), program.images)
        workers = min(len(starts), max(1, len(x) * self._work // WORTH))
        if workers > 1:  # to ask for the cores costs as much as a small network's image
            workers = min(workers, threads or os.cpu_count() or 1)

        idle: list[Workspace] = []

        def work(start: int) -> list[int]:
            """Run a block in a workspace that no other thread has now."""
            try:
                space = idle.pop()
            except IndexError:
                space = self._space(program)
                space.counts.fill(0)
            block = self._entered(x[start : start + program.images])
            saturations = space.enter(block, start)
            space.run(len(block))
            for name, tensor in tensors.items():
                tensor[start : start + len(block)] = space.fetch(name, len(block))
            if progress is not None:
                progress(len(block))
            idle.append(space)
            return saturations

        saturations = map(sum, zip(*spread(work, starts, workers), strict=True))
        totals = np.zeros_like(idle[0].counts)
        for space in idle:
            totals += space.counts
        if program is self._main:
            self._spaces += idle
        entered = zip(self.fixed.inputs, saturations, strict=True)
        found = {it.name: Counts(saturations=count) for it, count in entered}
        found |= counts(program, totals)
        return _finish(self.fixed, tensors, found, self._logits)


def infer(
    fixed: FixedNetwork,
    x: Images,
    threads: int | None = None,
    keep: Iterable[str] = (),
    progress: Progress | None = None,
) -> Run:
    """Run images through a fixed network, bit for bit as the hardware would.

    The network is prepared once, when it is first run. Who wants raw outputs alone, and one image
    in microseconds, calls an ``Engine``.

    Args:
        fixed: the network.
        x: ``(N, *input_shape)``: uint8 pixels (scaled as the network says), scaled floats, or int16
            raw words of the input's format. Of several inputs, arrays by name, or rows
            (``network.rows``).
        threads: how many to use, by default one per core; results do not depend on it.
        keep: names of further nodes whose raw output is wanted.
        progress: called with the number of images done since the last call, from any thread.

    Raises:
        DataError: the images are none, of another shape or dtype, or hold NaN or words that the
            input's format has not; or ``keep`` names no node.
    """
    return prepared(fixed).run(x, threads, keep, progress)


def prepared(fixed: FixedNetwork) -> Engine:
    """Return the engine of a network, made when it is first asked for and kept with the network.

    It lies beside the network's fields: copies and pickles leave it out, and it goes when the
    network goes. Threads that ask at once may each make one; all get the first that was kept.
    """
    kept = vars(fixed).get(ENGINE)
    engine: Engine = vars(fixed).setdefault(ENGINE, Engine(fixed)) if kept is None else kept
    return engine


def _work(node: FixedNode, fixed: FixedNetwork) -> int:
    """Count what one image takes, in products; a value that is not summed takes as long as some."""
    shape = fixed.shapes[node.name]
    return products(node.layer, shape, fixed.shapes[node.inputs[0]]) or 8 * math.prod(shape)


def known(fixed: FixedNetwork, proofs: Mapping[str, Proof]) -> dict[str, Known]:
    """Gather what the proofs say of the sums of each layer that has an accumulator."""
    intervals = {it.name: full(it.format, it.shape) for it in fixed.inputs}
    intervals |= {name: proof.output for name, proof in proofs.items()}
    found = {}
    for node in fixed.nodes:
        proof, source = proofs[node.name], intervals[node.inputs[0]]
        if proof.total is not None:
            dropped = node.dropped(*fixed.sources(node))
            found[node.name] = known_of(proof, dropped, source)
    return found


def _conversion(fixed: FixedNetwork, entry: FixedInput) -> Conversion:
    """Return what each of 256 pixels of a channel becomes, and how floats become raw words."""
    channels = max(len(fixed.scaling.mean), len(fixed.scaling.std))
    channels = entry.shape[0] if channels > 1 else 1
    pixels = np.broadcast_to(np.arange(256, dtype=np.uint8), (1, channels, 256))
    fmt = entry.format
    raw, over = from_float_counted(
        fixed.scaling.apply(pixels)[0],
        fmt,
        Rounding.NEAREST_EVEN,
        Overflow.SATURATE,
        entry.name,
    )
    tables = np.ascontiguousarray(raw, np.int16), np.ascontiguousarray(over)
    return Conversion(*tables, 2.0**fmt.frac, float(fmt.min), float(fmt.max))


def _finish(
    fixed: FixedNetwork, tensors: dict[str, Words], found: dict[str, Counts], logits: str
) -> Run:
    node = fixed[fixed.outputs[0]]
    raw = tensors[node.name]
    softmax = isinstance(node.layer, Softmax)
    return Run(
        raw,
        tensors[logits],
        tensors,
        found,
        node.output_format if softmax else None,
    )
