"""Random float networks of convolutions, pools and dense layers, as users train them."""

import numpy as np

from fxpnn.errors import ModelError
from fxpnn.network.graph import INPUT, Network, Node
from fxpnn.network.layers import (
    Add,
    AvgPool2D,
    Conv2D,
    Dense,
    Flatten,
    Layer,
    MaxPool2D,
    Relu,
    Sigmoid,
    Softmax,
    Tanh,
    Window,
)

POOLS = (
    Window((2, 2), (2, 2)),
    Window((2, 2), (2, 2), ceil_mode=True),
    Window((2, 2), (1, 1)),
    Window((3, 3), (2, 2), (1, 1, 1, 1)),
)


class _Growing:
    """A network that grows layer by layer; a layer that does not fit is left out."""

    def __init__(self, rng: np.random.Generator) -> None:
        channels, height, width = (int(size) for size in rng.integers((1, 5, 5), (5, 13, 13)))
        self.rng, self.shape, self.nodes = rng, (channels, height, width), list[Node]()
        self.last, self.now = INPUT, tuple(self.shape)
        self.scale = 10.0 ** rng.uniform(-1.5, 1)

    def add(self, layer: Layer, *sources: str) -> str:
        shapes = self.network().shapes if self.nodes else {INPUT: self.shape}
        inputs = sources or (self.last,)
        try:
            self.now = layer.shape(*(shapes[name] for name in inputs))
        except ModelError:
            return self.last
        self.nodes.append(Node(f"n{len(self.nodes)}", layer, inputs))
        self.last = self.nodes[-1].name
        return self.last

    def network(self) -> Network:
        return Network("random", self.shape, tuple(self.nodes), (self.last,))

    def weights(self, *shape: int) -> np.ndarray:
        drawn = self.rng.standard_normal(shape) * self.scale / np.sqrt(np.prod(shape[1:]))
        if self.rng.random() < 0.2:  # of full scale all, so that chunks of products are short
            drawn = np.sign(drawn) * np.abs(drawn).max() * self.rng.uniform(0.5, 1, shape)
        return np.asarray(drawn, np.float32)

    def stage(self) -> None:
        """Append a convolution, an activation before or behind a pool, or both in a branch."""
        rng, outputs = self.rng, int(self.rng.choice([1, 3, 6, 8, 16, 17, 20]))
        kernel, pad = (int(size) for size in rng.integers((1, 0), (4, 2)))
        window = Window((kernel, kernel), padding=(pad,) * 4)
        weight = self.weights(outputs, self.now[0], kernel, kernel)
        self.add(Conv2D(weight, self.weights(outputs), window))
        kind = rng.integers(5)
        if kind == 2:
            self.add(Add(), self.last, self.add(Relu()))
        elif kind < 2:
            self.add((Relu(), Tanh())[kind])
        if rng.random() < 0.7:
            pool = POOLS[rng.integers(len(POOLS))]
            self.add(AvgPool2D(pool) if rng.random() < 0.35 else MaxPool2D(pool))
        if kind == 3:
            self.add(Relu())


def trained_like(rng: np.random.Generator) -> Network:
    """Draw a network of up to three convolutions and two dense layers, on small maps."""
    made = _Growing(rng)
    for _ in range(rng.integers(1, 4)):
        made.stage()
    made.add(Flatten())
    for _ in range(rng.integers(1, 3)):
        outputs = int(rng.integers(1, 40))
        made.add(Dense(made.weights(outputs, *made.now), made.weights(outputs)))
        if rng.random() < 0.5:
            made.add((Relu(), Tanh(), Sigmoid())[rng.integers(3)])
    if rng.random() < 0.5:
        made.add(Softmax())
    return made.network()
