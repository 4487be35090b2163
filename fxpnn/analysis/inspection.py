"""Inspect a network without running it: shapes, parameters, memory, products and proofs."""

from dataclasses import asdict
from typing import overload

import numpy as np

from fxpnn.analysis.contents import (
    FixedInspection,
    FixedLayer,
    FloatInspection,
    FloatLayer,
    InputContents,
    Memory,
    Totals,
)
from fxpnn.analysis.modes import modes
from fxpnn.analysis.report import weight_text
from fxpnn.engine.inference import Engine
from fxpnn.network.fixed import FixedNetwork, FixedNode, raw_weights
from fxpnn.network.graph import Network, Node
from fxpnn.network.layers import Array, Layer, products
from fxpnn.proofs.bounds import signed_bits

FLOAT_BITS = 32


@overload
def inspect(network: Network) -> FloatInspection: ...
@overload
def inspect(network: FixedNetwork) -> FixedInspection: ...
def inspect(network: Network | FixedNetwork) -> FloatInspection | FixedInspection:
    """Say what a network holds and, of a fixed one, what is proved for every input.

    Memory is in bits: weights in the word of their format, biases and tables in the narrowest word
    that holds them. Nothing is run and nothing is compiled.
    """
    return _fixed(network) if isinstance(network, FixedNetwork) else _float(network)


def inputs_of(network: Network | FixedNetwork) -> tuple[InputContents, ...]:
    """Say what a network reads."""
    if isinstance(network, FixedNetwork):
        return tuple(InputContents(it.name, it.shape, str(it.format)) for it in network.inputs)
    return tuple(InputContents(it.name, it.shape, None) for it in network.inputs)


def _float(network: Network) -> FloatInspection:
    layers = tuple(
        FloatLayer(
            name=node.name,
            op=node.op,
            inputs=node.inputs,
            shape=network.shapes[node.name],
            parameters=_parameters(node),
            multiply_accumulates=products(
                node.layer, network.shapes[node.name], network.shapes[node.inputs[0]]
            ),
            weight_range=_weight_range(node.layer),
        )
        for node in network.nodes
    )
    bits = FLOAT_BITS * sum(layer.parameters for layer in layers)
    return FloatInspection(
        input_shape=None if network.further else network.input_shape,
        inputs=inputs_of(network),
        scaling=network.scaling,
        layers=layers,
        totals=_totals(layers, bits),
        normalisation=network.normalisation,
    )


def _fixed(fixed: FixedNetwork) -> FixedInspection:
    engine = Engine(fixed)
    layers = tuple(_fixed_layer(node, engine) for node in fixed.nodes)
    return FixedInspection(
        input_shape=None if fixed.further else fixed.input_shape,
        inputs=inputs_of(fixed),
        scaling=fixed.scaling,
        input_format=None if fixed.further else str(fixed.input_format),
        layers=layers,
        totals=_totals(layers, sum(layer.memory.bits for layer in layers)),
        provenance=fixed.provenance,
        normalisation=fixed.normalisation,
    )


def _fixed_layer(node: FixedNode, engine: Engine) -> FixedLayer:
    proof, shape = engine.proofs[node.name], engine.fixed.shapes[node.name]
    return FixedLayer(
        name=node.name,
        op=node.op,
        inputs=node.inputs,
        shape=shape,
        parameters=_parameters(node),
        multiply_accumulates=products(node.layer, shape, engine.fixed.shapes[node.inputs[0]]),
        weight_format=weight_text(node.weight_formats),
        output_format=str(node.output_format),
        accumulator=str(node.accumulator) if node.accumulator else None,
        accumulator_bits_needed=proof.bits,
        proved=proof.proved,
        saturates=proof.saturates,
        sums=engine.methods.get(node.name),
        memory=_memory(node),
        weight_rounding=node.rounded.weights.value if node.layer.traits.weighted else None,
        bias_corrected=node.rounded.bias_corrected,
        weight_overflow=node.rounded.overflow.value if node.layer.traits.weighted else None,
        **asdict(node.losses),
        **modes(engine.fixed, node.name),
    )


def _parameters(node: Node) -> int:
    return sum(getattr(node.layer, name).size for name in node.layer.arrays())


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
