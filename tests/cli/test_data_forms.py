"""Commands take data in every form that users have them in, and labels from a file of their own."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fxpnn
from tests.support.cli_runner import fxp, write_models


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a model, and the same 60 digits in every form."""
    made = write_models(tmp_path_factory.mktemp("forms"))
    x, y = fxpnn.load_data("mnist:calibration")
    assert y is not None
    x, y = x[:60], y[:60]
    for place, (image, label) in enumerate(zip(x, y, strict=True)):
        for root in ("classes", "split/train"):
            of_class = made / root / str(label)
            of_class.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image[0]).save(of_class / f"{place:03}.png")
    order = np.argsort(y, kind="stable")  # as the folders of classes are read
    np.save(made / "x.npy", x[order])
    np.save(made / "wide.npy", x[order].astype(np.int64))
    np.savez(made / "x.npz", x=x[order])
    np.save(made / "grey.npy", x[order, 0])
    np.savez(made / "grey.npz", x=x[order, 0], y=y[order])
    np.savez(
        made / "keras.npz", x_train=x[order, 0], y_train=y[order], x_test=x[:5, 0], y_test=y[:5]
    )
    np.save(made / "y.npy", y[order])
    return made


@pytest.mark.parametrize(
    "args",
    [
        ("classes",),
        ("split:train",),
        ("x.npy", "--labels", "y.npy"),
        ("wide.npy", "--labels", "y.npy"),
        ("x.npz", "--labels", "y.npy"),
        ("keras.npz:train",),
        ("grey.npy", "--labels", "y.npy"),
        ("grey.npz",),
    ],
    ids=lambda args: args[0],
)
def test_every_form_is_the_same_data(
    args: tuple[str, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images and labels, and so their sha256 and the accuracy, do not depend on the form."""
    monkeypatch.chdir(folder)
    y = np.load("y.npy")
    found = fxp("infer", "tiny.fxp", "--data", *args, "--json").json
    assert found["data"]["images"] == len(y)
    assert found["data"]["sha256"] == fxpnn.datasets.data_sha256(
        fxpnn.datasets.Data(np.load("x.npy"), y)
    )
    guesses = fxpnn.infer(fxpnn.load("tiny.fxp"), np.load("x.npy")).predictions
    assert found["accuracy"]["fixed"] == (guesses == y).mean()


@pytest.mark.parametrize(
    "args", [("classes",), ("split",), ("x.npy", "--labels", "y.npy"), ("grey.npz",)]
)
def test_training_takes_them_too(
    args: tuple[str, ...], folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network learns from them; with no test set its accuracy is unknown."""
    monkeypatch.chdir(folder)
    command = ("train", "mlp-784-100-10", "--epochs", "1", "-o", tmp_path / "m.onnx", "--json")
    done = fxp(*command, "--data", *args, "-q")
    assert (done.status, done.err) == (0, "")
    assert (done.json["data"]["images"], done.json["test_accuracy"]) == (60, None)


def test_labels_that_are_too_many(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data that have labels take no others, and calibration takes none at all."""
    monkeypatch.chdir(folder)
    done = fxp("infer", "tiny.fxp", "--data", "mnist", "--labels", "y.npy")
    line = "mnist: has labels of its own, y.npy must not be given"
    assert (done.status, done.err) == (3, f"fxpnn: error: {line}\n")
    assert "without need of labels" in " ".join(fxp("quantize", "--help").out.split())


@pytest.mark.parametrize("name", ["AP_TRN", "floor"])
def test_modes_go_by_the_names_of_ap_fixed_too(name: str, folder: Path, tmp_path: Path) -> None:
    """On the command line and in the file of formats they mean the same."""
    (tmp_path / "f.toml").write_text(f'[defaults]\nrounding = "{name}"\noverflow = "AP_WRAP"\n')
    for args in (("--rounding", name, "--overflow", "AP_WRAP"), ("--formats", tmp_path / "f.toml")):
        target = tmp_path / "m.fxp"
        assert fxp("quantize", folder / "tiny.onnx", "-o", target, "-q", *args).status == 0
        (node, *_) = (node for node in fxpnn.load(target).nodes if node.name == "hidden")
        assert (node.rounding, node.overflow) == (fxpnn.Rounding.FLOOR, fxpnn.Overflow.WRAP)
