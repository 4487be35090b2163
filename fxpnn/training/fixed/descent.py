"""Gradient descent in fixed point: the words at the start, the constants, and step after step."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from fxpnn.errors import DataError, FormatError, ModelError
from fxpnn.fixedpoint.casting import Raw, from_float
from fxpnn.fixedpoint.chance import Stochastic
from fxpnn.fixedpoint.qformat import QFormat, Rounding
from fxpnn.fixedpoint.requantize import Shift
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.graph import INPUT, Network, Scaling
from fxpnn.network.images import check_images
from fxpnn.network.inputs import check_one
from fxpnn.network.layers import Array
from fxpnn.network.learning import MOMENTUM_FRAC, Learning
from fxpnn.quantization.quantizer import quantize
from fxpnn.quantization.settings import Plan, Settings
from fxpnn.reference import scale
from fxpnn.training.fixed.epoch import Epoch, Tally, check_inside, check_learns
from fxpnn.training.fixed.formats import Formats, Resolved, resolved
from fxpnn.training.fixed.step import step
from fxpnn.training.parameters import parameters
from fxpnn.training.sgd import Recipe, targets

LARGEST_RATE = 32767
"""A rate is a word of 16 bits."""


@dataclass(frozen=True, eq=False)
class FixedState:
    """What a training in fixed point is continued from: words and velocities, int16, by parameter.

    ``step`` counts the steps that were taken.
    """

    step: int
    words: Mapping[str, Array]
    velocity: Mapping[str, Array]


@dataclass(frozen=True, eq=False)
class FixedStep:
    """One step of training in fixed point, and what is known after it.

    ``number`` counts steps from 1 to ``total``, over all epochs; ``epoch`` counts from 1.
    ``correct`` of the step's ``images`` were classified right before it. ``report`` is there after
    the last step of an epoch.
    """

    number: int
    total: int
    epoch: int
    correct: int
    images: int
    state: FixedState
    learning: Learning
    report: Epoch | None = None

    @cached_property
    def network(self) -> FixedNetwork:
        """Give the network of the words after this step."""
        return self.learning.with_words(self.state.words)


def train_fixed(
    network: Network,
    x: Array,
    y: Array,
    formats: Formats,
    recipe: Recipe,
    *,
    rounding: Rounding | Stochastic | str = "stochastic",
    seed: int = 0,
    masks: Mapping[str, Array] = MappingProxyType({}),
    start: FixedState | None = None,
    block: int = 1 << 10,
) -> Iterator[FixedStep]:
    """Train a network in fixed point step by step; the same seed gives the same bits everywhere.

    Behind the cast of the inputs every tensor is words of its format, at most 16 bits, and
    ``fxpnn.network.learning`` says how a step makes them. The cost is the cross-entropy behind the
    network's softmax.

    Args:
        network: a chain of layers with a softmax at its end; its weights are the start.
        x: uint8 pixels or scaled floats, ``(N, *input_shape)``.
        y: class labels, ``(N,)``.
        formats: the format of every tensor.
        recipe: epochs, batch, rate, schedule and momentum; decay must be 0.
        rounding: of every cast; ``stochastic`` draws 16 bits a value from ``seed``.
        seed: decides the order of the images, which is that of ``descend``.
        masks: by parameter, 0 where a word may not change and 1 elsewhere.
        start: where to continue instead: what an earlier step of the same training gave.
        block: so many images are computed at a time; no bit depends on it.

    Raises:
        DataError: images or labels do not fit the network, or the state does not fit the training.
        FormatError: a format cannot be, or rounds every weight to 0.
        ModelError: the network is no such chain, or the training diverges or never moves a weight.
    """
    check_one(network.inputs, "training")
    check_images(network, x)
    _check_labels(network, y, len(x))
    if block < 1:
        raise DataError(f"a block must be 1 image or more, not {block}")
    batches = math.ceil(len(x) / recipe.batch)
    total = recipe.epochs * batches
    floats = x.dtype != np.uint8
    learning = learning_of(
        network,
        formats,
        recipe,
        total,
        rounding=_rounding(rounding, seed),
        floats=floats,
        masks=masks,
    )
    state = starting(network, learning) if start is None else _checked(start, learning, total)
    return _steps(learning, x, y, recipe, seed, state, block)


def _steps(
    learning: Learning,
    x: Array,
    y: Array,
    recipe: Recipe,
    seed: int,
    state: FixedState,
    block: int,
) -> Iterator[FixedStep]:
    batches = math.ceil(len(x) / recipe.batch)
    total, tally, enter = recipe.epochs * batches, Tally(), _entrance(learning.fixed)
    generator = np.random.default_rng(seed)
    orders = (generator.permutation(len(x)) for _ in range(recipe.epochs))
    for epoch, order in enumerate(orders):
        for batch in range(max(0, state.step - epoch * batches), batches):
            number = epoch * batches + batch + 1
            chosen = order[batch * recipe.batch : (batch + 1) * recipe.batch]
            done = step(
                learning,
                state.words,
                state.velocity,
                enter(x[chosen]),
                y[chosen].astype(np.int64),
                number,
                block=block,
                keep=batch == batches - 1,
            )
            tally.add(done, len(chosen))
            state = FixedState(number, done.words, done.velocity)
            report = None
            if batch == batches - 1:
                report, tally = tally.epoch(epoch + 1, done), Tally()
                check_learns(report, learning)
                check_inside(state.words, learning, epoch + 1)
            yield FixedStep(
                number, total, epoch + 1, done.correct, len(chosen), state, learning, report
            )


@dataclass(frozen=True)
class _Entrance:
    """The cast of inputs: pixels by a table of what each of 256 becomes, floats by their values."""

    table: Raw
    scaling: Scaling
    format: QFormat

    def __call__(self, x: Array) -> Raw:
        if x.dtype != np.uint8:
            return from_float(scale(x, self.scaling, np.float64), self.format, name=INPUT)
        if len(self.table) == 1:
            return np.asarray(self.table[0][x])
        channels = np.arange(len(self.table)).reshape(-1, *[1] * (x.ndim - 2))
        return np.asarray(self.table[channels, x])


def _entrance(fixed: FixedNetwork) -> _Entrance:
    channels = max(len(fixed.scaling.mean), len(fixed.scaling.std))
    channels = fixed.input_shape[0] if channels > 1 else 1
    pixels = np.broadcast_to(np.arange(256, dtype=np.uint8), (1, channels, 256))
    table = from_float(fixed.scaling.apply(pixels, np.float64)[0], fixed.input_format, name=INPUT)
    return _Entrance(table, fixed.scaling, fixed.input_format)


def learning_of(
    network: Network,
    formats: Formats,
    recipe: Recipe,
    total: int,
    *,
    rounding: Rounding | Stochastic,
    floats: bool = False,
    masks: Mapping[str, Array] = MappingProxyType({}),
) -> Learning:
    """Bring formats and a recipe of ``total`` steps to a network; ``floats``: it reads no pixels.

    Raises:
        FormatError: a format cannot be, names no tensor, or is missing.
        ModelError: the network cannot be trained in fixed point.
        DataError: the recipe has a decay.
    """
    if recipe.decay:
        raise DataError(f"decay must be 0 in fixed point, not {recipe.decay}")
    if network.normalisation is not None:
        raise ModelError("training in fixed point must read pixels or floats without normalisation")
    found = resolved(formats, network, floats)
    modes = Rounding.NEAREST_EVEN if isinstance(rounding, Stochastic) else rounding
    fixed = quantize(network, None, _plan(network, found, modes))
    rates, rate_frac = rate_words(recipe, total)
    return Learning(
        fixed=fixed,
        weights=found.weights,
        deltas=found.deltas,
        gradients=found.gradients,
        velocity=found.velocity,
        rates=rates,
        rate_frac=rate_frac,
        momentum=min(round(recipe.momentum * 2**MOMENTUM_FRAC), (1 << MOMENTUM_FRAC) - 1),
        batch=recipe.batch,
        rounding=rounding,
        masks=masks,
    )


def _plan(network: Network, found: Resolved, rounding: Rounding) -> Plan:
    """Say the formats of words and activations as the quantizer takes them."""
    layers = {}
    for node in network.nodes:
        chosen: dict[str, Any] = {"output": found.activations.get(node.name)}
        if node.layer.traits.sums:
            chosen["weight"] = found.weights[f"{node.name}.weight"]
            chosen["bias"] = found.weights[f"{node.name}.bias"]
        if any(chosen.values()):
            layers[node.name] = Settings(rounding=rounding, **chosen)
    if INPUT in found.activations:
        layers[INPUT] = Settings(output=found.activations[INPUT])
    return Plan(Settings(rounding=rounding), layers)


def rate_words(recipe: Recipe, total: int) -> tuple[Raw, int]:
    """Return the rate of each step as a word of 15 bits and no sign, and its fraction bits.

    The first rate uses all of them.
    """
    _, exponent = math.frexp(recipe.rate)
    frac = 15 - exponent
    if round(math.ldexp(recipe.rate, frac)) > LARGEST_RATE:
        frac -= 1
    factors = (recipe.schedule.factor(number / total) for number in range(total))
    words = [round(math.ldexp(recipe.rate * factor, frac)) for factor in factors]
    return np.array(words, np.int64), frac


def starting(network: Network, learning: Learning) -> FixedState:
    """Return a network's parameters as words, and velocities of 0.

    Raises:
        FormatError: all of a weight that is not 0 becomes 0.
    """
    words = {}
    for name, values in parameters(network).items():
        fmt = learning.weights[name]
        words[name] = Shift(fmt).floats(values, name).astype(np.int16)
        if name.endswith(".weight") and values.any() and not words[name].any():
            raise FormatError(
                f"weights of {name} must not all round to 0, as they do in {fmt}; give them more "
                "fraction bits"
            )
    return FixedState(0, words, {name: np.zeros_like(raw) for name, raw in words.items()})


def _rounding(rounding: Rounding | Stochastic | str, seed: int) -> Rounding | Stochastic:
    if rounding == "stochastic":
        return Stochastic(seed=seed)
    return rounding if isinstance(rounding, Stochastic) else Rounding.of(rounding)


def _check_labels(network: Network, y: Array, count: int) -> None:
    """Raise ``DataError`` unless there is a class for every image."""
    targets(network, y, count)
    if y.ndim != 1 or y.dtype.kind not in "iu":
        raise DataError(f"labels must be ({count}) classes, not {y.dtype} {y.shape}")


def _checked(state: FixedState, learning: Learning, total: int) -> FixedState:
    """Return the state if the training could have been in it."""
    if not 0 <= state.step <= total:
        raise DataError(f"a state must be of step 0 to {total}, not {state.step}")
    kinds = {
        "words": (state.words, learning.weights),
        "velocity": (state.velocity, learning.velocity),
    }
    shapes = {name: raw.shape for name, raw in _words_of(learning).items()}
    for what, (tensors, formats) in kinds.items():
        if {name: raw.shape for name, raw in tensors.items()} != shapes:
            raise DataError(f"{what} of a state must be those of {', '.join(shapes)}, in shape too")
        for name, raw in tensors.items():
            fmt = formats[name]
            if raw.dtype != np.int16 or raw.min() < fmt.min or raw.max() > fmt.max:
                raise DataError(f"{what} of {name} must be int16 words of {fmt}")
    return state


def _words_of(learning: Learning) -> dict[str, Array]:
    """Give the arrays of the network before the first step by the names of its parameters."""
    return {
        f"{node.name}.{field}": getattr(node.layer, field)
        for node in learning.fixed.nodes
        for field in node.layer.arrays()
    }
