"""Known architectures: untrained networks, connections that stay fixed, and recipes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from fxpnn import training
from fxpnn.datasets import Data
from fxpnn.errors import DataError, ModelError
from fxpnn.network.graph import Network, chain
from fxpnn.network.layers import (
    Array,
    AvgPool2D,
    Conv2D,
    Dense,
    Flatten,
    Layer,
    MaxPool2D,
    Relu,
    Softmax,
    Tanh,
    Window,
)
from fxpnn.training import Recipe, Schedule, Step

IMAGE = (1, 28, 28)
CLASSES = 10

LECUN_TABLE = (
    (0, 1, 2),
    (1, 2, 3),
    (2, 3, 4),
    (3, 4, 5),
    (0, 4, 5),
    (0, 1, 5),
    (0, 1, 2, 3),
    (1, 2, 3, 4),
    (2, 3, 4, 5),
    (0, 3, 4, 5),
    (0, 1, 4, 5),
    (0, 1, 2, 5),
    (0, 1, 3, 4),
    (1, 2, 4, 5),
    (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)
"""The maps of S2 that each map of C3 reads: LeCun, Bottou, Bengio, Haffner,
"Gradient-Based Learning Applied to Document Recognition", Proc. IEEE 1998, Table I."""


@dataclass(frozen=True)
class Architecture:
    """A network that ``train`` knows: its start from a generator, its recipe, what stays fixed.

    ``masks`` holds, by parameter, 0 where training may not change a value and 1 elsewhere.
    """

    name: str
    start: Callable[[np.random.Generator], Mapping[str, Layer]]
    recipe: Recipe
    masks: Mapping[str, Array] = field(default_factory=lambda: MappingProxyType({}))

    def network(self, seed: int) -> Network:
        """Build the untrained network; the same seed gives the same weights on every machine."""
        return chain(self.name, IMAGE, self.start(np.random.default_rng(seed)))


def architecture(name: str) -> Architecture:
    """Look an architecture up.

    Raises:
        ModelError: there is none of this name.
    """
    if name not in ARCHITECTURES:
        raise ModelError(f"architecture must be one of {', '.join(ARCHITECTURES)}, not {name!r}")
    return ARCHITECTURES[name]


def fixed_recipe(name: str) -> Recipe:
    """Return the recipe of training in fixed point, which has no decay."""
    if name == "mlp-784-100-10":
        return FIXED_RECIPE
    return replace(FIXED_RECIPE, rate=0.05, momentum=0.9)


def train(
    name: str,
    data: Data,
    *,
    seed: int = 1,
    epochs: int | None = None,
    batch: int | None = None,
    rate: float | None = None,
    progress: Callable[[Step], object] | None = None,
) -> Network:
    """Train a known architecture on images ``(N, 1, 28, 28)`` with labels of 0 to 9.

    What is not given is the recipe's. The same seed gives the same bits on the same machine with
    the same number of BLAS threads. ``progress`` is called after every step.

    Raises:
        ModelError: the name is unknown, or the training diverges.
        DataError: images, labels or a number of the recipe do not fit.
    """
    known = architecture(name)
    if data.y is None:
        raise DataError("labels must be known to train on, not missing")
    recipe = replace(
        known.recipe,
        epochs=known.recipe.epochs if epochs is None else epochs,
        batch=known.recipe.batch if batch is None else batch,
        rate=known.recipe.rate if rate is None else rate,
    )
    return training.train(
        known.network(seed),
        data.x,
        data.y,
        recipe,
        seed=seed,
        masks=known.masks,
        progress=progress,
    )


def _mlp(generator: np.random.Generator) -> dict[str, Layer]:
    return {
        "flatten": Flatten(),
        "hidden": _dense(generator, 100, 784, gain=2),
        "hidden_relu": Relu(),
        "output": _dense(generator, CLASSES, 100),
        "softmax": Softmax(),
    }


def _lenet5(generator: np.random.Generator) -> dict[str, Layer]:
    halve = Window((2, 2), stride=(2, 2))
    return {
        "c1": _conv(generator, 6, 1, padding=2),
        "c1_tanh": Tanh(),
        "s2": AvgPool2D(halve),
        "c3": _conv(generator, 16, 6, connections=_connections()),
        "c3_tanh": Tanh(),
        "s4": AvgPool2D(halve),
        "c5": _conv(generator, 120, 16),
        "c5_tanh": Tanh(),
        "flatten": Flatten(),
        "f6": _dense(generator, 84, 120),
        "f6_tanh": Tanh(),
        "output": _dense(generator, CLASSES, 84),
        "softmax": Softmax(),
    }


def _lenet5_relu(generator: np.random.Generator) -> dict[str, Layer]:
    halve = Window((2, 2), stride=(2, 2))
    return {
        "c1": _conv(generator, 6, 1, padding=2, gain=2),
        "c1_relu": Relu(),
        "s2": MaxPool2D(halve),
        "c3": _conv(generator, 16, 6, gain=2),
        "c3_relu": Relu(),
        "s4": MaxPool2D(halve),
        "c5": _conv(generator, 120, 16, gain=2),
        "c5_relu": Relu(),
        "flatten": Flatten(),
        "f6": _dense(generator, 84, 120, gain=2),
        "f6_relu": Relu(),
        "output": _dense(generator, CLASSES, 84),
        "softmax": Softmax(),
    }


def _dense(generator: np.random.Generator, out: int, inputs: int, gain: float = 1) -> Dense:
    return Dense(_weights(generator, (out, inputs), inputs, gain), np.zeros(out, np.float32))


def _conv(
    generator: np.random.Generator,
    out: int,
    maps: int,
    *,
    padding: int = 0,
    gain: float = 1,
    connections: Array | None = None,
) -> Conv2D:
    """Make a 5 x 5 convolution; ``connections`` is 0 where an output map reads no input map."""
    weight = _weights(generator, (out, maps, 5, 5), 25 * maps, gain)
    if connections is not None:
        weight *= connections
    return Conv2D(weight, np.zeros(out, np.float32), Window((5, 5), padding=(padding,) * 4))


def _weights(
    generator: np.random.Generator, shape: tuple[int, ...], inputs: int, gain: float
) -> Array:
    """Draw weights that keep the variance of what they sum: 2 makes up for the half ReLU drops."""
    return generator.normal(0, np.sqrt(gain / inputs), shape).astype(np.float32)


def _connections() -> Array:
    """Lay Table I out as ``(16, 6, 1, 1)``: 1 where the map of C3 reads the map of S2, else 0."""
    table = np.zeros((len(LECUN_TABLE), 6, 1, 1), np.float32)
    for out, maps in enumerate(LECUN_TABLE):
        table[out, list(maps)] = 1
    return table


COSINE = Schedule.COSINE
_NEVER = np.zeros(1, np.float32)

ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {
        known.name: known
        for known in (
            Architecture(
                "mlp-784-100-10",
                _mlp,
                Recipe(epochs=20, batch=64, rate=0.1, momentum=0.9, decay=3e-4, schedule=COSINE),
                {"hidden.bias": _NEVER, "output.bias": _NEVER},
            ),
            Architecture(
                "lenet5",
                _lenet5,
                Recipe(epochs=12, batch=64, rate=0.05, momentum=0.9, decay=5e-4, schedule=COSINE),
                {"c3.weight": _connections()},
            ),
            Architecture(
                "lenet5-relu",
                _lenet5_relu,
                Recipe(epochs=12, batch=64, rate=0.05, momentum=0.9, decay=5e-4, schedule=COSINE),
            ),
        )
    }
)
"""The known architectures by name."""

FIXED_RECIPE = Recipe(epochs=5, batch=100, rate=0.5, schedule=COSINE)
"""How the MLP is trained in fixed point, unless another rate is given; LeNets have momentum."""
