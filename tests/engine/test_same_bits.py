"""The bundled networks give the same words on every machine, to the bit."""

import hashlib
from pathlib import Path

import pytest

import fxpnn

MODELS = Path(__file__).parents[2] / "models"
DIGESTS = {
    "mlp-784-100-10": "ad2d52d37cad1cf9296d5c89e5bb1d226f6f4f05c669ee2f5686727066de6c4d",
    "lenet5-relu": "0f869a13d9afeb3db1fda71514cf7e6fb35b803867266466f09f879296d82556",
    "lenet5": "49ef050cc26d43d73f64156efc08ec888a76515448c01296e749d1c4b9040aae",
}
"""sha256 of the logits and probabilities of the first 256 test images, little-endian int16."""


@pytest.mark.parametrize("name", DIGESTS)
def test_words_are_those_of_every_machine(name: str) -> None:
    """Formats, weights, sums, tables and softmax agree with the words that were written down."""
    network = fxpnn.load_onnx(MODELS / f"{name}.onnx")
    fixed = fxpnn.quantize(network, fxpnn.load_data("mnist:calibration").x)
    run = fxpnn.infer(fixed, fxpnn.load_data("mnist").x[:256])
    digest = hashlib.sha256()
    for words in (run.logits, run.raw):
        digest.update(words.astype("<i2").tobytes())
    assert digest.hexdigest() == DIGESTS[name]
