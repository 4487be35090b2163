"""Public functions refuse what is no array of numbers by errors of their own that say what is."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

import fxpnn
from fxpnn import golden
from fxpnn.network.layers import Dense, Relu
from fxpnn.reference import classify, predict
from fxpnn.training.sgd import Recipe, train

IMAGES = np.array([[0.1, 0.2, 0.3], [0.5, -0.5, 1.0]])
NETWORK = fxpnn.chain(
    "n", (3,), {"d": Dense(np.eye(3, dtype=np.float32), np.zeros(3)), "r": Relu()}
)
FIXED = fxpnn.quantize(NETWORK, IMAGES)
FORMAT = fxpnn.QFormat(8, 4)
RECIPE = Recipe(epochs=1, batch=2, rate=0.01)
KEEPING: dict[str, Callable[[Any], Mapping[str, Any]]] = {
    "infer": lambda keep: fxpnn.infer(FIXED, IMAGES, keep=keep).tensors,
    "forward": lambda keep: fxpnn.forward(NETWORK, IMAGES, keep=keep),
    "predict": lambda keep: predict(NETWORK, IMAGES, keep=keep),
}
"""What gives the values of nodes that are named."""

NO_NUMBERS: dict[str, Any] = {
    "complex numbers": IMAGES + 0j,
    "longdoubles": IMAGES.astype(np.longdouble) / 3,
    "objects": IMAGES.astype(object),
    "nothing": None,
    "a text": "abc",
    "texts": np.array([["a", "b", "c"]] * 2),
    "dates": np.zeros((2, 3), "M8[s]"),
    "records": np.zeros((2, 3), [("a", "i4")]),
    "rows of different lengths": [[1], [1, 2]],
    "a mask": np.ma.masked_greater(IMAGES, 0.4),
}
"""What is taken nowhere: long floats would be rounded twice, and what a mask hides would count."""

NUMBERS: dict[str, Callable[[Any], object]] = {
    "cast": lambda x: fxpnn.cast(x, FORMAT, FORMAT),
    "from_float": lambda x: fxpnn.from_float(x, FORMAT),
    "to_float": lambda x: fxpnn.to_float(x, FORMAT),
    "golden": lambda x: golden.run(FIXED, x),
}
"""These take whatever numpy makes an array of numbers of, a list too."""

ARRAYS: dict[str, Callable[[Any], object]] = {
    "infer": lambda x: fxpnn.infer(FIXED, x),
    "an engine": fxpnn.Engine(FIXED),
    "Engine.run": lambda x: fxpnn.Engine(FIXED).run(x),
    "quantize": lambda x: fxpnn.quantize(NETWORK, x),
    "compare": lambda x: fxpnn.compare(NETWORK, FIXED, x),
    "compare's labels": lambda y: fxpnn.compare(NETWORK, FIXED, IMAGES, y),
    "forward": lambda x: fxpnn.forward(NETWORK, x),
    "predict": lambda x: predict(NETWORK, x),
    "classify": lambda x: classify(NETWORK, x),
    "train": lambda x: train(NETWORK, x, np.array([0, 1]), RECIPE),
    "train's targets": lambda y: train(NETWORK, IMAGES, y, RECIPE),
}
"""These take NumPy's arrays alone, of at most 64 bits."""

OPTIONAL = ("quantize", "compare's labels")
"""These can go without."""


@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (call, kind)
        for call in (*NUMBERS, *ARRAYS)
        for kind in NO_NUMBERS
        if kind != "nothing" or call not in OPTIONAL
    ],
)
def test_what_is_no_array_of_numbers_is_refused(call: str, kind: str) -> None:
    """By a line that says what must be given, never by numpy's errors, and never silently."""
    with pytest.raises(fxpnn.DataError, match=r"^.+ must .+$"):
        {**NUMBERS, **ARRAYS}[call](NO_NUMBERS[kind])


@pytest.mark.parametrize("call", ARRAYS)
def test_lists_are_refused_where_arrays_are_wanted(call: str) -> None:
    """Their type is named."""
    with pytest.raises(fxpnn.DataError, match=r"^.+ must be an? .*array.*, not .*list$"):
        ARRAYS[call](IMAGES.tolist())


def test_integers_that_no_double_is_have_no_exact_float() -> None:
    """2**53 has one, the next has not."""
    assert fxpnn.to_float([2**53, -(2**53)], FORMAT).tolist() == [2.0**49, -(2.0**49)]
    message = r"^raw values must be doubles, not reach 0..9007199254740993$"
    with pytest.raises(fxpnn.DataError, match=message):
        fxpnn.to_float([0, 2**53 + 1], FORMAT)


def test_numbers_beyond_all_doubles_have_no_exact_float() -> None:
    """Infinity is what no word means."""
    coarse = fxpnn.QFormat(32, -1000)
    assert fxpnn.to_float([2**23], coarse).tolist() == [2.0**1023]
    message = r"^raw values of Q1031\.-1000 must mean doubles, not reach 0\.\.16777216$"
    with pytest.raises(fxpnn.DataError, match=message):
        fxpnn.to_float([0, 2**24], coarse)


@pytest.mark.parametrize("call", KEEPING)
def test_what_is_kept_may_be_named_by_an_iterator(call: str) -> None:
    """Each name is heeded, though it can be read but once; one that is no node's is refused."""
    assert set(KEEPING[call](iter(["d", "input"]))) >= {"d", "input"}
    message = r"^what is kept must be nodes of n, not e, f$"
    with pytest.raises(fxpnn.DataError, match=message):
        KEEPING[call](iter(["f", "d", "e"]))


@pytest.mark.parametrize("kind", [*NO_NUMBERS, "a list"])
@pytest.mark.parametrize("name", ["weight", "bias"])
def test_parameters_are_arrays_of_numbers(kind: str, name: str) -> None:
    """A layer refuses others, and names the parameter."""
    bad = {**NO_NUMBERS, "a list": [1.0]}[kind]
    good = {"weight": np.ones((2, 3)), "bias": np.zeros(2)}
    with pytest.raises(fxpnn.ModelError, match=rf"^{name} must be .+, not .+$"):
        Dense(**{**good, name: bad})
