"""Small networks of today's kinds, trained on MNIST: what 16 and 8 bits cost them."""

from pathlib import Path
from typing import NamedTuple

import pytest

from fxpnn.analysis.comparison import compare
from fxpnn.datasets import load_data
from fxpnn.onnx import load
from fxpnn.quantization.quantizer import quantize
from fxpnn.quantization.settings import Settings

FOLDER = Path(__file__).parents[1] / "vectors" / "mnist"


class Held(NamedTuple):
    """The least accuracy of the fixed network, and the most predictions that may differ."""

    accuracy: float
    flips: int


HELD = {
    ("mobile", 16): Held(0.989, 3),
    ("mobile", 8): Held(0.988, 30),
    ("excite", 16): Held(0.990, 3),
    ("excite", 8): Held(0.985, 100),
    ("lstm", 16): Held(0.977, 3),
    ("lstm", 8): Held(0.960, 320),
}
"""In floats they have 0.9891, 0.9906 and 0.9776; ``models/README.md`` has what was measured."""


def test_every_file_is_small_and_held() -> None:
    """No trained network lies unused in the folder, and none takes 100 kB."""
    files = {path.stem: path.stat().st_size for path in FOLDER.glob("*.onnx")}
    assert files.keys() == {f"mnist-{name}" for name, _ in HELD}
    assert max(files.values()) < 100_000


@pytest.mark.slow
@pytest.mark.parametrize(("name", "word"), HELD)
def test_short_words_keep_the_accuracy(name: str, word: int) -> None:
    """Of the 10,000 bundled test images, formats calibrated on the bundled training images."""
    network = load(FOLDER / f"mnist-{name}.onnx")
    fixed = quantize(network, load_data("mnist:calibration").x, Settings(word))
    images, labels = load_data("mnist")
    accuracy = compare(network, fixed, images, labels).accuracy
    assert accuracy.fixed is not None
    assert accuracy.flips is not None
    assert accuracy.fixed >= HELD[name, word].accuracy
    assert accuracy.flips <= HELD[name, word].flips
