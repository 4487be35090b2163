"""The shapes that ONNX itself says an operator's outputs have: known of refused ones, too."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from fxpnn.network.layers import Array, Shape
from fxpnn.onnx.graph.normal import Op
from fxpnn.onnx.graph.proto import FLOATS, MAX_RANK
from fxpnn.onnx.graph.quant import QUANTIZERS

_REFUSALS = (
    onnx.checker.ValidationError,
    onnx.defs.SchemaError,
    onnx.shape_inference.InferenceError,
)


def inferred(op: Op, inputs: Sequence[Array | Shape | None]) -> tuple[Shape | None, ...]:
    """Return the shape of each output, batch and all, or ``None`` where it is not known to be one.

    An input is a constant, the shape of a tensor of floats, or left out. An operator of which ONNX
    has no schema, or that holds graphs, has no known outputs; an output has none of integers.
    Operators that quantize keep the shape.
    """
    if op.kind in QUANTIZERS:
        return tuple(shape for shape in inputs[:1] if not isinstance(shape, np.ndarray))
    domain, _, kind = op.kind.rpartition(".")
    given = {name: array for name, array in zip(op.inputs, inputs, strict=True) if name}
    try:
        if any(isinstance(value, onnx.GraphProto) for value in op.attributes.values()):
            return ()
        outputs = onnx.shape_inference.infer_node_outputs(
            onnx.defs.get_schema(kind, op.opset, domain),
            helper.make_node(kind, op.inputs, op.outputs, domain=domain, **op.attributes),
            {name: _type(value) for name, value in given.items()},
            {name: numpy_helper.from_array(array) for name, array in _small(given).items()},
            opset_imports=[helper.make_opsetid(domain, op.opset)],
        )
    except (*_REFUSALS, ValueError, TypeError, RuntimeError):  # its C++ raises others, too
        return ()
    return tuple(_shape(outputs.get(name)) for name in op.outputs)


def _type(value: Array | Shape | None) -> onnx.TypeProto:
    if not isinstance(value, np.ndarray):
        return helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, value)
    return helper.make_tensor_type_proto(helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)


def _small(given: Mapping[str, Array | Shape | None]) -> dict[str, Array]:
    """Return the constants that may be axes or sizes; no weights are copied."""
    arrays = {name: value for name, value in given.items() if isinstance(value, np.ndarray)}
    return {name: array for name, array in arrays.items() if array.size <= MAX_RANK}


def _shape(found: onnx.TypeProto | None) -> Shape | None:
    if found is None or found.tensor_type.elem_type not in FLOATS:
        return None
    shape = tuple(dim.dim_value for dim in found.tensor_type.shape.dim)
    return shape if 0 < len(shape) <= MAX_RANK and min(shape) > 0 else None
