"""The float network: a validated directed graph of layers, and how pixels become its input."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt

from fxpnn.errors import ModelError
from fxpnn.network import budget
from fxpnn.network.inputs import INPUT as INPUT
from fxpnn.network.inputs import Input, image_shape
from fxpnn.network.layers import Array, Layer, Shape
from fxpnn.network.normalisation import Normalisation
from fxpnn.network.traits import Output
from fxpnn.network.value import Value

_Network = TypeVar("_Network", bound="Network")

MAX_VALUES = 1 << 27
"""The most values that one tensor of one image may hold."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """How stored pixels become numbers: ``(pixel * scale - mean) / std``, per channel.

    ``mean`` and ``std`` hold one value, or one per channel. ``assumed`` says that neither the model
    nor a user chose them.
    """

    scale: float = 1 / 256
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    assumed: bool = field(default=False, compare=False)

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
    """A layer in its place: its name and the names of the nodes, or inputs, it reads.

    ``unrolled`` names the layer of a loop of which this is one step: all steps of it share what
    formats are chosen.
    """

    name: str
    layer: Layer
    inputs: tuple[str, ...]
    unrolled: str = field(default="", kw_only=True)

    @property
    def op(self) -> str:
        """Give the layer's kind, as reports spell it."""
        return type(self.layer).__name__


@dataclass(frozen=True, eq=False, repr=False)
class Network(Value):
    """A float network: nodes in an order in which each reads only earlier ones.

    ``input_shape`` leaves the batch out; ``outputs`` names the result nodes (default: the last).
    ``shapes`` holds every node's output shape, the input's too. ``sha256`` is that of the file it
    was read from, empty where there is none: a network made of another by ``dataclasses.replace``
    is no longer what the file holds.

    ``normalisation`` is applied to an input, after its scaling; ``INPUT`` names what it gives.
    Where it has to be a layer (``without_normalisation`` says when), that is called ``normaliser``.

    The first input is called ``input_name``; where there are others, ``further`` holds them, and
    ``inputs`` all. Images of several are rows of one array (``network.rows``), whose values nothing
    but ``scaling`` changes: a normalisation is then part of the layers.

    Raises:
        ModelError: a name is unknown or doubled, shapes do not fit, a parameter is not finite; the
            message names the layer.
    """

    name: str
    input_shape: Shape
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...] = ()
    scaling: Scaling = field(default_factory=Scaling)
    normalisation: Normalisation | None = None
    normaliser: str = f"{INPUT}.add"
    input_name: str = INPUT
    further: tuple[Input, ...] = ()
    shapes: Mapping[str, Shape] = field(init=False, repr=False)
    sha256: str = field(init=False, repr=False, default="")

    def __post_init__(self) -> None:
        check_text(self.name)
        shapes = infer_shapes(self.inputs, self.nodes)
        check_entrance(self.inputs, self.scaling, self.normalisation)
        object.__setattr__(self, "outputs", self.outputs or (self.nodes[-1].name,))
        check_outputs(self.outputs, self.nodes)
        for node in self.nodes:
            _check_finite(node)
        object.__setattr__(self, "shapes", MappingProxyType(shapes))

    def __reduce__(self) -> tuple[Any, ...]:
        return (*super().__reduce__(), {"sha256": self.sha256})

    @cached_property
    def inputs(self) -> tuple[Input, ...]:
        """Give the name and shape of each input."""
        return (Input(self.input_name, self.input_shape), *self.further)

    @cached_property
    def image_shape(self) -> Shape:
        """Give the shape in which one image stands in an array: a row of several inputs' values."""
        return image_shape(self.inputs)

    @cached_property
    def _by_name(self) -> dict[str, Node]:
        return {node.name: node for node in self.nodes}

    def __getitem__(self, name: str) -> Node:
        return self._by_name[name]

    def node(self, name: str) -> Node | None:
        """Return a layer, or ``None`` where the name is an input's."""
        return self._by_name.get(name)

    def with_scaling(self, scaling: Scaling) -> Self:
        """Return the network with pixels that become numbers in another way."""
        return read_from(self.sha256, replace(self, scaling=scaling))

    @property
    def parameters(self) -> int:
        """Count the trained values."""
        return sum(getattr(n.layer, a).size for n in self.nodes for a in n.layer.arrays())


def read_from(sha256: str, network: _Network) -> _Network:
    """Return a network that knows from which file it was read."""
    known = replace(network)
    object.__setattr__(known, "sha256", sha256)
    return known


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


def check_text(name: str) -> None:
    """Raise ``ModelError`` where a name holds half a character, which no file can."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ModelError(f"names must be text that UTF-8 can spell, not {name!r}") from None


def infer_shapes(inputs: Sequence[Input], nodes: tuple[Node, ...]) -> dict[str, Shape]:
    """Return the shape of each input and of every node's output.

    Raises:
        ModelError: the graph is not one, or a layer cannot take its inputs; it names the layer.
    """
    for it in inputs:
        if not _countable(it.shape):
            which = "the input" if len(inputs) == 1 else f"input {it.name}"
            raise ModelError(f"{which} must hold 1 to 2**27 values on its axes, not {it.shape}")
    shapes = {it.name: it.shape for it in inputs}
    if len(shapes) < len(inputs) or "" in shapes:
        raise ModelError("names of inputs must be unique and not empty")
    for name in (*(it.name for it in inputs), *(node.name for node in nodes)):
        check_text(name)
    if not nodes:
        raise ModelError("a network must have one or more layers, not none")
    if len(nodes) > budget.NODES:
        raise ModelError(f"a network must have at most {budget.NODES} layers, not {len(nodes)}")
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
    budget.check(nodes, shapes)
    return shapes


def rectified(nodes: Sequence[Node], outputs: Collection[str]) -> frozenset[str]:
    """Name the nodes that reach only ReLUs, or clips to 0 and more, and are no outputs.

    Layers that only select or move values, such as max pools, may stand between. A clamp at 0 of
    such a node's output is the ReLU.
    """
    readers: dict[str, list[Node]] = {node.name: [] for node in nodes}
    for node in nodes:
        for name in {*node.inputs} & readers.keys():
            readers[name].append(node)
    found: set[str] = set()
    for node in reversed(nodes):  # all that read a node are judged before it
        reached = (
            reader.layer.rectifies() or (reader.layer.traits.selects and reader.name in found)
            for reader in readers[node.name]
        )
        if node.name not in outputs and readers[node.name] and all(reached):
            found.add(node.name)
    return frozenset(found)


class _Holder(Protocol):
    def node(self, name: str) -> Node | None: ...


def chosen_at(network: _Holder, name: str) -> tuple[str, ...]:
    """Name the layers from the one that chooses a layer's format, or the input, to the layer."""
    names = [name]
    while (node := network.node(names[0])) and node.layer.traits.output is Output.KEPT:
        names.insert(0, node.inputs[0])
    return tuple(names)


def check_entrance(
    inputs: Sequence[Input], scaling: Scaling, normalisation: Normalisation | None
) -> None:
    """Raise ``ModelError`` unless what is done to images fits the inputs."""
    if len(inputs) == 1:
        scaling.check(inputs[0].shape)
        if normalisation is not None:
            normalisation.check(inputs[0].shape)
        return
    if len(scaling.mean) > 1 or len(scaling.std) > 1:
        raise ModelError("mean and std must hold 1 value where inputs are several")
    if normalisation is not None:
        raise ModelError("a normalisation must be of one input, not of several")


def check_outputs(outputs: tuple[str, ...], nodes: Sequence[Node]) -> None:
    """Raise ``ModelError`` unless every output is a layer's name, once."""
    known = {node.name for node in nodes}
    for name in outputs:
        if name not in known:
            raise ModelError(f"outputs must be names of layers, not {name!r}")
    if len(set(outputs)) != len(outputs):
        raise ModelError(f"outputs must be unique, not {', '.join(outputs)}")


def _countable(shape: Shape) -> bool:
    few = len(shape) <= budget.AXES  # else the product of 10**6 sizes would take minutes
    return few and min(shape, default=0) >= 1 and math.prod(shape) <= MAX_VALUES


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
