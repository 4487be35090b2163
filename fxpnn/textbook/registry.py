"""The list of all lessons, and of all networks that become model files."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from fxpnn import onnx
from fxpnn.network.graph import Network
from fxpnn.textbook import (
    activations,
    approximation,
    deltas,
    descent,
    hand,
    logistic,
    perceptron,
    shallow,
    stress,
    worked,
    xor,
)
from fxpnn.textbook.lesson import Row

Lesson: TypeAlias = Callable[[], Iterator[Row]]
Recipe: TypeAlias = Callable[[], Network]

LESSONS: Mapping[str, Lesson] = MappingProxyType(
    {
        "perceptron": perceptron.rows,
        "xor": xor.rows,
        "passes": worked.rows,
        "losses": deltas.rows,
        "descent": descent.rows,
        "logistic": logistic.rows,
        "classifier": shallow.rows,
        "approximation": approximation.rows,
        "activations": activations.rows,
        "convolution": hand.rows,
        "softmax": stress.rows,
    }
)
"""Every lesson by its name, in the order in which to learn them."""

MODELS: Mapping[str, Recipe] = MappingProxyType(
    {
        **{name: partial(perceptron.gate, name) for name in ("not", "and", "or", "nand")},
        "nand-of-gates": perceptron.composed_nand,
        "xor-relu": xor.given,
        "xor-learned": xor.learned,
        "xor-product": xor.by_product,
        "2-3-1": worked.two_three_one,
        "2-4-1-2": worked.two_four_one_two,
        "softmax": worked.softmax,
        "graph": worked.graph,
        "wrong-neurons": deltas.wrong_neurons,
        "three-classes": deltas.classes,
        "line": descent.learned_line,
        "xor-learned-augmented": descent.augmented_xor,
        "descent-0.125": partial(descent.quadratic_descent, 0.125),
        "descent-0.5": partial(descent.quadratic_descent, 0.5),
        "logistic-regression": logistic.learned,
        "shallow": shallow.classifier,
        "sine-16": approximation.sine,
        **{name: partial(activations.activation, name) for name in activations.ACTIVATIONS},
        "correlation": hand.correlation,
        "convolution": hand.true_convolution,
        "same-size": hand.same_size,
        "two-maps": hand.two_maps,
        "max-pool": hand.max_pool,
        "average-pool": hand.average_pool,
        "l2-pool": hand.l2_pool,
        "softmax-stress": stress.softmax,
    }
)
"""How each model in ``models/textbook`` is made, by the name of its file and network."""


def save_models(folder: Path | str) -> None:
    """Write every model as ``NAME.onnx``; the same bytes on every machine.

    Raises:
        DataError: a file cannot be written.
    """
    for name, recipe in MODELS.items():
        onnx.save(recipe(), Path(folder) / f"{name}.onnx")
