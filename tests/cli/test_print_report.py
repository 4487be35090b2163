"""``print(report)`` draws what ``fxpnn infer`` draws, for there is one table."""

from pathlib import Path

import numpy as np
import pytest

import fxpnn
from fxpnn.network.layers import Dense, Relu, Softmax
from tests.support.cli_runner import fxp


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a network of a hostile name, its integers of 4 bits, and inputs with their classes."""
    made = tmp_path_factory.mktemp("printed")
    weights = np.random.default_rng(3).normal(0, 1, (5, 6)).astype(np.float32)
    layers = {"a\x9b\u202eb": Dense(weights, np.zeros(5)), "relu": Relu(), "softmax": Softmax()}
    network = fxpnn.chain("net", (6,), layers)
    x = np.random.default_rng(4).uniform(-1, 1, (300, 6)).astype(np.float32)
    np.savez(made / "xy.npz", x=x, y=(x @ weights.T).argmax(1))
    np.savez(made / "x.npz", x=x)
    fxpnn.save_onnx(network, made / "n.onnx")
    network = fxpnn.load_onnx(made / "n.onnx")
    fxpnn.quantize(network, x[:9] / 2, fxpnn.Settings(word=4)).save(made / "n.fxp")
    return made


def body(text: str) -> list[str]:
    """Return the lines of a run without its title, and without its speed, which varies."""
    lines = [line.rstrip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith((" speed", " net "))]


@pytest.mark.parametrize("data", ["xy.npz", "x.npz"])
@pytest.mark.parametrize("compared", [True, False])
def test_a_report_prints_as_the_command_line_draws(
    data: str, compared: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same table, findings and summary, for data without labels under a name of no file."""
    monkeypatch.chdir(folder)
    reference = ("--reference", "n.onnx") if compared else ()
    drawn = fxp("infer", "n.fxp", "--data", data, *reference).out
    x, y = fxpnn.load_data(data)
    network = fxpnn.load_onnx("n.onnx") if compared else None
    report = fxpnn.compare(network, fxpnn.load("n.fxp"), x, y)
    assert body(str(report)) == body(drawn.replace("x.npz has", "the data has"))
    assert "overflow" in str(report)
    assert "saturated" in str(report)
    assert str(report).replace("\n", "").isprintable()
    assert "\n" not in repr(report)


def test_a_report_is_a_table_of_dicts(folder: Path) -> None:
    """Each row has the keys of the layers' JSON."""
    x, y = fxpnn.load_data(folder / "xy.npz")
    report = fxpnn.compare(None, fxpnn.load(folder / "n.fxp"), x, y)
    rows = fxp("infer", folder / "n.fxp", "--data", folder / "xy.npz", "--json").json["layers"]
    assert report.to_dicts() == rows
