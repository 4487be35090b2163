"""The forward pass of the integers in floats: every tensor holds words times a power of two.

A float of 24 bits holds every word of 16, and a sum of products of words is exact, in any order and
on any BLAS, as long as its counts stay below ``2**24``; else it is summed in float64, up to
``2**53``. Every output is cast once. So the floats *are* the engine's integers, and a training that
descends by them trains the network that will run.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fxpnn.errors import FormatError, ModelError
from fxpnn.fixedpoint.casting import limits
from fxpnn.fixedpoint.qformat import QFormat, Rounding
from fxpnn.fixedpoint.requantize import Shift
from fxpnn.fixedpoint.softmax import softmax
from fxpnn.network import layers
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT, Network, Node
from fxpnn.network.layers import Array, Layer
from fxpnn.network.lookup import response
from fxpnn.network.traits import Output
from fxpnn.proofs.bounds import signed_bits
from fxpnn.quantization.dequantizer import dequantize
from fxpnn.reference.formulas import batch_axis, compute
from fxpnn.reference.passes import scale
from fxpnn.training.fitting import extremes, fitted
from fxpnn.training.parameters import parameter, with_parameters
from fxpnn.training.scales import Scales, by_channel, kept, rounded_to

EXACT = {np.dtype(np.float32): 1 << 24, np.dtype(np.float64): 1 << 53}
"""All integers up to these are floats."""
SMALLEST = 60
"""Fraction bits up to which, in magnitude, products of words are normal float32."""


class Pass(NamedTuple):
    """What a batch gives: every tensor by its name, and where its cast changed no range.

    ``followed`` holds, by node, true where the output is in its format's range before the cast;
    nodes that cast nothing have none.
    """

    values: dict[str, Array]
    followed: dict[str, Array]


class _Answers(NamedTuple):
    """What a function of single values gives for each of the 65,536 words, and where in range."""

    values: Array
    followed: Array


@dataclass(frozen=True, eq=False)
class Grid:
    """The formats of a fixed network, prepared to run floats on.

    ``fixed`` says the formats; its words play no part, but for constants that nothing trains.

    Raises:
        FormatError: a register drops bits of products, or a softmax subtracts a constant, or a
            format is finer than floats are.
    """

    fixed: FixedNetwork
    network: Network = field(init=False)
    dtype: npt.DTypeLike = field(init=False)
    _scales: Mapping[str, Scales] = field(init=False)
    _answers: Mapping[str, _Answers] = field(init=False)
    _pixels: Array | None = field(init=False)

    def __post_init__(self) -> None:
        for node in self.fixed.nodes:
            _check_node(node)
        self._set("dtype", _dtype(self.fixed))
        self._set("network", _passing(self.fixed))
        summing = (node for node in self.fixed.nodes if node.layer.arrays())
        self._set("_scales", {node.name: self._scales_of(node) for node in summing})
        made = {node.name: self._answers_of(node) for node in self.fixed.nodes}
        self._set("_answers", {name: found for name, found in made.items() if found is not None})
        self._set("_pixels", self._pixel_words())

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _scales_of(self, node: FixedNode) -> Scales:
        source = self.fixed.formats[node.inputs[0]]
        fracs, fmt = node.product_fracs(source), node.weight_formats[0]
        ends = limits(fmt, node.rounded.overflow)
        ups = (np.ldexp(np.ones(len(fracs), self.dtype), f) for f in (fracs - source.frac, fracs))
        weight, bias = ups
        return Scales(weight, ends, bias)

    def _answers_of(self, node: FixedNode) -> _Answers | None:
        """Return all answers of a function that floats would compute otherwise."""
        traits, source = node.layer.traits, self.fixed.formats[node.inputs[0]]
        exact = traits.absorbed or isinstance(node.layer, layers.Quantize)
        if exact or not traits.elementwise or len(node.inputs) > 1:
            return None
        found = response(node, source)
        if found is None:
            return None
        values = _numbers(found.raw, node.output_format, self.dtype)
        return _Answers(values, ~(found.over | found.below))

    def rounded(self, parameters: Mapping[str, Array]) -> dict[str, Array]:
        """Round float parameters to the formats: weights nearest even, clipped; biases likewise."""
        made = dict[str, Array]()
        for name, scales in self._scales.items():
            node = self.fixed[name]
            for key in node.layer.arrays():
                values = parameters[parameter(node, key)]
                if key == node.layer.traits.bias:
                    rounded = rounded_to(kept(values, node.rounded.bias_format), scales.bias)
                else:
                    rounded = rounded_to(values, scales.weight, scales.ends)
                made[parameter(node, key)] = rounded
        return made

    def fitted(self, parameters: Mapping[str, Array]) -> dict[str, Array]:
        """Return float parameters that round to words whose sums fit their accumulators.

        Whatever the input, no sum of the result's leaves its accumulator at any step. What fits
        already stays as it is.

        Raises:
            ModelError: a bias runs away to infinity.
        """
        made = {**parameters}
        for name, scales in self._scales.items():
            node = self.fixed[name]
            if isinstance(node.layer, layers.Dense | layers.Conv2D):
                weight, bias = (parameter(node, key) for key in ("weight", "bias"))
                source = self.fixed.formats[node.inputs[0]]
                pair = parameters[weight], parameters[bias]
                made[weight], made[bias] = fitted(node, source, scales, *pair)
        return made

    def with_parameters(self, parameters: Mapping[str, Array]) -> Network:
        """Return the float network whose parameters are rounded, for ``run`` and its gradients.

        A ReLU behind a word without a sign is the identity in it: the cast was the ReLU.
        """
        return with_parameters(self.network, self.rounded(parameters))

    def enter(self, x: Array) -> Array:
        """Cast images, uint8 pixels or scaled floats, to words of the input, as floats of them."""
        if x.dtype != np.uint8 or self._pixels is None:
            return self._cast_input(x)
        step = self._pixels[1] - self._pixels[0]
        if np.array_equal(self._pixels, step * np.arange(256, dtype=self.dtype)):
            return np.asarray(np.multiply(x, step, dtype=self.dtype))
        found: Array = self._pixels[x]
        return found

    def _pixel_words(self) -> Array | None:
        """Return what each pixel becomes where that is the same in all places."""
        scaling = self.fixed.scaling
        if len(scaling.mean) > 1 or len(scaling.std) > 1 or self.fixed.normalisation is not None:
            return None
        words: Array = self._cast_input(np.arange(256, dtype=np.uint8)[:, None])[:, 0]
        return words

    def _cast_input(self, x: Array) -> Array:
        scaled = scale(x, self.fixed.scaling, np.float64)
        if self.fixed.normalisation is not None:
            scaled = self.fixed.normalisation.apply(scaled, np.float64)
        fmt = self.fixed.input_format
        return _numbers(Shift(fmt).floats(scaled), fmt, self.dtype)

    def run(self, network: Network, x: Array) -> Pass:
        """Run a batch, ``(N, *input_shape)`` from ``enter``, through ``with_parameters``'s network.

        Raises:
            ModelError: sums may leave their accumulator, or the integers that floats can be.
        """
        values, followed = {INPUT: x}, dict[str, Array]()
        for real in network.nodes:
            node = self.fixed[real.name]
            inputs = [values[name] for name in node.inputs]
            made, inside = self._node(real, node, inputs)
            values[node.name] = made
            if inside is not None:
                followed[node.name] = inside
        return Pass(values, followed)

    def _node(self, real: Node, node: FixedNode, inputs: list[Array]) -> tuple[Array, Array | None]:
        sources = [self.fixed.formats[name] for name in node.inputs]
        if node.name in self._answers:
            words = np.ldexp(inputs[0], sources[0].frac).astype(np.int16).view(np.uint16)
            answers = self._answers[node.name]
            return answers.values[words], answers.followed[words]
        if isinstance(node.layer, layers.Softmax):
            return self._softmax(node.layer, node, inputs[0], sources[0]), None
        traits = node.layer.traits
        if isinstance(node.layer, layers.Concat):
            parts = [self._joined(x, s, node) for x, s in zip(inputs, sources, strict=True)]
            made, inside = zip(*parts, strict=True)
            axis = batch_axis(node.layer.axis)
            return np.concatenate(made, axis=axis), np.concatenate(inside, axis=axis)
        if traits.exact and (traits.output is Output.KEPT or sources == [node.output_format]):
            return self._moved(real.layer, inputs, sources[0]), None
        wide = self._sum_dtype(real, node, sources)
        exact = compute(real.layer, *(x.astype(wide, copy=False) for x in inputs))
        return _cast(exact, node.requantize, self.dtype)

    def _joined(self, x: Array, source: QFormat, node: FixedNode) -> tuple[Array, Array]:
        """Cast one input of a join; from a format to itself nothing changes."""
        if source == node.output_format:
            return x, np.ones(x.shape, np.bool_)
        return _cast(x.astype(np.float64), node.requantize, self.dtype)

    def _moved(self, layer: Layer, inputs: list[Array], source: QFormat) -> Array:
        """Select or move values; a window that sees only padding gives the least word."""
        made = compute(layer, *inputs)
        if isinstance(layer, layers.MaxPool2D):
            np.maximum(made, source.min * source.lsb, out=made)
        return made

    def _softmax(self, layer: layers.Softmax, node: FixedNode, x: Array, source: QFormat) -> Array:
        assert node.table is not None
        axis, visible = batch_axis(layer.axis), np.ones((1,) * x.ndim, np.bool_)
        if isinstance(layer, layers.MaskedSoftmax):
            visible = layer.visible(x.shape[1:])[None]
        raw = np.moveaxis(np.ldexp(x, source.frac).astype(np.int64), axis, -1)
        shares = softmax(raw, source.frac, node.table, np.moveaxis(visible, axis, -1))
        shares = np.moveaxis(shares, -1, axis)
        return _numbers(shares, node.output_format, self.dtype)

    def _sum_dtype(self, real: Node, node: FixedNode, sources: list[QFormat]) -> npt.DTypeLike:
        """Return the floats in which a layer's exact values are computed exactly."""
        if isinstance(node.layer, layers.Dense | layers.Conv2D):
            most = self._largest_sum(real, node, sources[0])
        elif isinstance(node.layer, layers.MatMul):
            most = self._largest_product(node, sources)
        else:
            most = _largest_value(node, sources)
        return self.dtype if most < EXACT[np.dtype(self.dtype)] else np.float64

    def _largest_sum(self, real: Node, node: FixedNode, source: QFormat) -> int:
        """Bound the counts of all sums: by the word of weights, else by their magnitudes.

        Raises:
            ModelError: the accumulator may not hold one, or no float does.
        """
        layer, scales, register = real.layer, self._scales[node.name], node.accumulator
        assert isinstance(layer, layers.Dense | layers.Conv2D)
        assert register is not None
        reach, bias = max(-source.min, source.max), layer.bias * scales.bias
        terms = layer.weight[0].size
        most = terms * max(-scales.ends[0], scales.ends[1]) * reach + float(np.abs(bias).max())
        if most < min(_allowed(node), EXACT[np.dtype(self.dtype)]):
            return int(most)
        fall, rise = extremes(layer.weight * by_channel(scales.weight, layer.weight), source)
        low, high = int((bias - fall).min()), int((bias + rise).max())
        if low < register.min or high > register.max:
            raise ModelError(
                f"layer {node.name} ({node.op}): the accumulator must hold every sum in training, "
                f"which takes up to {signed_bits(low, high)} bits, not {register.word}"
            )
        most = float((np.maximum(fall, rise) + np.abs(bias)).max())
        if most >= EXACT[np.dtype(np.float64)]:
            bits = int(most).bit_length() + 1
            raise ModelError(
                f"layer {node.name} ({node.op}): sums must stay below 54 bits in training, not "
                f"take up to {bits}"
            )
        return int(most)

    def _largest_product(self, node: FixedNode, sources: list[QFormat]) -> int:
        """Bound the counts of all sums of products of two tensors, likewise."""
        most = math.prod(max(-source.min, source.max) for source in sources)
        return _held(node, most * node.layer.terms(self.fixed.shapes[node.inputs[0]]))


def _allowed(node: FixedNode) -> int:
    """Return what sums must be below for a layer's accumulator, and floats, to hold them."""
    assert node.accumulator is not None
    return int(min(EXACT[np.dtype(np.float64)], 1 << node.accumulator.word - 1))


def _held(node: FixedNode, most: int) -> int:
    """Return the largest sum, or raise ``ModelError`` where it may not be held."""
    allowed = _allowed(node)
    if most >= allowed:
        raise ModelError(
            f"layer {node.name} ({node.op}): the accumulator must hold every sum in training, "
            f"which takes up to {most.bit_length() + 1} bits, not {allowed.bit_length()}"
        )
    return most


def _check_node(node: FixedNode) -> None:
    where = f"layer {node.name} ({node.op})"
    if node.accumulator is not None and node.accumulator.frac is not None:
        raise FormatError(
            f"{where}: the accumulator must hold every bit of a product in training, not be "
            f"{node.accumulator}"
        )
    if isinstance(node.layer, layers.LayerNorm):  # an integer root, which floats only come near
        raise ModelError(f"{where}: must be trained in floats, not by the integers' forward pass")
    if node.softmax_shift is not None:
        raise FormatError(f"{where}: softmax must be max in training, not subtract a constant")


def _dtype(fixed: FixedNetwork) -> npt.DTypeLike:
    """Return the floats that hold all words, and products of them."""
    weights = [fmt for node in fixed.nodes for fmt in node.weight_formats]
    finest = max(abs(fmt.frac) for fmt in (*fixed.formats.values(), *weights))
    if finest > 400:
        raise FormatError(f"formats must have at most 400 fraction bits in training, not {finest}")
    return np.float32 if finest <= SMALLEST else np.float64


def _passing(fixed: FixedNetwork) -> Network:
    """Return the float network of the words, in which ReLUs of what has no sign pass all."""
    network = dequantize(fixed)
    nodes = (
        replace(node, layer=layers.Quantize())
        if isinstance(node.layer, layers.Relu) and not fixed.formats[node.inputs[0]].signed
        else node
        for node in network.nodes
    )
    return replace(network, nodes=tuple(nodes))


def _numbers(raw: Array, fmt: QFormat, dtype: npt.DTypeLike) -> Array:
    """Return the floats that words mean."""
    numbers: Array = np.ldexp(raw.astype(dtype), -fmt.frac)
    return numbers


def _largest_value(node: FixedNode, sources: list[QFormat]) -> int:
    """Bound the counts of what a layer without sums computes before its cast."""
    most = [max(-fmt.min, fmt.max) for fmt in sources]
    finer = node.output_format.frac - sources[0].frac
    if isinstance(node.layer, layers.AvgPool2D):
        # A quotient rounds right where its numerator has two bits less than a float.
        return node.layer.exact(most[0], max(finer, 0))
    if isinstance(node.layer, layers.Add):
        fine = max(fmt.frac for fmt in sources)
        return sum(m << (fine - fmt.frac) for m, fmt in zip(most, sources, strict=True))
    if isinstance(node.layer, layers.Quantize):
        return most[0]
    return 1 << 24  # a product of words, a root: float64


def _cast(exact: Array, shift: Shift, dtype: npt.DTypeLike) -> tuple[Array, Array]:
    """Cast exact values once; also tell where they were in range."""
    if shift.rounding is not Rounding.NEAREST_EVEN or not shift.clamps:
        raw, out = shift.counted(exact)
        return _numbers(raw, shift.format, dtype), ~out
    counts = exact * exact.dtype.type(2.0**shift.format.frac)
    np.rint(counts, out=counts)
    made = np.clip(counts, *shift.limits)
    followed = made == counts
    made *= exact.dtype.type(2.0**-shift.format.frac)
    return made.astype(dtype, copy=False), followed
