"""``fxpnn infer`` on networks that tell no classes apart, or have several outputs."""

import csv
from pathlib import Path

import numpy as np
import pytest

import fxpnn
from fxpnn.layers import Dense, Relu, Reshape, Sigmoid
from fxpnn.network import INPUT, Network, Node
from tests.cli_runner import fxp

GENERATOR = np.random.default_rng(6)


def regressor() -> Network:
    """Build a network of three outputs: a map, a vector and one number."""

    def dense(outs: int, ins: int) -> Dense:
        return Dense(GENERATOR.normal(size=(outs, ins)).astype(np.float32), np.zeros(outs))

    nodes = (
        Node("hidden", dense(8, 4), (INPUT,)),
        Node("relu", Relu(), ("hidden",)),
        Node("map", Reshape((2, 2, 2)), ("relu",)),
        Node("vector", dense(3, 8), ("relu",)),
        Node("one", dense(1, 8), ("relu",)),
        Node("share", Sigmoid(), ("one",)),
    )
    return Network("regressor", (4,), nodes, ("map", "vector", "share"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with the model, its integers, and inputs with numbers as labels."""
    made = tmp_path_factory.mktemp("regressor")
    fxpnn.save_onnx(regressor(), made / "r.onnx")
    x = GENERATOR.normal(size=(20, 4)).astype(np.float32)
    np.savez(made / "x.npz", x=x, y=np.arange(20))
    command = ("quantize", made / "r.onnx", "-o", made / "r.fxp")
    assert fxp(*command, "--calibration", made / "x.npz", "-q").status == 0
    return made


def test_outputs_are_compared_one_by_one(folder: Path) -> None:
    """The JSON and the summary give each output's format, SQNR and largest error; no accuracy."""
    command = ("infer", folder / "r.fxp", "--data", folder / "x.npz")
    done = fxp(*command, "--reference", folder / "r.onnx", "--json").json
    assert set(done["accuracy"].values()) == {None}
    formats = fxpnn.load(folder / "r.fxp").formats
    assert [(o["name"], o["format"]) for o in done["outputs"]] == [
        (name, str(formats[name])) for name in ("map", "vector", "share")
    ]
    assert all(output["sqnr_db"] > 60 for output in done["outputs"])
    text = fxp(*command, "--reference", folder / "r.onnx").out
    for output in done["outputs"]:
        told = f"SQNR {output['sqnr_db']:.1f} dB, error at most {output['max_abs_error']:.2g}"
        assert f"{output['format']}, {told}" in text
    assert "accuracy" not in text
    alone = fxp(*command).out
    assert (
        f" vector  {formats['vector']}\n" in "\n".join(map(str.rstrip, alone.splitlines())) + "\n"
    )


def test_results_hold_every_output(folder: Path, tmp_path: Path) -> None:
    """Raw words of the first output and of the others, and no predictions where none are."""
    command = ("infer", folder / "r.fxp", "--data", folder / "x.npz", "-o")
    run = fxpnn.infer(fxpnn.load(folder / "r.fxp"), np.load(folder / "x.npz")["x"])
    assert fxp(*command, tmp_path / "r.npz").status == 0
    with np.load(tmp_path / "r.npz") as saved:
        assert sorted(saved) == ["labels", "output_1", "output_2", "raw"]
        for key, name in (("raw", "map"), ("output_1", "vector"), ("output_2", "share")):
            assert saved[key].tolist() == run.tensors[name].tolist()
    assert fxp(*command, tmp_path / "r.csv").status == 0
    head, first, *_ = csv.reader((tmp_path / "r.csv").read_text().splitlines())
    names = [f"raw_{i}" for i in range(8)] + [f"output_1_{i}" for i in range(3)] + ["output_2_0"]
    assert head == ["index", "label", "prediction", *names]
    words = [run.tensors[name][0].reshape(-1) for name in ("map", "vector", "share")]
    assert first == ["0", "0", "", *map(str, np.concatenate(words).tolist())]


def test_a_loss_needs_classes(folder: Path) -> None:
    """One line says so, before results are printed."""
    done = fxp(
        "infer", folder / "r.fxp", "--data", folder / "x.npz", "--reference", folder / "r.onnx",
        "--max-loss", "0.1",
    )  # fmt: skip
    line = f"{folder / 'x.npz'}: must have labels of {folder / 'r.fxp'}'s classes where --max-loss"
    assert (done.status, done.out) == (3, "")
    assert done.err == f"fxpnn: error: {line} is given\n"
