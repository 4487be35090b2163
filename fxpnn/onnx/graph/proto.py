"""Parse the bytes of an ONNX file into a checked message, and its tensors into arrays."""

import math
from collections import Counter
from typing import Any, TypeAlias

import numpy as np
import onnx
from google.protobuf.message import DecodeError, Message

from fxpnn.errors import ModelError
from fxpnn.network.layers import Array

DType: TypeAlias = np.dtype[Any]

MAX_BYTES = 2**31 - 1
"""The most bytes that a protobuf message, and so an ONNX file, can have."""

MAX_NODES = 1 << 16
"""The most nodes that a graph may have; the largest published networks have some thousands."""

MAX_RANK = 32
"""The most axes that a tensor may have."""

OLDEST_OPSET = 7
"""The opset that broadcasts as numpy does; older ones are refused."""

QUANTIZING = ("qonnx.custom_op.general", "onnx.brevitas")
"""The domains of QONNX's operators; its tools often leave out the import of their opset, 1."""

FLOATS = (
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.DOUBLE,
    onnx.TensorProto.FLOAT16,
    onnx.TensorProto.BFLOAT16,
)
"""The types of tensors that a network computes with."""

_NUMBERS = (
    *FLOATS,
    onnx.TensorProto.INT8,
    onnx.TensorProto.INT16,
    onnx.TensorProto.INT32,
    onnx.TensorProto.INT64,
    onnx.TensorProto.UINT8,
    onnx.TensorProto.UINT16,
    onnx.TensorProto.UINT32,
    onnx.TensorProto.UINT64,
    onnx.TensorProto.BOOL,
)
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
    imported = {opset.domain for opset in model.opset_import}
    for domain in sorted({node.domain for node in model.graph.node} & {*QUANTIZING} - imported):
        model.opset_import.add(domain=domain, version=1)
    return model


REMEDIES = {
    "Erfc": "write GELU by tf.math.erf, or with approximate=True, and export again",
}
"""What to do instead of operators that exporters are known to leave."""


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
    _check_kinds(model)
    try:
        onnx.checker.check_model(model)
    except (onnx.checker.ValidationError, ValueError) as error:
        raise ModelError(f"must be a valid ONNX model: {one_line(str(error), 200)}") from None


def _check_kinds(model: onnx.ModelProto) -> None:
    """Refuse what an exporter left as its own framework has it, which it says and goes on."""
    left = [n for n in model.graph.node if n.domain in ("", "ai.onnx") and not _known(n.op_type)]
    if not left:
        return
    counts = Counter(one_line(node.op_type, 40) for node in left)
    kinds = ", ".join(f"{count} {kind}" for kind, count in counts.items())
    remedy = "; ".join(REMEDIES[kind] for kind in counts if kind in REMEDIES)
    raise ModelError(
        f"{one_line(kinds, 200)} (first {one_line(left[0].name, 100)}): no operators of ONNX; the "
        f"exporter left what it could not convert{': ' if remedy else ''}{remedy}"
    )


def _known(kind: str) -> bool:
    return bool(onnx.defs.has(kind, domain=""))


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
    try:
        array: Array = onnx.numpy_helper.to_array(tensor)
    except ValueError as error:  # no values, along axes beyond what NumPy counts
        raise ModelError(f"tensor {tensor.name}: {one_line(str(error), 200)}") from None
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


def number_type(code: int) -> DType:
    """Return NumPy's type for a type of ONNX.

    Raises:
        ModelError: it is none of numbers.
    """
    if code not in _NUMBERS:
        kinds = {code: name for name, code in onnx.TensorProto.DataType.items()}
        raise ModelError(f"type must be 8 to 64-bit numbers, not {kinds.get(code, code)}")
    return onnx.helper.tensor_dtype_to_np_dtype(code)


def item_bytes(tensor: onnx.TensorProto) -> int:
    """Return the bytes that one value of a tensor takes.

    Raises:
        ModelError: its type is none of numbers.
    """
    try:
        return number_type(tensor.data_type).itemsize
    except ModelError as error:
        raise ModelError(f"tensor {tensor.name}: {error}") from None


def _held(tensor: onnx.TensorProto, size: int) -> float:
    if tensor.HasField("raw_data"):
        return len(tensor.raw_data) / size
    return len(getattr(tensor, onnx.helper.tensor_dtype_to_field(tensor.data_type)))
