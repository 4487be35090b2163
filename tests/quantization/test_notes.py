"""What calibration data or one word for all cost is told, and nothing where nothing is lost."""

import logging
import re

import numpy as np
import pytest

from fxpnn.errors import FormatError
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.graph import INPUT, Network, Node, Scaling, chain
from fxpnn.network.layers import Array, Concat, Dense, Relu
from fxpnn.quantization.quantizer import propose, quantize
from fxpnn.quantization.settings import Method, Plan, Settings

X = np.random.default_rng(4).uniform(-1, 1, (400, 3))


def dense(weight: list[list[float]]) -> Dense:
    """Build a layer without a bias."""
    return Dense(np.array(weight, np.float32), np.zeros(len(weight), np.float32))


def one(*rows: list[float]) -> Network:
    """Build a network of one layer."""
    return chain("n", (len(rows[0]),), {"d": dense([*rows])})


NET = one([1, 1, 0], [0, 1, -1])


def told(network: Network, x: Array, settings: Settings | Plan | None = None) -> str:
    """Join the notes."""
    return "\n".join(propose(network, x, settings).notes)


@pytest.mark.parametrize("word", [6, 8, 16])
@pytest.mark.parametrize("method", list(Method))
def test_good_data_get_no_note(word: int, method: Method) -> None:
    """Nothing is lost that a user should hear of."""
    assert told(NET, X, Settings(word, method=method)) == ""
    normal = np.random.default_rng(1).standard_normal((400, 3))
    assert told(NET, normal, Settings(word, method=method)) == ""


def test_data_of_zeros_are_told_once() -> None:
    """Floats or pixels: one note, and no more about what follows from it."""
    expected = "every value of the calibration data is 0: formats chosen on them hold nothing else"
    assert told(NET, np.zeros_like(X)) == expected
    assert told(NET, np.zeros((9, 3), np.uint8)) == expected


def test_a_layer_that_stays_at_zero_is_told() -> None:
    """Its format has no range to go by."""
    net = chain("n", (3,), {"d": dense([[-1, -1, -1]]), "r": Relu(), "e": dense([[2]])})
    expected = "calibration data leave e at 0, so that their formats are a guess"
    assert told(net, np.abs(X)) == expected


def test_an_outlier_that_costs_ten_bits_is_told() -> None:
    """The first tensor is named with what its bulk needs; a percentile leaves the outlier out."""
    x = X.copy()
    x[200, 1] = 1000
    assert told(NET, x) == (
        "input: 99.9 % of the calibration values above 0 fit Q1.14, outliers up to 1000 cost 10 "
        "bits; the method percentile with 99.9 leaves them out"
    )
    assert told(NET, x, Settings(method=Method.PERCENTILE, percentile=99.9)) == ""
    x[200, 1] = 20
    assert told(NET, x) == ""


def test_a_feature_that_its_word_loses_is_named() -> None:
    """It differs between images, and its words do not; a constant one has nothing to lose."""
    x = X * [1000, 1e-3, 0] + [0, 0, 7]
    x = np.concatenate([x, 5 + X[:, :1] * 1e-6], 1)
    found = told(one([1, 1000, 0, 1e6]), x)
    assert found == (
        "input: Q11.4 turns all values of channel 1, 3 into one word; features of unequal range "
        "lose less if all are scaled to one range before"
    )
    many = np.concatenate([X * 1000, np.tile(X * 1e-3, 3)], 1)
    assert "channel 3, 4, 5, 6, 7 and 4 more into" in told(one([1.0] * 12), many)


def test_a_branch_that_a_common_word_loses_is_named() -> None:
    """It is told how many of its bits the concatenation keeps."""
    for small, note in ((0.01, True), (0.5, False)):
        nodes = (
            Node("a", dense([[small, 0, 0]]), (INPUT,)),
            Node("b", dense([[0, 100, 0]]), (INPUT,)),
            Node("ar", Relu(), ("a",)),
            Node("c", Concat(), ("ar", "b")),
        )
        found = told(Network("n", (3,), nodes), X)
        expected = (
            "c (Concat): Q7.8 keeps 3 of 16 bits of ar, which Q-6.21 would hold; branches of equal "
            "range would lose less"
        )
        assert found == (expected if note else "")


def test_python_logs_the_notes(caplog: pytest.LogCaptureFixture) -> None:
    """``quantize`` returns the network alone, and warns."""
    with caplog.at_level(logging.WARNING, "fxpnn"):
        quantize(NET, np.zeros_like(X))
    assert [record.message[:20] for record in caplog.records] == ["n: every value of th"]


def test_proved_takes_floats_as_what_they_showed() -> None:
    """The input's range is that of the calibration data; from there on ranges are proved."""
    fixed = quantize(NET, X * 40, Settings(method=Method.PROVED))
    assert str(fixed.input_format) == "Q6.9"
    assert str(fixed.formats["d"]) == "Q8.7"


def test_proved_asks_for_the_range_of_a_table() -> None:
    """Features are no pixels; whose scale is said, or have maps, are."""
    assumed = Scaling(assumed=True)
    proved = Settings(method=Method.PROVED)
    table = Network("n", (3,), NET.nodes, scaling=assumed)
    message = (
        "the range of the input must be known: give calibration data or the input's format, or, if "
        "these are pixels, their scale"
    )
    with pytest.raises(FormatError, match=f"^{re.escape(message)}$"):
        quantize(table, None, proved)
    with pytest.raises(FormatError, match=f"^{re.escape(message)}$"):
        quantize(table, None, Plan(layers={"d": Settings(output=QFormat(16, 3))}))
    with pytest.raises(FormatError, match=f"^{re.escape(message)}$"):
        quantize(table)
    given = Plan(proved, {INPUT: Settings(output=QFormat(16, 3))})
    assert quantize(table, None, given).input_format == QFormat(16, 3)
    assert str(quantize(NET, None, proved).input_format) == "UQ0.8"
    maps = Network("n", (1, 1, 3), chain("n", (1, 1, 3), {"r": Relu()}).nodes, scaling=assumed)
    assert str(quantize(maps, None, proved).input_format) == "UQ0.8"
