"""Instructions have the fields that their operations read, no fewer and no more."""

import numpy as np
import pytest

from fxpnn.engine.inference import Engine
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.kernels.layout import instructions
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Add, Relu

WORD = QFormat(16, 8)
NODES = (FixedNode("r", Relu(), (INPUT,), WORD), FixedNode("a", Add(), ("r", INPUT), WORD))


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        (("other", "lift", "shift"), "other_lift"),
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
