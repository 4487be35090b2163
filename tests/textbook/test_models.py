"""Every model of the textbook is what its recipe builds, in the file, on both sides, elsewhere."""

import re
from pathlib import Path

import numpy as np
import onnx
import pytest

from fxpnn.errors import DataError
from fxpnn.onnx import load, to_model
from fxpnn.reference import forward
from fxpnn.textbook import LESSONS, MODELS, save_models
from tests.support.onnx_models import runtime

FOLDER = Path(__file__).parents[2] / "models" / "textbook"


@pytest.mark.parametrize("name", MODELS)
def test_file_is_what_the_recipe_builds(name: str) -> None:
    """The recipe gives the bytes of the file, and the network has the file's name."""
    network = MODELS[name]()
    assert network.name == name
    built = to_model(network).SerializeToString(deterministic=True)
    assert built == (FOLDER / f"{name}.onnx").read_bytes()


@pytest.mark.parametrize("name", MODELS)
def test_file_computes_what_the_recipe_does(name: str) -> None:
    """The loaded network and ONNX Runtime give the outputs of the recipe's network."""
    network, path = MODELS[name](), FOLDER / f"{name}.onnx"
    x = np.random.default_rng(0).uniform(-2, 2, (5, *network.input_shape)).astype(np.float32)
    expected = forward(network, x, np.float64)[network.outputs[0]]
    loaded = forward(load(path), x, np.float64)[network.outputs[0]]
    # The file keeps float32 of the recipe's float64; the runtime also adds in float32.
    np.testing.assert_allclose(loaded, expected, rtol=1e-6, atol=1e-6)
    (run,) = runtime(onnx.load(path), x)
    np.testing.assert_allclose(run, expected, rtol=1e-4, atol=1e-5)


def test_no_file_without_a_recipe() -> None:
    """The folder holds the recipes' models and the page that tells how each is made."""
    expected = {f"{name}.onnx" for name in MODELS} | {"README.md", "__init__.py"}
    assert {path.name for path in FOLDER.iterdir() if path.is_file()} == expected
    told = re.findall(r"`([\w.-]+)`", (FOLDER / "README.md").read_text())
    assert set(MODELS) <= set(told)


def test_save_models(tmp_path: Path) -> None:
    """All files are written anew with the same bytes; a folder that is missing is one line."""
    save_models(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {
        path.name: path.read_bytes() for path in FOLDER.glob("*.onnx")
    }
    missing = tmp_path / "none"
    line = f"{missing / 'not.onnx'}: cannot be written: No such file or directory"
    with pytest.raises(DataError, match=rf"^{re.escape(line)}$"):
        save_models(missing)


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_published_number_holds(lesson: str) -> None:
    """Of every row of every lesson; rows have names of their own and something to check."""
    rows = list(LESSONS[lesson]())
    wrong = [(row.name, check) for row in rows for check in row.checks if not check.holds]
    assert wrong == []
    assert len({row.name for row in rows}) == len(rows)
    assert all(len(row.checks) > 1 for row in rows if "most K" not in row.name)
