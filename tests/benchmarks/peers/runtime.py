"""Run a network by ONNX Runtime: in float32, and quantized by its own tools."""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx.version_converter
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from fxpnn.network.graph import INPUT
from tests.benchmarks.work import Floats, Run, Work

OPSET = 21
"""The first that casts to 16 bits."""


class Reader(CalibrationDataReader):  # type: ignore[misc] # the package has no types
    """Gives the calibration images once, all in one batch."""

    def __init__(self, x: Floats) -> None:
        self._batches: Iterator[dict[str, Floats]] = iter([{INPUT: x}])

    def get_next(self) -> dict[str, Floats] | None:
        """Give the batch, then nothing."""
        return next(self._batches, None)


def float32(work: Work, threads: int) -> Run:
    """Run the model as it is."""
    return _session(work.path.read_bytes(), threads)


def int8(work: Work, threads: int) -> Run:
    """Run the model with 8-bit weights per channel and unsigned 8-bit activations."""
    types = {"activation_type": QuantType.QUInt8, "weight_type": QuantType.QInt8}
    return _session(_quantized(work, per_channel=True, **types), threads)


def int16(work: Work, threads: int) -> Run:
    """Run the model with 16-bit weights and activations."""
    types = {"activation_type": QuantType.QInt16, "weight_type": QuantType.QInt16}
    return _session(_quantized(work, **types), threads)


def _quantized(work: Work, **how: Any) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        newer, ready, target = (Path(folder, f"{n}.onnx") for n in ("newer", "ready", "target"))
        onnx.save(onnx.version_converter.convert_version(onnx.load(work.path), OPSET), newer)
        quant_pre_process(newer, ready, skip_symbolic_shape=True)
        quantize_static(
            ready, target, Reader(work.calibration), quant_format=QuantFormat.QDQ, **how
        )
        return target.read_bytes()


def _session(model: bytes, threads: int) -> Run:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.force_spinning_stop", "1")  # others have their turn
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {INPUT: x})[0]
