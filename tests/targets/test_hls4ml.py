"""hls4ml's C++ simulation of an exported network computes fxpnn's raw outputs, every one."""

import importlib.util
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import fxpnn

MODELS = Path(fxpnn.__file__).parents[1] / "models"
IMAGES = 64
NEEDED = [importlib.util.find_spec(name) for name in ("hls4ml", "qonnx")]

SIMULATE = """
import sys
import hls4ml
import numpy as np
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.channels_last import ConvertToChannelsLastAndClean
from qonnx.transformation.gemm_to_matmul import GemmToMatMul
from qonnx.util.cleanup import cleanup_model

path, folder, convolutional = sys.argv[1:]
model = cleanup_model(ModelWrapper(path))
if convolutional == "True":
    model = model.transform(ConvertToChannelsLastAndClean())
model = cleanup_model(model.transform(GemmToMatMul()))
config = hls4ml.utils.config.config_from_onnx_model(
    model, granularity="name", backend="Vitis", default_precision="ap_fixed<48,24>"
)
config["Model"]["Strategy"] = "Resource"
hls = hls4ml.converters.convert_from_onnx_model(
    model, output_dir=folder + "/project", backend="Vitis", hls_config=config,
    io_type="io_stream" if convolutional == "True" else "io_parallel",
)
hls.compile()
np.save(folder + "/y.npy", hls.predict(np.load(folder + "/x.npy")))
"""
"""A process of its own, for hls4ml warns and prints; it takes a QONNX file and a folder."""


@pytest.mark.slow
@pytest.mark.skipif(not all(NEEDED), reason="needs the extra fxpnn[hls4ml]")
@pytest.mark.skipif(shutil.which("g++") is None, reason="needs g++")
@pytest.mark.parametrize("word", [16, 8])
@pytest.mark.parametrize("name", ["mlp-784-100-10", "lenet5-relu"])
def test_hls4ml_computes_the_same_words(name: str, word: int, tmp_path: Path) -> None:
    """The logits of MNIST images: hls4ml has a softmax of its own."""
    network = fxpnn.load_onnx(MODELS / f"{name}.onnx")
    calibration = fxpnn.load_data("mnist:calibration").x
    whole = fxpnn.quantize(network, calibration, fxpnn.Settings(word=word))
    fixed = replace(whole, nodes=whole.nodes[:-1], outputs=("output",))
    fxpnn.export(fixed, tmp_path / "model.onnx", fxpnn.Target.QONNX)
    x = fxpnn.load_data("mnist").x[:IMAGES]
    np.save(tmp_path / "x.npy", np.moveaxis(x / np.float32(256), 1, -1))
    arguments = [str(tmp_path / "model.onnx"), str(tmp_path), str("lenet" in name)]
    done = subprocess.run(
        [sys.executable, "-c", SIMULATE, *arguments],
        cwd=tmp_path, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    y = np.load(tmp_path / "y.npy").reshape(IMAGES, -1)
    assert (y / fixed.formats["output"].lsb).tolist() == fxpnn.infer(fixed, x).raw.tolist()
