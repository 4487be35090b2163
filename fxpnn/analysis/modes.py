"""What formats alone do not say, as text: the modes of casts, and how inputs become numbers."""

from typing import TypedDict

from fxpnn.fixedpoint.qformat import Overflow, Rounding
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import Scaling
from fxpnn.network.normalisation import Normalisation

LISTED = 16
"""A normalisation of more features is told by its range; JSON has it all."""


class Modes(TypedDict):
    """The modes of a layer as the command line spells them, ``None`` where it heeds none."""

    rounding: str | None
    overflow: str | None
    softmax: str | None


def modes(fixed: FixedNetwork, name: str) -> Modes:
    """Return how a layer, or the input, rounds, what overflows become, what softmax subtracts."""
    node = fixed.node(name)
    if node is None:
        rounding, overflow = Rounding.NEAREST_EVEN, Overflow.SATURATE
        return Modes(rounding=rounding.value, overflow=overflow.value, softmax=None)
    traits = node.layer.traits
    return Modes(
        rounding=node.rounding.value if traits.casts else None,
        overflow=node.overflow.value if traits.casts else None,
        softmax=_softmax(fixed, node) if traits.subtracts else None,
    )


def _softmax(fixed: FixedNetwork, node: FixedNode) -> str:
    """Spell what is subtracted: ``max``, ``naive`` or the constant's exact value."""
    if node.softmax_shift is None:
        return "max"
    constant = node.softmax_shift * fixed.formats[node.inputs[0]].lsb
    return f"{constant:.17g}" if constant else "naive"


def scaling_text(scaling: Scaling) -> str:
    """Say how a uint8 value x becomes a number; numbers are spelled exactly.

    >>> scaling_text(Scaling()), scaling_text(Scaling(1 / 255, (0.13,), (0.25, 0.5)))
    ('x / 256', '(x / 255 - 0.13) / (0.25, 0.5)')
    """
    divisor = round(1 / scaling.scale) if abs(scaling.scale) > 2**-52 else 0
    exact = divisor and 1 / divisor == scaling.scale
    text = f"x / {divisor}" if exact else f"x * {scaling.scale!r}"
    if any(scaling.mean):
        text = f"({text} - {_channels(scaling.mean)})"
    if any(std != 1 for std in scaling.std):
        text = f"{text} / {_channels(scaling.std)}"
    return f"{text}, assumed" if scaling.assumed else text


def normalisation_text(normalisation: Normalisation | None) -> str:
    """Say what a network's input x becomes before it is cast; empty where it stays as it is.

    >>> normalisation_text(Normalisation((0.5, 2), (0, -1)))
    'x * (0.5, 2.0) + (0.0, -1.0)'
    """
    if normalisation is None:
        return ""
    gain, offset = map(_features, (normalisation.gain, normalisation.offset))
    return f"x * {gain} + {offset}"


def _features(values: tuple[float, ...]) -> str:
    few = len(values) <= LISTED
    return _channels(values) if few else f"({len(values)} of {min(values)!r} to {max(values)!r})"


def _channels(values: tuple[float, ...]) -> str:
    """Print the number of all channels, or of each."""
    texts = ", ".join(map(repr, values))
    return texts if len(values) == 1 else f"({texts})"
