"""The known architectures are what the literature says, and train as their recipes say."""

import re
from pathlib import Path

import numpy as np
import pytest

from fxpnn import files
from fxpnn.datasets import Data, load_data
from fxpnn.errors import DataError, ModelError
from fxpnn.network.graph import Network
from fxpnn.network.layers import Conv2D, Softmax
from fxpnn.onnx import load
from fxpnn.reference import classify
from fxpnn.training import Step, parameters
from fxpnn.zoo.architectures import ARCHITECTURES, architecture, train

PAPER = {"c1": 156, "c3": 1516, "c5": 48120, "f6": 10164}
"""The trainable parameters that LeCun et al. 1998 count per layer of LeNet-5, section II.B."""

NAMES = list(ARCHITECTURES)

MODELS = Path(__file__).parents[2] / "models"

ROW = re.compile(r"^\| `(\S+)` \| (0\.\d{4}) \| ([\d,]+) \| `([0-9a-f]{64})` \|$", re.MULTILINE)
"""A shipped model in their README: name, accuracy, parameters, sha256."""

DEMANDED = {"mlp-784-100-10": 0.978, "lenet5": 0.986, "lenet5-relu": 0.990}
"""The test accuracy that each shipped model must have."""


def connected(network: Network) -> np.typing.NDArray[np.bool_]:
    """Say which input map each output map of C3 reads, ``(16, 6)``."""
    layer = network["c3"].layer
    assert isinstance(layer, Conv2D)
    return np.array(layer.weight.any(axis=(2, 3)))


def trained_parameters(network: Network, name: str) -> int:
    """Count the parameters of a layer that are not held at zero."""
    values = parameters(network)
    return int(np.count_nonzero(values[f"{name}.weight"])) + values[f"{name}.bias"].size


@pytest.fixture(scope="module")
def calibration() -> Data:
    """Load 1,000 training images."""
    return load_data("mnist:calibration")


@pytest.mark.parametrize(("layer", "count"), PAPER.items(), ids=PAPER)
def test_lenet5_has_the_parameters_of_the_paper(layer: str, count: int) -> None:
    """The four trained layers that the paper counts have as many parameters here."""
    assert trained_parameters(architecture("lenet5").network(1), layer) == count


def test_c3_reads_what_table_1_lists() -> None:
    """Six maps read 3 neighbours, six read 4, three read 4 in pairs, the last reads all."""
    table = connected(architecture("lenet5").network(1))
    assert table.sum(axis=1).tolist() == [3] * 6 + [4] * 9 + [6]
    assert table.sum(axis=0).tolist() == [10] * 6
    for out in range(6):
        contiguous = [(out + step) % 6 for step in range(4)]
        assert set(np.flatnonzero(table[out])) == set(contiguous[:3])
        assert set(np.flatnonzero(table[out + 6])) == set(contiguous)
    for out, first in enumerate(([0, 1], [1, 2], [2, 3])):
        assert set(np.flatnonzero(table[out + 12])) == {*first, *((m + 3) % 6 for m in first)}
    assert connected(architecture("lenet5-relu").network(1)).all()


def test_shapes_of_lenet5() -> None:
    """The maps shrink as in the paper's figure 2: 28, 14, 10, 5, 1."""
    for name in ("lenet5", "lenet5-relu"):
        shapes = architecture(name).network(1).shapes
        assert [shapes[layer] for layer in ("c1", "s2", "c3", "s4", "c5", "f6", "softmax")] == [
            (6, 28, 28),
            (6, 14, 14),
            (16, 10, 10),
            (16, 5, 5),
            (120, 1, 1),
            (84,),
            (10,),
        ]


@pytest.mark.parametrize("name", NAMES)
def test_the_seed_decides_the_start(name: str) -> None:
    """A network starts from its seed; what its masks hold is zero from the start."""
    known = architecture(name)
    first, again, other = (parameters(known.network(seed)) for seed in (1, 1, 2))
    for field, value in first.items():
        assert value.dtype == np.float32
        assert value.tobytes() == again[field].tobytes()
        mask = np.broadcast_to(known.masks.get(field, 1), value.shape)
        assert not value[mask == 0].any()
    assert any(first[field].tobytes() != other[field].tobytes() for field in first)
    assert isinstance(known.network(1).nodes[-1].layer, Softmax)


@pytest.mark.parametrize("name", NAMES)
def test_training_learns_and_keeps_the_masks(name: str, calibration: Data) -> None:
    """A short training on few images is far better than chance and keeps its zeros."""
    steps: list[Step] = []
    network = train(name, calibration, epochs=4, batch=20, rate=0.02, progress=steps.append)
    assert len(steps) == 4 * 50
    assert (classify(network, calibration.x) == calibration.y).mean() > 0.9
    masks, start = architecture(name).masks, parameters(architecture(name).network(1))
    for field, value in parameters(network).items():
        mask = np.broadcast_to(masks.get(field, 1), value.shape)
        assert not value[mask == 0].any()
        assert not mask.any() or (value != start[field]).any()


def test_training_repeats_itself_to_the_bit(calibration: Data) -> None:
    """The same seed gives the same bytes, another seed others."""
    few = Data(calibration.x[:100], calibration.y[:100] if calibration.y is not None else None)
    runs = [
        b"".join(v.tobytes() for v in parameters(train("lenet5", few, seed=s, epochs=1)).values())
        for s in (7, 7, 8)
    ]
    assert runs[0] == runs[1] != runs[2]


def test_an_unknown_name_is_refused() -> None:
    """The error lists the known names."""
    message = "architecture must be one of mlp-784-100-10, lenet5, lenet5-relu, not 'vgg'"
    with pytest.raises(ModelError, match=f"^{re.escape(message)}$"):
        architecture("vgg")


def test_images_without_labels_are_refused(calibration: Data) -> None:
    """Training needs labels."""
    with pytest.raises(DataError, match=r"^labels must be known to train on, not missing$"):
        train("lenet5", Data(calibration.x))


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_model_is_as_its_readme_says(name: str) -> None:
    """File, size, accuracy and fixed zeros are those of the table, and good enough."""
    table = {row[1]: row.groups()[1:] for row in ROW.finditer((MODELS / "README.md").read_text())}
    assert set(table) == set(NAMES)
    accuracy, size, digest = table[name]
    path = MODELS / f"{name}.onnx"
    assert files.sha256(path.read_bytes()) == digest
    network = load(path)
    assert f"{network.parameters:,}" == size
    x, y = load_data("mnist")
    measured = float((classify(network, x) == y).mean())
    assert measured >= DEMANDED[name]
    assert measured == pytest.approx(float(accuracy), abs=0.0002)  # BLAS adds in its own order


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_model_has_its_architecture(name: str) -> None:
    """Its layers and shapes are the known ones, and what the masks hold is zero."""
    known, network = architecture(name), load(MODELS / f"{name}.onnx")
    start = known.network(1)
    assert [(node.name, node.op) for node in network.nodes] == [
        (node.name, node.op) for node in start.nodes
    ]
    assert dict(network.shapes) == dict(start.shapes)
    assert network.scaling == start.scaling
    for field, value in parameters(network).items():
        assert not value[np.broadcast_to(known.masks.get(field, 1), value.shape) == 0].any()
