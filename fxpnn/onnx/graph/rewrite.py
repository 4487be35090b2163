"""Rewrite patterns: activations that a model spells out in arithmetic become one operator."""

from dataclasses import replace

from fxpnn.onnx.graph.curves import curve
from fxpnn.onnx.graph.look import ROUNDING, Line, Look
from fxpnn.onnx.graph.normal import Graph, Op
from fxpnn.onnx.graph.norms import layer_norm, rms_norm


def rewrite(graph: Graph) -> Graph:
    """Return the graph with the last operator of each pattern replaced, and the others dropped."""
    look = Look(graph)
    known = (_hard_sigmoid, _hard_swish, layer_norm, rms_norm, curve)
    ops = (next(filter(None, (find(look, op) for find in known)), op) for op in graph.ops)
    return replace(graph, ops=tuple(ops)).live()


def _hard_sigmoid(look: Look, op: Op) -> Op | None:
    """Recognise ``clip(x + c, 0, h) / h`` and ``clip(a x + c, 0, 1)``."""
    cut = look.clip(op.outputs[0])
    if cut is not None and cut[1] == 1:
        add = cut[0]
        inner = look.scale(add.tensor)
        return inner and _replaced(op, inner.tensor, inner.gain, add.offset)
    outer = look.scale(op.outputs[0])
    cut = outer and look.clip(outer.tensor)
    if outer is None or cut is None or abs(outer.gain * cut[1] - 1) > ROUNDING:
        return None
    return _replaced(op, cut[0].tensor, outer.gain, cut[0].offset * outer.gain)


def _replaced(op: Op, tensor: str, alpha: float, beta: float) -> Op:
    attributes = {"alpha": alpha, "beta": beta}
    return replace(op, kind="HardSigmoid", inputs=(tensor,), attributes=attributes)


def _hard_swish(look: Look, op: Op) -> Op | None:
    """Recognise ``x * clip(x + 3, 0, 6) / 6``."""
    outer = look.scale(op.outputs[0])
    product = outer and look.maker(outer.tensor, "Mul")
    if outer is None or product is None or abs(outer.gain * 6 - 1) > ROUNDING:
        return None
    for x, gate in (product.inputs, product.inputs[::-1]):
        if look.clip(gate) == (Line(x, 1.0, 3.0), 6.0):
            return replace(op, kind="HardSwish", inputs=(x,), attributes={})
    return None
