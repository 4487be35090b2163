"""What a network holds and what is proved of it, as values: layers, memory, totals."""

import msgspec

from fxpnn.network.fixed import Provenance
from fxpnn.network.graph import Scaling
from fxpnn.network.layers import Shape
from fxpnn.network.normalisation import Normalisation


class Memory(msgspec.Struct, frozen=True):
    """Bits that a layer's integers take: weights in their word, the rest in the narrowest."""

    weight_bits: int
    bias_bits: int
    table_bits: int

    @property
    def bits(self) -> int:
        """Add all up."""
        return self.weight_bits + self.bias_bits + self.table_bits


class FloatLayer(msgspec.Struct, frozen=True, kw_only=True):
    """A float layer; ``weight_range`` is the smallest and largest weight."""

    name: str
    op: str
    inputs: tuple[str, ...]
    shape: Shape
    parameters: int
    multiply_accumulates: int
    weight_range: tuple[float, float] | None


class FixedLayer(msgspec.Struct, frozen=True, kw_only=True):
    """A fixed layer; ``proved`` speaks of its accumulator, ``saturates`` of its output's cast.

    ``sums`` says in words how the engine adds its products up; ``weight_rounding`` and
    ``weight_overflow``, where there are sums, and ``bias_corrected`` how parameters were rounded.
    Beside are the layer's ``Losses``, what its parameters lost when the model was built, and its
    ``Modes``.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    shape: Shape
    parameters: int
    multiply_accumulates: int
    weight_format: str | None
    output_format: str
    accumulator: str | None
    accumulator_bits_needed: int | None
    proved: bool
    saturates: bool
    sums: str | None
    memory: Memory
    clipped_weights: int
    clipped_constants: int
    vanished_channels: int
    clipped_biases: int
    rounding: str | None
    overflow: str | None
    softmax: str | None
    weight_rounding: str | None
    bias_corrected: bool
    weight_overflow: str | None


class Totals(msgspec.Struct, frozen=True):
    """Sums over all layers, for one image; ``bits`` is the memory of all parameters."""

    parameters: int
    multiply_accumulates: int
    bits: int


class InputContents(msgspec.Struct, frozen=True):
    """An input; ``format`` is null where the network is one of floats."""

    name: str
    shape: Shape
    format: str | None


class FloatInspection(msgspec.Struct, frozen=True, kw_only=True):
    """A float network: its layers in order, and what they add up to.

    ``input_shape`` is null where ``inputs`` are several.
    """

    input_shape: Shape | None
    inputs: tuple[InputContents, ...]
    scaling: Scaling
    layers: tuple[FloatLayer, ...]
    totals: Totals
    normalisation: Normalisation | None


class FixedInspection(msgspec.Struct, frozen=True, kw_only=True):
    """A fixed network: its layers in order, what they add up to, and where it came from.

    ``input_shape`` and ``input_format`` are null where ``inputs`` are several.
    """

    input_shape: Shape | None
    inputs: tuple[InputContents, ...]
    scaling: Scaling
    input_format: str | None
    layers: tuple[FixedLayer, ...]
    totals: Totals
    provenance: Provenance
    normalisation: Normalisation | None
