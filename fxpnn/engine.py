"""Own the run of a whole fixed network: images in blocks on threads, counts, traces."""

import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from fxpnn.bounds import Proof, prove
from fxpnn.casting import from_float_counted, scale_pixels, to_float
from fxpnn.errors import DataError
from fxpnn.execute import Tensor, execute
from fxpnn.fixed import Counts, FixedNetwork, FixedNode
from fxpnn.kernels.plain import STEPWISE, SUM_32, SUM_64, WRAPPED, Sum
from fxpnn.layers import Array, Softmax
from fxpnn.network import INPUT
from fxpnn.qformat import Overflow, Rounding

BLOCK = 128
"""How many images run at once on a thread: a LeNet's tensors then take a few MB."""

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

    raw: Tensor
    predictions: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64] | None
    tensors: Mapping[str, Tensor]
    layers: Mapping[str, Counts]


class _Step(NamedTuple):
    node: FixedNode
    how: Sum | None
    spent: tuple[str, ...]
    """The tensors that no later node reads."""


class Engine:
    """A fixed network made ready to run: proofs done, loops chosen.

    It holds no state between runs and may be used by several threads at once.
    """

    def __init__(self, fixed: FixedNetwork) -> None:
        self.fixed = fixed
        self.proofs = prove(fixed)
        self._steps = _steps(fixed, self.proofs)
        self._pixels = _pixel_table(fixed)

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
        names = {*self.fixed.outputs, *keep, logits}
        blocks = [x[i : i + BLOCK] for i in range(0, len(x), BLOCK)]

        def one(block: Array) -> tuple[dict[str, Tensor], dict[str, Counts]]:
            done = self._block(block, names)
            if progress is not None:
                progress(len(block))
            return done

        workers = min(threads or os.cpu_count() or 1, len(blocks))
        if workers == 1:
            parts = [one(block) for block in blocks]
        else:
            with ThreadPoolExecutor(workers) as pool:
                parts = list(pool.map(one, blocks))
        tensors = {name: np.concatenate([part[0][name] for part in parts]) for name in names}
        counts = reduce(_add_counts, (part[1] for part in parts))
        return _finish(self.fixed, tensors, counts, logits)

    def _block(self, x: Array, keep: set[str]) -> tuple[dict[str, Tensor], dict[str, Counts]]:
        raw, saturations = self._input(x)
        tensors = {INPUT: raw}
        counts = {INPUT: Counts(saturations=saturations)}
        formats = self.fixed.formats
        for node, how, spent in self._steps:
            inputs = [tensors[name] for name in node.inputs]
            sources = [formats[name] for name in node.inputs]
            tensors[node.name], counts[node.name] = execute(node, inputs, sources, how)
            for name in spent:
                if name not in keep:
                    del tensors[name]
        return {name: tensors[name] for name in keep}, counts

    def _input(self, x: Array) -> tuple[Tensor, int]:
        if x.dtype == np.uint8:
            raws, over = self._pixels
            channels = np.arange(len(raws)).reshape(-1, *[1] * (x.ndim - 2))
            return raws[channels, x], int(over[channels, x].sum()) if over.any() else 0
        if x.dtype == np.int16:
            return np.ascontiguousarray(x), 0
        raw, flags = from_float_counted(
            x, self.fixed.input_format, Rounding.NEAREST_EVEN, Overflow.SATURATE, INPUT
        )
        return raw.astype(np.int16), int(flags.sum())


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


def method(node: FixedNode, proof: Proof) -> Sum | None:
    """Choose how the layer's sums are computed; only a proof licenses the plain loops."""
    register = node.accumulator
    if register is None:
        return None
    low, high = proof.terms
    if proof.proved:
        narrow = low >= -(2**31) and high < 2**31
        return Sum(SUM_32 if narrow else SUM_64, register.min, register.max)
    wraps = register.overflow is Overflow.WRAP
    return Sum(WRAPPED if wraps else STEPWISE, register.min, register.max)


def _steps(fixed: FixedNetwork, proofs: Mapping[str, Proof]) -> tuple[_Step, ...]:
    last = {name: node.name for node in fixed.nodes for name in node.inputs}
    return tuple(
        _Step(
            node,
            method(node, proofs[node.name]),
            tuple(n for n in dict.fromkeys(node.inputs) if last[n] == node.name)
            + ((node.name,) if node.name not in last else ()),
        )
        for node in fixed.nodes
    )


def _pixel_table(fixed: FixedNetwork) -> tuple[Tensor, npt.NDArray[np.bool_]]:
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
    return raw.astype(np.int16), over


def _add_counts(a: dict[str, Counts], b: dict[str, Counts]) -> dict[str, Counts]:
    return {name: a[name] + b[name] for name in a}


def _finish(
    fixed: FixedNetwork, tensors: dict[str, Tensor], counts: dict[str, Counts], logits: str
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
        MappingProxyType(counts),
    )
