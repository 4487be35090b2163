"""The program of the core: a lowering as instructions, and what its ROMs hold.

A step is one instruction, a join one for each tensor that it joins, a pad one for each part that it
fills. The stream of an image is taken by the first, its outputs are given by the last.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from fxpnn.errors import ModelError
from fxpnn.fixedpoint.qformat import Overflow
from fxpnn.network import layers
from fxpnn.network.fixed import RawArray
from fxpnn.network.graph import INPUT
from fxpnn.proofs.bounds import signed_bits
from fxpnn.targets.lowering import Lowering, Step
from fxpnn.targets.verilog import moves, pools, sums, values
from fxpnn.targets.verilog.instruction import (
    LEAST_TABLES,
    Fields,
    Kind,
    Loop,
    Sizes,
    reads,
    writes,
)
from fxpnn.targets.verilog.step import instructions
from fxpnn.targets.verilog.weights import Roms

FORMULAS = (moves, pools, sums, values)
"""The modules that say what the instructions of each kind of layer are."""
MACS = 256
"""The most units."""
CURVE, AVERAGE, WORD = 62, 35, 17
"""Bits of an exact value that is looked up, of an average, and of a word alone."""
STEPS = 255
"""The most steps."""


@dataclass(frozen=True)
class Program:
    """What makes the core a network: its parameters, and the words of its ROMs.

    ``weights`` are int16 words by unit, ``(words, macs)``; ``biases`` likewise, and what stands
    ``beside`` each: twice its channel's shift, and 1 where the accumulator clamps the bias.
    ``tables`` hold an entry and the difference to the next, ``(words, 2)``.
    """

    sizes: Sizes
    instructions: tuple[Fields, ...]
    weights: RawArray
    biases: RawArray
    beside: RawArray
    tables: RawArray

    def on(self, core: Sizes) -> "Program":
        """Return the program for a core that is larger than needed.

        Raises:
            ModelError: it has fewer of something, or other units.
        """
        for name, has in asdict(core).items():
            needs = getattr(self.sizes, name)
            if has < needs or (name == "macs" and has != needs):
                raise ModelError(f"the core must have {name.upper()} {needs}, not {has}")
        return replace(self, sizes=core)


def assemble(lowering: Lowering, macs: int, trim: bool = False) -> Program:
    """Make the program of a network for a core with ``macs`` units, 1 to 256.

    ``trim`` makes a core for this network alone: accumulators have the bits that are proved, and no
    clamp where no sum can leave them.

    Raises:
        ModelError: the core has not what a layer does; the message names it.
    """
    if not 1 <= macs <= MACS:
        raise ModelError(f"macs must be 1 to {MACS}, not {macs}")
    if len(lowering.steps) > STEPS:
        raise ModelError(
            f"{lowering.fixed.name} must have at most {STEPS} layers that compute, not "
            f"{len(lowering.steps)}; export it --to c"
        )
    roms, memory = Roms(macs), lowering.memory()
    made = [_taken(lowering, memory.offsets[INPUT])]
    for number, step in enumerate(lowering.steps):
        parts = instructions(step.node.layer, step, memory.offsets, roms)
        made += [{**fields, "step": number, "ends": int(fields is parts[-1])} for fields in parts]
    given = [_given(lowering, name, memory.offsets[name]) for name in lowering.outputs]
    given[-1] |= {"ends_program": 1, "by_softmax": int(_by_softmax(lowering))}
    made += given
    sizes = _sizes(lowering, memory.words, made, roms, trim)
    return Program(sizes, tuple(made), roms.weights, roms.biases, roms.beside, roms.tables)


def _taken(lowering: Lowering, offset: int) -> Fields:
    return {"kind": Kind.INPUT, **writes(offset, lowering.sizes[INPUT])}


def _given(lowering: Lowering, name: str, offset: int) -> Fields:
    return {"kind": Kind.OUTPUT, **reads(offset, [Loop(lowering.sizes[name], 1)])}


def _by_softmax(lowering: Lowering) -> bool:
    """Tell whether the last output is one softmax, whose input then decides what is largest."""
    last = [(s, s.node.layer) for s in lowering.steps if s.name == lowering.outputs[-1]]
    return any(
        isinstance(layer, layers.Softmax) and step.shape[layer.axis] == step.size
        for step, layer in last
    )


def _sizes(lowering: Lowering, words: int, made: Sequence[Fields], roms: Roms, trim: bool) -> Sizes:
    alone = [_number(it, "acc_word") for it in made if _sums_alone(lowering, it)]
    acc = max([2, *alone, *(_bits(step, trim) for step in lowering.steps)])
    clamp = not trim or any(not step.proof.proved for step in lowering.steps)
    biases = roms.biases
    bias = max(2, signed_bits(int(biases.min(initial=0)), int(biases.max(initial=0))))
    averages = any(_number(fields, "average") for fields in made)
    curves, softmaxes = (
        any(fields["kind"] == kind for fields in made) for kind in (Kind.TABLE, Kind.SOFTMAX)
    )
    return Sizes(
        macs=roms.macs,
        acc=acc,
        bias=bias,
        clamp=int(clamp),
        wide=max(acc + 1, CURVE if curves or not trim else AVERAGE if averages else WORD),
        words=max(2, words),
        place=_place(made),
        count=max(1, *(_most(fields) for fields in made)).bit_length(),
        program=len(made),
        weights=max(2, len(roms.weights)),
        biases=max(2, len(biases)),
        tables=max(LEAST_TABLES, len(roms.tables)),
        steps=max(2, len(lowering.steps)),
        averages=int(averages or not trim),
        curves=int(curves or not trim),
        softmaxes=int(softmaxes or not trim),
    )


def _bits(step: Step, trim: bool) -> int:
    """Count the bits in which a step sums products: its accumulator's, or those that they need."""
    register, needed = step.node.accumulator, step.proof.bits or 0
    if register is None or (trim and step.proof.proved):
        return needed
    return max(register.word, needed) if register.overflow is Overflow.WRAP else register.word


def _sums_alone(lowering: Lowering, fields: Fields) -> bool:
    """Tell whether an instruction sums in words of its own: its layer has no accumulator."""
    if fields["kind"] != Kind.SUM:
        return False
    return lowering.steps[_number(fields, "step")].node.accumulator is None


_ROWS = ("first_row", "first_column", "height", "width", "bottom", "right")


def _place(instructions: Sequence[Fields]) -> int:
    """Count the bits of rows and columns."""
    places = [_number(fields, name) for fields in instructions for name in _ROWS]
    return max(2, signed_bits(min(places), max(places)))


def _most(fields: Fields) -> int:
    """Return the most that a loop counts to."""
    counts = fields.get("counts", ())
    assert isinstance(counts, tuple)
    return max(*counts, *(_number(fields, name) for name in ("across", "down")), 0)


def _number(fields: Fields, name: str) -> int:
    value = fields.get(name, 0)
    assert isinstance(value, int)
    return value
