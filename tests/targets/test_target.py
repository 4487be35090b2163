"""Choices of an export are checked before anything is made of them."""

import re
from typing import Any

import pytest

from fxpnn.errors import FormatError
from fxpnn.targets.target import DEFAULT_MACS, Choices, Target


def test_units_of_a_core() -> None:
    """Sixteen where nobody says how many, else 1 to 256."""
    assert Choices(Target.VERILOG, "net").units == DEFAULT_MACS == 16
    assert [Choices(Target.VERILOG, "net", macs).units for macs in (1, 256)] == [1, 256]
    assert [target.value for target in Target if target.hardware] == ["hex", "c", "verilog"]


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"target": Target.QDQ}, "target must be hex, c or verilog, not qdq"),
        ({"target": Target.HEX, "macs": 4}, "macs must go with verilog, not hex"),
        ({"target": Target.C, "trim": True}, "trim must go with verilog, not c"),
        ({"target": Target.VERILOG, "macs": 0}, "macs must be 1 to 256, not 0"),
        ({"target": Target.VERILOG, "macs": 257}, "macs must be 1 to 256, not 257"),
        ({"target": Target.C, "name": "reg"},
         "name must be no keyword of C, C++ or Verilog, not 'reg'"),
    ],
)  # fmt: skip
def test_what_cannot_be_chosen(choices: dict[str, Any], message: str) -> None:
    """One line says what must be otherwise."""
    with pytest.raises(FormatError, match=f"^{re.escape(message)}$"):
        Choices(**{"name": "net", **choices})
