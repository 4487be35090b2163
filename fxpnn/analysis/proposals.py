"""Changes of a layer that could help: each is to be run before it is told."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf, prod

from fxpnn.analysis.explanation import Tried
from fxpnn.fixedpoint.qformat import TENSOR_BITS, Accumulator, Overflow, QFormat, Rounding
from fxpnn.fixedpoint.requantize import Shift
from fxpnn.network.fixed import FixedNetwork, raw_weights
from fxpnn.network.graph import Network
from fxpnn.network.rounded import WeightRounding
from fxpnn.proofs.bounds import prove
from fxpnn.quantization.changes import Change
from fxpnn.quantization.moments import Moments
from fxpnn.quantization.parameters import raw_layer
from fxpnn.quantization.settings import Method, Settings

PARTS = ("weights", "output", "accumulator")
LONGER = (1, 2, 4, 8)
"""By how many bits longer words are tried, up to those of 16 bits."""


@dataclass(frozen=True, slots=True)
class Option:
    """A change of one part of a layer, as a file of formats spells it, and what it costs."""

    part: str
    setting: str
    value: str | tuple[str, ...]
    bits: int


def change_of(
    fixed: FixedNetwork, name: str, option: Option | Tried, moments: Moments | None = None
) -> Change:
    """Return the change that a layer's setting means; ``moments`` are those of its inputs."""
    value, cast = option.value, _cast(fixed, name)
    if option.setting == "weight":
        formats = (value,) if isinstance(value, str) else value
        return Change(weight=tuple(map(QFormat.parse, formats)))
    assert isinstance(value, str)
    match option.setting:
        case "weight_rounding":
            return Change(weight=fixed[name].weight_formats, moments=moments)
        case "accumulator":
            return Change(accumulator=Accumulator.parse(value))
        case "rounding":
            return Change(output=replace(cast, rounding=Rounding.of(value)))
        case "overflow":
            return Change(output=replace(cast, overflow=Overflow.of(value)))
    return Change(output=replace(cast, format=QFormat.parse(value)))


def _cast(fixed: FixedNetwork, name: str) -> Shift:
    node = fixed.node(name)
    return Shift(fixed.formats[name]) if node is None else node.requantize


def options(network: Network, fixed: FixedNetwork, name: str, ideal: Change) -> Iterator[Option]:
    """Give changes of a layer that could help; ``ideal`` is what repairs it at 16 bits."""
    if ideal.weight is not None:
        yield from _weights(network, fixed, name)
        if _feeds(fixed, name):
            yield Option("weights", "weight_rounding", WeightRounding.FEEDBACK.value, 0)
    if ideal.output is not None:
        yield from _outputs(fixed, name, ideal.output.format)
    if ideal.accumulator is not None:
        yield from _accumulators(fixed, name)


def _outputs(fixed: FixedNetwork, name: str, ideal: QFormat) -> Iterator[Option]:
    """Give other integer bits, longer words, and the modes that lose least."""
    cast, size = _cast(fixed, name), prod(fixed.shapes[name])
    fmt, best = cast.format, Shift(cast.format)
    integers = (ideal.integer, ideal.integer - 1, fmt.integer + 1, fmt.integer - 1)
    made = [(fmt.word, integer) for integer in dict.fromkeys(integers)]
    made += [(word, ideal.integer) for word in _longer(fmt.word, TENSOR_BITS - (not fmt.signed))]
    for word, integer in made:
        other = QFormat(word, word - fmt.signed - integer, fmt.signed)
        if other != fmt:
            yield Option("output", "output", str(other), size * (word - fmt.word))
    if cast.rounding is not best.rounding:
        yield Option("output", "rounding", best.rounding.value, 0)
    if cast.overflow is not best.overflow:
        yield Option("output", "overflow", best.overflow.value, 0)


def _weights(network: Network, fixed: FixedNetwork, name: str) -> Iterator[Option]:
    """Give formats chosen anew, by range or error, for each channel, and longer words."""
    node, source = fixed[name], fixed.formats[fixed[name].inputs[0]]
    words = raw_weights(node.layer)
    assert words is not None
    word, seen = node.weight_formats[0].word, {node.weight_formats}
    choices = [Settings(word=word, method=method) for method in (Method.MINMAX, Method.MSE)]
    choices += [Settings(word=word, method=Method.MSE, per_channel=True)]
    choices += [Settings(word=longer) for longer in _longer(word, TENSOR_BITS)]
    for settings in choices:
        chosen = replace(
            settings,
            accumulator=node.accumulator or Accumulator(),
            weight_overflow=node.rounded.overflow,
        )
        formats = raw_layer(network[name], source, chosen, inf)[1]
        if formats not in seen:
            seen.add(formats)
            spelled = tuple(map(str, formats))
            cost = words.size * (settings.word - word)
            value = spelled[0] if len(spelled) == 1 else spelled
            yield Option("weights", "weight", value, cost)


def _feeds(fixed: FixedNetwork, name: str) -> bool:
    """Tell whether a layer's weights could be rounded with feedback, and are not."""
    node = fixed[name]
    return node.layer.traits.weighted and node.rounded.weights is WeightRounding.NEAREST


def _accumulators(fixed: FixedNetwork, name: str) -> Iterator[Option]:
    """Give the word that is proved not to overflow, and one that saturates."""
    given, needed = fixed[name].accumulator, prove(fixed)[name].bits
    assert given is not None
    made = [replace(given, overflow=Overflow.SATURATE), Accumulator()]
    if needed is not None and (proved := given.holding(needed)) is not None:
        made.insert(0, proved)
    size = prod(fixed.shapes[name])
    for register in dict.fromkeys(made):
        if register != given:
            cost = size * (register.word - given.word)
            yield Option("accumulator", "accumulator", str(register), cost)


def _longer(word: int, most: int) -> list[int]:
    return sorted({min(word + more, most) for more in LONGER if word < most})
