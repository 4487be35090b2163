"""Golden vectors: what the engine says of images, as every target is compared with it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from fxpnn.datasets import load_data
from fxpnn.engine.inference import Progress, infer
from fxpnn.engine.program import Words
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.fixed import Counts, FixedNetwork
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Array
from fxpnn.network.rows import Images, as_rows
from fxpnn.targets.lowering import Lowering

BUNDLED, BUNDLED_SHAPE = "mnist", (1, 28, 28)
"""The images that a network is run on where none are given, and what its input must be for that."""

SEED = b"fxpnn golden vectors"
"""From it the words are drawn on which all other networks run, by SHAKE128: the same for ever."""


@dataclass(frozen=True)
class Vectors:
    """The raw words of the input and of every step, int16 ``(images, words)``, by tensor.

    ``counts`` holds what overflowed in each step for all images together, by the step's name.
    """

    words: Mapping[str, Words]
    counts: Mapping[str, Counts]

    @property
    def images(self) -> int:
        """Count the images."""
        return len(self.words[INPUT])


def vectors(lowering: Lowering, images: Images, progress: Progress | None = None) -> Vectors:
    """Run images, as ``fxpnn.infer`` takes them, and keep what the steps of a lowering give.

    Several inputs count no saturations here: hardware takes their words.

    Raises:
        DataError: as ``fxpnn.infer``.
    """
    fixed, names = lowering.fixed, [step.name for step in lowering.steps]
    x, inputs = as_rows(fixed, images), [it.name for it in fixed.inputs]
    run = infer(fixed, x, keep=[*inputs, *names], progress=progress)
    words = {name: run.tensors[name].reshape(len(x), -1) for name in (*inputs, *names)}
    row = np.concatenate([words[name] for name in inputs], axis=1)
    words = {INPUT: row, **{name: words[name] for name in names}}
    counts = {
        step.name: run.layers[step.node.name] if fixed.node(step.node.name) else Counts()
        for step in lowering.steps
    }
    return Vectors(MappingProxyType(words), MappingProxyType(counts))


def default_images(fixed: FixedNetwork, count: int) -> Array:
    """Give images for a network of which nothing is known, ``(count, *shape)``.

    The first bundled test images where they fit; else raw words, int16, drawn from a seed: one in
    eight is a limit of the input's format, the first the lowest and the last the highest.
    """
    if fixed.image_shape == BUNDLED_SHAPE:
        return load_data(BUNDLED).x[:count]
    seeds = [SEED + bytes(place) for place in range(len(fixed.inputs))]
    drawn = [
        _drawn(it.format, count * it.size, seed)
        for it, seed in zip(fixed.inputs, seeds, strict=True)
    ]
    if fixed.further:
        return np.concatenate([words.reshape(count, -1) for words in drawn], axis=1)
    return drawn[0].reshape(count, *fixed.input_shape)


def _drawn(fmt: QFormat, size: int, seed: bytes) -> Words:
    """Draw words of a format."""
    drawn = np.frombuffer(hashlib.shake_128(seed).digest(4 * size), "<u4").astype(np.int64)
    eighth, rest = drawn % 8, drawn // 8
    ends = np.where(rest % 2, fmt.max, fmt.min)
    words = np.where(eighth == 0, ends, fmt.min + rest % (fmt.max - fmt.min + 1))
    words[0], words[-1] = fmt.min, fmt.max
    return words.astype(np.int16)
