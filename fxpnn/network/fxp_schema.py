"""The header of a .fxp file: what is written of a network beside its tensors.

The metadata ``fxpnn`` is JSON: the schema, a sha256 of the header's text and of all tensors, and
the header: the graph, every format, rounding, overflow mode and accumulator.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from fxpnn.fixedpoint.qformat import Overflow, Rounding
from fxpnn.network.graph import Provenance, Scaling
from fxpnn.network.layers import Array
from fxpnn.network.losses import Losses
from fxpnn.network.normalisation import Normalisation
from fxpnn.network.rounded import WeightRounding

SCHEMA = 2
"""The schema that is written; those from 1 on are read."""
TABLE = "table"
"""The name of a node's table among its tensors."""


class NodeHeader(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A node: its graph, its layer's scalars, and the names of its tensors.

    Tensor ``weight`` of a node ``a`` is called ``a.weight`` in the file, unless ``shared`` says
    under which other name it stands there: what several nodes hold is written once.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    output_format: str
    attributes: dict[str, Any] = {}
    tensors: tuple[str, ...] = ()
    weight_formats: tuple[str, ...] = ()
    accumulator: str | None = None
    rounding: Rounding = Rounding.NEAREST_EVEN
    overflow: Overflow = Overflow.SATURATE
    softmax_shift: int | None = None
    losses: Losses | None = None
    weight_rounding: WeightRounding = WeightRounding.NEAREST
    bias_corrected: bool = False
    bias_format: str | None = None
    weight_overflow: Overflow = Overflow.SATURATE
    unrolled: str = ""
    shared: dict[str, str] = {}


class InputHeader(msgspec.Struct, forbid_unknown_fields=True):
    """An input beside the first."""

    name: str
    shape: tuple[int, ...]
    format: str


class Header(msgspec.Struct, forbid_unknown_fields=True):
    """All of a network but its tensors."""

    name: str
    input_shape: tuple[int, ...]
    input_format: str
    scaling: Scaling
    outputs: tuple[str, ...]
    provenance: Provenance
    nodes: tuple[NodeHeader, ...]
    normalisation: Normalisation | msgspec.UnsetType = msgspec.UNSET
    input_name: str | msgspec.UnsetType = msgspec.UNSET
    further: tuple[InputHeader, ...] | msgspec.UnsetType = msgspec.UNSET


class Schema(msgspec.Struct):
    """What every schema begins with."""

    schema: int


class Signed(Schema, forbid_unknown_fields=True):
    """The header as it is spelled, and the sha256 of it and all tensors."""

    sha256: str
    header: msgspec.Raw


def digest(header: bytes, tensors: Mapping[str, Array]) -> str:
    """Hash the text, then by name each tensor: name, dtype and shape between 0s, and its bytes."""
    found = hashlib.sha256(header)
    for name in sorted(tensors):
        array = tensors[name]
        found.update(f"\0{name}\0{array.dtype}\0{array.shape}\0".encode())
        found.update(array.tobytes())
    return found.hexdigest()
