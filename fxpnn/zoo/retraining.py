"""How networks are trained for short words: the recipe, what stays fixed, what keeps its word."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from fxpnn.network.graph import Network, chosen_at
from fxpnn.network.images import logits_of
from fxpnn.network.layers import Array, Softmax
from fxpnn.quantization.settings import Plan
from fxpnn.training import CROSS_ENTROPY, LOGITS_CROSS_ENTROPY, Loss, Recipe, Schedule
from fxpnn.zoo.architectures import ARCHITECTURES

RECIPE = Recipe(epochs=5, batch=100, rate=0.02, momentum=0.9, schedule=Schedule.COSINE)
"""That of a network that was trained in floats, unless another is given."""
ENDS = 8
"""The word of the input and of the logits, unless another is given."""
_OUTPUT = frozenset({"word", "output_word", "output"})


def recipe_of(name: str) -> Recipe:
    """Return the recipe of a known architecture, which starts anew, or of any other network."""
    return ARCHITECTURES[name].recipe if name in ARCHITECTURES else RECIPE


def masks_of(network: Network) -> Mapping[str, Array]:
    """Return what stays fixed in a network that was made as a known architecture."""
    known = ARCHITECTURES.get(network.name)
    if known is None or dict(known.network(0).shapes) != dict(network.shapes):
        return MappingProxyType({})
    return known.masks


def loss_of(network: Network) -> Loss:
    """Return the cross-entropy of a network that ends in a softmax, or in logits."""
    last = network[network.outputs[0]]
    return CROSS_ENTROPY if isinstance(last.layer, Softmax) else LOGITS_CROSS_ENTROPY


def with_ends(plan: Plan, network: Network, last: int) -> Plan:
    """Return a plan by which the input keeps 8 bits and the logits ``last``, where it says nothing.

    What a short word loses of these two, no later layer can make good.
    """
    ends = {network.input_name: ENDS, chosen_at(network, logits_of(network))[0]: last}
    layers = {**plan.layers}
    for name, word in ends.items():
        said = plan.stated(name) if name in plan.layers else frozenset[str]()
        if not said & _OUTPUT and plan[name].output is None:
            layers[name] = replace(plan[name], output_word=word)
    keys = {**plan.keys}
    keys |= {name: keys[name] | {"output_word"} for name in ends if name in keys and name in layers}
    return replace(plan, layers=layers, keys=keys)
