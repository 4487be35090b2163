"""Settings without effect: each is refused by the name of the layer that does not heed it."""

from fxpnn.errors import FormatError
from fxpnn.fixedpoint.qformat import Overflow, Rounding
from fxpnn.network.graph import Network
from fxpnn.network.rounded import WeightRounding
from fxpnn.network.traits import Output, Traits
from fxpnn.quantization.settings import ALL, Plan, Settings

FIXED = frozenset({"rounding", "overflow"})
"""What the input lets nobody choose, though it may be said."""


def check(network: Network, plan: Plan) -> None:
    """Check that every choice has an effect: on its layer, or one for all on any layer.

    Raises:
        FormatError: one has none; the message names it.
    """
    heeded = {it.name: _of_input(plan[it.name]) for it in network.inputs}
    heeded |= {node.name: _of_layer(node.layer.traits, plan[node.name]) for node in network.nodes}
    for name in plan.layers:
        judged, node = plan.stated(name), network.node(name)
        if node is not None:
            judged -= _told_elsewhere(node.layer.traits, plan[name])
        if odd := _sorted(judged - heeded[name]):
            where = name if node is None else f"layer {name} ({node.op})"
            free = heeded[name] - (FIXED if node is None else frozenset())
            raise FormatError(
                f"{where} must be given no {odd}, without effect there; "
                f"it heeds {_sorted(free) or 'no setting'}"
            )
    general = {key for name in heeded for key in heeded[name] if _has(plan, name, key)}
    if odd := _sorted(plan.stated(ALL) - general):
        raise FormatError(f"{network.name} must be given no {odd}, which none of its layers heeds")


def _has(plan: Plan, name: str, key: str) -> bool:
    """Tell whether a layer has the choice for all, and none of its own or of a model file."""
    return bool(getattr(plan[name], key) == getattr(plan.defaults, key))


def _of_input(settings: Settings) -> frozenset[str]:
    """Name what the input heeds; its cast is to nearest even and saturates, whatever is said."""
    found = {"output"}
    if not settings.output:
        found |= {"output_word", "method", "percentile"} | _words(settings, False, True)
    if settings.rounding is Rounding.NEAREST_EVEN:
        found.add("rounding")
    if settings.overflow is Overflow.SATURATE:
        found.add("overflow")
    return frozenset(found)


def _of_layer(traits: Traits, settings: Settings) -> frozenset[str]:
    """Name what a layer heeds, but for what formats that are given leave nothing to choose of."""
    open_weight = traits.weighted and not settings.weights
    open_output = "output_word" in traits.heeds and not settings.output
    by_method = open_weight and settings.weight_rounding is WeightRounding.NEAREST
    found = set(traits.heeds)
    if not open_weight:
        found -= {"per_channel", "weight_word"}
    if not open_output:
        found -= {"percentile", "signed", "output_word"} | (set() if by_method else {"method"})
    return frozenset(found - {"word"} | _words(settings, open_weight, open_output))


def _words(settings: Settings, open_weight: bool, open_output: bool) -> set[str]:
    """Name ``word`` where a format is open whose word is not said apart."""
    weight = open_weight and settings.weight_word is None
    output = open_output and settings.output_word is None
    return {"word"} if weight or output else set()


def _told_elsewhere(traits: Traits, settings: Settings) -> set[str]:
    """Name the output where the layer has the very one, or keeps its input's and compares it."""
    same = settings.output == traits.format or traits.output is Output.KEPT
    return {"output"} if same else set()


def _sorted(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))
