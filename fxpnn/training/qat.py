"""Quantization-aware training: a network is trained for the words that it will have."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import ClassVar

import numpy as np

from fxpnn.errors import FormatError, ModelError
from fxpnn.network.fixed import FixedNetwork, FixedNode, Provenance, raw_weights
from fxpnn.network.graph import Network
from fxpnn.network.images import check_images
from fxpnn.network.inputs import check_one
from fxpnn.network.layers import Array
from fxpnn.network.rounded import WeightRounding
from fxpnn.quantization.choices import entered
from fxpnn.quantization.parameters import raw_layer
from fxpnn.quantization.quantizer import quantize
from fxpnn.quantization.settings import Method, Plan, Settings
from fxpnn.training.fake import Grid
from fxpnn.training.fitting import check_register
from fxpnn.training.gradients import backpropagate
from fxpnn.training.losses import CROSS_ENTROPY, Loss, cost
from fxpnn.training.parameters import parameters, with_parameters
from fxpnn.training.sgd import (
    Recipe,
    Step,
    batches,
    diverged,
    first_velocity,
    keep_freed_memory,
    moved,
    quiet,
    rebuilt,
    targets,
)


@dataclass(frozen=True)
class QatStep(Step):
    """A step of training by words: ``network`` has the float parameters that go on learning.

    ``formats`` says to what they are rounded; only its formats and constants mean anything.
    ``given`` names the layers whose weights have a format that was not chosen for them: what that
    clips is counted.
    """

    formats: FixedNetwork = field(kw_only=True)
    given: frozenset[str] = field(default=frozenset(), kw_only=True)

    @cached_property
    def fixed(self) -> FixedNetwork:
        """Give the integers: what a forward pass with this step's parameters computes with."""
        return _with_words(self.network, self.formats, self.given)


@dataclass(frozen=True, kw_only=True)
class Qat:
    """How a network is trained for its words, whose formats ``plan`` says or leaves to choose.

    The forward pass is the network that the engine will run: weights and biases rounded to their
    formats, every output cast once. The backward pass takes the cast of an output as the identity
    inside its range and as 0 outside, and the rounding of a parameter as the identity (the
    straight-through estimator: Bengio, Leonard, Courville, 2013, arXiv 1308.3432); a float copy of
    the parameters learns. Formats of outputs are chosen once, on
    calibration images. Those of weights are chosen again every so many steps, until ``settled``, a
    share of training: its last part needs a grid that stays.

    Raises:
        FormatError: a number is outside its range.
    """

    plan: Plan = field(default_factory=lambda: Plan(Settings(method=Method.MSE)))
    every: int = 50
    settled: float = 0.7
    calibrated: ClassVar[int] = 1000
    """So many of the first images choose the formats of outputs, unless others are given."""

    def __post_init__(self) -> None:
        if self.every < 1:
            raise FormatError(f"every must be 1 or more steps, not {self.every}")
        if not 0 <= self.settled <= 1:
            raise FormatError(f"settled must be 0 to 1, not {self.settled}")

    def start(self, network: Network, calibration: Array) -> QatStep:
        """Choose formats on images, as ``descend`` takes them; no step has been taken.

        Raises:
            FormatError, ModelError: no such network can be trained.
            DataError: the images are not the network's.
        """
        check_one(network.inputs, "training")
        check_images(network, calibration)
        network = entered(network, calibration.dtype != np.uint8, self.plan)
        for name in network.shapes:
            _check_settings(name, self.plan[name])
        values = {name: value.astype(np.float32) for name, value in parameters(network).items()}
        network = with_parameters(network, values)
        made = quantize(network, calibration, self.plan)
        for node in made.nodes:
            check_register(node, made.formats[node.inputs[0]])
        given = frozenset(name for name in network.shapes if self.plan[name].weights)
        return QatStep(0, 0, 0, math.nan, network, formats=made, given=given)

    def descend(
        self,
        network: Network,
        x: Array,
        y: Array,
        recipe: Recipe,
        *,
        seed: int = 0,
        loss: Loss = CROSS_ENTROPY,
        masks: Mapping[str, Array] = MappingProxyType({}),
        calibration: Array | None = None,
        start: QatStep | None = None,
    ) -> Iterator[QatStep]:
        """Train step by step, as ``fxpnn.training.descend`` does, by the integers' forward pass.

        ``calibration`` images choose the formats, by default the first 1,000 of ``x``. Behind a
        step that was taken before, ``start``, come the same steps as came then.

        Raises:
            FormatError, ModelError: no such network can be trained, or training diverges.
            DataError: images, labels or targets do not fit the network.
        """
        check_one(network.inputs, "training")
        check_images(network, x)
        keep_freed_memory()
        goals = targets(network, y, len(x))
        state = start or self.start(
            network, x[: self.calibrated] if calibration is None else calibration
        )
        network, formats = state.network, state.formats
        values: Mapping[str, Array] = parameters(network)
        velocity = first_velocity(values, start)
        grid = Grid(formats)
        for batch in batches(len(x), recipe, seed, start):
            if self._chooses(batch.number, batch.total):
                formats = self._chosen(network, formats)
                grid = Grid(formats)
                values = _fitted(grid, values, batch.epoch)
            with quiet():
                images = grid.enter(x[batch.places])
                rounded = rebuilt(grid.network, grid.rounded(values), batch.epoch)
                value, gradients = _cost_and_gradients(
                    grid, rounded, images, goals[batch.places], loss
                )
                values, velocity = moved(values, velocity, gradients, batch.rate, recipe, masks)
                values = _fitted(grid, values, batch.epoch)
                network = rebuilt(network, values, batch.epoch)
            yield QatStep(
                batch.number + 1,
                batch.total,
                batch.epoch,
                value,
                network,
                velocity,
                formats=formats,
                given=state.given,
            )

    def _chooses(self, number: int, total: int) -> bool:
        return number % self.every == 0 and number <= self.settled * total

    def _chosen(self, network: Network, formats: FixedNetwork) -> FixedNetwork:
        """Choose the formats of weights anew."""
        nodes = (
            self._with_formats(network, formats, node) if node.layer.arrays() else node
            for node in formats.nodes
        )
        return replace(formats, nodes=tuple(nodes))

    def _with_formats(self, network: Network, formats: FixedNetwork, node: FixedNode) -> FixedNode:
        settings, source = self.plan[node.name], formats.formats[node.inputs[0]]
        largest = max(-node.output_format.min, node.output_format.max) * node.output_format.lsb
        layer, chosen, losses = raw_layer(network[node.name], source, settings, largest)
        words = raw_weights(layer)
        assert words is not None
        if not words.any() and np.any(raw_weights(network[node.name].layer)):
            raise ModelError(
                f"layer {node.name} ({node.op}): every weight rounds to 0 in {chosen[0]}; give it "
                "a finer format"
            )
        return replace(node, layer=layer, weight_formats=chosen, losses=losses)


def _check_settings(name: str, settings: Settings) -> None:
    if settings.weight_rounding is not WeightRounding.NEAREST or settings.bias_correction:
        raise FormatError(
            f"{name}: training must round weights to nearest and correct no biases: it does better"
        )


def _cost_and_gradients(
    grid: Grid, rounded: Network, images: Array, goals: Array, loss: Loss
) -> tuple[float, dict[str, Array]]:
    """Return a batch's mean cost and its straight-through derivative by every parameter."""
    found = grid.run(rounded, images)
    value, deltas = cost(loss, rounded, found.values, goals)
    made = backpropagate(rounded, found.values, deltas, followed=found.followed)
    return value, made.parameters


def _fitted(grid: Grid, values: Mapping[str, Array], epoch: int) -> dict[str, Array]:
    """Return parameters whose sums fit their accumulators, unless training diverges."""
    try:
        return grid.fitted(values)
    except ModelError as error:
        raise diverged(epoch, error) from None


def _with_words(network: Network, formats: FixedNetwork, given: frozenset[str]) -> FixedNetwork:
    """Return the fixed network with a float network's parameters in its formats."""
    return replace(
        formats,
        nodes=tuple(
            _words(network, formats, node, node.name in given) if node.layer.arrays() else node
            for node in formats.nodes
        ),
        provenance=Provenance(version=formats.provenance.version),
    )


def _words(network: Network, formats: FixedNetwork, node: FixedNode, given: bool) -> FixedNode:
    rounded = node.rounded
    settings = Settings(
        weight=node.weight_formats, bias=rounded.bias_format, weight_overflow=rounded.overflow
    )
    source = formats.formats[node.inputs[0]]
    layer, _, losses = raw_layer(network[node.name], source, settings, math.inf)
    if not given:
        losses = replace(losses, clipped_weights=0)
    return replace(node, layer=layer, losses=losses)
