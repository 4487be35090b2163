"""The traits of a kind of layer: what the rest of the package asks about a layer, stated once."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np
import numpy.typing as npt

from fxpnn.fixedpoint.qformat import QFormat


class Output(Enum):
    """Where a layer's output format comes from."""

    KEPT = "kept"
    """It is the input's; any other is refused."""
    INHERITED = "inherited"
    """It is the input's unless another is given."""
    OWN = "own"
    """It is given, or chosen for the layer."""


@dataclass(frozen=True, slots=True)
class Table:
    """A function that a layer looks up in a table of integers and follows between its entries.

    Entry i is ``round(function(i * 2**-steps) * 2**frac)``, for i from 0 to ``segments``; none is
    more than ``2**bits`` in magnitude. Where the function differs on both sides of 0, as many
    entries of ``above`` follow, for inputs above 0.
    """

    function: Callable[[float], float]
    segments: int = 1024
    steps: int = 6
    frac: int = 18
    bits: int = 18
    above: Callable[[float], float] | None = None

    @property
    def entries(self) -> int:
        """Count the entries: one at either end of each segment, of one side or both."""
        return (self.segments + 1) * (2 if self.above else 1)

    def build(self) -> npt.NDArray[np.int32]:
        """Return the entries, int32 ``(segments + 1,)``.

        ``math`` is exact to some 2**-52, far finer than the distance of any entry from a rounding
        tie, so every machine makes the same integers.
        """
        places = [i * 2.0**-self.steps for i in range(self.segments + 1)]
        sides = (side for side in (self.function, self.above) if side)
        return np.array([round(f(x) * 2**self.frac) for f in sides for x in places], np.int32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """What holds for every layer of a kind."""

    output: Output = Output.OWN
    """Where the output format comes from."""
    format: QFormat | None = None
    """The one format that the output can have."""
    integer: int | None = None
    """The integer bits that hold every output whatever the input: no calibration is needed."""
    open_range: tuple[int, int] | None = None
    """The range whose ends outputs only approach: a format that holds it but for 1 holds it all."""
    exact: bool = False
    """Whether outputs are values of the inputs (or constants in their format), never rounded."""
    monotone: bool = False
    """Whether a larger input never makes an output smaller."""
    modes: bool = True
    """Whether the cast heeds the node's rounding and overflow; else it is to nearest even."""
    elementwise: bool = False
    """Whether each output is made of the inputs in its place alone (one repeats in ``Mul``)."""
    absorbed: bool = False
    """Whether the engine may do the layer's work in the cast before it: ends, or a pool of sums."""
    sums: bool = False
    """Whether the layer sums products in an accumulator."""
    weight: str | None = None
    """The parameter that has a weight format of its own: one, or one for each output channel."""
    bias: str | None = None
    """The parameter at the scale of the products, ``Fx + Fw``."""
    floor: int | str | None = None
    """What replaces all that is less: a number, or the name of the scalar that is it."""
    ceiling: int | str | None = None
    """What replaces all that is more, likewise."""
    limits: tuple[str, ...] = ()
    """The scalars in the input's format."""
    endless: bool = False
    """Whether a scalar may be infinite in a float network."""
    table: Table | None = None
    """The function that the layer looks up."""
    approximate: bool = False
    """Whether the integers approximate the layer's function more coarsely than their format."""
    input_fracs: tuple[int, int] | None = None
    """The fraction bits of an input for which the exact values fit 62 bits; ``None`` is any."""
    product_fracs: tuple[int, int] | None = None
    """The fraction bits of the products for which the exact values fit; ``None`` is any."""
    apart: int | None = None
    """The most by which the fraction bits of two inputs may differ; ``None`` is any."""
    subtracts: bool = False
    """Whether the layer may subtract a constant, ``softmax_shift``."""

    @property
    def weighted(self) -> bool:
        """Tell whether the layer sums products with weights of its own."""
        return self.sums and self.weight is not None

    @property
    def casts(self) -> bool:
        """Tell whether a cast by the node's modes is part of the layer."""
        return self.modes and not (self.exact and self.output is Output.KEPT)

    @property
    def selects(self) -> bool:
        """Tell whether outputs are inputs, chosen by their order or place alone."""
        return self.exact and self.monotone and self.output is Output.KEPT and not self.limits

    @property
    def chosen(self) -> bool:
        """Tell whether the output format is chosen from the values, if it is not given."""
        return self.output is Output.OWN and self.format is None and self.integer is None

    @property
    def heeds(self) -> frozenset[str]:
        """Name the settings that have an effect on the layer, as ``Settings`` spells them."""
        found = set()
        if self.weight is not None:
            found |= {"weight"}
        if self.bias is not None:
            found |= {"bias"}
        if self.sums:
            found |= {"accumulator"}
        if self.weighted:
            found |= {"word", "weight_word", "method", "per_channel"}
            found |= {"weight_rounding", "bias_correction", "weight_overflow"}
        if self.output is Output.OWN and self.format is None:
            found |= {"word", "output_word", "output"}
        if self.output is Output.INHERITED:
            found |= {"output"}
        if self.chosen:
            found |= {"method", "percentile", "signed"}
        if self.casts:
            found |= {"rounding", "overflow"}
        if self.subtracts:
            found |= {"softmax"}
        return frozenset(found)
