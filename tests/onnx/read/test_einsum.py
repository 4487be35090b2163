"""Einsum: axes moved, and products of two tensors or of one and a constant."""

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

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

TOKENS = ("N", 3, 4)
HEADS = ("N", 2, 3, 4)  # images, heads or places, tokens or maps, features
LINEAR = "Transpose Reshape Conv2D Reshape Transpose"


def einsum(
    layers: str, equation: str, shape: tuple[int | str, ...], *constant: int, first: bool = False
) -> Form:
    """Multiply the input by a constant of a shape, or, without one, by half of itself."""
    ahead = [] if constant else [op("Mul", "x half", "w")]
    weights = {"w": floats(*constant)} if constant else {"half": 0.5}
    node = op("Einsum", "w x" if first else "x w", "y", equation=equation)
    return form(layers, *ahead, node, weights=weights, shape=shape)


FORMS = {
    "rows by a matrix": einsum(LINEAR, "bij,jk->bik", TOKENS, 4, 5),
    "a matrix by rows": einsum(LINEAR, "jk,bij->bik", TOKENS, 4, 5, first=True),
    "a matrix from the left": einsum(
        "Transpose Transpose Reshape Conv2D Reshape Transpose Transpose",
        "ji,bik->bjk",
        TOKENS,
        5,
        3,
        first=True,
    ),
    "images by a matrix": einsum("Dense", "ni,io->no", ("N", 4), 4, 5),
    "images by a turned matrix, the result left out": einsum(
        "Dense", "bc,ac", ("N", 4), 5, 4, first=True
    ),
    "two axes summed": einsum(
        "Transpose Reshape Transpose Reshape Conv2D Reshape Transpose",
        "nhtd,hdo->nto",
        HEADS,
        2,
        4,
        5,
    ),
    "all axes summed": einsum("Reshape Dense", "nhtd,htdo->no", HEADS, 2, 3, 4, 5),
    "columns of two axes": einsum(
        "Transpose Reshape Conv2D Reshape Transpose Reshape", "ntd,dhk->nthk", TOKENS, 4, 2, 5
    ),
    "columns of two axes, turned": einsum(
        "Transpose Reshape Conv2D Reshape Transpose Reshape Transpose",
        "ntd,dhk->nhtk",
        TOKENS,
        4,
        2,
        5,
    ),
    "a matrix for each head": einsum(LINEAR, "nhtd,hdk->nhtk", HEADS, 2, 4, 5),
    "a matrix for each token": einsum(
        "Transpose Transpose Reshape Conv2D Reshape Transpose Transpose",
        "nhtd,tdk->nhtk",
        HEADS,
        3,
        4,
        5,
    ),
    "a vector for each head": einsum(
        "Transpose Reshape Conv2D Transpose Reshape", "nhtd,hd->nht", HEADS, 2, 4
    ),
    "a matrix for each row, and no further axis": einsum(
        "Reshape Transpose Reshape Conv2D Reshape Transpose Reshape",
        "nhd,hdk->nhk",
        TOKENS,
        3,
        4,
        5,
    ),
    "each value by its own": einsum(
        "Reshape Transpose Reshape Conv2D Reshape Transpose Reshape", "nhd,hd->nhd", TOKENS, 3, 4
    ),
    "an outer product": einsum(
        "Reshape Transpose Reshape Conv2D Reshape Transpose", "nd,k->ndk", ("N", 4), 3
    ),
    "heads that come from a constant": einsum("Dense Reshape", "nd,hdk->nhk", ("N", 4), 2, 4, 3),
    "an ellipsis": einsum(LINEAR, "...ij,jk->...ik", TOKENS, 4, 5),
    "an ellipsis, the result left out": einsum(LINEAR, "...ij,jk", TOKENS, 4, 5),
    "scores": einsum("Transpose MatMul Conv2D", "nhqd,nhkd->nhqk", HEADS),
    "scores of heads behind": einsum("Transpose Transpose MatMul Conv2D", "nqhd,nkhd->nhqk", HEADS),
    "scores of merged windows": einsum(
        "Transpose MatMul Conv2D", "B G I D, B G J D -> B G I J", HEADS
    ),
    "maps by maps": einsum(
        "Reshape Transpose Reshape MatMul Reshape Conv2D Reshape", "nchw,ndhw->ncd", MAPS
    ),
    "sums by each image": einsum(
        "Reshape Reshape MatMul Reshape Reshape Conv2D Reshape", "nij,nij->ni", TOKENS
    ),
    "an ellipsis of both": einsum("Transpose MatMul Conv2D", "...qd,...kd->...qk", HEADS),
    "no sum": einsum(
        "Transpose Reshape Transpose Reshape MatMul Transpose Conv2D", "nid,njd->nijd", TOKENS
    ),
    "one tensor": form("Transpose", op("Einsum", "x", "y", equation="n...c -> nc..."), shape=MAPS),
}


@pytest.mark.parametrize("case", FORMS.values(), ids=FORMS)
def test_sums_become_products_of_matrices(case: Form) -> None:
    """ONNX Runtime agrees."""
    check(case)


@st.composite
def equations(draw: st.DrawFn) -> str:
    """Draw the sum of a product of maps ``abc`` and of others, or a constant."""
    constant = draw(st.booleans())
    least = 1 if constant else 3
    others = draw(st.lists(st.sampled_from("abcde"), min_size=least, max_size=3, unique=True))
    summed = {letter for letter in others if letter in "abc" and draw(st.booleans())}
    made = draw(st.permutations(sorted({*"abc", *others} - summed)).filter(bool))
    return f"nabc,{'n' * (not constant)}{''.join(others)}->n{''.join(made)}"


@given(equations())
def test_any_sum_agrees_with_numpy(equation: str) -> None:
    """Whatever leads, is a row or a column or is summed, in whatever order."""
    axes = len(equation.split("->")[0].split(",")[1])
    x = floats(3, 2, 2, 2)
    if ",n" in equation:
        case, w = einsum("", equation, ("N", 2, 2, 2)), x / 2
    else:
        case, w = einsum("", equation, ("N", 2, 2, 2), *(2,) * axes), floats(*(2,) * axes)
    network = from_model(case.model)
    found = forward(network, x)[network.outputs[0]]
    assert_floats_agree(found, np.einsum(equation, x, w))


REFUSED = {
    "too many terms": (
        op("Einsum", "x", "y", equation="nij,jk->nik"),
        "equation must have a term for each of 1 inputs: nij,jk->nik",
    ),
    "a letter too few": (
        op("Einsum", "x", "y", equation="ni->in"),
        "equation must have a letter for each of 3 axes, not 'ni'",
    ),
    "no letter": (
        op("Einsum", "x", "y", equation="n.j->nj"),
        "equation must have a letter for each of 3 axes, not 'n.j'",
    ),
    "a diagonal": (
        op("Einsum", "x", "y", equation="nii->ni"),
        "equation must name each axis once, of axes there are: nii->ni",
    ),
    "an unknown axis": (
        op("Einsum", "x", "y", equation="nij->nijk"),
        "equation must name each axis once, of axes there are: nij->nijk",
    ),
    "a sum of one tensor": (
        op("Einsum", "x", "y", equation="nij->ni"),
        "must keep all axes of one tensor: ReduceSum sums some",
    ),
    "a sum of one of two": (
        op("Einsum", "x x", "y", equation="nij,nkj->ni"),
        "must sum axes that both tensors have: sum k before it",
    ),
    "three tensors": (
        op("Einsum", "x x x", "y", equation="nij,nkj,nkl->nil"),
        "must multiply two tensors, not 3: give each two a node",
    ),
    "other sizes": (
        op("Einsum", "x x", "y", equation="nij,njk->nik"),
        "its axes j must be of one size, not of (N, 3, 4) and (N, 3, 4)",
    ),
    "images by images": (
        op("Einsum", "x x", "y", equation="nij,mij->nm"),
        "must have the images along one axis of all branches, not 1 and 2",
    ),
    "a sum of images": (
        op("Einsum", "x x", "y", equation="nij,nik->jk"),
        "must have the images along one axis of all branches, not 2 and 1",
    ),
    "constants alone": (
        op("Einsum", "w", "y", equation="ij->ji"),
        "input 1 must depend on the network's input",
    ),
    "two constants": (
        op("Einsum", "w w", "y", equation="ij,jk->ik"),
        "input 2 must depend on the network's input",
    ),
}


@pytest.mark.parametrize(("node", "message"), REFUSED.values(), ids=REFUSED)
def test_other_sums_are_refused(node: onnx.NodeProto, message: str) -> None:
    """In one line."""
    weights = {"w": floats(4, 4)}
    refused = model(node, op("Relu", "x", "z"), shape=TOKENS, weights=weights, outputs="y z")
    refuse(refused, f"Einsum (node y, opset 17): {message}")
