"""The integer tables, and how true the curves are that the golden model reads from them."""

from collections.abc import Callable, Iterable
from decimal import Decimal, localcontext

import numpy as np
import numpy.typing as npt
import pytest

from fxpnn.fixedpoint.integers import LOG2E
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.golden import SIXTH, Unit, activate
from fxpnn.network import layers
from fxpnn.network.curves import ELU, GELU, GELU_TANH, MISH, SELU, SIGMOID, SILU, SOFTPLUS, TANH
from fxpnn.network.fixed import FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Layer, layer_types
from fxpnn.network.tables import SOFTMAX, table_for

Curve = Callable[[Decimal], Decimal]


def sigmoid(x: Decimal) -> Decimal:
    """Return ``1 / (1 + exp(-x))``."""
    return 1 / (1 + (-x).exp())


def tanh(x: Decimal) -> Decimal:
    """Return ``tanh(x)``."""
    return (x.exp() - (-x).exp()) / (x.exp() + (-x).exp())


def missing(x: Decimal) -> Decimal:
    """Return what SiLU lacks of ReLU, ``x * sigmoid(-x)``."""
    return x * sigmoid(-x)


def missing_by_tanh(x: Decimal) -> Decimal:
    """Return what GELU by tanh lacks of ReLU, with pi to 40 digits."""
    pi = Decimal("3.141592653589793238462643383279502884197")
    return x / (1 + (2 * (2 / pi).sqrt() * (x + Decimal("0.044715") * x**3)).exp())


def missing_mish(x: Decimal) -> Decimal:
    """Return what Mish lacks of ReLU where its input is below 0."""
    return x * tanh((1 + (-x).exp()).ln())


def missing_mish_above(x: Decimal) -> Decimal:
    """Return what Mish lacks of ReLU where its input is above 0."""
    return x - x * tanh((1 + x.exp()).ln())


def missing_selu(x: Decimal) -> Decimal:
    """Return SELU of ``-x``, without its sign."""
    return Decimal("1.0507009873554805") * Decimal("1.6732632423543772") * (1 - (-x).exp())


def halving(x: Decimal) -> Decimal:
    """Return ``2**-x``."""
    return (-x * Decimal(2).ln()).exp()


TABLES = {
    "sigmoid": (SIGMOID.build, sigmoid, 64, 18),
    "tanh": (TANH.build, tanh, 128, 18),
    "silu": (SILU.build, missing, 64, 18),
    "elu": (ELU.build, lambda x: 1 - (-x).exp(), 128, 18),
    "softplus": (SOFTPLUS.build, lambda x: (1 + (-x).exp()).ln(), 64, 18),
    "gelu by tanh": (GELU_TANH.build, missing_by_tanh, 128, 18),
    "selu": (SELU.build, missing_selu, 256, 18),
    "softmax": (SOFTMAX.build, halving, 256, 20),
}


@pytest.mark.parametrize(("table", "curve", "steps", "frac"), TABLES.values(), ids=TABLES)
def test_entries_are_rounded_far_from_ties(
    table: Callable[[], npt.NDArray[np.int32]], curve: Curve, steps: int, frac: int
) -> None:
    """Every entry is the nearest integer, and no value is within 2e-5 of a tie.

    So a float64, good to 1e-10 here, gives the same integers on every machine.
    """
    with localcontext(prec=40):
        for i, entry in enumerate(table().tolist()):
            value = curve(Decimal(i) / steps) * 2**frac
            assert abs(value - entry) < Decimal("0.49998")


def test_entries_of_mish_are_rounded_far_from_ties() -> None:
    """On both sides of 0, one half of the table each."""
    sides = zip(np.split(MISH.build(), 2), (missing_mish, missing_mish_above), strict=True)
    with localcontext(prec=40):
        for table, curve in sides:
            for i, entry in enumerate(table.tolist()):
                assert abs(curve(Decimal(i) / 128) * 2**18 - entry) < Decimal("0.4999")


def test_entries_of_gelu_are_rounded_far_from_ties() -> None:
    """By the series of erf: ``2 / sqrt(pi) * sum of (-1)**n z**(2n + 1) / (n! (2n + 1))``."""
    root_pi = Decimal("1.772453850905516027298167483341145182798")
    with localcontext(prec=60):
        for i, entry in enumerate(GELU.build().tolist()):
            z = Decimal(i) / 128 / Decimal(2).sqrt()
            term = total = z
            n = 0
            while abs(term) > Decimal("1e-15"):
                n += 1
                term = -term * z * z / n
                total += term / (2 * n + 1)
            value = Decimal(i) / 128 * (1 - 2 / root_pi * total) / 2
            assert abs(value * 2**18 - entry) < Decimal("0.4999")


def test_the_constants_are_rounded() -> None:
    """``log2(e)`` and 1/6 at 18 fraction bits, from 40 digits."""
    with localcontext(prec=40):
        assert round(2**18 / Decimal(2).ln()) == LOG2E
        assert round(Decimal(2**18) / 6) == SIXTH


def test_each_table_layer_has_its_table() -> None:
    """And no other layer has one."""
    sizes = {kind: table_for(kind) for kind in layer_types().values()}
    assert {kind.__name__: table.size for kind, table in sizes.items() if table is not None} == {
        "Sigmoid": 1025,
        "Tanh": 1025,
        "Silu": 1025,
        "Elu": 2049,
        "Softplus": 1025,
        "Gelu": 1025,
        "GeluTanh": 1025,
        "Mish": 4098,
        "Selu": 4097,
        "Softmax": 257,
        "MaskedSoftmax": 257,
    }
    assert {table.dtype for table in sizes.values() if table is not None} == {np.dtype(np.int32)}


@pytest.mark.parametrize(
    "table", [SIGMOID.build, TANH.build, ELU.build], ids=["sigmoid", "tanh", "elu"]
)
def test_curves_rise(table: Callable[[], npt.NDArray[np.int32]]) -> None:
    """No entry is smaller than the one before, so that no line between them falls."""
    assert np.diff(table()).min() >= 0


def test_softmax_entries_fall() -> None:
    """From 2**20 to 2**19, every step."""
    table = SOFTMAX.build()
    assert (table[0], table[256]) == (2**20, 2**19)
    assert np.diff(table).max() < 0


Floats = npt.NDArray[np.float64]


def float_sigmoid(x: Floats) -> Floats:
    """Return ``1 / (1 + exp(-x))`` without overflow."""
    return np.asarray(np.exp(-np.logaddexp(0, -x)))


CURVES: dict[str, tuple[Layer, Callable[[Floats], Floats], int]] = {
    "sigmoid": (layers.Sigmoid(), float_sigmoid, 2**15),
    "tanh": (layers.Tanh(), np.tanh, 0),
}
"""A layer, its curve, and what its raw outputs of x and -x add up to in Q0.15."""

LIMIT = 2**15 - 1
EVERY = range(-LIMIT, LIMIT + 1)
SOME = range(-LIMIT, LIMIT + 1, 7)
NEAR_0 = range(-300, 301)


def outputs(layer: Layer, frac: int, raw: Iterable[int]) -> npt.NDArray[np.int64]:
    """Run one layer of the golden model on raw values of ``frac`` fraction bits, to Q0.15."""
    node = FixedNode("y", layer, (INPUT,), QFormat(16, 15), table=table_for(type(layer)))
    unit = Unit(node, (QFormat(16, frac),))
    return np.array([activate(layer, unit, x) for x in raw])


def check_curve(name: str, frac: int, raw: range) -> None:
    """Check the bound, the order and the symmetry of a curve; ``raw`` is symmetric about 0."""
    layer, curve, total = CURVES[name]
    whole = [-LIMIT - 1, *raw]
    y = outputs(layer, frac, whole)
    assert np.abs(y - curve(np.array(whole) / 2.0**frac) * 2**15).max() <= 1
    assert np.diff(y).min() >= 0
    below, above = np.split(y[1:], [len(raw) // 2])
    assert np.array_equal(above[1:], np.minimum(total - below[::-1], LIMIT))


@pytest.mark.parametrize("raw", [SOME, NEAR_0], ids=["some", "near 0"])
@pytest.mark.parametrize("frac", range(16))
@pytest.mark.parametrize("name", CURVES)
def test_curves_are_true_to_one_count(name: str, frac: int, raw: range) -> None:
    """Of 9,364 inputs, and all about 0: error at most 1 LSB, monotone, symmetric."""
    check_curve(name, frac, raw)


@pytest.mark.slow
@pytest.mark.parametrize("frac", range(16))
@pytest.mark.parametrize("name", CURVES)
def test_curves_are_true_to_one_count_for_every_input(name: str, frac: int) -> None:
    """Of all 65,536 inputs: error at most 1 LSB, monotone, symmetric."""
    check_curve(name, frac, EVERY)


@pytest.mark.parametrize("frac", range(-4, 16))
def test_silu_is_true_to_a_count_and_a_sixteenth(frac: int) -> None:
    """In Q0.15, up to its saturation at 1.

    The output's rounding takes 1/2 LSB, a chord of 2**-6 where the second derivative is 1/2 takes
    another half, and a table entry 1/16.
    """
    raw = [*SOME, *NEAR_0]
    x = np.array(raw) / 2.0**frac
    true = np.minimum(x * float_sigmoid(x) * 2**15, LIMIT)
    assert np.abs(outputs(layers.Silu(), frac, raw) - true).max() <= 1 + 1 / 16


def exact_elu(x: Floats) -> Floats:
    """Return x, or ``exp(x) - 1`` where it is negative."""
    return np.where(x >= 0, x, np.expm1(np.minimum(x, 0)))


BENT: dict[str, tuple[Layer, Callable[[Floats], Floats]]] = {
    "elu": (layers.Elu(), exact_elu),
    "softplus": (layers.Softplus(), lambda x: np.logaddexp(x, 0)),
}


def check_bent(name: str, frac: int, raw: Iterable[int]) -> None:
    """Check the bound of a curve in Q0.15, up to its saturation at 1."""
    layer, curve = BENT[name]
    whole = [-LIMIT - 1, *raw]
    true = np.minimum(curve(np.array(whole) / 2.0**frac) * 2**15, LIMIT)
    assert np.abs(outputs(layer, frac, whole) - true).max() <= 1


@pytest.mark.parametrize("frac", range(-4, 16))
@pytest.mark.parametrize("name", BENT)
def test_bent_curves_are_true_to_a_count(name: str, frac: int) -> None:
    """In Q0.15, ELU and softplus err by 1 LSB at most.

    The output's rounding takes 1/2 LSB, a chord 1/4 and a table entry 1/16.
    """
    check_bent(name, frac, [*SOME, *NEAR_0])


@pytest.mark.slow
@pytest.mark.parametrize("frac", range(16))
@pytest.mark.parametrize("name", BENT)
def test_bent_curves_are_true_to_a_count_for_every_input(name: str, frac: int) -> None:
    """So they do for all 65,536 inputs."""
    check_bent(name, frac, EVERY)


def test_abs_saturates_at_the_least_word_alone() -> None:
    """Every other word has its magnitude in the same format."""
    word = QFormat(16, 4)
    node = FixedNode("y", layers.Abs(), (INPUT,), word)
    unit = Unit(node, (word,))
    assert [activate(layers.Abs(), unit, x) for x in EVERY] == [abs(x) for x in EVERY]
    assert unit.saturations == 0
    assert activate(layers.Abs(), unit, -LIMIT - 1) == LIMIT
    assert unit.saturations == 1
