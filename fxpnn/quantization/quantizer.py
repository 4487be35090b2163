"""The quantizer: a float network and the choices for its layers become integers."""

import logging
import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeAlias

import numpy as np

from fxpnn import __version__
from fxpnn.errors import FormatError
from fxpnn.fixedpoint.interval import Interval, full
from fxpnn.fixedpoint.qformat import Accumulator, QFormat
from fxpnn.fixedpoint.requantize import Shift
from fxpnn.network import layers
from fxpnn.network.fixed import FixedNetwork, FixedNode, Losses, Provenance
from fxpnn.network.graph import Network, Node, chosen_at
from fxpnn.network.images import check_images
from fxpnn.network.inputs import FixedInput, entrance
from fxpnn.network.layers import Array, Layer, Range
from fxpnn.network.rounded import Rounded, WeightRounding
from fxpnn.network.rows import Images, as_rows
from fxpnn.network.tables import table_for
from fxpnn.network.traits import Output
from fxpnn.proofs.bounds import prove_node
from fxpnn.proofs.registers import EFFORT, sums_of
from fxpnn.proofs.sums import product_interval
from fxpnn.quantization import cut, effects, loops
from fxpnn.quantization.calibration import Choice, Chosen, fitting
from fxpnn.quantization.choices import (
    HEADROOM,
    choices,
    corrected,
    entered,
    ever_needed,
    keepers,
    keepers_of,
    measured,
    needed,
    pixel_format,
    unsigned,
)
from fxpnn.quantization.moments import Moments
from fxpnn.quantization.notes import notes
from fxpnn.quantization.observation import Observation, Ranges, take
from fxpnn.quantization.parameters import clipping, raw_layer
from fxpnn.quantization.settings import Method, Plan, Settings

log = logging.getLogger(__name__)


class Proposal(NamedTuple):
    """A quantized network, and what a user should know of how its formats were chosen."""

    fixed: FixedNetwork
    notes: tuple[str, ...]


def quantize(
    network: Network,
    calibration: Images | Observation | None = None,
    plan: Plan | Settings | None = None,
    provenance: Provenance | None = None,
) -> FixedNetwork:
    """Turn a float network into the integers that hardware stores.

    What the choice of formats costs (``propose`` returns it) is logged as a warning.

    Args:
        network: the trained network.
        calibration: images as ``infer`` takes them, on which formats are chosen, or what
            ``observe`` gave for such; not needed where every layer's format is given or ``proved``.
        plan: the settings of all layers, or of each; by default 16 bits calibrated by ``minmax``.
        provenance: where the network and the calibration data came from; by default the file that
            the network was read from.

    Raises:
        DataError: the images are not the network's, or a tensor takes on infinity or NaN.
        FormatError: a setting names no layer or cannot be, or calibration data is wanted.
        ModelError: a parameter does not fit any integer at its scale, or another network was
            observed.
    """
    made = propose(network, calibration, plan, provenance)
    for note in made.notes:
        log.warning("%s: %s", network.name, note)
    return made.fixed


def propose(
    network: Network,
    calibration: Images | Observation | None = None,
    plan: Plan | Settings | None = None,
    provenance: Provenance | None = None,
) -> Proposal:
    """Do as ``quantize``, and return the notes instead of logging them."""
    plan = _plan(network, plan)
    if not isinstance(calibration, Observation | None):
        calibration = observe(network, calibration, plan)
    network = entered(network, calibration is not None and calibration.floats, plan)
    return _proposed(network, calibration, _checked(network, plan), provenance)


def observe(
    network: Network, x: Images, plan: Plan | Settings | None = None, *, moments: bool = False
) -> Observation:
    """Run calibration images once, for any number of networks that ``quantize`` makes of them.

    Args:
        network: the trained network.
        x: images, ``(N, *input_shape)``, as ``infer`` takes them.
        plan: where given, only what its settings ask for is observed, by default what any may, but
            for moments.
        moments: whether moments of all inputs of sums are observed, without a plan that asks for
            some: the weights can be rounded with feedback then, and biases be corrected.

    Raises:
        DataError: the images are not the network's, or a tensor takes on infinity or NaN.
        FormatError: a setting names no layer or has no effect.
    """
    x = as_rows(network, x)
    check_images(network, x)
    floats = x.dtype != np.uint8
    known = _plan(network, plan)
    network = entered(network, floats, known)
    if plan is not None:
        plan = _checked(network, known)
        names, layers = needed(choices(network, plan, floats)) | plan.cut, measured(network, plan)
        return take(network, x, names, layers)
    summing = {node.name: True for node in network.nodes if node.layer.traits.weighted}
    return take(network, x, ever_needed(network), summing if moments else {})


def _plan(network: Network, plan: Plan | Settings | None) -> Plan:
    plan = plan if isinstance(plan, Plan) else Plan(plan or Settings())
    return loops.spread(network, plan)


def _checked(network: Network, plan: Plan) -> Plan:
    """Return a plan of the network's layers, in which no setting is without effect."""
    if unknown := [name for name in plan.layers if name not in network.shapes]:
        raise FormatError(
            f"settings must name layers of {network.name}, not {', '.join(unknown)}; "
            f"it has {', '.join(_known(network))}"
        )
    effects.check(network, plan)
    return plan


def _known(network: Network) -> Iterable[str]:
    """Name the layers and inputs; all steps of a layer by its one name."""
    named = (node.unrolled or node.name for node in network.nodes)
    return dict.fromkeys((*(it.name for it in network.inputs), *named))


def _proposed(
    network: Network, observed: Observation | None, plan: Plan, provenance: Provenance | None
) -> Proposal:
    """Choose the formats by what was observed, and round the parameters."""
    made = choices(network, plan, observed is not None and observed.floats)
    layers = measured(network, plan)
    chosen: dict[str, Chosen] = {}
    ranges: Mapping[str, Ranges] = {}
    if observed is None:
        _check_known(network, plan, made, layers)
    else:
        observed.check(network, needed(made) | plan.cut, layers)
        found = {choice: observed.choose(choice) for choice in dict.fromkeys(made.values())}
        chosen = {name: found[choice] for name, choice in made.items()}
        ranges = observed.ranges_of(network) if made else {}
    moments = {name: observed.moments[name] for name in layers} if observed else {}
    build = _Build(network, plan, chosen, loops.joined(network, moments))
    fixed = FixedNetwork(
        name=network.name,
        **entrance(build.inputs),
        nodes=tuple(build.node(node) for node in network.nodes),
        outputs=network.outputs,
        scaling=network.scaling,
        normalisation=network.normalisation,
        provenance=provenance or Provenance(network.sha256, version=__version__),
    )
    told = cut.notes(fixed, plan.cut, {} if observed is None else observed.distributions)
    return Proposal(fixed, (*told, *notes(network, fixed, chosen, ranges)))


def _check_known(
    network: Network, plan: Plan, made: Mapping[str, Choice], layers: Mapping[str, bool]
) -> None:
    """Check that formats need no data: none is chosen on them, and the input's range is known.

    That is so where a format is given, or maps or a scale say that inputs are pixels.
    """
    given = (plan[it.name].output is not None or len(it.shape) == 3 for it in network.inputs)
    if not all(given) and network.scaling.assumed:
        raise FormatError(
            "the range of the input must be known: give calibration data or the input's format, "
            "or, if these are pixels, their scale"
        )
    if made:
        name = next(iter(made))
        raise FormatError(
            f"calibration data must be given to choose the format of {name}; without it use the "
            "method proved, or give every format"
        )
    if layers:
        name, second = next(iter(layers.items()))
        wanted = (
            f"round the weights of {name} with feedback"
            if second
            else f"correct the bias of {name}"
        )
        raise FormatError(f"calibration data must be given to {wanted}")


_Raw: TypeAlias = tuple[Layer, tuple[QFormat, ...], Losses]


@dataclass
class _Build:
    """The state of one quantization: what is known of the nodes done so far."""

    network: Network
    plan: Plan
    chosen: Mapping[str, Chosen]
    moments: Mapping[str, Moments]
    formats: dict[str, QFormat] = field(default_factory=dict)
    intervals: dict[str, Interval] = field(default_factory=dict)
    known: dict[Hashable, _Raw] = field(default_factory=dict)

    def __post_init__(self) -> None:
        entering = self.network.inputs
        self.inputs = [
            FixedInput(it.name, it.shape, self._input_format(it.name)) for it in entering
        ]
        self.formats |= {it.name: it.format for it in self.inputs}
        self.intervals |= {it.name: full(it.format, it.shape) for it in self.inputs}
        self.kept = keepers_of(self.network, self.plan)
        self.unsigned = unsigned(self.network, self.plan, self.kept)
        self.effort = EFFORT // len(self.network.nodes)
        self.proving = any(self.plan[n].method is Method.PROVED for n in self.network.shapes)

    def node(self, node: Node) -> FixedNode:
        """Quantize one node; those that it reads are done."""
        settings = self.plan[node.name]
        sources = [self.formats[name] for name in node.inputs]
        layer, weight_formats, losses = self._raw(node, sources[0])
        shift, clipped = _softmax_shift(layer, settings, sources[0])
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
            softmax_shift=shift,
            losses=replace(losses, clipped_constants=losses.clipped_constants + clipped),
            rounded=self._rounded(node, settings),
            unrolled=node.unrolled,
        )
        self.formats[node.name] = fixed.output_format
        if self.proving:
            inputs = [self.intervals[name] for name in node.inputs]
            self.intervals[node.name] = prove_node(
                fixed, inputs, sources, effort=self.effort
            ).output
        return fixed

    def _raw(self, node: Node, source: QFormat) -> _Raw:
        """Round a layer's parameters: of one that stands in several places alike once."""
        settings, largest = self.plan[node.name], self._largest(node.name)
        moments, fitted = self.moments.get(node.name), corrected(node, self.plan)
        key = node.layer, source, settings, largest, moments, fitted
        if key not in self.known:
            self.known[key] = raw_layer(node, source, settings, largest, moments, fitted)
        return self.known[key]

    def _rounded(self, node: Node, settings: Settings) -> Rounded:
        """Say how a layer's parameters were rounded."""
        return Rounded(
            settings.weight_rounding if node.layer.traits.weighted else WeightRounding.NEAREST,
            corrected(node, self.plan),
            settings.bias if node.layer.traits.bias else None,
            clipping(node.layer, settings),
        )

    def _largest(self, name: str) -> float:
        """Return the largest magnitude that a layer's output is expected to have."""
        if (given := self.plan[name].output) is not None:
            return max(-given.min, given.max) * given.lsb
        if name in self.chosen:
            return max(-self.chosen[name].low, self.chosen[name].high) * HEADROOM
        return math.inf

    def _input_format(self, name: str) -> QFormat:
        settings, scaling = self.plan[name], self.network.scaling
        if settings.output is not None:
            return settings.output
        if name in self.chosen:
            return self.chosen[name].format
        if (fmt := pixel_format(settings, scaling)) is not None:
            return fmt
        ends = np.array([0, 255]) * scaling.scale
        low, high = np.subtract.outer([ends.min(), ends.max()], scaling.mean)
        limits = np.divide.outer([low, high], scaling.std)
        return fitting(float(limits.min()), float(limits.max()), settings.output_bits)

    def _output_format(
        self, node: Node, layer: Layer, weight_formats: tuple[QFormat, ...]
    ) -> QFormat:
        settings = self.plan[node.name]
        traits = layer.traits
        kept = self.formats[node.inputs[0]]
        if traits.output is Output.INHERITED:
            return settings.output or kept
        if traits.output is Output.KEPT:
            if settings.output not in (None, kept):
                raise FormatError(
                    f"layer {node.name} ({node.op}) must keep the {kept} of {node.inputs[0]}, "
                    f"not have {settings.output}; set the output of "
                    f"{chosen_at(self.network, node.name)[0]}"
                )
            return kept
        if traits.format is not None:
            return traits.format
        if settings.output is not None:
            return settings.output
        if traits.integer is not None:
            return QFormat(settings.output_bits, settings.output_bits - 1 - traits.integer)
        if settings.method is Method.PROVED:
            low, high = self._provable(node, layer, weight_formats)
            growth = max((g for _, g in keepers(self.kept, node.name)), default=1.0)
            if node.name in self.unsigned:
                return fitting(0.0, max(high, 0.0) * growth, settings.output_bits, signed=False)
            return fitting(low * growth, high * growth, settings.output_bits)
        return self.chosen[node.name].format

    def _provable(self, node: Node, layer: Layer, weight_formats: tuple[QFormat, ...]) -> Range:
        """Return the range that the exact output cannot leave, from the inputs' intervals."""
        inputs = [(self.intervals[name], self.formats[name]) for name in node.inputs]
        if isinstance(layer, layers.Dense | layers.Conv2D | layers.MatMul):
            intervals, (first, *others) = zip(*inputs, strict=True)
            fracs = first.frac + np.array([fmt.frac for fmt in (*weight_formats, *others)])
            register = self.plan[node.name].accumulator
            return _sum_range(layer, intervals, fracs, register, self.effort)
        if isinstance(layer, layers.Mul):
            (x, x_format), (y, y_format) = inputs
            ends, scale = product_interval(x, y).once, x_format.lsb * y_format.lsb
            return float(ends.low.min() * scale), float(ends.high.max() * scale)
        ranges = [
            (low * fmt.lsb, high * fmt.lsb)
            for (low, high), fmt in ((ends.limits, fmt) for ends, fmt in inputs)
        ]
        return node.layer.range(*ranges)


def _sum_range(
    layer: layers.Dense | layers.Conv2D | layers.MatMul,
    inputs: Sequence[Interval],
    fracs: Array,
    register: Accumulator,
    effort: int,
) -> Range:
    """Return the range that sums of products ``@ fracs`` cannot leave.

    What a register with a fraction of its own rounds them to, and its ends, count.
    """
    fine = fracs if register.frac is None else np.full_like(fracs, register.frac)
    low, high = sums_of(layer, inputs, register, fracs - fine, effort).total.once
    if register.frac is not None:
        low, high = (np.clip(end, register.min, register.max) for end in (low, high))
    scales = np.ldexp(1.0, -fine).reshape(-1, *[1] * (low.ndim - 1))
    return float((low * scales).min()), float((high * scales).max())


def _softmax_shift(layer: Layer, settings: Settings, source: QFormat) -> tuple[int | None, bool]:
    """Return the raw constant that softmax subtracts, if any, and whether it was clipped."""
    if not layer.traits.subtracts or settings.softmax is None:
        return None, False
    shift, clipped = Shift(source).counted(settings.softmax)
    return int(shift), bool(clipped)
