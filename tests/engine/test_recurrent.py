"""Unrolled loops: the engine computes what the golden model does, in every value and count."""

from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fxpnn
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, Rounding
from fxpnn.network.graph import Network
from fxpnn.onnx import from_model
from tests.support.agreement import agree
from tests.support.recurrent_models import FEATURES, STEPS, recurrent
from tests.support.strategies import NetworkCase

CELLS: dict[str, dict[str, Any]] = {
    "RNN": {},
    "LSTM": {},
    "GRU": {},
    "late GRU": {"linear_before_reset": 1},
}


@cache
def network(cell: str, direction: str, states: bool) -> Network:
    """Read an unrolled network."""
    kind = cell.rsplit(maxsplit=1)[-1]
    return from_model(recurrent(kind, direction=direction, states=states, **CELLS[cell]))


@st.composite
def loops(draw: st.DrawFn, cell: str) -> NetworkCase:
    """Draw a quantized loop, whose calibration may have seen far less, and sequences for it."""
    direction = draw(st.sampled_from(["forward", "reverse", "bidirectional"]))
    chosen = fxpnn.Settings(
        word=draw(st.integers(4, 16)),
        accumulator=Accumulator(draw(st.sampled_from([48, 16, 62, 24]))),
        rounding=draw(st.sampled_from(Rounding)),
        overflow=draw(st.sampled_from(Overflow)),
    )
    seen = np.random.default_rng(0).normal(size=(8, STEPS, FEATURES)).astype(np.float32)
    loudness = draw(st.sampled_from([1.0, 0.05]))
    fixed = fxpnn.quantize(
        network(cell, direction, draw(st.booleans())), seen * np.float32(loudness), chosen
    )
    fmt = fixed.input_format
    images, seed = draw(st.integers(1, 3)), draw(st.integers(0, 2**32 - 1))
    ends = draw(st.sampled_from([(fmt.min, fmt.max), (fmt.min // 16, fmt.max // 16)]))
    drawn = np.random.default_rng(seed).integers(*ends, (images, STEPS, FEATURES), endpoint=True)
    return NetworkCase(fixed, drawn.astype(np.int16))


@pytest.mark.parametrize("cell", CELLS)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_engine_is_the_golden_model(cell: str, data: st.DataObject) -> None:
    """So it is in all words and modes, where states saturate or wrap, and at first states."""
    agree(data.draw(loops(cell)))
