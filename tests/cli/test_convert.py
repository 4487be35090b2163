"""``fxpnn convert`` writes the ONNX model of saved parameters, and says what became what."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import fxpnn
from fxpnn.training import parameters
from tests.support.cli_runner import fxp, sha256
from tests.zoo.test_conversion import MLP, ours, renamed


def saved(folder: Path) -> Path:
    """Save an MLP's parameters under other names."""
    path = folder / "mlp.safetensors"
    save_file(renamed(ours(MLP), {"hidden": "fc1", "output": "fc2"}), path)
    return path


def test_the_model_has_the_parameters(tmp_path: Path) -> None:
    """The ONNX file's network has them to the bit, and the scaling that was given."""
    path, target = saved(tmp_path), tmp_path / "mlp.onnx"
    args = ("--map", "fc1=hidden", "--scale", "1/255", "--mean", "0.1307", "--std", "0.3081")
    done = fxp("convert", MLP, path, "-o", target, *args)
    assert (done.status, done.err) == (0, "")
    network = fxpnn.load_onnx(target)
    assert network.scaling == fxpnn.Scaling(1 / 255, (0.1307,), (0.3081,))
    for name, array in parameters(network).items():
        assert np.array_equal(array, ours(MLP)[name])
    lines = [line.split() for line in done.out.splitlines()]
    assert ["hidden.weight", "fc1.weight"] in lines


def test_json_says_what_became_what(tmp_path: Path) -> None:
    """The model's path, sha256 and name, and each parameter's origin."""
    turned: dict[str, Any] = {name: array.T for name, array in ours(MLP).items()}
    np.savez(tmp_path / "s.npz", **turned)
    target = tmp_path / "mlp.onnx"
    done = fxp("convert", MLP, tmp_path / "s.npz", "-o", target, "--json").json
    assert done["model"] == {"path": str(target), "sha256": sha256(target), "name": MLP}
    assert done["parameters"][:2] == [
        {"name": "hidden.weight", "origin": "hidden.weight", "change": "transposed"},
        {"name": "hidden.bias", "origin": "hidden.bias", "change": ""},
    ]


@pytest.mark.parametrize(
    ("args", "status", "line"),
    [
        (("vgg", "mlp.safetensors", "-o", "o.onnx"), 2,
         "NAME: must be one of mlp-784-100-10, lenet5, lenet5-relu, not 'vgg' "
         "(see fxpnn convert --help)"),
        ((MLP, "mlp.safetensors", "-o", "o.onnx", "--map", "fc1"), 2,
         "--map: must be theirs=ours, as fc1=hidden, not 'fc1' (see fxpnn convert --help)"),
        ((MLP, "mlp.safetensors", "-o", "o.onnx", "--map", "fc1=f6"), 3,
         "the mapping must lead to one of hidden, output, not f6"),
        ((MLP, "mlp.safetensors", "-o", "o.onnx", "--mean", "1,2"), 2,
         "--scale, --mean and --std must fit the model: mean must hold 1 or 1 values, not 2"),
        ((MLP, "none.npz", "-o", "o.onnx"), 3,
         "none.npz: cannot be read: No such file or directory"),
        ((MLP, "mlp.safetensors", "-o", "mlp.safetensors"), 2,
         "-o / --output: must end in .onnx, not 'mlp.safetensors' (see fxpnn convert --help)"),
    ],
)  # fmt: skip
def test_what_cannot_be_converted(
    args: tuple[str, ...], status: int, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each ends in one line, and writes nothing."""
    saved(tmp_path)
    monkeypatch.chdir(tmp_path)
    done = fxp("convert", *args)
    assert (done.status, done.err) == (status, f"fxpnn: error: {line}\n")
    assert not (tmp_path / "o.onnx").exists()
