"""The data that commands are given: notes on test images and other classes, labels that lack."""

import re
from pathlib import Path

import numpy as np

from fxpnn.datasets import Data, load_data
from fxpnn.errors import DataError
from fxpnn.network.layers import Array

TEST_SET = re.compile(r"(:test|t10k-images[^/\\]*)$")
"""How the name of a test set ends."""
TRAINING_SET = re.compile(r"(:train|:calibration|train-images[^/\\]*)$")
"""How the name of a training set, or of a part of one, ends."""


def check_labels(name: str, y: Array | None, classes: int | None, model: Path) -> None:
    """Raise ``DataError`` unless labels name a network's classes: by them a loss is judged."""
    where = "where --max-loss is given"
    if y is None:
        raise DataError(f"{name}: must have labels {where}; --labels names a file of them")
    if classes is None:
        raise DataError(f"{name}: must have labels of {model}'s classes {where}: it has none")
    if y.max() >= classes:
        raise DataError(
            f"{name}: labels must be the classes 0 to {classes - 1} {where}, not reach {y.max()}"
        )


def label_note(name: str, y: Array | None, classes: int | None) -> str | None:
    """Say that labels name no classes of the network, if so."""
    if y is None or classes is None or not len(y) or (y.min() >= 0 and y.max() < classes):
        return None
    return (
        f"{name}: its labels are {y.min()} to {y.max()}, but the network has the classes 0 to "
        f"{classes - 1}"
    )


def training_set_note(name: str) -> str | None:
    """Say that images are for training, where their name says so: no model tells its own."""
    if not TRAINING_SET.search(name):
        return None
    return f"{name}: these are training images; a model that has seen them loses more on others"


def test_set_note(name: str, data: Data) -> str | None:
    """Say that calibration images are test images, where their name or MNIST's own say so."""
    shared = _shared_with_mnist(data.x)
    if not shared and not TEST_SET.search(name):
        return None
    which = f"{shared:,} of its images are in MNIST's test set" if shared else "this is a test set"
    return f"calibration on {name}: {which}, on which accuracy then says little"


def _shared_with_mnist(x: Array) -> int:
    """Count the images that are MNIST's bundled test images."""
    if x.dtype != np.uint8 or x.shape[1:] != (1, 28, 28):
        return 0
    known = {image.tobytes() for image in load_data("mnist").x}
    return sum(image.tobytes() in known for image in x)
