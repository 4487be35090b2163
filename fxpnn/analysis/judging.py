"""Judge fixed networks by the same float reference, which is run once."""

import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from fxpnn.analysis.blocks import block_images
from fxpnn.analysis.explanation import Effect
from fxpnn.analysis.matching import class_count, class_labels
from fxpnn.engine.inference import Engine
from fxpnn.engine.threads import spread
from fxpnn.fixedpoint.casting import to_float
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.graph import Network
from fxpnn.network.images import check_images, logits_of
from fxpnn.network.inputs import split
from fxpnn.network.layers import Array
from fxpnn.reference import compute, forward, scale
from fxpnn.reference.blas import one_thread


@dataclass(frozen=True, eq=False)
class Target:
    """Images, and what the float network makes of them; it can be sent to workers.

    ``logits`` are float32 ``(N, values)``; ``y`` and ``classes`` are ``None`` where the network
    has no classes, ``y`` too where there are no labels.
    """

    x: Array
    y: Array | None
    logits: npt.NDArray[np.float32]
    classes: Array | None

    @property
    def accuracy(self) -> float | None:
        """Give the float network's accuracy, ``None`` without labels."""
        if self.y is None or self.classes is None:
            return None
        return float((self.classes == self.y).mean())


def target_of(
    network: Network,
    fixed: FixedNetwork,
    x: Array,
    y: Array | None,
    threads: int | None = None,
) -> Target:
    """Run the float network on images, as ``compare`` does; by default on a thread per core.

    Raises:
        DataError: the images or labels do not fit.
    """
    check_images(fixed, x)
    count = class_count(fixed)
    name, step = logits_of(network), block_images(fixed)
    logits = np.empty((len(x), math.prod(network.shapes[name])), np.float32)

    def work(start: int) -> None:
        block = np.zeros((step, *x.shape[1:]), x.dtype)  # a short one would be rounded otherwise
        images = x[start : start + step]
        block[: len(images)] = images
        found = forward(network, scale(block, network.scaling), keep=[name])[name]
        logits[start : start + step] = found[: len(images)].reshape(len(images), -1)

    with one_thread():
        spread(work, range(0, len(x), step), threads or os.cpu_count() or 1)
    labels = class_labels(fixed, count, x, y)
    return Target(x, labels, logits, logits.argmax(1) if count else None)


def judged(target: Target, fixed: FixedNetwork, threads: int | None = None) -> Effect:
    """Run a fixed network on the target's images."""
    run = Engine(fixed).run(target.x, threads)
    name = logits_of(fixed)
    raw = run.tensors[name].reshape(len(target.x), -1)
    errors = to_float(raw, fixed.formats[name]) - target.logits
    signal, noise = (float(np.square(v, dtype=np.float64).sum()) for v in (target.logits, errors))
    decibels = _decibels(signal, noise)
    if target.classes is None:
        return Effect(None, None, decibels)
    flips = int((run.predictions != target.classes).sum())
    if target.y is None:
        return Effect(None, flips, decibels)
    right, before = run.predictions == target.y, target.classes == target.y
    lost, gained = int((before & ~right).sum()), int((right & ~before).sum())
    return Effect(float(right.mean()), flips, decibels, lost, gained)


def _decibels(signal: float, noise: float) -> float | None:
    if not (math.isfinite(signal) and math.isfinite(noise)):
        return None
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf


def judge_all(
    target: Target,
    networks: Sequence[FixedNetwork],
    threads: int | None,
    executor: Executor | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Effect]:
    """Judge networks in their order, in this process or by an executor's workers."""
    run = map if executor is None else executor.map
    effects = run(partial(judged, target, threads=threads if executor is None else 1), networks)
    found = []
    for effect in effects:
        found.append(effect)
        if progress is not None:
            progress(len(target.x))
    return found


def own_errors(
    network: Network, fixed: FixedNetwork, x: Array, threads: int | None = None
) -> dict[str, float | None]:
    """Return the SQNR of each layer, and the input, against its float operation on the same inputs.

    What a layer adds itself: it reads the fixed network's values in both.
    """
    step = block_images(fixed)
    engine = Engine(fixed)
    engine.program(fixed.shapes)  # made once, before the threads ask for it

    def work(start: int) -> dict[str, tuple[float, float]]:
        images = x[start : start + step]
        raw = engine.run(images, 1, fixed.shapes).tensors
        values = {n: to_float(raw[n], fixed.formats[n]).astype(np.float32) for n in fixed.shapes}
        entered = scale(images, network.scaling)
        if network.normalisation is not None:
            entered = network.normalisation.apply(entered, np.float32)
        ideal = split(network.inputs, entered)
        for node in network.nodes:
            found = compute(node.layer, *(values[name] for name in node.inputs))
            ideal[node.name] = np.maximum(found, 0) if node.name in fixed.rectified else found
        return {
            name: (_energy(exact), _energy(values[name] - exact)) for name, exact in ideal.items()
        }

    with one_thread():
        parts = spread(work, range(0, len(x), step), threads or os.cpu_count() or 1)
    sums = {name: zip(*(part[name] for part in parts), strict=True) for name in parts[0]}
    return {name: _decibels(*map(math.fsum, pairs)) for name, pairs in sums.items()}


def _energy(values: Array) -> float:
    return float(np.square(values, dtype=np.float64).sum())
