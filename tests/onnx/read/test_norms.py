"""Layer normalisation, as an operator and written out, against ONNX Runtime."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import pytest

from fxpnn.errors import ModelError
from fxpnn.onnx import from_model
from fxpnn.reference import forward
from tests.support.onnx_models import (
    MAPS,
    Form,
    assert_floats_agree,
    check,
    floats,
    form,
    model,
    op,
    refuse,
)

ROWS = ("N", 3, 4)


def reciprocal(kind: str) -> onnx.NodeProto:
    """Make the reciprocal of a root, by its operator or as a quotient."""
    return op("Div", "one r", "i") if kind == "Div" else op("Reciprocal", "r", "i")


def written_out(square: str = "Pow", *, axis: int = -1, opset: int = 17, inverse: str = "") -> Form:
    """Make what exporters write where the opset has no such operator.

    Along another axis than the last, the vectors' scale and bias are those of maps' channels.
    """
    last = axis == -1
    axes: dict[str, Any] = {"axes": [axis]} if opset < 18 else {}
    reads = " axes" * (opset >= 18)
    return form(
        "LayerNorm" if last else "Transpose LayerNorm Transpose Conv2D",
        op("ReduceMean", "x" + reads, "mean", **axes),
        op("Sub", "x mean", "d"),
        op("Pow", "d two", "s") if square == "Pow" else op("Mul", "d d", "s"),
        op("ReduceMean", "s" + reads, "v", **axes),
        op("Add", "v eps", "e"),
        op("Sqrt", "e", "r"),
        *([reciprocal(inverse), op("Mul", "d i", "q")] if inverse else [op("Div", "d r", "q")]),
        op("Mul", "g q", "p"),
        op("Add", "p b", "y"),
        weights={"one": 1.0, "two": 2.0, "eps": 1e-3, "g": floats(4) if last else floats(2, 1, 1)}
        | {"b": floats(1, 4) if last else floats(1, 2, 1, 1)}
        | ({"axes": [axis]} if opset >= 18 else {}),
        shape=ROWS if last else MAPS,
        opset=opset,
    )


def factored(
    *, swapped: bool = False, negated: str = "mean", gain: str = "gain", centre: str = "mean"
) -> Form:
    """Make what Keras's exporter writes, of rows whose means it takes as those of maps."""
    return form(
        "LayerNorm",
        op("GlobalAveragePool", "x", "mean"),
        op("Reshape", "mean own", "reshaped"),
        op("Neg", negated, "minus"),
        op("Sub", f"x {centre}", "d"),
        op("Mul", "d d", "s"),
        op("GlobalAveragePool", "s", "v"),
        op("Add", "v eps", "e"),
        op("Sqrt", "e", "r"),
        op("Reciprocal", "r", "i"),
        op("Mul", "i g", "gain"),
        op("Mul", "gain x" if swapped else "x gain", "p"),
        op("Mul", f"minus {gain}", "m"),
        op("Add", "m b", "n"),
        op("Add", "n p" if swapped else "p n", "y"),
        weights={
            "eps": 1e-3,
            "g": floats(1, 1, 4),
            "b": floats(1, 1, 4),
            "own": np.array([-1, 3, 1]),
        },
        shape=ROWS,
    )


ROOT = "Reshape Conv2D Reshape Concat LayerNorm Slice"
ROOTS = {"one": 1.0, "two": 2.0, "eps": 1e-3}


def root_mean_square(
    *, quotient: bool = False, inverse: str = "Reciprocal", axes: Sequence[int] = (-1,)
) -> list[onnx.NodeProto]:
    """Make what exporters write of RMSNorm, with a reciprocal or a quotient."""
    return [
        op("Pow", "x two", "s") if quotient else op("Mul", "x x", "s"),
        op("ReduceMean", "s", "v", axes=axes),
        op("Add", "v eps", "e"),
        op("Sqrt", "e", "r"),
        *([op("Div", "x r", "y")] if quotient else [reciprocal(inverse)]),
        *([] if quotient else [op("Mul", "i x", "y")]),
    ]


WEIGHTS = {"g": floats(4), "b": floats(4)}

FORMS = {
    "the operator": form(
        "LayerNorm",
        op("LayerNormalization", "x g b", "y", epsilon=0.1),
        weights=WEIGHTS,
        shape=ROWS,
    ),
    "without a bias": form(
        "LayerNorm", op("LayerNormalization", "x g", "y"), weights=WEIGHTS, shape=ROWS
    ),
    "over several axes": form(
        "Reshape LayerNorm Reshape",
        op("LayerNormalization", "x g b", "y", axis=2),
        weights={"g": floats(6, 5), "b": floats(5)},
        shape=MAPS,
    ),
    "of channels, as ConvNeXt's": form(
        "Transpose LayerNorm Transpose Conv2D",
        op("Transpose", "x", "a", perm=[0, 2, 3, 1]),
        op("LayerNormalization", "a g b", "c"),
        op("Transpose", "c", "d", perm=[0, 3, 1, 2]),
        op("Conv", "d k", "y"),
        weights={"g": floats(2), "b": floats(2), "k": floats(3, 2, 1, 1)},
        shape=MAPS,
    ),
    "of instances": form(
        "Reshape LayerNorm Reshape Conv2D",
        op("InstanceNormalization", "x g b", "y", epsilon=0.1),
        weights={"g": floats(2), "b": floats(1, 2)[0]},
        shape=MAPS,
    ),
    "of instances, their scale in the weights behind": form(
        "Reshape LayerNorm Reshape Conv2D",
        op("InstanceNormalization", "x g b", "a"),
        op("Conv", "a k", "y"),
        weights={"g": floats(2), "b": floats(2), "k": floats(3, 2, 1, 1)},
        shape=MAPS,
    ),
    "of groups, as PyTorch's": form(
        "Reshape LayerNorm Reshape Conv2D",
        op("Reshape", "x two", "a"),
        op("InstanceNormalization", "a one zero", "c"),
        op("Reshape", "c back", "d"),
        op("Mul", "d g", "e"),
        op("Add", "e b", "y"),
        weights={
            "two": np.array([0, 2, -1]),
            "back": np.array([0, 4, 3, 2]),
            "one": np.ones(2, np.float32),
            "zero": np.zeros(2, np.float32),
            "g": floats(4, 1, 1),
            "b": floats(4, 1, 1),
        },
        shape=("N", 4, 3, 2),
    ),
    "of groups": form(
        "Reshape LayerNorm Reshape Conv2D",
        op("GroupNormalization", "x g b", "y", num_groups=2),
        weights={"g": floats(4), "b": floats(4)},
        shape=("N", 4, 3, 2),
        opset=21,
    ),
    "written out, a mean reshaped to its own shape": factored(centre="reshaped"),
    "times a reciprocal": written_out(inverse="Reciprocal"),
    "times one by the deviation": written_out(inverse="Div"),
    "root mean square, times one by the root": form(
        ROOT, *root_mean_square(inverse="Div"), weights=ROOTS, shape=ROWS
    ),
    "root mean square": form(ROOT, *root_mean_square(), weights=ROOTS, shape=ROWS),
    "root mean square as a quotient": form(
        ROOT, *root_mean_square(quotient=True), weights=ROOTS, shape=ROWS
    ),
    "a length, limited behind its root": form(
        ROOT,
        op("Mul", "x x", "s"),
        op("ReduceSum", "s last", "v"),
        op("Sqrt", "v", "r"),
        op("Reciprocal", "r", "i"),
        op("Min", "i large", "m"),
        op("Mul", "x m", "y"),
        weights={"last": np.array([-1]), "large": 1e12},
        shape=ROWS,
    ),
    "a length, limited before its root": form(
        ROOT,
        op("Mul", "x x", "s"),
        op("ReduceSum", "s last", "v"),
        op("Max", "v small", "m"),
        op("Sqrt", "m", "r"),
        op("Div", "x r", "y"),
        weights={"last": np.array([-1]), "small": 1e-12},
        shape=ROWS,
    ),
    "written out": written_out(),
    "written out with a product": written_out("Mul", axis=2),
    "written out in a newer opset": written_out(opset=18),
    "factored, as Keras's": factored(),
    "factored and turned": factored(swapped=True),
    "written out without constants": form(
        "LayerNorm Tanh",
        op("ReduceMean", "x", "mean", axes=[-1]),
        op("Sub", "x mean", "d"),
        op("Mul", "d d", "s"),
        op("ReduceMean", "s", "v", axes=[-1]),
        op("Add", "v eps", "e"),
        op("Sqrt", "e", "r"),
        op("Div", "d r", "q"),
        op("Tanh", "q", "y"),
        weights={"eps": 1e-3},
        shape=ROWS,
    ),
    "a vector of length 1, as PyTorch's": form(
        ROOT,
        op("ReduceL2", "x", "n", axes=[-1]),
        op("Clip", "n least", "c"),
        op("Shape", "x", "shape"),
        op("Expand", "c shape", "e"),
        op("Div", "x e", "y"),
        weights={"least": 1e-12},
        shape=ROWS,
    ),
    "a vector of length 1, by Max": form(
        ROOT,
        op("ReduceL2", "x last", "n"),
        op("Max", "n least", "c"),
        op("Div", "x c", "y"),
        weights={"least": 1e-12, "last": np.array([2])},
        shape=ROWS,
        opset=18,
    ),
    "a vector by its length": form(
        ROOT, op("ReduceL2", "x", "n", axes=[-1]), op("Div", "x n", "y"), shape=ROWS
    ),
    "a vector of channels, as PyTorch's": form(
        "Transpose Conv2D Concat LayerNorm Slice Transpose",
        op("ReduceL2", "x", "n", axes=[1]),
        op("Clip", "n least", "c"),
        op("Div", "x c", "y"),
        weights={"least": 1e-12},
        shape=MAPS,
    ),
    "of channels, written out": written_out(axis=1),
    "of rows between others": written_out(axis=2)._replace(
        layers="Transpose LayerNorm Transpose Conv2D"
    ),
    "a scale of each row": form(
        "LayerNorm Reshape Conv2D Reshape",
        op("LayerNormalization", "x g b", "y"),
        weights={"g": floats(3, 4), "b": floats(3, 1)},
        shape=ROWS,
    ),
    "of instances, written out": form(
        "Reshape LayerNorm Reshape Conv2D",
        op("ReduceMean", "x", "mean", axes=[2, 3]),
        op("Sub", "x mean", "d"),
        op("Mul", "d d", "s"),
        op("ReduceMean", "s", "v", axes=[2, 3]),
        op("Add", "v eps", "e"),
        op("Sqrt", "e", "r"),
        op("Div", "d r", "q"),
        op("Mul", "q g", "p"),
        op("Add", "p b", "y"),
        weights={"eps": 1e-3, "g": floats(2, 1, 1), "b": floats(1, 2, 1, 1)},
        shape=MAPS,
    ),
    "of tokens that lie before the images": form(
        "LayerNorm Transpose",
        op("Transpose", "x", "t", perm=[1, 0, 2]),
        op("LayerNormalization", "t g b", "n"),
        op("Transpose", "n", "y", perm=[1, 2, 0]),
        weights=WEIGHTS,
        shape=ROWS,
    ),
}


@pytest.mark.parametrize("case", FORMS.values(), ids=FORMS)
def test_layer_normalisation(case: Form) -> None:
    """It becomes one layer, which gives what ONNX Runtime gives."""
    check(case)


def norm(shape: tuple[int, ...] = (4,), **attributes: Any) -> onnx.ModelProto:
    """Make a model of one operator."""
    return model(
        op("LayerNormalization", "x g", "y", **attributes),
        weights={"g": floats(*shape)},
        shape=ROWS,
    )


WHERE = "LayerNormalization (node y, opset 17): "
REFUSED = {
    "images": (norm(axis=0), WHERE + "must not normalise over the images"),
    "no axis": (norm(axis=3), WHERE + "axes must be inside the 3 axes, not [3]"),
    "another constant": (
        norm((3,)),
        WHERE + "its constant must fit the (4,) that are normalised, not (3,)",
    ),
    "no epsilon": (norm(epsilon=0.0), WHERE + "epsilon must be above 0, not 0.0"),
    "too many": (
        model(
            op("LayerNormalization", "x g", "y"), weights={"g": floats(1)}, shape=("N", 1, 65537)
        ),
        WHERE + "must normalise at most 65536 values at a time, not 65537",
    ),
    "groups that do not fit": (
        model(
            op("GroupNormalization", "x g g", "y", num_groups=3),
            weights={"g": floats(4)},
            shape=("N", 4, 3, 2),
            opset=21,
        ),
        "GroupNormalization (node y, opset 21): its groups must share the channels of maps, "
        "not be 3 of (4, 3, 2)",
    ),
    "a scale of another length": (
        model(
            op("InstanceNormalization", "x g b", "y"),
            weights={"g": floats(2), "b": floats(3)},
            shape=MAPS,
        ),
        "InstanceNormalization (node y, opset 17): "
        "its scale and bias must be (2), not (2,) and (3,)",
    ),
    "a map too large": (
        model(
            op("InstanceNormalization", "x g g", "y"),
            weights={"g": floats(1)},
            shape=("N", 1, 257, 256),
        ),
        "InstanceNormalization (node y, opset 17): must normalise at most 65536 values at a time, "
        "not 65792",
    ),
    "a root of several axes": (
        model(*root_mean_square(axes=[1, 2]), weights=ROOTS, shape=ROWS),
        "RMSNormalization (node y, opset 17): must normalise one axis alone, not 2",
    ),
    "too many under a root": (
        model(*root_mean_square(), weights=ROOTS, shape=("N", 2, 32769)),
        "RMSNormalization (node y, opset 17): must normalise at most 32768 values at a time, not "
        "32769",
    ),
}


@pytest.mark.parametrize(("kind", "limit"), [("Max", 1e-3), ("Min", 100.0)])
def test_a_length_with_a_limit_that_is_felt_is_refused(kind: str, limit: float) -> None:
    """It would change what is computed of words that a tensor may have."""
    before = kind == "Max"
    nodes = [
        op("Mul", "x x", "s"),
        op("ReduceSum", "s last", "v"),
        *([op("Max", "v limit", "m")] if before else []),
        op("Sqrt", "m" if before else "v", "r"),
        op("Reciprocal", "r", "i"),
        *([] if before else [op("Min", "i limit", "n")]),
        op("Mul", f"x {'i' if before else 'n'}", "y"),
    ]
    made = model(*nodes, weights={"last": np.array([-1]), "limit": limit}, shape=ROWS)
    with pytest.raises(ModelError, match=r"^Sqrt \(node r, opset 17\): is not supported"):
        from_model(made)


def test_a_root_mean_square_has_a_scale() -> None:
    """ONNX's own operator, of opset 23, has one for each place of a vector."""
    made = model(
        op("RMSNormalization", "x g", "y", epsilon=1e-3), weights={"g": floats(4)}, opset=23
    )
    network, x = from_model(made), floats(5, 4)
    wanted = floats(4) * x / np.sqrt((x**2).mean(1, keepdims=True) + 1e-3)
    assert_floats_agree(forward(network, x)[network.outputs[0]], wanted)


@pytest.mark.parametrize(("case", "message"), REFUSED.values(), ids=REFUSED)
def test_refusals(case: onnx.ModelProto, message: str) -> None:
    """What cannot be is refused in a line that names the operator."""
    refuse(case, message)


@pytest.mark.parametrize("case", [factored(negated="x"), factored(gain="i")], ids=["mean", "gain"])
def test_what_looks_like_a_normalisation_is_none(case: Form) -> None:
    """What is subtracted must be the mean, times what the tensor is multiplied by."""
    with pytest.raises(ModelError, match=r"^.*Sqrt.*Reciprocal.*$"):
        from_model(case.model)
