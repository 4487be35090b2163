"""`fxpnn quantize` keeps the formats that a QONNX file fixes."""

from pathlib import Path

import numpy as np
import onnx

import fxpnn
from tests.support.cli_runner import fxp
from tests.support.onnx_models import model as onnx_model
from tests.support.onnx_models import op
from tests.support.qonnx_models import QONNX, quant


def own_formats(path: Path, *last: onnx.NodeProto, dim: int = 4) -> Path:
    """Write a model with QONNX's nodes on its input and weight, and more on its sum ``z``."""
    weight = np.random.default_rng(5).normal(size=(3, dim)).astype(np.float32)
    nodes = (
        *quant("x", "h", 2**-4),
        *quant("w", "wq", 2**-3, 6),
        op("Gemm", "h wq", "z", transB=1),
    )
    shape = ("N", dim)
    proto = onnx_model(
        *nodes, *last, shape=shape, weights={"w": weight}, outputs="y" if last else "z",
        domains={QONNX: 1},
    )  # fmt: skip
    path.write_bytes(proto.SerializeToString())
    return path


def test_formats_in_the_file_are_kept(tmp_path: Path) -> None:
    """No calibration data is asked for, and nothing said of it."""
    source = own_formats(tmp_path / "q.onnx", *quant("z", "y", 0.25, rounding_mode="FLOOR"))
    done = fxp("quantize", source, "-o", tmp_path / "q.fxp")
    assert (done.status, done.err) == (0, "")
    fixed = fxpnn.load(tmp_path / "q.fxp")
    assert (str(fixed.input_format), fixed.provenance.calibration) == ("Q3.4", "")
    assert [str(fmt) for fmt in fixed["z"].weight_formats] == ["Q2.3"]
    assert (str(fixed["z"].output_format), fixed["z"].rounding.value) == ("Q5.2", "floor")


def test_what_the_file_leaves_open_is_named(tmp_path: Path) -> None:
    """What is calibrated beside formats of the file is said; a format given here goes first."""
    source, target = own_formats(tmp_path / "q.onnx"), tmp_path / "q.fxp"
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(1).normal(size=(9, 4)))
    done = fxp("quantize", source, "-o", target, "--calibration", tmp_path / "x.npz")
    assert done.status == 0
    assert done.err == f"fxpnn: note: {source} fixes formats; chosen are those of z\n"
    done = fxp("quantize", source, "-o", target, "--format", "Q3.12")
    assert (done.status, done.err) == (0, "")
    assert {str(fmt) for fmt in fxpnn.load(target).formats.values()} == {"Q3.12"}
