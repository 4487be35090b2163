"""What a step becomes: one function for each kind of layer, as the golden model has."""

from collections.abc import Mapping
from functools import singledispatch
from typing import TypeAlias

from fxpnn.errors import ModelError
from fxpnn.network.layers import Layer
from fxpnn.targets.lowering import Step
from fxpnn.targets.verilog.instruction import Fields
from fxpnn.targets.verilog.weights import Roms

Offsets: TypeAlias = Mapping[str, int]
"""Where each tensor begins in the activation memory."""


@singledispatch
def instructions(layer: Layer, step: Step, offsets: Offsets, roms: Roms) -> list[Fields]:
    """Return the instructions of a step, whose layer is given, and add what it needs to the ROMs.

    Raises:
        ModelError: the core has not what the layer does.
    """
    raise refused(step, "the Verilog core has no such layer")


def refused(step: Step, why: str) -> ModelError:
    """Say that the core has not what a layer does."""
    return ModelError(f"layer {step.node.name} ({step.node.op}): {why}; export it --to c")
