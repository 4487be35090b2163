"""Instructions have the fields that their operations read, no fewer and no more."""

import tracemalloc

import numpy as np
import pytest

from fxpnn.engine import program
from fxpnn.engine.inference import Engine
from fxpnn.errors import ModelError
from fxpnn.fixedpoint.qformat import Accumulator, QFormat
from fxpnn.kernels.layout import instructions
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Add, Clip, Conv2D, Layer, MaxPool2D, Quantize, Relu, Window

WORD = QFormat(16, 8)
NODES = (FixedNode("r", Relu(), (INPUT,), WORD), FixedNode("a", Add(), ("r", INPUT), WORD))


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ([f for f in instructions.FIELDS_OF[instructions.ADD] if f != "lift"], "lift"),
        ((*instructions.FIELDS_OF[instructions.ADD], "taps"), "taps"),
    ],
)
def test_an_instruction_of_other_fields_is_never_assembled(
    fields: tuple[str, ...], wrong: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A field that is missing, or that nothing reads, is a fault of the assembler, not a user's."""
    ready = Engine(FixedNetwork("n", (3,), WORD, NODES))
    ready.run(np.zeros((1, 3), np.int16))
    monkeypatch.setitem(instructions.FIELDS_OF, instructions.ADD, fields)
    with pytest.raises(AssertionError, match=rf"^Add must set \['{wrong}'\] or none"):
        ready.program(("r",))


def test_every_operation_has_its_fields() -> None:
    """Operations are numbered from 0, and an instruction holds the fields of all."""
    assert sorted(instructions.FIELDS_OF) == list(range(len(instructions.FIELDS_OF)))
    read = {name for names in instructions.FIELDS_OF.values() for name in names}
    assert set(instructions.FIELDS) == {*instructions.COMMON, *read}
    assert {*instructions.ABSENT} <= {*instructions.FIELDS_OF[instructions.SUM_32]}


@pytest.mark.parametrize(
    "layer", [Relu(), MaxPool2D(Window((2, 2), (2, 2))), Clip(0, 256), Quantize()]
)
def test_a_sum_absorbs_what_the_traits_say(layer: Layer) -> None:
    """A layer that may be absorbed has no instruction of its own behind a sum; another has one."""
    conv = Conv2D(np.ones((1, 1, 3, 3), np.int64), np.zeros(1, np.int64), Window((3, 3)))
    nodes = (
        FixedNode("c", conv, (INPUT,), WORD, (QFormat(16, 0),), Accumulator()),
        FixedNode("f", layer, ("c",), WORD),
    )
    program = Engine(FixedNetwork("n", (1, 6, 6), WORD, nodes)).program(())
    assert ({*program.code["node"]} == {0}) == layer.traits.absorbed


def test_constants_take_what_the_parameters_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of different tables in a small file are refused before they fill the memory."""
    clips = (Clip(-100, high) for high in range(4))
    names = (INPUT, *"abcd")
    nodes = tuple(
        FixedNode(name, clip, (source,), WORD)
        for source, name, clip in zip(names, names[1:], clips, strict=False)
    )
    table = 2 * (1 << 16)
    monkeypatch.setattr(program, "CONSTANTS", 4 * table)
    assert Engine(FixedNetwork("n", (3,), WORD, nodes)).program().code.size == 4
    monkeypatch.setattr(program, "CONSTANTS", 4 * table - 1)
    message = r"^the constants of its program must take less memory; fewer layers do$"
    with pytest.raises(ModelError, match=message):
        Engine(FixedNetwork("n", (3,), WORD, nodes)).program()


def test_a_program_holds_no_places_of_tensors() -> None:
    """Steps tell where values lie, even if every tensor is kept."""
    shape, nodes = (4, 100, 100), [FixedNode("r", Relu(), (INPUT,), WORD)]
    for i in range(30):
        nodes.append(FixedNode(f"c{i}", Clip(-i, i), (nodes[-1].name,), WORD))
    engine = Engine(FixedNetwork("n", shape, WORD, tuple(nodes)))
    tracemalloc.start()
    made = engine.program(engine.fixed.shapes)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert {*made.tensors} == {*engine.fixed.shapes}
    places = 8 * 4 * 100 * 100
    assert held - sum(pool.nbytes for pool in made.pools) < places
    assert peak - held < 10 * places + 2 * sum(pool.nbytes for pool in made.pools)
