"""Which formats are chosen on calibration data, and how: what settings and the graph say of it."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from fxpnn.fixedpoint.qformat import TENSOR_BITS, Overflow, QFormat
from fxpnn.network.folding import without_normalisation
from fxpnn.network.graph import Network, Node, Scaling, rectified
from fxpnn.network.layers import Layer
from fxpnn.network.rounded import WeightRounding
from fxpnn.network.traits import Output
from fxpnn.quantization import loops
from fxpnn.quantization.calibration import Choice, fitting
from fxpnn.quantization.settings import PERCENTILE, Method, Plan, Settings

HEADROOM, ROOMY_WORD = 1.25, 12
"""Words this wide leave room beyond what calibration saw: an integer bit costs them nothing."""


def choices(network: Network, plan: Plan, floats: bool) -> dict[str, Choice]:
    """Say how each format is chosen that depends on calibration data, pixels or ``floats``."""
    kept = keepers_of(network, plan)
    names = calibrated(network, plan, floats)
    pixels = set() if floats else {it.name for it in network.inputs}
    made = {name: _choice(plan[name], name, kept, name in pixels) for name in names}
    for name in unsigned(network, plan, kept) & made.keys():
        made[name] = replace(made[name], signed=False)
    return loops.shared(network, made)


def needed(choices: Mapping[str, Choice]) -> set[str]:
    """Name the tensors whose values choices ask for."""
    return {tensor for choice in choices.values() for tensor in choice.tensors}


def ever_needed(network: Network) -> set[str]:
    """Name the tensors whose values some plan may ask for."""
    made = (node.name for node in network.nodes if node.layer.traits.chosen)
    growing = (node.name for node in network.nodes if node.layer.growth() > 1)
    return {*(it.name for it in network.inputs), *made, *growing}


def measured(network: Network, plan: Plan) -> dict[str, bool]:
    """Name the layers that are rounded by moments of their inputs; tell if by second ones, too."""
    found = {}
    for node in network.nodes:
        settings = plan[node.name]
        feedback = settings.weight_rounding is WeightRounding.FEEDBACK
        if node.layer.traits.weighted and (feedback or corrected(node, plan)):
            found[node.name] = feedback
    return found


def entered(network: Network, floats: bool, plan: Plan) -> Network:
    """Leave a normalisation to the input's conversion, or make it layers' part for pixels.

    Pixels are exact as they are. A format that is given for the input is that behind it, unless the
    plan names the layer that it is to be.
    """
    if network.normaliser in plan.layers:
        return without_normalisation(network)
    given = plan[network.input_name].output is not None
    return network if floats or given else without_normalisation(network)


def asks(network: Network, plan: Plan, floats: bool = False) -> bool:
    """Tell whether a plan asks for calibration data, pixels or ``floats``."""
    plan = loops.spread(network, plan)
    network = entered(network, floats, plan)
    return bool(calibrated(network, plan, floats) or measured(network, plan))


def corrected(node: Node, plan: Plan) -> bool:
    """Tell whether a layer's bias is corrected: where all are, not one that has only zeros."""
    if not (node.layer.traits.weighted and plan[node.name].bias_correction):
        return False
    asked = node.name in plan.layers and "bias_correction" in plan.stated(node.name)
    return asked or bool(np.any(getattr(node.layer, str(node.layer.traits.bias))))


def calibrated(network: Network, plan: Plan, floats: bool = False) -> tuple[str, ...]:
    """Name the tensors whose formats are chosen on calibration data, pixels or ``floats``."""
    entrance = (
        it.name for it in network.inputs if _is_observed(plan[it.name], network.scaling, floats)
    )
    layers = (
        node.name
        for node in network.nodes
        if node.layer.traits.chosen and plan[node.name].method is not Method.PROVED
    )
    return tuple(name for name in (*entrance, *layers) if plan[name].output is None)


def _is_observed(settings: Settings, scaling: Scaling, floats: bool) -> bool:
    """Tell whether an input's format depends on the data; that of pixels may be known."""
    if floats:
        return True
    return settings.method is not Method.PROVED and pixel_format(settings, scaling) is None


def _choice(settings: Settings, name: str, kept: Mapping[str, list[Node]], pixels: bool) -> Choice:
    """Say how a tensor's format is chosen: for it, and those after it that keep it and may grow.

    Pixels end where calibration's do.
    """
    proved = settings.method is Method.PROVED  # of floats no more is known than what they showed
    growing = (node.name for node, _ in keepers(kept, name) if node.layer.growth() > 1)
    return Choice(
        (name, *growing),
        settings.output_bits,
        Method.MINMAX if proved else settings.method,
        1.0 if pixels or settings.output_bits < ROOMY_WORD else HEADROOM,
        settings.percentile or PERCENTILE,
    )


def keepers_of(network: Network, plan: Plan) -> dict[str, list[Node]]:
    """Return for each tensor the nodes that read it and keep its format, or are given no other."""
    kept: dict[str, list[Node]] = {name: [] for name in network.shapes}
    for node in network.nodes:
        inherits = node.layer.traits.output is Output.INHERITED and plan[node.name].output is None
        if node.layer.traits.output is Output.KEPT or inherits:
            kept[node.inputs[0]].append(node)
    return kept


def keepers(kept: Mapping[str, list[Node]], name: str) -> Iterator[tuple[Node, float]]:
    """Give all nodes that have a tensor's format, and how much larger their outputs may be."""
    pending = [(node, node.layer.growth()) for node in kept[name]]
    while pending:
        found, growth = pending.pop()
        yield found, growth
        pending += [(node, node.layer.growth() * growth) for node in kept[found.name]]


def unsigned(network: Network, plan: Plan, kept: Mapping[str, list[Node]]) -> frozenset[str]:
    """Name the layers whose chosen format has no sign, since their clamp at 0 is a ReLU's.

    None that wraps has such a format, nor one of 16 bits, which would be no int16; nor one that a
    layer keeps which pads with, or clips to, what is below 0. Steps of a loop are alike.
    """
    hidden, found = rectified(network.nodes, network.outputs), set[str]()
    for name in (node.name for node in network.nodes if node.layer.traits.chosen):
        settings = plan[name]
        wraps = settings.overflow is Overflow.WRAP
        signed = settings.signed or wraps or settings.output_bits == TENSOR_BITS
        below = signed or any(_needs_sign(node.layer) for node, _ in keepers(kept, name))
        if name in hidden and not below:
            found.add(name)
    for names in loops.steps(network).values():
        if any(name not in found for name in names):
            found.difference_update(names)
    return frozenset(found)


def _needs_sign(layer: Layer) -> bool:
    """Tell whether some outputs are below 0 though no input is."""
    constants = [getattr(layer, name) for name in layer.traits.limits]
    return bool(constants) and max(constants) < 0


def pixel_format(settings: Settings, scaling: Scaling) -> QFormat | None:
    """Return the finest format that holds pixels, if words of 8 bits are all of them exactly.

    Shorter words round the brightest up to a power of two, for which they need an integer bit.
    """
    mantissa, _ = math.frexp(abs(scaling.scale))
    if mantissa != 0.5 or any(scaling.mean) or {*scaling.std} != {1.0}:
        return None
    last, signed = 255 * scaling.scale, scaling.scale < 0
    return fitting(min(last, 0.0), max(last, 0.0), min(settings.output_bits, 8 + signed), signed)
