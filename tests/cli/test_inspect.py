"""`fxpnn inspect` shows the layers, memory and proofs of a model."""

import re
from pathlib import Path

import numpy as np
import pytest

import fxpnn
from fxpnn.network.layers import Conv2D, Dense, Flatten, PRelu, Relu, Sigmoid, Window
from fxpnn.proofs.bounds import prove
from tests.support.cli_runner import fxp, sha256, write_models


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with the tiny models, and a network with a convolution and a table."""
    folder = write_models(tmp_path_factory.mktemp("models"))
    window = Window((2, 3), (1, 2), dilation=(2, 1))
    layers = {
        "conv": Conv2D(np.full((4, 1, 2, 3), 0.5), np.array([0.0, 0.25, -1.0, 0.5]), window, 2),
        "slope": PRelu(np.array([0.1, 0.2, 0.3, 0.4])),
        "relu": Relu(),
        "flatten": Flatten(),
        "dense": Dense(np.full((3, 64), -0.125), np.zeros(3)),
        "sigmoid": Sigmoid(),
    }
    fxpnn.save_onnx(fxpnn.chain("small", (2, 6, 9), layers), folder / "small.onnx")
    done = fxp(
        *("quantize", folder / "small.onnx", "-o", folder / "small.fxp", "-q"),
        *("--method", "proved", "--word", "8"),
    )
    assert done.status == 0, done.err
    return folder


def test_float_model(models: Path) -> None:
    """A float model shows shapes, parameters, products and the range of weights, in float32."""
    found = fxp("inspect", models / "small.onnx", "--json").json
    path = models / "small.onnx"
    assert found["kind"] == "float"
    assert found["model"] == {"path": str(path), "sha256": sha256(path), "name": "small"}
    assert found["input_shape"] == [2, 6, 9]
    layers = {layer["name"]: layer for layer in found["layers"]}
    assert layers["conv"] == {
        "name": "conv",
        "op": "Conv2D",
        "inputs": ["input"],
        "shape": [4, 4, 4],
        "parameters": 4 * 1 * 2 * 3 + 4,
        "multiply_accumulates": 4 * 4 * 4 * 1 * 2 * 3,
        "weight_range": [0.5, 0.5],
    }
    assert layers["dense"]["multiply_accumulates"] == 3 * 64
    assert layers["dense"]["weight_range"] == [-0.125, -0.125]
    assert layers["slope"]["weight_range"] == pytest.approx([0.1, 0.4])
    assert layers["relu"]["weight_range"] is None
    parameters = 28 + 4 + 3 * 64 + 3
    assert found["totals"] == {
        "parameters": parameters,
        "multiply_accumulates": 384 + 192,
        "bits": 32 * parameters,
    }


def test_fixed_model(models: Path) -> None:
    """A fixed model shows formats, the memory of its words, and each layer's proof."""
    found = fxp("inspect", models / "small.fxp", "--json").json
    fixed = fxpnn.load(models / "small.fxp")
    proofs = prove(fixed)
    assert found["kind"] == "fixed"
    assert found["input_format"] == "UQ0.8"
    assert found["provenance"] == {
        "model": sha256(models / "small.onnx"),
        "calibration": "",
        "version": fxpnn.__version__,
    }
    for layer, node in zip(found["layers"], fixed.nodes, strict=True):
        assert layer["name"] == node.name
        assert layer["output_format"] == str(node.output_format)
        assert layer["accumulator_bits_needed"] == proofs[node.name].bits
        assert layer["proved"] is proofs[node.name].proved
        assert layer["saturates"] is proofs[node.name].saturates
    memory = {layer["name"]: layer["memory"] for layer in found["layers"]}
    conv = fixed["conv"].layer
    assert isinstance(conv, Conv2D)
    widest = (
        max(len(f"{int(raw if raw >= 0 else ~raw):b}") for raw in conv.bias) + 1
    )  # and the sign
    assert memory["conv"] == {"weight_bits": 24 * 8, "bias_bits": 4 * widest, "table_bits": 0}
    assert memory["slope"] == {"weight_bits": 4 * 16, "bias_bits": 0, "table_bits": 0}
    assert memory["dense"] == {"weight_bits": 192 * 8, "bias_bits": 0, "table_bits": 0}
    assert memory["sigmoid"] == {"weight_bits": 0, "bias_bits": 0, "table_bits": 1025 * 20}
    assert found["totals"]["bits"] == sum(sum(parts.values()) for parts in memory.values())


@pytest.mark.parametrize("columns", [80, 100, 120])
@pytest.mark.parametrize("model", ["tiny.onnx", "tiny.fxp", "small.onnx", "small.fxp"])
def test_tables_fit_the_terminal(
    model: str, columns: int, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal no line is wider than it, and every layer is named once in each table."""
    monkeypatch.setattr("cli.console.tables.on_terminal", lambda: True)
    monkeypatch.setenv("COLUMNS", str(columns))
    done = fxp("inspect", models / model)
    assert max(map(len, done.out.splitlines())) <= columns
    tables = done.out.count("layer")
    network = (
        fxpnn.load(models / model) if model.endswith("fxp") else fxpnn.load_onnx(models / model)
    )
    for node in network.nodes:
        assert len(re.findall(rf"^ {node.name}\b", done.out, re.MULTILINE)) == tables >= 1


def test_summary(models: Path) -> None:
    """Below the table stand the parameters, their memory and the products of one image."""
    found = fxp("inspect", models / "tiny.fxp", "--json").json["totals"]
    bits, octets = found["bits"], -(-found["bits"] // 8)
    assert octets >= 10_000
    line = (
        f" {found['parameters']:,} parameters in {bits:,} bits ({octets / 1024:.1f} KiB), "
        f"{8 * 784 + 80:,} products for each image\n"
    )
    assert line in fxp("inspect", models / "tiny.fxp").out
    assert " bytes), 576 products for each image" in fxp("inspect", models / "small.fxp").out


def test_what_a_file_is_does_not_need_its_name(models: Path, tmp_path: Path) -> None:
    """Without a known suffix, the first bytes tell which kind of model a file is."""
    for name, kind in (("tiny.onnx", "float"), ("tiny.fxp", "fixed")):
        copy = tmp_path / kind
        copy.write_bytes((models / name).read_bytes())
        assert fxp("inspect", copy, "--json").json["kind"] == kind


@pytest.mark.parametrize("suffix", ["", ".onnx", ".fxp"])
@pytest.mark.parametrize("content", [None, b"", b"{}", b"\0" * 8 + b"{}", b"12345678{"])
def test_files_that_are_no_model(suffix: str, content: bytes | None, tmp_path: Path) -> None:
    """A file that is missing, empty or anything else ends in one line with status 3."""
    path = tmp_path / f"model{suffix}"
    if content is not None:
        path.write_bytes(content)
    done = fxp("inspect", path)
    assert (done.status, done.out) == (3, "")
    assert re.fullmatch(rf"fxpnn: error: {re.escape(str(path))}: [^\n]+\n", done.err)


def test_folder_is_no_model(tmp_path: Path) -> None:
    """A folder is refused."""
    line = f"{tmp_path}: must be a file, not a folder, pipe or device"
    assert fxp("inspect", tmp_path) == (3, "", f"fxpnn: error: {line}\n")
