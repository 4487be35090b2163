"""What all steps of a loop share that was unrolled: settings, formats, moments of inputs."""

from collections.abc import Mapping
from dataclasses import replace
from functools import reduce

from fxpnn.network.graph import Network
from fxpnn.quantization.calibration import Choice
from fxpnn.quantization.moments import Moments
from fxpnn.quantization.settings import Plan


def steps(network: Network) -> dict[str, list[str]]:
    """Name the steps of each layer of a loop that was unrolled."""
    found: dict[str, list[str]] = {}
    for node in network.nodes:
        if node.unrolled:
            found.setdefault(node.unrolled, []).append(node.name)
    return found


def spread(network: Network, plan: Plan) -> Plan:
    """Give all steps of a layer the settings that a plan has for it, but for those with their own.

    A name is that of a layer first.
    """
    known = {n: each for n, each in steps(network).items() if n not in network.shapes}
    named = known.keys() & plan.layers.keys()
    if not named:
        return plan
    layers = {n: settings for n, settings in plan.layers.items() if n not in named}
    keys = {n: stated for n, stated in plan.keys.items() if n not in named}
    for loop in named:
        for name in known[loop]:
            if name not in plan.layers:
                layers[name], keys[name] = plan.layers[loop], plan.stated(loop)
    return replace(plan, layers=layers, keys=keys)


def shared(network: Network, choices: Mapping[str, Choice]) -> dict[str, Choice]:
    """Let all steps of a layer choose their format for the values of all."""
    made = dict(choices)
    for names in steps(network).values():
        chosen = [name for name in names if name in made]
        tensors = tuple(dict.fromkeys(t for name in chosen for t in made[name].tensors))
        made |= {name: replace(made[name], tensors=tensors) for name in chosen}
    return made


def joined(network: Network, moments: Mapping[str, Moments]) -> dict[str, Moments]:
    """Give all steps of a layer the moments of the inputs of all: they have the same weights."""
    made = dict(moments)
    for names in steps(network).values():
        measured = [made[name] for name in names if name in made]
        if measured:
            made |= dict.fromkeys(made.keys() & {*names}, reduce(Moments.joined, measured))
    return made
