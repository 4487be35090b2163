"""Random small trainings in fixed point: formats that tie and saturate, words at their limits."""

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

from fxpnn.fixedpoint.chance import Stochastic
from fxpnn.fixedpoint.qformat import QFormat, Rounding
from fxpnn.network import layers
from fxpnn.network.graph import Network, chain
from fxpnn.network.layers import Array, Layer, Window
from fxpnn.network.learning import Learning
from fxpnn.training.fixed import Formats, TensorFormats
from fxpnn.training.fixed.descent import learning_of
from fxpnn.training.sgd import Recipe, Schedule


class Lesson(NamedTuple):
    """A step to take: its constants, its words, and a batch."""

    learning: Learning
    words: dict[str, Array]
    velocity: dict[str, Array]
    images: Array
    labels: Array
    number: int


def _dense(out: int, inputs: int) -> layers.Dense:
    return layers.Dense(np.ones((out, inputs)), np.zeros(out))


@st.composite
def _bodies(draw: st.DrawFn, maps: bool) -> tuple[tuple[int, ...], dict[str, Layer]]:
    """Draw an input's shape, of maps or a row, and the layers in front of the logits."""
    bend = draw(st.sampled_from([layers.Relu(), layers.Tanh(), layers.Sigmoid()]))
    if not maps:
        return (3,), {"hidden": _dense(4, 3), "bend": bend, "output": _dense(3, 4)}
    groups = draw(st.sampled_from([1, 2]))
    padding = draw(st.sampled_from([(0, 0, 0, 0), (1, 0, 1, 1)]))
    stride = draw(st.sampled_from([(1, 1), (2, 1)]))
    window = Window((2, 2), stride=stride, padding=padding)
    conv = layers.Conv2D(np.ones((2, 2 // groups, 2, 2)), np.zeros(2), window, groups)
    pool: Layer
    if draw(st.booleans()):
        pool = layers.AvgPool2D(Window((2, 1), stride=(1, 1)))
    else:
        pool = layers.MaxPool2D(Window((2, 2), stride=(1, 2), padding=(0, 1, 0, 0)))
    shape: tuple[int, ...] = (2, 4, 4)
    front: dict[str, Layer] = {"conv": conv, "bend": bend}
    if draw(st.booleans()):  # whose delta a convolution sends on
        weight = np.ones((2, 2 // groups, 2, 1))
        front["behind"] = layers.Conv2D(
            weight, np.zeros(2), Window((2, 1), padding=(1, 0, 0, 0)), groups
        )
    front["pool"] = pool
    behind = shape
    for layer in front.values():
        behind = layer.shape(behind)
    size = int(np.prod(behind))
    flat = layers.Flatten() if draw(st.booleans()) else layers.Reshape((size,))
    return shape, {**front, "flat": flat, "output": _dense(3, size)}


@st.composite
def _formats(draw: st.DrawFn, curved: bool) -> Formats:
    """Draw few fraction bits, whose ties are many and whose words saturate, or many."""
    word, low, high = draw(st.sampled_from([(4, 0, 4), (6, 1, 5), (16, 7, 14)]))
    kinds = ("weights", "activations", "deltas", "gradients", "velocity")
    drawn = {}
    for kind in kinds:
        all_, output = (
            QFormat(word, draw(st.integers(max(low, 0) if curved else low, high))) for _ in "12"
        )
        named = {"output": output} if kind != "deltas" else {"bend": output}
        drawn[kind] = TensorFormats(all_, named)
    return Formats(**drawn)


def roundings() -> st.SearchStrategy[Rounding | Stochastic]:
    """Draw a rounding: one of the plain ones, or by chance with no, few or many bits."""
    bits, seeds = st.sampled_from([0, 1, 3, 8, 16]), st.sampled_from([0, 7, 2**64 - 1])
    return st.one_of(st.sampled_from(Rounding), st.builds(Stochastic, bits, seeds))


def _words(
    draw: st.DrawFn, formats: dict[str, QFormat], shapes: dict[str, tuple[int, ...]]
) -> dict[str, layers.Array]:
    """Draw words: some at the limits of their format, the others anywhere or near 0."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    found = {}
    for name, shape in shapes.items():
        fmt = formats[name]
        spread = draw(st.sampled_from([3, fmt.max]))
        raw = generator.integers(-spread - 1, spread + 1, shape).clip(fmt.min, fmt.max)
        ends = generator.choice([fmt.min, fmt.max], shape)
        found[name] = np.where(generator.random(shape) < 0.1, ends, raw).astype(np.int16)
    return found


@st.composite
def lessons(draw: st.DrawFn, maps: bool) -> Lesson:
    """Draw a step of a small network, of convolutions or of dense layers alone."""
    shape, body = draw(_bodies(maps))
    network: Network = chain("small", shape, {**body, "softmax": layers.Softmax()})
    batch, total = draw(st.integers(1, 5)), 4
    recipe = Recipe(
        epochs=1,
        batch=batch,
        rate=draw(st.sampled_from([0.5, 0.75, 0.999999, 0.01])),
        momentum=draw(st.sampled_from([0.0, 0.0, 0.5, 0.9])),
        schedule=Schedule.COSINE,
    )
    masks = draw(st.sampled_from([{}, {"output.bias": np.zeros(1)}]))
    learning = learning_of(
        network,
        draw(_formats(isinstance(body["bend"], layers.Tanh | layers.Sigmoid))),
        recipe,
        total,
        rounding=draw(roundings()),
        floats=True,
        masks=masks,
    )
    shapes = {
        f"{node.name}.{field}": getattr(node.layer, field).shape
        for node in learning.fixed.nodes
        for field in node.layer.arrays()
    }
    words = _words(draw, dict(learning.weights), shapes)
    velocity = _words(draw, dict(learning.velocity), shapes)
    inputs = {"input": learning.fixed.input_format}
    images = _words(draw, inputs, {"input": (batch, *shape)})["input"]
    labels = np.array(draw(st.lists(st.integers(0, 2), min_size=batch, max_size=batch)))
    return Lesson(learning, words, velocity, images, labels, draw(st.integers(1, total)))
