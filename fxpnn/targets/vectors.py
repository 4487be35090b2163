"""Golden vectors: what the engine says of images, as every target is compared with it."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from fxpnn.datasets import load_data
from fxpnn.engine.inference import Progress, infer
from fxpnn.engine.program import Words
from fxpnn.network.fixed import Counts, FixedNetwork
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Array
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


def vectors(lowering: Lowering, images: Array, progress: Progress | None = None) -> Vectors:
    """Run images, as ``fxpnn.infer`` takes them, and keep what the steps of a lowering give.

    Raises:
        DataError: as ``fxpnn.infer``.
    """
    names = [step.name for step in lowering.steps]
    run = infer(lowering.fixed, images, keep=[INPUT, *names], progress=progress)
    words = {name: run.tensors[name].reshape(len(images), -1) for name in (INPUT, *names)}
    counts = {step.name: run.layers[step.node.name] for step in lowering.steps}
    return Vectors(MappingProxyType(words), MappingProxyType(counts))


def default_images(fixed: FixedNetwork, count: int) -> Array:
    """Give images for a network of which nothing is known, ``(count, *shape)``.

    The first bundled test images where they fit; else raw words, int16, drawn from a seed: one in
    eight is a limit of the input's format, the first the lowest and the last the highest.
    """
    if fixed.input_shape == BUNDLED_SHAPE:
        return load_data(BUNDLED).x[:count]
    fmt, size = fixed.input_format, count * math.prod(fixed.input_shape)
    drawn = np.frombuffer(hashlib.shake_128(SEED).digest(4 * size), "<u4").astype(np.int64)
    eighth, rest = drawn % 8, drawn // 8
    ends = np.where(rest % 2, fmt.max, fmt.min)
    words = np.where(eighth == 0, ends, fmt.min + rest % (fmt.max - fmt.min + 1))
    words[0], words[-1] = fmt.min, fmt.max
    return words.astype(np.int16).reshape(count, *fixed.input_shape)
