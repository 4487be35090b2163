"""How many cycles the core takes: known before it runs, the same whatever the data.

They follow from the design. A step's first tap is read two cycles behind the last word of the step
before it; so a step takes from its first tap to its last word, and one cycle more.
"""

import math

from fxpnn.network.inputs import INPUT
from fxpnn.targets.lowering import Lowering
from fxpnn.targets.verilog.instruction import Fields, Kind, turns
from fxpnn.targets.verilog.program import assemble

TABLE = 8
AVERAGE = 5
SOFTMAX, SOFTMAX_OUT = 20, 11


def step_cycles(lowering: Lowering, macs: int) -> dict[str, int]:
    """Count the cycles of each step, by its name.

    They run from the last step's end (the first step's, from the second cycle behind the last input
    word) to the cycle in which the core tells that the step's words are in its memory.

    Raises:
        ModelError: as ``program.assemble``.
    """
    names = [step.name for step in lowering.steps]
    found = dict.fromkeys(names, 0)
    for fields in assemble(lowering, macs).instructions:
        if fields["kind"] not in (Kind.INPUT, Kind.OUTPUT):
            found[names[_number(fields, "step")]] += instruction_cycles(fields)
    return found


def image_cycles(lowering: Lowering, macs: int) -> int:
    """Count the cycles of an image, from its first word to the last of its outputs, both counted.

    No word is waited for. Two cycles more pass before each output.

    Raises:
        ModelError: as ``program.assemble``.
    """
    words = sum(lowering.sizes[name] + 2 for name in lowering.outputs)
    taken = lowering.sizes[INPUT]
    return taken + sum(step_cycles(lowering, macs).values()) + words


def instruction_cycles(fields: Fields) -> int:
    """Count the cycles of an instruction that computes.

    A window or a group of sums takes as many as it has taps, or as pass until the one before it is
    out. Behind the last tap the value needs some to be cast and written.
    """
    if fields["kind"] == Kind.SOFTMAX:
        vectors = _number(fields, "inner") * _number(fields, "outer")
        return vectors * (3 * _number(fields, "classes") + SOFTMAX) + SOFTMAX_OUT
    loops = turns(fields)
    taps, windows = math.prod(loops[:3]), math.prod(loops[3:])
    before = (windows - 1) * (taps + _number(fields, "pause"))
    if fields["kind"] == Kind.SUM:
        return before + taps + 4 + _number(fields, "results_end")
    if fields["kind"] == Kind.TABLE:
        return before + taps + TABLE
    if _number(fields, "average"):
        return before + taps + _number(fields, "divide_steps") + AVERAGE
    return before + taps + 3


def _number(fields: Fields, name: str) -> int:
    value = fields.get(name, 0)
    assert isinstance(value, int)
    return value
