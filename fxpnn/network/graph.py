"""The float network: a validated directed graph of layers, and how pixels become its input."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from fxpnn.errors import ModelError
from fxpnn.network.layers import Array, Layer, Shape
from fxpnn.network.value import Value

INPUT = "input"
"""The name by which nodes refer to the network's input."""

MAX_VALUES = 1 << 27
"""The most values that one tensor of one image may hold."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """How stored pixels become numbers: ``(pixel * scale - mean) / std``, per channel.

    ``mean`` and ``std`` hold one value, or one per channel.
    """

    scale: float = 1 / 256
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        values = (self.scale, *self.mean, *self.std)
        if not all(map(math.isfinite, values)) or not all((self.scale, *self.std)):
            raise ModelError(f"scale, mean and std must be finite, scale and std not 0: {self}")
        if not self.mean or not self.std:
            raise ModelError("mean and std must hold one value or one per channel, not none")

    def apply(self, pixels: Array, dtype: npt.DTypeLike = np.float64) -> Array:
        """Return ``(pixel * scale - mean) / std`` for ``(N, channels, ...)``, in ``dtype``."""
        axes = (-1, *[1] * (pixels.ndim - 2))
        with np.errstate(over="ignore"):  # infinity saturates in the cast that follows
            scaled = np.multiply(pixels, self.scale, dtype=dtype)
            if any(self.mean):
                scaled -= np.array(self.mean, dtype).reshape(axes)
            if any(std != 1 for std in self.std):
                scaled /= np.array(self.std, dtype).reshape(axes)
        return np.asarray(scaled)

    def check(self, shape: Shape) -> None:
        """Raise ``ModelError`` unless mean and std fit the channels of ``shape``."""
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, shape[0]):
                raise ModelError(f"{name} must hold 1 or {shape[0]} values, not {len(values)}")


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a fixed network came from: sha256 of the files, and the version that wrote it."""

    model: str = ""
    calibration: str = ""
    version: str = ""


@dataclass(frozen=True, eq=False, repr=False)
class Node(Value):
    """A layer in its place: its name and the names of the nodes it reads (or ``INPUT``)."""

    name: str
    layer: Layer
    inputs: tuple[str, ...]

    @property
    def op(self) -> str:
        """Give the layer's kind, as reports spell it."""
        return type(self.layer).__name__


@dataclass(frozen=True, eq=False, repr=False)
class Network(Value):
    """A float network: nodes in an order in which each reads only earlier ones.

    ``input_shape`` leaves the batch out; ``outputs`` names the result nodes (default: the last).
    ``shapes`` holds every node's output shape, the input's too.

    Raises:
        ModelError: a name is unknown or doubled, shapes do not fit, a parameter is not finite; the
            message names the layer.
    """

    name: str
    input_shape: Shape
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...] = ()
    scaling: Scaling = field(default_factory=Scaling)
    shapes: Mapping[str, Shape] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        shapes = infer_shapes(self.input_shape, self.nodes)
        self.scaling.check(self.input_shape)
        object.__setattr__(self, "outputs", self.outputs or (self.nodes[-1].name,))
        check_outputs(self.outputs, shapes)
        for node in self.nodes:
            _check_finite(node)
        object.__setattr__(self, "shapes", MappingProxyType(shapes))

    def __getitem__(self, name: str) -> Node:
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)

    @property
    def parameters(self) -> int:
        """Count the trained values."""
        return sum(getattr(n.layer, a).size for n in self.nodes for a in n.layer.arrays())


def chain(
    name: str, input_shape: Shape, layers: Mapping[str, Layer], scaling: Scaling | None = None
) -> Network:
    """Build a network in which each layer reads the one before it.

    >>> from fxpnn.network.layers import Flatten, Softmax
    >>> chain("two", (1, 2, 1), {"flat": Flatten(), "classes": Softmax()}).shapes["classes"]
    (2,)
    """
    sources = (INPUT, *layers)
    nodes = (Node(n, layer, (s,)) for (n, layer), s in zip(layers.items(), sources, strict=False))
    return Network(name, input_shape, tuple(nodes), scaling=scaling or Scaling())


def infer_shapes(input_shape: Shape, nodes: tuple[Node, ...]) -> dict[str, Shape]:
    """Return the shape of the input and of every node's output.

    Raises:
        ModelError: the graph is not one, or a layer cannot take its inputs; it names the layer.
    """
    if not _countable(input_shape):
        raise ModelError(f"the input must hold 1 to 2**27 values on its axes, not {input_shape}")
    if not nodes:
        raise ModelError("a network must have one or more layers, not none")
    shapes = {INPUT: input_shape}
    for node in nodes:
        where = f"layer {node.name} ({node.op})"
        if not node.name or node.name in shapes:
            raise ModelError(f"{where}: names must be unique and not empty")
        if missing := [name for name in node.inputs if name not in shapes]:
            raise ModelError(f"{where}: inputs must be earlier layers, not {', '.join(missing)}")
        wanted = node.layer.inputs
        if len(node.inputs) != wanted if wanted else len(node.inputs) < 2:
            raise ModelError(
                f"{where}: must have {wanted or '2 or more'} inputs, not {len(node.inputs)}"
            )
        try:
            shape = node.layer.shape(*(shapes[name] for name in node.inputs))
        except ModelError as error:
            raise ModelError(f"{where}: {error}") from None
        if not _countable(shape):
            raise ModelError(f"{where}: output must hold 1 to 2**27 values, not {shape}")
        shapes[node.name] = shape
    return shapes


def check_outputs(outputs: tuple[str, ...], shapes: Mapping[str, Shape]) -> None:
    """Raise ``ModelError`` unless every output is a layer's name, once."""
    for name in outputs:
        if name not in shapes or name == INPUT:
            raise ModelError(f"outputs must be names of layers, not {name!r}")
    if len(set(outputs)) != len(outputs):
        raise ModelError(f"outputs must be unique, not {', '.join(outputs)}")


def _countable(shape: Shape) -> bool:
    return min(shape, default=0) >= 1 and math.prod(shape) <= MAX_VALUES


def _check_finite(node: Node) -> None:
    for f in fields(node.layer):
        value = getattr(node.layer, f.name)
        where = f"layer {node.name} ({node.op}): {f.name}"
        if isinstance(value, np.ndarray) and not np.isfinite(value).all():
            index = tuple(int(i) for i in np.argwhere(~np.isfinite(value))[0])
            raise ModelError(f"{where}{list(index)} must be finite, not {value[index]}")
        if isinstance(value, float) and (
            math.isnan(value) or (math.isinf(value) and not node.layer.traits.endless)
        ):
            raise ModelError(f"{where} must be finite, not {value}")
