"""Steps that look values up in a table: functions of single values, and softmax."""

import math

import numpy as np

from fxpnn.network import layers
from fxpnn.targets.lowering import Step
from fxpnn.targets.verilog.instruction import Fields, Kind, Loop, cast, writes
from fxpnn.targets.verilog.moves import read_values
from fxpnn.targets.verilog.step import Offsets, instructions, refused
from fxpnn.targets.verilog.weights import Roms

STEEPEST = 1 << 17
"""Entries of a table lie closer than this, so that one multiplier of 18 bits follows it."""
VECTORS = 1 << 16
"""Softmax counts its vectors in words of 16 bits."""
CURVES = {
    layers.Sigmoid: 0,
    layers.Tanh: 1,
    layers.Silu: 2,
    layers.Gelu: 2,
    layers.GeluTanh: 2,
    layers.Elu: 3,
    layers.Softplus: 4,
}
"""What is made of the value of a table, as ``fx_table.v`` numbers it."""


@instructions.register
def _table(
    layer: layers.Sigmoid
    | layers.Tanh
    | layers.Silu
    | layers.Gelu
    | layers.GeluTanh
    | layers.Elu
    | layers.Softplus,
    step: Step,
    offsets: Offsets,
    roms: Roms,
) -> list[Fields]:
    """Look values up; those that add x itself align it with the table's 34 fraction bits."""
    made, table, source = layer.traits.table, step.node.table, step.sources[0]
    assert made is not None
    assert table is not None
    if np.abs(np.diff(table.astype(np.int64))).max() >= STEEPEST:
        raise refused(step, f"table entries must be less than {STEEPEST} apart")
    frac = source.format.frac
    fine = 34 if isinstance(layer, layers.Sigmoid | layers.Tanh) else max(frac, 34)
    aligned = 0 if isinstance(layer, layers.Sigmoid | layers.Tanh) else fine - frac
    written = writes(offsets[step.name], step.size)
    return [
        {
            **read_values(step, source, offsets[source.tensor], [Loop(step.size, 1)], written),
            **cast(step, fine - step.format.frac),
            "kind": Kind.TABLE,
            "function": CURVES[type(layer)],
            "table_base": roms.add_table(table),
            "segments": made.segments,
            "position_shift": min(max(16 + made.steps - frac, -16), 27),
            "relu_shift": aligned,
            "g_shift": fine - 34,
        }
    ]


@instructions.register
def _softmax(layer: layers.Softmax, step: Step, offsets: Offsets, roms: Roms) -> list[Fields]:
    if isinstance(layer, layers.MaskedSoftmax):
        raise refused(step, "softmax must be of whole vectors, not masked")
    if step.node.softmax_shift is not None:
        raise refused(step, "softmax must subtract the maximum, not a constant")
    if step.low > 0 or step.high < step.format.max:
        raise refused(step, "its outputs must not be clipped")
    source, table, axis = step.sources[0], step.node.table, layer.axis % len(step.shape)
    assert table is not None
    classes = step.shape[axis]
    outer, inner = math.prod(step.shape[:axis]), math.prod(step.shape[axis + 1 :])
    if max(outer, inner) >= VECTORS:
        raise refused(step, f"values on either side of the axis must be fewer than {VECTORS}")
    return [
        {
            "kind": Kind.SOFTMAX,
            "read_base": offsets[source.tensor],
            "write_base": offsets[step.name],
            "stride": inner,
            "turn": classes * inner - inner + 1,
            "classes": classes,
            "inner": inner,
            "outer": outer,
            "exponent": min(max(source.format.frac + 5, 0), 39),
            "table_base": roms.add_table(table),
        }
    ]
