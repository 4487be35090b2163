"""Own the bytes of an ONNX file: a parsed and checked message, and its tensors as arrays."""

import math

import numpy as np
import onnx
from google.protobuf.message import DecodeError, Message

from fxpnn.errors import ModelError
from fxpnn.layers import Array

MAX_BYTES = 2**31 - 1
"""The most bytes that a protobuf message, and so an ONNX file, can have."""

MAX_NODES = 1 << 16
"""The most nodes that a graph may have; the largest published networks have some thousands."""

MAX_RANK = 32
"""The most axes that a tensor may have."""

OLDEST_OPSET = 7
"""The opset that broadcasts as numpy does; older ones are refused."""

_BYTES: dict[int, int] = {
    onnx.TensorProto.FLOAT: 4,
    onnx.TensorProto.DOUBLE: 8,
    onnx.TensorProto.FLOAT16: 2,
    onnx.TensorProto.BFLOAT16: 2,
    onnx.TensorProto.INT8: 1,
    onnx.TensorProto.INT16: 2,
    onnx.TensorProto.INT32: 4,
    onnx.TensorProto.INT64: 8,
    onnx.TensorProto.UINT8: 1,
    onnx.TensorProto.UINT16: 2,
    onnx.TensorProto.UINT32: 4,
    onnx.TensorProto.UINT64: 8,
    onnx.TensorProto.BOOL: 1,
}
FLOATS = (
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.DOUBLE,
    onnx.TensorProto.FLOAT16,
    onnx.TensorProto.BFLOAT16,
)
"""The types of tensors that a network computes with."""

_HALVES = (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)


def parse(content: bytes) -> onnx.ModelProto:
    """Parse a serialized model; ``check`` judges what is in it.

    Raises:
        ModelError: the bytes are no ONNX message.
    """
    try:
        model: onnx.ModelProto = onnx.ModelProto.FromString(content)
    except DecodeError:
        raise ModelError("must be an ONNX model, not cut, altered or another file") from None
    for info in [*model.graph.input, *model.graph.output]:
        if info.type.HasField("tensor_type"):  # the checker wants a shape; many files leave it out
            info.type.tensor_type.shape.SetInParent()
    return model


def check(model: onnx.ModelProto) -> None:
    """Accept only a model that follows the ONNX specification.

    Raises:
        ModelError: it does not, or its opset or size is outside what fxpnn reads.
    """
    if len(model.graph.node) > MAX_NODES:
        raise ModelError(f"must have at most {MAX_NODES} nodes, not {len(model.graph.node)}")
    _check_text(model)
    newest = onnx.defs.onnx_opset_version()
    for opset in model.opset_import:
        if opset.domain in ("", "ai.onnx") and not OLDEST_OPSET <= opset.version <= newest:
            raise ModelError(f"opset must be {OLDEST_OPSET} to {newest}, not {opset.version}")
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise ModelError(f"must be a valid ONNX model: {one_line(str(error), 200)}") from None


def _check_text(message: Message) -> None:
    """Refuse text that is not UTF-8, which protobuf hands on as bytes."""
    for field, value in message.ListFields():
        items = [value] if isinstance(value, str | bytes | Message) else value
        if field.type == field.TYPE_MESSAGE:
            for item in items:
                _check_text(item)
        elif field.type == field.TYPE_STRING and any(isinstance(item, bytes) for item in items):
            raise ModelError(f"its {field.name} must be UTF-8 text")


def one_line(text: str, limit: int) -> str:
    """Put text of a file or another library on one line that a terminal can print."""
    line = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    return line if len(line) <= limit else f"{line[:limit]}..."


def to_array(tensor: onnx.TensorProto) -> Array:
    """Return a tensor's values; 16-bit floats become float32, which holds them exactly.

    Raises:
        ModelError: its type is none of numbers, or its dimensions lie about its data.
    """
    size, wanted = item_bytes(tensor), count(tensor)
    if _held(tensor, size) != wanted:
        raise ModelError(
            f"tensor {tensor.name}: must hold the {list(tensor.dims)} values of its dimensions, "
            f"not {_held(tensor, size):g}"
        )
    array: Array = onnx.numpy_helper.to_array(tensor)
    return array.astype(np.float32) if tensor.data_type in _HALVES else array


def count(tensor: onnx.TensorProto) -> int:
    """Return how many values a tensor's dimensions promise.

    Raises:
        ModelError: no tensor has such dimensions.
    """
    if len(tensor.dims) > MAX_RANK or min(tensor.dims, default=0) < 0:
        text = str(list(tensor.dims[:MAX_RANK]))
        raise ModelError(
            f"tensor {tensor.name}: must have at most {MAX_RANK} dimensions, not {text}"
        )
    return math.prod(tensor.dims)


def item_bytes(tensor: onnx.TensorProto) -> int:
    """Return the bytes that one value of a tensor takes.

    Raises:
        ModelError: its type is none of numbers.
    """
    size = _BYTES.get(tensor.data_type)
    if size is None:
        kinds = {code: name for name, code in onnx.TensorProto.DataType.items()}
        kind = kinds.get(tensor.data_type, tensor.data_type)
        raise ModelError(f"tensor {tensor.name}: type must be 8 to 64-bit numbers, not {kind}")
    return size


def _held(tensor: onnx.TensorProto, size: int) -> float:
    if tensor.HasField("raw_data"):
        return len(tensor.raw_data) / size
    return len(getattr(tensor, onnx.helper.tensor_dtype_to_field(tensor.data_type)))
