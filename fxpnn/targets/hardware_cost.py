"""What a network costs as hardware, known before any is built: cycles, memory, energy, bytes of C.

Cycles, and what the ROMs hold, are those of the core's own program. Energy is that of arithmetic
and memory, by a table (``energy``):

- A product costs a multiply of a weight's word and an input's, and an add of the accumulator's; a
  slope, or a product of two tensors, a multiply; a sum of two tensors, two adds; a pool, an add for
  each value in its windows, for a comparison is one.
- A read costs by the width and size of the core's memories, whatever the format: activations are
  16 bits, weights 16 for each unit, padded ones too; a write costs as much as a read.

Casts, tables, softmax's sums, addresses and control are not counted, nor is leakage: no figure of
the table is for them.
"""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

import msgspec

from fxpnn.errors import ModelError
from fxpnn.network import layers
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import products
from fxpnn.targets.c import program as c
from fxpnn.targets.energy import EnergyTable
from fxpnn.targets.lowering import Lowering, Step
from fxpnn.targets.verilog.cycles import image_cycles, step_cycles
from fxpnn.targets.verilog.instruction import Fields, Kind, turns
from fxpnn.targets.verilog.program import Program, assemble
from fxpnn.targets.verilog.roms import DIFFERENCE, ENTRY, SHIFT

WORD = 16
"""Bits of a word of activations, and of a weight, in the core's memories."""
PASSES, LOOKUPS = 3, 2
"""How often a softmax reads each of its inputs, and how often it looks a power of 2 up for it."""


class Energy(msgspec.Struct, frozen=True):
    """What something costs for an image, in picojoules."""

    arithmetic_pj: float
    memory_pj: float

    @property
    def pj(self) -> float:
        """Add both up."""
        return self.arithmetic_pj + self.memory_pj

    def __add__(self, other: "Energy") -> "Energy":
        return Energy(self.arithmetic_pj + other.arithmetic_pj, self.memory_pj + other.memory_pj)


class LayerCost(msgspec.Struct, frozen=True, kw_only=True):
    """What a layer costs for an image; ReLUs and clips that are done with it cost nothing.

    ``weight_words`` are words of 16 bits, with those that only fill groups of units up. ``use`` is
    the share of the units' cycles that multiply, null where a layer has no products. The first row
    takes the image in, the last gives the outputs.
    """

    name: str
    op: str
    cycles: int
    products: int
    use: float | None
    weight_words: int
    energy: Energy


class RomBits(msgspec.Struct, frozen=True):
    """The bits of each ROM."""

    program: int
    weights: int
    biases: int
    tables: int

    @property
    def bits(self) -> int:
        """Add all up."""
        return self.program + self.weights + self.biases + self.tables


class CoreCost(msgspec.Struct, frozen=True, kw_only=True):
    """What a network costs on a core with ``macs`` units, for an image and at a clock.

    ``idle_units`` never multiply: no layer has as many channels.
    """

    macs: int
    idle_units: int
    cycles: int
    images_per_second: float
    products: int
    use: float
    weight_words: int
    rom: RomBits
    ram_bits: int
    energy: Energy
    layers: tuple[LayerCost, ...]


class CCost(msgspec.Struct, frozen=True):
    """The bytes of C's constants and of its scratch memory, without input, output and code."""

    const_bytes: int
    scratch_bytes: int


class HardwareCost(msgspec.Struct, frozen=True, kw_only=True):
    """What a network costs as Verilog, for each number of units, and as C.

    ``refused`` says why there is no Verilog, where there is none; ``cores`` is then empty.
    """

    clock_mhz: float
    energy_table: str
    cores: tuple[CoreCost, ...]
    refused: str | None
    c: CCost


def core_cost(lowering: Lowering, macs: int, clock_mhz: float, table: EnergyTable) -> CoreCost:
    """Say what a network costs on a core, 1 to 256 units, at a clock.

    Raises:
        ModelError: the core has not what a layer does; the message names it.
    """
    program = assemble(lowering, macs)
    rows = tuple(_rows(lowering, program, table))
    cycles = sum(row.cycles for row in rows)
    whole = sum(row.products for row in rows)
    return CoreCost(
        macs=macs,
        idle_units=max(0, macs - _widest(program)),
        cycles=cycles,
        images_per_second=clock_mhz * 1e6 / cycles,
        products=whole,
        use=whole / (cycles * macs),
        weight_words=sum(row.weight_words for row in rows),
        rom=rom_bits(program),
        ram_bits=program.sizes.words * WORD,
        energy=sum((row.energy for row in rows), Energy(0.0, 0.0)),
        layers=rows,
    )


def rom_bits(program: Program) -> RomBits:
    """Count the bits of a program's ROMs."""
    sizes = program.sizes
    return RomBits(
        program=sizes.program * sizes.instruction,
        weights=sizes.weights * sizes.macs * WORD,
        biases=sizes.biases * sizes.macs * (SHIFT + sizes.bias),
        tables=sizes.tables * (ENTRY + DIFFERENCE),
    )


def hardware_cost(
    lowering: Lowering, macs: Sequence[int], clock_mhz: float, table: EnergyTable
) -> HardwareCost:
    """Say what a network costs as C, and as Verilog with each of these numbers of units."""
    cores, refused = list[CoreCost](), None
    try:
        cores += [core_cost(lowering, units, clock_mhz, table) for units in macs]
    except ModelError as error:
        refused = str(error)
    return HardwareCost(
        clock_mhz=clock_mhz,
        energy_table=table.name,
        cores=tuple(cores),
        refused=refused,
        c=c_cost(lowering),
    )


def c_cost(lowering: Lowering) -> CCost:
    """Count the bytes that a network takes in C, beside its input, outputs and code.

    Raises:
        ModelError: there is no C for a layer.
    """
    program = c.Program(lowering, "network")
    held = ((constant.values.size, constant.ctype) for constant in program.constants)
    bits = sum(size * int(re.sub(r"\D", "", ctype)) for size, ctype in held)
    return CCost(bits // 8, program.scratch * WORD // 8)


@dataclass(frozen=True)
class _Prices:
    """What one access to each memory of a core costs, in pJ."""

    activation: float
    weights: float
    biases: float
    entry: float
    instruction: float

    @classmethod
    def of(cls, program: Program, table: EnergyTable) -> Self:
        """Price the memories of a program's core."""
        sizes, rom = program.sizes, rom_bits(program)
        return cls(
            activation=table.read_pj(WORD, sizes.words * WORD),
            weights=table.read_pj(sizes.macs * WORD, rom.weights),
            biases=table.read_pj(sizes.macs * (SHIFT + sizes.bias), rom.biases),
            entry=table.read_pj(ENTRY + DIFFERENCE, rom.tables),
            instruction=table.read_pj(sizes.instruction, rom.program),
        )

    def reads(self, fields: Fields) -> float:
        """Price what an instruction reads."""
        kind = Kind(_number(fields, "kind"))
        if kind == Kind.INPUT:
            return self.instruction
        if kind == Kind.SOFTMAX:
            values = math.prod(_number(fields, name) for name in ("classes", "inner", "outer"))
            return self.instruction + values * (PASSES * self.activation + LOOKUPS * self.entry)
        loops = turns(fields)
        taps, windows = math.prod(loops), math.prod(loops[3:])
        beside = {
            Kind.SUM: taps * self.weights + windows * self.biases,
            Kind.TABLE: taps * self.entry,
        }
        return self.instruction + taps * self.activation + beside.get(kind, 0.0)


def _rows(lowering: Lowering, program: Program, table: EnergyTable) -> Iterator[LayerCost]:
    """Say what the input, each step and the outputs cost."""
    macs, prices = program.sizes.macs, _Prices.of(program, table)
    cycles, size = step_cycles(lowering, macs), lowering.sizes[INPUT]
    stored, given = _weight_words(program), len(lowering.outputs)
    taken, *computing = program.instructions[:-given]
    yield _moving(INPUT, "Input", size, prices.reads(taken) + size * prices.activation)
    for number, step in enumerate(lowering.steps):
        reads = sum(prices.reads(it) for it in computing if it["step"] == number)
        memory = reads + step.size * prices.activation
        done = products(step.node.layer, step.shape, step.sources[0].shape)
        yield LayerCost(
            name=step.name,
            op=step.node.op,
            cycles=cycles[step.name],
            products=done,
            use=done / (cycles[step.name] * macs) if done else None,
            weight_words=stored.get(number, 0),
            energy=Energy(_arithmetic_pj(step, table), memory),
        )
    rest = image_cycles(lowering, macs) - size - sum(cycles.values())
    yield _moving("outputs", "Output", rest, sum(map(prices.reads, program.instructions[-given:])))


def _moving(name: str, op: str, cycles: int, memory_pj: float) -> LayerCost:
    return LayerCost(
        name=name,
        op=op,
        cycles=cycles,
        products=0,
        use=None,
        weight_words=0,
        energy=Energy(0.0, memory_pj),
    )


def _arithmetic_pj(step: Step, table: EnergyTable) -> float:
    """Price the products and adds of a step."""
    node, source = step.node, step.sources[0].format
    match node.layer:
        case layers.Dense() | layers.Conv2D() | layers.MatMul():
            assert node.accumulator is not None
            factor = (*node.weight_formats, *(it.format for it in step.sources[1:]))[0]
            multiply = table.multiply_pj(factor.word, source.word)
            one = multiply + table.add_pj(node.accumulator.word)
            return products(node.layer, step.shape, step.sources[0].shape) * one
        case layers.LeakyRelu() | layers.PRelu():
            return step.size * table.multiply_pj(node.weight_formats[0].word, source.word)
        case layers.Mul():
            return step.size * table.multiply_pj(source.word, step.sources[1].format.word)
        case layers.Add():
            return 2 * step.size * table.add_pj(source.word)
        case layers.MaxPool2D(window=window) | layers.AvgPool2D(window=window):
            return step.size * math.prod(window.kernel) * table.add_pj(source.word)
    return 0.0


def _weight_words(program: Program) -> dict[int, int]:
    """Count the words of 16 bits of each step's weights, by the step's number."""
    sums = [it for it in program.instructions if it["kind"] == Kind.SUM]
    bases = [*(_number(it, "weight_base") for it in sums), len(program.weights)]
    rows = (end - begin for begin, end in pairwise(bases))
    return {
        _number(it, "step"): program.sizes.macs * count
        for it, count in zip(sums, rows, strict=True)
    }


def _widest(program: Program) -> int:
    """Count the units that some layer uses."""
    sums = (it for it in program.instructions if it["kind"] == Kind.SUM)
    return max((_number(it, "results") + 1 for it in sums), default=0)


def _number(fields: Fields, name: str) -> int:
    """Return a field of an instruction, one number."""
    value = fields.get(name, 0)
    assert isinstance(value, int)
    return value
