"""Models that frameworks exported: floats are ONNX Runtime's, and 16 bits are close to them."""

from collections.abc import Mapping

import numpy as np
import pytest

from fxpnn.engine.inference import infer
from fxpnn.errors import ModelError
from fxpnn.network.graph import Network
from fxpnn.network.layers import Array, LayerNorm
from fxpnn.onnx import load
from fxpnn.onnx.read.model import read_model
from fxpnn.onnx.write.dialects import Dialect, Qdq, Qonnx
from fxpnn.onnx.write.quantized import to_quantized_model
from fxpnn.quantization.quantizer import quantize
from fxpnn.quantization.settings import Plan
from fxpnn.reference import predict
from tests.onnx.read.test_exported import FOLDER, LAYERS, float_outputs
from tests.support.onnx_models import runtime

LEAST: Mapping[str, float] = {"mlp": 60, "lenet": 60}
"""The decibels that a kind of model keeps, where they are not 50."""

FLOAT32 = 2.0**-19
"""What float32 rounds off, of the largest output: some roundings of 2**-24 that add up.

Which those are depends on the processor: BLAS and ONNX Runtime add in an order of their own.
"""


def draw(network: Network, seed: int, count: int) -> Array:
    """Draw inputs from a standard normal distribution, as those of normalized images are."""
    shape = (count, *network.input_shape)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def decibels(exact: Array, found: Array) -> float:
    """Compute the power of a signal over that of its error."""
    return float(10 * np.log10(np.square(exact).sum() / np.square(exact - found).sum()))


@pytest.mark.parametrize("name", LAYERS)
def test_an_exported_model_keeps_its_accuracy(name: str) -> None:
    """Quantized by default on other images, every output of ONNX Runtime's keeps its decibels."""
    path = FOLDER / f"{name}.onnx"
    network, model = load(path), float_outputs(path)
    calibration, x = draw(network, 1, 256), draw(network, 2, 48)
    images = [runtime(model, x[i : i + 1]) for i in range(len(x))]  # most take one at a time
    fixed = quantize(network, calibration)
    run, floats = infer(fixed, x), predict(network, x)
    for output, *parts in zip(network.outputs, *images, strict=True):
        exact = np.concatenate(parts).astype(np.float64)
        assert np.abs(floats[output] - exact).max() <= FLOAT32 * np.abs(exact).max()
        found = run.tensors[output] * fixed.formats[output].lsb
        assert decibels(exact, found) >= LEAST.get(name.split("-")[1], 50)


@pytest.mark.slow
@pytest.mark.parametrize("target", [Qonnx, Qdq])
@pytest.mark.parametrize("name", LAYERS)
def test_an_exported_model_is_exported_again(name: str, target: type[Dialect]) -> None:
    """Quantized and written, it has the same words; ONNX Runtime's floats give nearly the same.

    A normalisation of the input stays with fxpnn: what is written takes normalised inputs. A
    layer's normalisation is refused: no operator of ONNX has its integers.
    """
    network = load(FOLDER / f"{name}.onnx")
    x = draw(network, 3, 32)
    fixed = quantize(network, x)
    if any(isinstance(node.layer, LayerNorm) for node in fixed.nodes):
        with pytest.raises(ModelError, match=r"must be a layer whose integers ONNX can say"):
            to_quantized_model(fixed, target)
        return
    written = to_quantized_model(fixed, target)
    found, given = read_model(written)
    entered = x if fixed.normalisation is None else fixed.normalisation.apply(x)
    run, twin = infer(fixed, x), infer(quantize(found, plan=Plan().completed(given)), entered)
    assert list(twin.tensors) == list(run.tensors)
    for output in fixed.outputs:
        assert np.array_equal(twin.tensors[output], run.tensors[output])
    if target is Qdq:
        for output, y in zip(
            fixed.outputs, runtime(written, entered.astype(np.float32)), strict=True
        ):
            assert np.abs(y / fixed.formats[output].lsb - run.tensors[output]).max() <= 8
