"""A layer's sums, as the loops over its products see them."""

from dataclasses import dataclass

from fxpnn.network.layers import Array
from fxpnn.targets.c.casts import Cast
from fxpnn.targets.c.place import Constant, Place
from fxpnn.targets.c.text import Lines

Ends = tuple[int, int]


@dataclass(frozen=True)
class Sum:
    """The type that holds a sum, what it starts with, how a product enters, and its cast.

    ``first`` is the start, made of the bias of channel ``{0}``. Where ``part`` is not 0, products
    are first added up in 32 bits, so many at a time. ``adder`` names the function that adds a
    product; without one it is ``+=``. ``code`` are the functions that this needs.
    """

    word: str
    bias: Constant
    cast: Cast
    first: str = "bias[{0}]"
    part: int = 0
    adder: str = ""
    drop: tuple[Constant, ...] = ()
    code: Lines | tuple[()] = ()

    @property
    def constants(self) -> tuple[Constant, ...]:
        """Name all constants, each once."""
        return tuple({c.what: c for c in (self.bias, *self.drop, *self.cast.constants)}.values())

    @property
    def functions(self) -> Lines:
        """Give the functions that the layer's loops call."""
        return [*self.code, *self.cast.code]

    def start(self, channel: str) -> str:
        """Write what a sum starts with: the bias, which may already overflow."""
        return self.first.format(channel)

    def add(self, name: str, product: str, channel: str) -> str:
        """Write the statement that adds a product."""
        if not self.adder:
            return f"{name} += {product};"
        drops = "".join(f", {constant.what}[{channel}]" for constant in self.drop)
        return f"{name} = {self.adder}({name}, {product}{drops});"


def fits(ends: Ends) -> bool:
    """Say whether values fit 32 bits."""
    return ends[0] >= -(2**31) and ends[1] < 2**31


def bias(place: Place, values: Array, note: str = "bias, at the products' scale") -> Constant:
    """Make the constant with which sums start: of 32 bits where it fits."""
    word = "int32_t" if fits((int(values.min()), int(values.max()))) else "int64_t"
    return place.constant("bias", word, values, note)


def note(place: Place, ends: Ends) -> str:
    """Describe the cast of sums."""
    node = place.step.node
    bits = max(end.bit_length() for end in ends) + 1
    modes = f"{node.rounding.value}, {node.overflow.value}"
    return f"Cast a sum of {bits} bits to {node.output_format}: {modes}."
