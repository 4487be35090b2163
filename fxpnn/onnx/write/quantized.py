"""Fixed networks written for other tools, as floats that quantizing operators round."""

from collections.abc import Collection, Iterable
from dataclasses import replace

import numpy as np
import onnx

from fxpnn.errors import ModelError
from fxpnn.fixedpoint.qformat import Overflow, QFormat
from fxpnn.fixedpoint.requantize import Shift
from fxpnn.network import layers
from fxpnn.network.fixed import FixedNetwork, FixedNode, raw_bias
from fxpnn.network.graph import Node
from fxpnn.network.layers import Array, Shape
from fxpnn.network.traits import Output
from fxpnn.onnx.write.dialects import Dialect
from fxpnn.onnx.write.model import finish
from fxpnn.onnx.write.operators import Operator, operators
from fxpnn.quantization.dequantizer import dequantize


def to_quantized_model(
    fixed: FixedNetwork, kind: type[Dialect], inert: Collection[str] = ()
) -> onnx.ModelProto:
    """Return a fixed network as an ONNX model from which ``load_quantized`` reads the same words.

    Args:
        fixed: the network.
        kind: ``Qonnx`` or ``Qdq``: which operators to write.
        inert: layers whose casts are known never to overflow, whatever their mode.

    Raises:
        ModelError: the dialect has not a format, mode or number; the message names all of them.
    """
    network, casts = dequantize(fixed), _casts(fixed, inert)
    dialect = kind(network, fixed)
    where = {it.name: it.name for it in fixed.inputs}
    where |= {node.name: f"layer {node.name} ({node.op})" for node in fixed.nodes}
    reasons = [f"{where[name]}: {why}" for name in casts for why in dialect.refusals(casts[name])]
    reasons += [f"{where[it.name]}: {why}" for it in fixed.nodes for why in _unsaid(it, fixed)]
    if reasons:
        raise ModelError("; ".join(reasons))
    entries = {it.name: dialect.names.unique(f"{it.name}.cast") for it in fixed.inputs}
    for name, entry in entries.items():
        dialect.write(Node(entry, layers.Quantize(), (name,)), dialect.cast(casts[name], ""))
    for node in network.nodes:
        chain = _exact_operators(node, fixed, network.shapes[node.inputs[0]], dialect.fused_bias)
        if node.name in casts:
            chain += dialect.cast(casts[node.name], ".cast" if chain else "")
        inputs = tuple(entries.get(name, name) for name in node.inputs)
        dialect.write(replace(node, inputs=inputs), chain)
    return finish(dialect, network, dialect.opsets, dialect.ir_version)


def _unsaid(node: FixedNode, fixed: FixedNetwork) -> Iterable[str]:
    """Say that ONNX has no integers for a layer, or that its register drops bits of products.

    A register that keeps them all no file needs to tell.
    """
    if isinstance(node.layer, layers.LayerNorm):
        yield "must be a layer whose integers ONNX can say; export it --to c"
    if node.accumulator is not None and (node.dropped(*fixed.sources(node)) > 0).any():
        yield f"accumulator must hold every bit of a product, not drop some ({node.accumulator})"


def _casts(fixed: FixedNetwork, inert: Collection[str]) -> dict[str, Shift]:
    """Return the cast of each input, and that of each layer that rounds."""
    casts = {it.name: Shift(it.format) for it in fixed.inputs}
    for node in fixed.nodes:
        traits = node.layer.traits
        if not (traits.exact and traits.output is Output.KEPT):
            idle = node.name in inert or not _rounds(node, {fixed.formats[n] for n in node.inputs})
            casts[node.name] = _cast(node, idle)
    return casts


def _rounds(node: FixedNode, sources: set[QFormat]) -> bool:
    return not node.layer.traits.exact or sources != {node.output_format}


def _cast(node: FixedNode, inert: bool) -> Shift:
    """Return the cast of a layer's exact output; where none can overflow, any mode will do."""
    if not node.layer.traits.modes:
        return Shift(node.output_format)
    cast = node.requantize
    symmetric = cast.overflow is Overflow.SATURATE_SYMMETRIC and not cast.format.signed
    return replace(cast, overflow=Overflow.SATURATE) if inert or symmetric else cast


def _exact_operators(
    node: Node, fixed: FixedNetwork, shape: Shape, fused: int
) -> tuple[Operator, ...]:
    """Return the operators of a layer without its cast, a bias as sums of what float32 holds.

    A bias of more than ``fused`` bits is added behind the layer.
    """
    layer = node.layer
    if isinstance(layer, layers.Quantize):
        return ()
    if not isinstance(layer, layers.Dense | layers.Conv2D):
        return operators(layer, shape)
    words = fixed[node.name]
    raw, fracs = raw_bias(words.layer), fixed.product_fracs(words)
    wide = int(np.abs(raw).max()).bit_length() >= fused
    first, *rest = ([np.zeros(len(raw))] if wide else []) + _pieces(raw, fracs)
    axes = (-1, *(1,) * (len(shape) - 1))
    adds = (Operator("Add", {"bias": piece.reshape(axes)}, part=".bias") for piece in rest)
    return (*operators(replace(layer, bias=first), shape), *adds)


def _pieces(raw: Array, fracs: Array) -> list[Array]:
    """Take raw words apart into numbers of 24 bits that add up to what they mean."""
    rest, pieces = raw.copy(), list[Array]()
    while rest.any() or not pieces:
        piece = rest.astype(np.float32).astype(np.int64)
        pieces.append(np.ldexp(piece.astype(np.float64), -fracs))
        rest -= piece
    return pieces
