"""Products of two tensors in C give the golden model's words and counts; Verilog refuses them."""

from pathlib import Path

import numpy as np
import pytest

from fxpnn.errors import ModelError
from fxpnn.fixedpoint.qformat import Accumulator, QFormat
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import MatMul
from fxpnn.targets.simulation.cosim import cosimulate
from tests.support import c_programs
from tests.support.strategies import matrix_products
from tests.support.tools import needs


@needs("gcc")
@pytest.mark.parametrize("part", range(3))
def test_random_products(part: int, tmp_path: Path) -> None:
    """Of any sizes, formats, accumulators and modes, without a warning of the compiler."""
    networks = c_programs.drawn(matrix_products(most=17), 12)
    cases = [c_programs.case(f"n{place}", network) for place, network in enumerate(networks)]
    c_programs.run_all(cases, tmp_path)


def test_the_core_has_no_products_of_two_tensors(tmp_path: Path) -> None:
    """And says so, and what to do."""
    word = QFormat(16, 8)
    node = FixedNode("y", MatMul(), (INPUT, INPUT), word, accumulator=Accumulator())
    fixed = FixedNetwork("square", (3, 3), word, (node,))
    line = r"^layer y \(MatMul\): the Verilog core has no such layer; export it --to c$"
    with pytest.raises(ModelError, match=line):
        cosimulate(
            fixed, np.zeros((1, 3, 3), np.int16), simulator="iverilog", folder=tmp_path / "v"
        )
