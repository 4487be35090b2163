"""The fixed network: the layers of a network with raw integers, and the formats they mean."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Self, TypeAlias

import numpy as np
import numpy.typing as npt

from fxpnn.errors import FormatError, ModelError
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, QFormat, Rounding
from fxpnn.fixedpoint.requantize import Shift
from fxpnn.network import fxp_write
from fxpnn.network.counts import Counts as Counts
from fxpnn.network.graph import (
    Node,
    Scaling,
    check_entrance,
    check_outputs,
    check_text,
    chosen_at,
    infer_shapes,
    rectified,
)
from fxpnn.network.graph import Provenance as Provenance
from fxpnn.network.inputs import INPUT, FixedInput, image_shape
from fxpnn.network.layers import Array, Layer, Number, Shape, Softmax, Step
from fxpnn.network.losses import Losses as Losses
from fxpnn.network.normalisation import Normalisation
from fxpnn.network.rounded import WEIGHTS_SATURATE, Rounded, WeightRounding
from fxpnn.network.traits import Output
from fxpnn.network.value import Value

SOFTMAX_CLASSES = 4096
BIAS_BITS = 62
"""A bias is a signed word of this many bits at the accumulator's scale."""

RawArray: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False, repr=False)
class FixedNode(Node):
    """A layer with raw integer parameters, and what its integers mean.

    ``layer.weight`` (or slope, alpha) holds raw words of ``weight_formats``: one format, or one
    per output channel, all of one word. ``layer.bias`` (or beta) is stored at the accumulator's
    scale, ``F = Fx + Fw``; a clip's limits and a step's threshold at the input's. ``rounding`` and
    ``overflow`` are those of the one cast to ``output_format``. ``table`` holds the integers that
    a table layer interpolates. ``softmax_shift`` is the raw constant that softmax subtracts; with
    ``None`` it subtracts the maximum and cannot overflow. ``losses`` counts what the float
    parameters lost when they became these integers, ``rounded`` says how they did.
    """

    output_format: QFormat
    weight_formats: tuple[QFormat, ...] = ()
    accumulator: Accumulator | None = None
    rounding: Rounding = Rounding.NEAREST_EVEN
    overflow: Overflow = Overflow.SATURATE
    table: Array | None = None
    softmax_shift: int | None = None
    losses: Losses = field(default_factory=Losses)
    rounded: Rounded = field(default_factory=Rounded)

    @property
    def requantize(self) -> Shift:
        """Give the cast from the layer's exact values to its output."""
        return Shift(self.output_format, self.rounding, self.overflow)

    @property
    def clips_one(self) -> bool:
        """Tell whether all that can overflow is 1 itself (or -1), spelled by the last word then.

        So it is where sigmoid and tanh have a format without integer bits. That is no loss of
        more than one count, and counts as no saturation.
        """
        fmt, ends = self.output_format, self.layer.traits.open_range
        return (
            ends is not None
            and fmt.integer == 0
            and (fmt.signed or ends[0] >= 0)
            and self.requantize.clamps
        )

    def fracs(self, channels: int) -> RawArray:
        """Give the weight's fraction bits for each of the output channels, int64."""
        return np.broadcast_to([f.frac for f in self.weight_formats], (channels,)).astype(np.int64)

    def product_fracs(self, *sources: QFormat) -> RawArray:
        """Give Fx + Fw, the fraction bits of the products, for each output channel, int64.

        ``sources`` are the inputs' formats. Of a product of two inputs all channels have the same:
        one number stands for them.
        """
        weights = raw_weights(self.layer)
        if weights is None:
            return np.array([sum(source.frac for source in sources)], np.int64)
        return sources[0].frac + self.fracs(len(weights))

    def sum_fracs(self, *sources: QFormat) -> RawArray:
        """Give the fraction bits of what the cast takes, for each output channel, int64.

        They are the accumulator's where it has its own, else the products'.
        """
        products, register = self.product_fracs(*sources), self.accumulator
        if register is None or register.frac is None:
            return products
        return np.full_like(products, register.frac)

    def dropped(self, *sources: QFormat) -> RawArray:
        """Give how many bits the accumulator drops of products, for each output channel, int64.

        Where there are fewer than 0, it adds some.
        """
        return self.product_fracs(*sources) - self.sum_fracs(*sources)

    def shift(self, *sources: QFormat) -> RawArray:
        """Give how many bits the cast of a sum drops, for each output channel, int64."""
        return self.requantize.dropped(self.sum_fracs(*sources))


@dataclass(frozen=True, eq=False, repr=False)
class FixedNetwork(Value):
    """A network of integers: everything that the hardware stores, and the meaning of each word.

    ``shapes`` and ``formats`` hold the shape and format of the input and of every node's output.
    Where inputs are several, the first is called ``input_name``, ``further`` holds the others, and
    ``inputs`` all.
    ``rectified`` names the nodes whose unsigned output is that of the ReLU behind them already:
    what they clamp at 0 is no overflow, and they stand for ``max(0, x)``.

    Raises:
        ModelError: the graph, a shape, a dtype, a format or a raw value is not possible; the
            message names the layer.
    """

    name: str
    input_shape: Shape
    input_format: QFormat
    nodes: tuple[FixedNode, ...]
    outputs: tuple[str, ...] = ()
    scaling: Scaling = field(default_factory=Scaling)
    provenance: Provenance = field(default_factory=Provenance)
    normalisation: Normalisation | None = None
    input_name: str = INPUT
    further: tuple[FixedInput, ...] = ()
    shapes: Mapping[str, Shape] = field(init=False, repr=False)
    formats: Mapping[str, QFormat] = field(init=False, repr=False)
    rectified: frozenset[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        check_text(self.name)
        shapes = infer_shapes(self.inputs, self.nodes)
        check_entrance(self.inputs, self.scaling, self.normalisation)
        object.__setattr__(self, "outputs", self.outputs or (self.nodes[-1].name,))
        check_outputs(self.outputs, self.nodes)
        for it in self.inputs:
            try:
                it.format.for_tensor()
            except FormatError as error:
                raise ModelError(f"{it.name}: {error}") from None
        formats = {it.name: it.format for it in self.inputs}
        formats |= {node.name: node.output_format for node in self.nodes}
        for node in self.nodes:
            sources = [formats[name] for name in node.inputs]
            try:
                _check(node, sources, shapes)
                _check_scales(self, node, sources)
            except (FormatError, ModelError) as error:
                raise ModelError(f"layer {node.name} ({node.op}): {error}") from None
        object.__setattr__(self, "shapes", MappingProxyType(shapes))
        object.__setattr__(self, "formats", MappingProxyType(formats))
        object.__setattr__(self, "rectified", _rectified(self.nodes, self.outputs))

    @cached_property
    def inputs(self) -> tuple[FixedInput, ...]:
        """Give the name, shape and format of each input."""
        return (FixedInput(self.input_name, self.input_shape, self.input_format), *self.further)

    @cached_property
    def image_shape(self) -> Shape:
        """Give the shape in which one image stands in an array: a row of several inputs' values."""
        return image_shape(self.inputs)

    @cached_property
    def _by_name(self) -> dict[str, FixedNode]:
        return {node.name: node for node in self.nodes}

    def __getitem__(self, name: str) -> FixedNode:
        return self._by_name[name]

    def node(self, name: str) -> FixedNode | None:
        """Return a layer, or ``None`` where the name is an input's."""
        return self._by_name.get(name)

    def with_scaling(self, scaling: Scaling) -> Self:
        """Return the network with pixels that become numbers in another way."""
        return replace(self, scaling=scaling)

    def sources(self, node: FixedNode) -> tuple[QFormat, ...]:
        """Give the formats of what a node reads."""
        return tuple(self.formats[name] for name in node.inputs)

    def product_fracs(self, node: FixedNode) -> RawArray:
        """Give Fx + Fw, the fraction bits of a node's products, for each output channel."""
        return node.product_fracs(*self.sources(node))

    def shift(self, node: FixedNode) -> RawArray:
        """Give how many bits the cast of a node's sums drops, for each output channel."""
        return node.shift(*self.sources(node))

    def save(self, path: Path | str) -> None:
        """Write a .fxp file, whole or not at all; ``fxpnn.load`` reads it.

        Raises:
            DataError: the file cannot be written.
        """
        fxp_write.save(self, path)


def _rectified(nodes: tuple[FixedNode, ...], outputs: tuple[str, ...]) -> frozenset[str]:
    """Name those behind a cast to an unsigned word that clamps, in front of ReLUs alone."""
    hidden, found = rectified(nodes, outputs), set[str]()
    for node in nodes:
        clamps = node.overflow is not Overflow.WRAP
        made = clamps if node.layer.traits.casts else node.inputs[0] in found
        if made and node.name in hidden and not node.output_format.signed:
            found.add(node.name)
    return frozenset(found)


def _check(node: FixedNode, formats: list[QFormat], shapes: Mapping[str, Shape]) -> None:
    node.output_format.for_tensor()
    layer = node.layer
    if layer.traits.output is Output.KEPT and node.output_format != formats[0]:
        raise ModelError(f"output must keep the input's {formats[0]}, not be {node.output_format}")
    if layer.traits.sums != (node.accumulator is not None):
        raise ModelError("an accumulator must stand where products are summed, and only there")
    for name in (f.name for f in fields(layer) if f.type is Number):
        if not isinstance(getattr(layer, name), int):
            raise ModelError(f"{name} must be an integer, not {getattr(layer, name)}")
    _check_table(node)
    _check_softmax(node, formats[0], shapes[node.name])
    _check_weights(node)
    _check_losses(node)
    _check_rounded(node)
    _check_limits(layer, formats[0])


def _check_softmax(node: FixedNode, source: QFormat, shape: Shape) -> None:
    layer, shift, only = node.layer, node.softmax_shift, node.layer.traits.format
    if shift is not None and not layer.traits.subtracts:
        raise ModelError("softmax shift must be none where there is no softmax")
    if only not in (None, node.output_format):
        raise ModelError(f"output must be {only}, not {node.output_format}")
    if isinstance(layer, Softmax) and shape[layer.axis] > SOFTMAX_CLASSES:
        raise ModelError(f"classes must be at most {SOFTMAX_CLASSES}, not {shape[layer.axis]}")
    if shift is not None and not source.min <= shift <= source.max:
        raise ModelError(f"softmax shift must be a raw value of the input's {source}, not {shift}")


def _check_scales(fixed: FixedNetwork, node: FixedNode, formats: list[QFormat]) -> None:
    """Check that the layer's exact values fit 62 bits."""
    traits, fmt = node.layer.traits, formats[0]
    low, high = traits.input_fracs or (fmt.frac, fmt.frac)
    if not low <= fmt.frac <= high:
        raise ModelError(
            f"input must have {low} to {high} fraction bits, not {fmt.frac}; "
            f"change the format of {chosen_at(fixed, node.inputs[0])[0]}, {fmt}"
        )
    if traits.product_fracs is not None:
        (low, high), total = traits.product_fracs, int(node.product_fracs(fmt)[0])
        if not low <= total <= high:
            raise ModelError(
                f"fraction bits of input and {traits.weight} must add up to {low} to {high}, not "
                f"{total}; change the weight format, {node.weight_formats[0]}"
            )
    node.layer.check_fits(fmt, node.weight_formats, node.output_format)
    if traits.output is Output.INHERITED:
        _check_finer(node, fmt)
    if traits.apart is not None and (apart := abs(fmt.frac - formats[1].frac)) > traits.apart:
        one, other = (chosen_at(fixed, name)[0] for name in node.inputs)
        raise ModelError(
            f"fraction bits of the branches must differ by at most {traits.apart}, not {apart}; "
            f"change the format of {one}, {fmt}, or {other}, {formats[1]}"
        )


def _check_finer(node: FixedNode, source: QFormat) -> None:
    """Check that what the layer's outputs are made of fits 62 bits at the output's scale."""
    made, magnitude = node.output_format, max(-source.min, source.max)
    finer = made.frac - source.frac
    most = next((n for n in range(62, 0, -1) if node.layer.exact(magnitude, n) < 1 << 62), 0)
    if finer > most:
        raise ModelError(
            f"output must have at most {most} fraction bits more than the input's {source}, "
            f"not {finer}; change the format of {node.name}, {made}"
        )


def _check_limits(layer: Layer, source: QFormat) -> None:
    """Check the raw scalars at the input's format; a step at one beyond the largest never rises."""
    for name in layer.traits.limits:
        raw = getattr(layer, name)
        if not source.min <= raw <= source.max + isinstance(layer, Step):
            raise ModelError(f"{name} must be a raw value of the input's {source}, not {raw}")


def _check_table(node: FixedNode) -> None:
    wanted = node.layer.traits.table
    if wanted is None and node.table is None:
        return
    shape = None if wanted is None else (wanted.entries,)
    if node.table is None or node.table.shape != shape or node.table.dtype != np.int32:
        raise ModelError(f"table must be {wanted.entries if wanted else 'no'} int32 entries")
    assert wanted is not None
    if np.abs(node.table.astype(np.int64)).max() > 1 << wanted.bits:
        raise ModelError(f"table entries must be at most 2**{wanted.bits}")
    if isinstance(node.layer, Softmax):  # then the maximum's power is 2**30: no sum is 0
        falls = node.table[0] == 1 << 20 and node.table[-1] == 1 << 19
        if not falls or np.diff(node.table).max() > 0:
            raise ModelError("table must fall from 2**20 to 2**19")


def _check_weights(node: FixedNode) -> None:
    weights = raw_weights(node.layer)
    if weights is None:
        if node.weight_formats:
            raise ModelError("weight formats must be none where there is no weight")
        return
    if len(node.weight_formats) not in (1, weights.shape[0]):
        raise ModelError(
            f"weight formats must be 1 or {weights.shape[0]}, not {len(node.weight_formats)}"
        )
    for weight_format in node.weight_formats:
        weight_format.for_tensor()
    _check_raw("weight", weights, node.weight_formats[0])
    if len({(f.word, f.signed) for f in node.weight_formats}) > 1:
        raise ModelError("weight formats must differ in their fraction only")
    bias = raw_bias(node.layer)
    limit = 1 << (BIAS_BITS - 1)
    if bias.dtype != np.int64 or bias.max() >= limit or bias.min() <= -limit:
        raise ModelError(f"bias must be int64 of at most {BIAS_BITS} bits")


def _check_losses(node: FixedNode) -> None:
    """Check that no more is counted than there is; the softmax's constant counts, too."""
    weights, losses, traits = raw_weights(node.layer), node.losses, node.layer.traits
    for name, most in (
        ("clipped weights", 0 if weights is None else weights.size),
        ("clipped constants", len(traits.limits) + traits.subtracts),
        ("vanished channels", 0 if weights is None else len(weights)),
        ("clipped biases", 0 if traits.bias is None else raw_bias(node.layer).size),
    ):
        count = getattr(losses, name.replace(" ", "_"))
        if not 0 <= count <= most:
            raise ModelError(f"{name} must be 0 to {most}, not {count}")


def _check_rounded(node: FixedNode) -> None:
    """Check that nothing is told of parameters that the layer has not."""
    rounded, traits = node.rounded, node.layer.traits
    fed = rounded.weights is not WeightRounding.NEAREST
    if (fed or rounded.bias_corrected) and not traits.weighted:
        raise ModelError("weights must be nearest, and no bias corrected, where no sums are")
    if rounded.bias_format is not None and traits.bias is None:
        raise ModelError("bias format must be none where there is no bias")
    if rounded.overflow not in WEIGHTS_SATURATE:
        raise ModelError(f"weights must saturate, not {rounded.overflow.value}")
    if rounded.overflow is Overflow.SATURATE:
        return
    if not traits.weighted:
        raise ModelError("weights must not saturate symmetrically where no sums are")
    weights, fmt = raw_weights(node.layer), node.weight_formats[0]
    if fmt.signed and weights is not None and weights.min() < -fmt.max:
        raise ModelError(f"weight must be -{fmt.max} or more, not {weights.min()}")


def _check_raw(name: str, raw: Array, fmt: QFormat) -> None:
    if raw.dtype.kind != "i":
        raise ModelError(f"{name} must be integers, not {raw.dtype}")
    if raw.min() < fmt.min or raw.max() > fmt.max:
        raise ModelError(f"{name} must fit {fmt}, not reach {raw.min()}..{raw.max()}")


def raw_weights(layer: Layer) -> Array | None:
    """Return the words that have a weight format, channels first, or ``None``."""
    name = layer.traits.weight
    return None if name is None else np.atleast_1d(getattr(layer, name))


def raw_bias(layer: Layer) -> Array:
    """Return the words at the scale of the products; one 0 where the layer has none."""
    name = layer.traits.bias
    return np.atleast_1d(0 if name is None else getattr(layer, name))
