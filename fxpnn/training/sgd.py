"""Mini-batch stochastic gradient descent: batches, momentum, learning rate, stop."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fxpnn.errors import DataError, ModelError
from fxpnn.fixedpoint.casting import is_array
from fxpnn.network.graph import Network
from fxpnn.network.images import check_images
from fxpnn.network.inputs import check_one
from fxpnn.network.layers import Array
from fxpnn.reference import forward, scale
from fxpnn.training.gradients import backpropagate
from fxpnn.training.losses import CROSS_ENTROPY, Loss, cost, one_hot
from fxpnn.training.parameters import parameters, with_parameters


class Schedule(Enum):
    """How the learning rate goes from its first value to the end of training."""

    CONSTANT = "constant"
    LINEAR = "linear"
    COSINE = "cosine"

    def factor(self, progress: float) -> float:
        """Give the share of the first rate after ``progress``, 0..1, of all steps."""
        if self is Schedule.CONSTANT:
            return 1.0
        return 1 - progress if self is Schedule.LINEAR else (1 + math.cos(math.pi * progress)) / 2


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to descend: ``velocity = momentum * velocity + gradient; w -= rate * velocity``.

    ``decay`` pulls the weights (no bias) towards 0 as ``decay / 2 * sum(w**2)`` in the cost would.

    Raises:
        DataError: a number is outside its range.
    """

    epochs: int = 10
    batch: int = 32
    rate: float = 0.1
    momentum: float = 0.0
    decay: float = 0.0
    schedule: Schedule = Schedule.CONSTANT

    def __post_init__(self) -> None:
        for name in ("epochs", "batch"):
            if getattr(self, name) < 1:
                raise DataError(f"{name} must be 1 or more, not {getattr(self, name)}")
        if not 0 < self.rate < math.inf:
            raise DataError(f"rate must be more than 0 and finite, not {self.rate}")
        for name in ("momentum", "decay"):
            if not 0 <= getattr(self, name) < 1:
                raise DataError(f"{name} must be 0 to less than 1, not {getattr(self, name)}")


@dataclass(frozen=True)
class Step:
    """One step of training: the network after it, and what its batch cost before it.

    ``number`` counts steps from 1 to ``total``, over all epochs; ``epoch`` counts from 1.
    ``velocity`` holds, by parameter, what the next step adds to: with it training can begin here
    again.
    """

    number: int
    total: int
    epoch: int
    cost: float
    network: Network
    velocity: Mapping[str, Array] = field(default_factory=dict)


class Batch(NamedTuple):
    """Which examples a step sees, by their places, and its rate.

    ``number`` counts steps from 0, ``epoch`` from 1.
    """

    number: int
    total: int
    epoch: int
    places: Array
    rate: float


def train(
    network: Network,
    x: Array,
    y: Array,
    recipe: Recipe,
    *,
    seed: int = 0,
    loss: Loss = CROSS_ENTROPY,
    masks: Mapping[str, Array] = MappingProxyType({}),
    dtype: npt.DTypeLike = np.float32,
    progress: Callable[[Step], object] | None = None,
) -> Network:
    """Train a network and give the trained one; as ``descend``, but to the end.

    ``progress`` is called after every step.
    """
    for step in descend(network, x, y, recipe, seed=seed, loss=loss, masks=masks, dtype=dtype):
        network = step.network
        if progress is not None:
            progress(step)
    return network


def descend(
    network: Network,
    x: Array,
    y: Array,
    recipe: Recipe,
    *,
    seed: int = 0,
    loss: Loss = CROSS_ENTROPY,
    masks: Mapping[str, Array] = MappingProxyType({}),
    dtype: npt.DTypeLike = np.float32,
    start: Step | None = None,
) -> Iterator[Step]:
    """Train a network step by step; the same seed gives the same bits on the same machine.

    ``x``, ``(N, *input_shape)``, holds uint8 pixels or scaled floats; ``y`` class labels ``(N,)``
    or targets of the output's shape. An epoch visits every example once, in an order that the seed
    decides; its last batch may be smaller. ``masks`` holds, by parameter, 0 where a value may not
    change and 1 elsewhere, and broadcasts to the parameter's shape. Behind a step that was taken
    before, ``start``, come the same steps as came then.

    Raises:
        DataError: images, labels or targets do not fit the network.
        ModelError: the network has several outputs, or the weights run away to infinity.
    """
    check_one(network.inputs, "training")
    check_images(network, x)
    keep_freed_memory()
    goals = targets(network, y, len(x), dtype)
    network = network if start is None else start.network
    values = {name: value.astype(dtype) for name, value in parameters(network).items()}
    network = with_parameters(network, values)
    velocity = first_velocity(values, start)
    for batch in batches(len(x), recipe, seed, start):
        images = scale(x[batch.places], network.scaling, dtype)
        with quiet():
            value, gradients = cost_and_gradients(network, images, goals[batch.places], loss)
            values, velocity = moved(values, velocity, gradients, batch.rate, recipe, masks)
            network = rebuilt(network, values, batch.epoch)
        yield Step(batch.number + 1, batch.total, batch.epoch, value, network, velocity)


def batches(count: int, recipe: Recipe, seed: int, start: Step | None = None) -> Iterator[Batch]:
    """Cut ``count`` examples into batches, in another order each epoch.

    They are all those of the recipe, or those behind the step ``start``.
    """
    generator = np.random.default_rng(seed)
    each = math.ceil(count / recipe.batch)
    total = recipe.epochs * each
    for number in range(total):
        epoch, batch = divmod(number, each)
        if batch == 0:
            order = generator.permutation(count)
        if start is None or number >= start.number:
            places = order[batch * recipe.batch : (batch + 1) * recipe.batch]
            rate = recipe.rate * recipe.schedule.factor(number / total)
            yield Batch(number, total, epoch + 1, places, rate)


def quiet() -> AbstractContextManager[object]:
    """Let floats overflow without a warning: ``rebuilt`` judges what becomes of it."""
    return np.errstate(over="ignore", invalid="ignore", divide="ignore")


def first_velocity(values: Mapping[str, Array], start: Step | None) -> Mapping[str, Array]:
    """Return the velocity with which a descent begins: none, or that of ``start``."""
    if start is not None and start.number:
        return {name: start.velocity[name].astype(v.dtype) for name, v in values.items()}
    return {name: np.zeros_like(value) for name, value in values.items()}


def moved(
    values: Mapping[str, Array],
    velocity: Mapping[str, Array],
    gradients: Mapping[str, Array],
    rate: float,
    recipe: Recipe,
    masks: Mapping[str, Array],
) -> tuple[dict[str, Array], dict[str, Array]]:
    """Take one step: return the new values and velocities; what has no gradient stays."""
    after, faster = {**values}, {**velocity}
    for name, gradient in gradients.items():
        change = _change(name, gradient, values[name], recipe.decay, masks)
        faster[name] = velocity[name] * recipe.momentum
        faster[name] += change
        after[name] = _moved(values[name], rate, faster[name])
    return after, faster


def keep_freed_memory() -> None:
    """Free one large block, which tells glibc to keep as much when a step frees its arrays.

    Else it returns them to the system, and faulting them in again takes a third of LeNet's time.
    """
    np.empty(31 << 20, np.uint8)  # 32 MB is the most it learns from


def cost_and_gradients(
    network: Network, x: Array, y: Array, loss: Loss = CROSS_ENTROPY
) -> tuple[float, dict[str, Array]]:
    """Compute a batch's mean cost and its derivative by every parameter, in the dtype of ``x``.

    ``x`` holds scaled floats, ``y`` targets of the output's shape.
    """
    values = forward(network, x, x.dtype, keep=network.shapes)
    value, deltas = cost(loss, network, values, y)
    return value, backpropagate(network, values, deltas).parameters


def targets(network: Network, y: Array, count: int, dtype: npt.DTypeLike = np.float32) -> Array:
    """Bring labels ``(N,)`` or targets ``(N, ...)`` to the shape of the network's output.

    Raises:
        DataError: they are not ``count``, no class, or of another shape.
    """
    shape = network.shapes[network.outputs[0]]
    if not is_array(y):
        raise DataError(f"labels or targets must be a NumPy array, not a {type(y).__name__}")
    if not y.ndim or y.dtype.kind not in "fiub" or y.dtype.itemsize > 8:
        raise DataError(
            f"labels or targets must be {count} real numbers of at most 64 bits, not {y.dtype}"
        )
    if len(y) != count:
        raise DataError(f"labels must be as many as the {count} images, not {len(y)}")
    if y.ndim == 1 and y.dtype.kind in "iu" and len(shape) == 1:
        return one_hot(y, shape[0], dtype)
    if y.shape[1:] != shape:
        raise DataError(f"targets must have the output's shape {shape}, not {y.shape[1:]}")
    return y.astype(dtype, copy=False)


def _change(
    name: str, gradient: Array, value: Array, decay: float, masks: Mapping[str, Array]
) -> Array:
    change = gradient
    if decay and name.endswith(".weight"):
        change = value * decay
        change += gradient
    return change * masks[name] if name in masks else change


def _moved(value: Array, rate: float, velocity: Array) -> Array:
    moved: Array = velocity * rate
    np.subtract(value, moved, out=moved)
    moved.setflags(write=False)  # so that the layer takes it without a copy
    return moved


def rebuilt(network: Network, values: Mapping[str, Array], epoch: int) -> Network:
    """Return the network with new values.

    Raises:
        ModelError: they run away to infinity.
    """
    try:
        return with_parameters(network, values)
    except ModelError as error:
        raise diverged(epoch, error) from None


def diverged(epoch: int, error: ModelError) -> ModelError:
    """Return the error of a training whose parameters no network can have any more."""
    return ModelError(f"training diverged in epoch {epoch}, lower the rate: {error}")
