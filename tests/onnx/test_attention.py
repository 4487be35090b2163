"""Self-attention and whole transformer blocks: read, quantized, run, and how near to float."""

from pathlib import Path

import numpy as np
import onnx
import pytest

import fxpnn
from fxpnn import golden
from fxpnn.network.layers import Array
from fxpnn.onnx import from_model, to_model
from fxpnn.reference import forward
from fxpnn.targets.simulation.cosim import cosimulate
from tests.support.onnx_models import assert_floats_agree, floats, runtime
from tests.support.tools import needs
from tests.support.transformers import attention, transformer

MODELS = {
    "one head": (attention(heads=1), 70.0),
    "two heads": (attention(heads=2), 70.0),
    "a block of one head": (transformer(heads=1), 72.0),
    "a block of two heads": (transformer(heads=2), 72.0),
    "two blocks of four heads": (transformer(heads=4, blocks=2), 70.0),
}
"""Models, and how many dB of signal to noise their words of 16 bits must have."""

CASES = pytest.mark.parametrize(("model", "floor"), MODELS.values(), ids=MODELS)


def inputs(model: onnx.ModelProto, count: int) -> Array:
    """Make sequences of tokens that look random."""
    return floats(count, *from_model(model).input_shape)


@CASES
def test_it_is_read_as_onnx_runtime_runs_it(model: onnx.ModelProto, floor: float) -> None:
    """In floats, and again when it is written; each head's products are a layer."""
    network, x = from_model(model), inputs(model, 3)
    assert sum(node.op == "MatMul" for node in network.nodes) % 2 == 0
    for made in (network, from_model(to_model(network))):
        found = forward(made, x)
        for name, wanted in zip(made.outputs, runtime(model, x), strict=True):
            assert_floats_agree(found[name], wanted)


@CASES
def test_it_is_near_to_float_and_the_golden_model_to_the_bit(
    model: onnx.ModelProto, floor: float
) -> None:
    """At 16 bits calibrated on other sequences, with every sum proved."""
    network = from_model(model)
    fixed = fxpnn.quantize(network, inputs(model, 64))
    x = inputs(model, 32)
    report = fxpnn.compare(network, fixed, x)
    assert (report.layers[-1].sqnr_db or 0) >= floor
    assert all(proof.proved for proof in fxpnn.inspect(fixed).layers)
    run = fxpnn.infer(fixed, x[:2], keep=fixed.shapes)
    raw = np.ldexp(x[:2], fixed.input_format.frac).round()
    truth = golden.run(fixed, raw.clip(-32768, 32767).astype(np.int64))
    for name, words in truth.raw.items():
        assert np.array_equal(run.tensors[name], words), name
        assert run.layers[name] == truth.counts[name], name


def test_it_survives_its_file(tmp_path: Path) -> None:
    """And its formats are those that short words are given too."""
    model = transformer()
    network, x = from_model(model), inputs(model, 16)
    fixed = fxpnn.quantize(network, x, fxpnn.Settings(word=8))
    fixed.save(tmp_path / "it.fxp")
    again = fxpnn.load(tmp_path / "it.fxp")
    assert np.array_equal(fxpnn.infer(again, x).raw, fxpnn.infer(fixed, x).raw)
    report = fxpnn.compare(network, fixed, x)
    assert (report.layers[-1].sqnr_db or 0) >= 20


@needs("gcc")
def test_it_is_written_in_c(tmp_path: Path) -> None:
    """The C gives the engine's words and counts."""
    model = transformer(tokens=5, width=8)
    fixed = fxpnn.quantize(from_model(model), inputs(model, 16))
    x = np.random.default_rng(0).integers(-3000, 3000, (3, *fixed.input_shape))
    found = cosimulate(fixed, x.astype(np.int16), simulator="c", folder=tmp_path / "c")
    assert found.verdict() is None
