"""The quantizer: a float network and the choices for its layers become integers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from fxpnn import __version__
from fxpnn.errors import FormatError, ModelError
from fxpnn.fixedpoint.casting import from_float, to_float
from fxpnn.fixedpoint.interval import Interval, full
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network import layers
from fxpnn.network.fixed import BIAS_BITS, FixedNetwork, FixedNode, Provenance
from fxpnn.network.graph import INPUT, Network, Node, Scaling
from fxpnn.network.layers import Array, Layer, Range
from fxpnn.network.tables import table_for
from fxpnn.network.traits import Output
from fxpnn.proofs.bounds import prove_node
from fxpnn.proofs.sums import product_interval, sum_interval
from fxpnn.quantization.calibration import HEADROOM, ROOMY_WORD, choose, fitting, observe
from fxpnn.quantization.settings import Method, Plan, Settings

SLOPE_WORD = 16


def quantize(
    network: Network,
    calibration: Array | None = None,
    plan: Plan | Settings | None = None,
    provenance: Provenance | None = None,
) -> FixedNetwork:
    """Turn a float network into the integers that hardware stores.

    Args:
        network: the trained network.
        calibration: images as ``infer`` takes them, on which formats are chosen; not needed where
            every layer's format is given or ``proved``.
        plan: the settings of all layers, or of each; by default 16 bits calibrated by ``minmax``.
        provenance: where the network and the calibration data came from.

    Raises:
        FormatError: a setting names no layer or cannot be, or calibration data is wanted.
        ModelError: a parameter does not fit any integer at its scale.
    """
    plan = plan if isinstance(plan, Plan) else Plan(plan or Settings())
    known = {INPUT, *(node.name for node in network.nodes)}
    if unknown := [name for name in plan.layers if name not in known]:
        raise FormatError(
            f"settings must name layers of {network.name}, not {', '.join(unknown)}; "
            f"it has {', '.join(n for n in network.shapes)}"
        )
    build = _Build(network, plan, _observed(network, calibration, plan), calibration)
    return FixedNetwork(
        name=network.name,
        input_shape=network.input_shape,
        input_format=build.formats[INPUT],
        nodes=tuple(build.node(node) for node in network.nodes),
        outputs=network.outputs,
        scaling=network.scaling,
        provenance=provenance or Provenance(version=__version__),
    )


def calibrated(network: Network, plan: Plan) -> tuple[str, ...]:
    """Name the tensors whose formats are chosen on calibration data."""
    bound = {node.name for node in network.nodes if not node.layer.traits.chosen}
    if _pixel_format(plan[INPUT], network.scaling) is not None:
        bound.add(INPUT)
    return tuple(
        name
        for name in network.shapes
        if name not in bound
        and plan[name].output is None
        and plan[name].method is not Method.PROVED
    )


def _observed(network: Network, calibration: Array | None, plan: Plan) -> Mapping[str, Array]:
    names = [
        name
        for name in network.shapes
        if plan[name].output is None and plan[name].method is not Method.PROVED
    ]
    return observe(network, calibration, names) if calibration is not None else {}


@dataclass
class _Build:
    """The state of one quantization: what is known of the nodes done so far."""

    network: Network
    plan: Plan
    observed: Mapping[str, Array]
    calibration: Array | None
    formats: dict[str, QFormat] = field(default_factory=dict)
    intervals: dict[str, Interval] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.formats[INPUT] = self._input_format()
        self.intervals[INPUT] = full(self.formats[INPUT], self.network.input_shape)
        self.proving = any(self.plan[n].method is Method.PROVED for n in self.network.shapes)

    def node(self, node: Node) -> FixedNode:
        """Quantize one node; those that it reads are done."""
        settings = self.plan[node.name]
        sources = [self.formats[name] for name in node.inputs]
        layer, weight_formats = _raw_layer(node, sources[0], settings)
        fixed = FixedNode(
            name=node.name,
            layer=layer,
            inputs=node.inputs,
            output_format=self._output_format(node, layer, weight_formats),
            weight_formats=weight_formats,
            accumulator=settings.accumulator if layer.traits.sums else None,
            rounding=settings.rounding,
            overflow=settings.overflow,
            table=table_for(type(layer)),
            softmax_shift=_softmax_shift(layer, settings, sources[0]),
        )
        self.formats[node.name] = fixed.output_format
        if self.proving:
            inputs = [self.intervals[name] for name in node.inputs]
            self.intervals[node.name] = prove_node(fixed, inputs, sources).output
        return fixed

    def _input_format(self) -> QFormat:
        settings, scaling = self.plan[INPUT], self.network.scaling
        if settings.output is not None:
            return settings.output
        floats = self.calibration is not None and self.calibration.dtype != np.uint8
        if not floats and (fmt := _pixel_format(settings, scaling)) is not None:
            return fmt
        if settings.method is Method.PROVED and not floats:
            ends = np.array([0, 255]) * scaling.scale
            low, high = np.subtract.outer([ends.min(), ends.max()], scaling.mean)
            limits = np.divide.outer([low, high], scaling.std)
            return fitting(float(limits.min()), float(limits.max()), settings.word)
        method = Method.MINMAX if settings.method is Method.PROVED else settings.method
        room = _room(settings) if floats else 1.0  # pixels end where calibration's do
        return choose(self._seen(INPUT), settings.word, method, room)

    def _output_format(
        self, node: Node, layer: Layer, weight_formats: tuple[QFormat, ...]
    ) -> QFormat:
        settings = self.plan[node.name]
        traits = layer.traits
        if traits.output is Output.KEPT:
            kept = self.formats[node.inputs[0]]
            if settings.output not in (None, kept):
                raise FormatError(
                    f"layer {node.name} ({node.op}) must keep the {kept} of {node.inputs[0]}, "
                    f"not have {settings.output}; set the output of {node.inputs[0]}"
                )
            return kept
        if traits.format is not None:
            return traits.format
        if settings.output is not None:
            return settings.output
        if traits.integer is not None:
            return QFormat(settings.word, settings.word - 1 - traits.integer)
        if settings.method is Method.PROVED:
            low, high = self._provable(node, layer, weight_formats)
            growth = self._growth(node.name)
            return fitting(low * growth, high * growth, settings.word)
        return choose(self._seen(node.name), settings.word, settings.method, _room(settings))

    def _seen(self, name: str) -> Array:
        """Return what a tensor took on, and those after it that share its format and may exceed."""
        if not self.observed:
            raise FormatError(
                f"calibration data must be given to choose the format of {name}; "
                "without it use the method proved, or give every format"
            )
        return np.concatenate([self.observed[n] for n in (name, *self._exceeding(name))])

    def _exceeding(self, name: str) -> list[str]:
        kept = self._kept(name)
        found = [n.name for n in kept if n.layer.growth() > 1 and n.name in self.observed]
        return found + [deeper for n in kept for deeper in self._exceeding(n.name)]

    def _growth(self, name: str) -> float:
        grown = (n.layer.growth() * self._growth(n.name) for n in self._kept(name))
        return max(grown, default=1.0)

    def _kept(self, name: str) -> list[Node]:
        """Return the nodes that read a tensor and have its format."""
        return [
            n
            for n in self.network.nodes
            if name in n.inputs and n.layer.traits.output is Output.KEPT
        ]

    def _provable(self, node: Node, layer: Layer, weight_formats: tuple[QFormat, ...]) -> Range:
        """Return the range that the exact output cannot leave, from the inputs' intervals."""
        inputs = [(self.intervals[name], self.formats[name]) for name in node.inputs]
        if isinstance(layer, layers.Dense | layers.Conv2D):
            total, lsb = sum_interval(layer, inputs[0][0]), inputs[0][1].lsb
            scales = np.array([lsb * fmt.lsb for fmt in weight_formats])
            scales = scales.reshape(-1, *[1] * (total.low.ndim - 1))
            return float((total.low * scales).min()), float((total.high * scales).max())
        if isinstance(layer, layers.Mul):
            (x, x_format), (y, y_format) = inputs
            ends, scale = product_interval(x, y), x_format.lsb * y_format.lsb
            return float(ends.low.min() * scale), float(ends.high.max() * scale)
        ranges = [
            (float(to_float(ends.low, fmt).min()), float(to_float(ends.high, fmt).max()))
            for ends, fmt in inputs
        ]
        return layer.range(*ranges)


def _pixel_format(settings: Settings, scaling: Scaling) -> QFormat | None:
    """Return the format whose words pixels are, the lowest bits dropped, if there is one."""
    mantissa, exponent = math.frexp(abs(scaling.scale))
    if mantissa != 0.5 or any(scaling.mean) or {*scaling.std} != {1.0}:
        return None
    word = min(settings.word, 8)
    return QFormat(word, word - 7 - exponent, signed=scaling.scale < 0)


def _room(settings: Settings) -> float:
    """Return by how much a range is widened for the data to come."""
    return HEADROOM if settings.word >= ROOMY_WORD else 1.0


def _raw_layer(
    node: Node, source: QFormat, settings: Settings
) -> tuple[Layer, tuple[QFormat, ...]]:
    """Return the layer with raw parameters, and the formats of its weight."""
    layer, traits = node.layer, node.layer.traits
    if isinstance(layer, layers.Step):
        # The smallest word at or above the threshold decides as the threshold does.
        exact = math.ceil(math.ldexp(layer.threshold, source.frac))
        return replace(layer, threshold=max(min(exact, source.max + 1), source.min)), ()
    raw: dict[str, Array | int] = {
        name: int(from_float(getattr(layer, name), source)) for name in traits.limits
    }
    if traits.weight is None:
        return replace(layer, **raw), ()
    weight = np.asarray(getattr(layer, traits.weight))
    formats = _weight_formats(layer, np.atleast_1d(weight), source, settings)
    words = _words(node, np.atleast_1d(weight), formats)
    raw[traits.weight] = words if weight.ndim else int(words[0])
    if traits.bias is not None:
        bias = np.asarray(getattr(layer, traits.bias))
        fracs = source.frac + np.array([fmt.frac for fmt in formats])
        scaled = _scaled(node, traits.bias, np.atleast_1d(bias), fracs)
        raw[traits.bias] = scaled if bias.ndim else int(scaled[0])
    return replace(layer, **raw), formats


def _weight_formats(
    layer: Layer, weight: Array, source: QFormat, settings: Settings
) -> tuple[QFormat, ...]:
    """Return the format of a weight, or one for each output channel."""
    if settings.weights:
        formats = settings.weights
    elif layer.traits.sums:
        method = Method.MSE if settings.method is Method.PERCENTILE else settings.method
        groups = weight if settings.per_channel else weight[None]
        formats = tuple(choose(group, settings.word, method) for group in groups)
    else:
        formats = (choose(weight, SLOPE_WORD, Method.MINMAX),)
    if layer.traits.product_fracs is None:
        return formats
    low, high = (frac - source.frac for frac in layer.traits.product_fracs)
    return tuple(replace(fmt, frac=min(max(fmt.frac, low), high)) for fmt in formats)


def _words(node: Node, weight: Array, formats: tuple[QFormat, ...]) -> Array:
    """Cast weights to one format, or each channel's to its own."""
    if len(formats) not in (1, len(weight)):
        raise FormatError(
            f"layer {node.name} ({node.op}): weight formats must be 1 or {len(weight)}, "
            f"not {len(formats)}"
        )
    fracs = np.array([fmt.frac for fmt in formats]).reshape(-1, *[1] * (weight.ndim - 1))
    scaled = np.ldexp(weight.astype(np.float64), fracs)
    return from_float(scaled, replace(formats[0], frac=0)).astype(np.int16)


def _scaled(node: Node, name: str, values: Array, frac: Array | int) -> Array:
    """Cast values to the accumulator's scale, where words are wide enough not to saturate."""
    raw = np.rint(np.ldexp(values.astype(np.float64), frac))
    if np.abs(raw).max() >= 2.0 ** (BIAS_BITS - 1):
        raise ModelError(
            f"layer {node.name} ({node.op}): {name} must fit {BIAS_BITS} bits at the "
            f"accumulator's scale, not reach {float(np.abs(values).max()):g}"
        )
    return np.asarray(raw, np.int64)


def _softmax_shift(layer: Layer, settings: Settings, source: QFormat) -> int | None:
    if not layer.traits.subtracts or settings.softmax is None:
        return None
    return int(from_float(settings.softmax, source))
