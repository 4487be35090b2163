"""Networks as users quantize them give the golden model's bits, however layers are joined."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import fxpnn
from fxpnn import golden
from fxpnn.engine.inference import Engine
from fxpnn.fixedpoint.qformat import Accumulator, Overflow
from tests.support.strategies.quantized import trained_like

ACCUMULATORS = (
    *map(Accumulator, (20, 24, 32, 40, 48)),
    Accumulator(32, Overflow.WRAP),
    Accumulator(20, Overflow.WRAP),
)


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32))
def test_quantized_networks_are_the_golden_model(seed: int) -> None:
    """Values and counts: with all tensors kept, with none, and the shortest way; floats too."""
    rng = np.random.default_rng(seed)
    network = trained_like(rng)
    x = rng.standard_normal((12, *network.input_shape)).astype(np.float32)
    settings = fxpnn.Settings(
        word=int(rng.choice([5, 8, 12, 16, 16, 16])),
        accumulator=ACCUMULATORS[rng.integers(len(ACCUMULATORS))],
        per_channel=bool(rng.random() < 0.4),
    )
    fixed = fxpnn.quantize(network, x[: rng.integers(1, 12)], settings)
    if rng.random() < 0.3:
        x *= 4  # louder than what it was calibrated on
    raw = fxpnn.from_float(x[: rng.choice([2, 9, 12])], fixed.input_format).astype(np.int16)
    engine, truth = Engine(fixed), golden.run(fixed, raw[:2])
    kept, joined = engine.run(raw, keep=fixed.shapes), engine.run(raw)
    for name, words in truth.raw.items():
        assert kept.tensors[name][:2].tolist() == words.tolist(), name
    assert engine.run(raw[:2]).layers == {**joined.layers, **truth.counts}
    assert joined.layers == kept.layers
    for same in (joined.raw, engine(raw), engine.run(x[: len(raw)]).raw):
        assert same.tolist() == kept.raw.tolist()
