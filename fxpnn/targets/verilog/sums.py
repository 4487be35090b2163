"""Steps that the array does: sums of products, and what is a sum or product of a few words."""

import math

import numpy as np

from fxpnn.fixedpoint.qformat import Overflow
from fxpnn.network import layers
from fxpnn.targets.lowering import Step
from fxpnn.targets.verilog.instruction import SHIFTS, Fields, Kind, Loop, cast, reads, writes
from fxpnn.targets.verilog.step import Offsets, instructions, refused
from fxpnn.targets.verilog.weights import Lanes, Roms, lanes
from fxpnn.targets.verilog.windows import slide

APART = 14
"""By so many fraction bits a weight can align the two sides of a sum."""
WIDEST = 63
"""Bits of the widest accumulator that the core can have."""
PRODUCT = 33
"""Bits that hold a product of two words, and a word beside it."""


@instructions.register
def _dense(layer: layers.Dense, step: Step, offsets: Offsets, roms: Roms) -> list[Fields]:
    outputs, terms = layer.weight.shape
    shared = lanes(outputs, 1, roms.macs)
    loops = [Loop(), Loop(), Loop(terms, 1), Loop(shared.groups)]
    read = reads(offsets[step.sources[0].tensor], loops)
    return [_sum(layer, step, offsets, roms, shared) | read]


@instructions.register
def _conv2d(layer: layers.Conv2D, step: Step, offsets: Offsets, roms: Roms) -> list[Fields]:
    source = step.sources[0]
    outputs, maps = layer.weight.shape[:2]
    _, height, width = source.shape
    shared = lanes(outputs, layer.groups, roms.macs)
    slid = slide(layer.window, source.shape, step.shape[1:])
    inside = (
        Loop(maps, height * width),
        Loop(shared.groups),
        Loop(layer.groups, maps * height * width),
    )
    loops = [*slid.taps, *inside, *slid.positions]
    read = reads(offsets[source.tensor] + slid.address, loops, slid.first, (height, width))
    return [_sum(layer, step, offsets, roms, shared) | read]


def _sum(
    layer: layers.Dense | layers.Conv2D, step: Step, offsets: Offsets, roms: Roms, shared: Lanes
) -> Fields:
    register = step.node.accumulator
    assert register is not None
    if register.frac is not None:
        raise refused(step, "an accumulator must have no fraction bits of its own")
    wraps = register.overflow is Overflow.WRAP
    if wraps and (step.proof.bits or 0) > WIDEST:
        raise refused(step, f"sums that wrap must fit {WIDEST} bits before they do")
    outputs = len(layer.weight)
    weights = layer.weight.reshape(outputs, -1)
    shifts = np.broadcast_to(np.clip(step.shifts(), *SHIFTS), (outputs,))
    limits = None if wraps else (register.min, register.max)
    at = roms.add_sums(weights, layer.bias, shifts, shared, limits)
    positions = math.prod(step.shape[1:])
    return {
        "kind": Kind.SUM,
        "pause": max(0, shared.full - weights.shape[1]),
        "weight_base": at[0],
        "bias_base": at[1],
        "results": shared.full - 1,
        "results_end": shared.last - 1,
        "acc_word": register.word,
        "wraps": int(wraps),
        **writes(offsets[step.name], outputs, positions, positions, 1),
        **cast(step),
    }


def alone(
    step: Step, offsets: Offsets, roms: Roms, weights: list[int], bias: int, shift: int
) -> Fields:
    """Let unit 0 do all, one value after the other, with the same weights for each."""
    shifts = np.clip([shift], *SHIFTS)
    at = roms.add_sums(np.array([weights]), np.array([bias]), shifts, lanes(1, 1, roms.macs))
    return {
        "kind": Kind.SUM,
        "weight_base": at[0],
        "bias_base": at[1],
        "acc_word": PRODUCT,
        "stays": 1,
        **reads(offsets[step.sources[0].tensor], [*[Loop()] * 5, Loop(step.size, 1)]),
        **writes(offsets[step.name], step.size),
        **cast(step),
    }


@instructions.register
def _add(layer: layers.Add, step: Step, offsets: Offsets, roms: Roms) -> list[Fields]:
    """Sum each pair of values by unit 0, with weights that align them to the finer fraction."""
    one, other = step.sources
    finer = max(one.format.frac, other.format.frac)
    apart = [finer - source.format.frac for source in step.sources]
    if max(apart) > APART:
        raise refused(step, f"the branches must be at most {APART} fraction bits apart")
    fields = alone(step, offsets, roms, [1 << bits for bits in apart], 0, finer - step.format.frac)
    return [fields | _pairs(step, offsets) | {"stays": 0}]


def _pairs(step: Step, offsets: Offsets) -> Fields:
    """Read the values of two tensors in turn."""
    one, other = (offsets[source.tensor] for source in step.sources)
    return reads(one, [Loop(2, other - one), *[Loop()] * 4, Loop(step.size, 1)])


@instructions.register
def _mul(layer: layers.Mul, step: Step, offsets: Offsets, roms: Roms) -> list[Fields]:
    """Multiply each pair of values by unit 0."""
    one, other = step.sources
    if one.shape != other.shape:
        raise refused(step, "both branches must have one shape")
    shift = one.format.frac + other.format.frac - step.format.frac
    return [alone(step, offsets, roms, [0], 0, shift) | _pairs(step, offsets) | {"times": 1}]


@instructions.register
def _leaky_relu(layer: layers.LeakyRelu, step: Step, offsets: Offsets, roms: Roms) -> list[Fields]:
    shift = int(step.shifts()[0])
    return [alone(step, offsets, roms, [int(layer.slope)], 0, shift) | {"passes": 1}]


@instructions.register
def _abs(layer: layers.Abs, step: Step, offsets: Offsets, roms: Roms) -> list[Fields]:
    """A leaky ReLU whose slope is -1."""
    return [alone(step, offsets, roms, [-1], 0, 0) | {"passes": 1}]


@instructions.register
def _step(layer: layers.Step, step: Step, offsets: Offsets, roms: Roms) -> list[Fields]:
    """Subtract the threshold; what is not negative then is cast as 1."""
    fields = alone(step, offsets, roms, [1], -int(layer.threshold), -step.format.frac)
    return [fields | {"rises": 1}]


@instructions.register
def _prelu(layer: layers.PRelu, step: Step, offsets: Offsets, roms: Roms) -> list[Fields]:
    """Multiply by the slopes of all channels in turn, position after position."""
    channels, positions = step.shape[0], math.prod(step.shape[1:])
    shifts = np.broadcast_to(np.clip(step.shifts(), *SHIFTS), (channels,))
    shared = Lanes(1, channels, 1, 1)
    none = np.zeros(channels, np.int64)
    at = roms.add_sums(layer.slope.reshape(-1, 1), none, shifts, shared)
    loops = [*[Loop()] * 3, Loop(channels, positions), Loop(), Loop(positions, 1)]
    return [
        {
            "kind": Kind.SUM,
            "weight_base": at[0],
            "bias_base": at[1],
            "acc_word": PRODUCT,
            "passes": 1,
            **reads(offsets[step.sources[0].tensor], loops),
            **writes(offsets[step.name], channels, positions, positions, 1),
            **cast(step),
        }
    ]
