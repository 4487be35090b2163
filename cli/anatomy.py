"""Own what a model is made of: shapes, parameters, memory, multiply-accumulates and proofs."""

import msgspec
import numpy as np

from fxpnn.analysis.comparison import weight_text
from fxpnn.engine.inference import Engine
from fxpnn.network.fixed import FixedNetwork, FixedNode, Provenance, raw_weights
from fxpnn.network.graph import Network, Node, Scaling
from fxpnn.network.layers import Array, Layer, Shape, products
from fxpnn.proofs.bounds import signed_bits

from .console.terminal import printable
from .sources import ModelSource

FLOAT_BITS = 32


class Memory(msgspec.Struct, frozen=True):
    """Bits that a layer's integers take: weights in their word, the rest in the narrowest."""

    weight_bits: int
    bias_bits: int
    table_bits: int

    @property
    def bits(self) -> int:
        """Add all up."""
        return self.weight_bits + self.bias_bits + self.table_bits


class FloatLayer(msgspec.Struct, frozen=True):
    """A float layer; ``weight_range`` is the smallest and largest weight."""

    name: str
    op: str
    inputs: tuple[str, ...]
    shape: Shape
    parameters: int
    multiply_accumulates: int
    weight_range: tuple[float, float] | None


class FixedLayer(msgspec.Struct, frozen=True):
    """A fixed layer; ``proved`` speaks of its accumulator, ``saturates`` of its output's cast.

    ``sums`` says in words how the engine adds its products up.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    shape: Shape
    parameters: int
    multiply_accumulates: int
    weight_format: str | None
    output_format: str
    accumulator: str | None
    accumulator_bits_needed: int | None
    proved: bool
    saturates: bool
    sums: str | None
    memory: Memory


class Totals(msgspec.Struct, frozen=True):
    """Sums over all layers, for one image; ``bits`` is the memory of all parameters."""

    parameters: int
    multiply_accumulates: int
    bits: int


class FloatAnatomy(msgspec.Struct, frozen=True, tag_field="kind", tag="float"):
    """A float model, schema 1."""

    schema: int
    model: ModelSource
    input_shape: Shape
    scaling: Scaling
    layers: tuple[FloatLayer, ...]
    totals: Totals


class FixedAnatomy(msgspec.Struct, frozen=True, tag_field="kind", tag="fixed"):
    """A fixed model, schema 1."""

    schema: int
    model: ModelSource
    input_shape: Shape
    scaling: Scaling
    input_format: str
    layers: tuple[FixedLayer, ...]
    totals: Totals
    provenance: Provenance


def of_float(network: Network, model: ModelSource) -> FloatAnatomy:
    """Take a float network apart."""
    layers = tuple(
        FloatLayer(*_outline(node, network), _weight_range(node.layer)) for node in network.nodes
    )
    bits = FLOAT_BITS * sum(layer.parameters for layer in layers)
    return FloatAnatomy(
        1, model, network.input_shape, network.scaling, layers, _totals(layers, bits)
    )


def of_fixed(fixed: FixedNetwork, model: ModelSource) -> FixedAnatomy:
    """Take a fixed network apart, and prove what of it cannot overflow."""
    engine = Engine(fixed)
    layers = tuple(_fixed_layer(node, engine) for node in fixed.nodes)
    return FixedAnatomy(
        1,
        model,
        fixed.input_shape,
        fixed.scaling,
        str(fixed.input_format),
        layers,
        _totals(layers, sum(layer.memory.bits for layer in layers)),
        fixed.provenance,
    )


def _fixed_layer(node: FixedNode, engine: Engine) -> FixedLayer:
    proof = engine.proofs[node.name]
    return FixedLayer(
        *_outline(node, engine.fixed),
        weight_text(node.weight_formats),
        str(node.output_format),
        str(node.accumulator) if node.accumulator else None,
        proof.bits,
        proof.proved,
        proof.saturates,
        engine.methods.get(node.name),
        _memory(node),
    )


def _outline(
    node: Node, network: Network | FixedNetwork
) -> tuple[str, str, tuple[str, ...], Shape, int, int]:
    shape = network.shapes[node.name]
    parameters = sum(getattr(node.layer, name).size for name in node.layer.arrays())
    inputs = tuple(map(printable, node.inputs))
    return printable(node.name), node.op, inputs, shape, parameters, products(node.layer, shape)


def _weight_range(layer: Layer) -> tuple[float, float] | None:
    for name in layer.arrays():
        if name != "bias":
            weight = getattr(layer, name)
            return float(weight.min()), float(weight.max())
    return None


def _memory(node: FixedNode) -> Memory:
    weights = raw_weights(node.layer)
    bias = np.asarray(getattr(node.layer, "bias", getattr(node.layer, "beta", 0)))
    return Memory(
        0 if weights is None else weights.size * node.weight_formats[0].word,
        _narrowest(bias),
        0 if node.table is None else _narrowest(node.table),
    )


def _narrowest(values: Array) -> int:
    """Count the bits of values stored in the narrowest word that holds them; zeros take none."""
    if not values.any():
        return 0
    return values.size * signed_bits(int(values.min()), int(values.max()))


def _totals(layers: tuple[FloatLayer, ...] | tuple[FixedLayer, ...], bits: int) -> Totals:
    return Totals(
        sum(layer.parameters for layer in layers),
        sum(layer.multiply_accumulates for layer in layers),
        bits,
    )
