"""Layer normalisation in integers: how exact it is, at which sizes it still fits, what is told."""

import math
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import fxpnn
from fxpnn import golden
from fxpnn.errors import ModelError
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.kernels import norms
from fxpnn.kernels.build.pipeline import alone
from fxpnn.kernels.layout.instructions import target
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT, chain
from fxpnn.network.layers import LayerNorm
from fxpnn.proofs.bounds import prove
from fxpnn.quantization.dequantizer import dequantize
from fxpnn.targets.simulation.cosim import cosimulate
from fxpnn.training.fake import Grid
from tests.support.agreement import agree
from tests.support.loops import in_python
from tests.support.strategies import NetworkCase
from tests.support.tools import needs

Q8, Q9, Q14 = (QFormat(16, frac) for frac in (8, 9, 14))


def normaliser(
    n: int,
    *,
    gamma: int = 1 << 14,
    beta: int = 0,
    epsilon: int = 1,
    source: QFormat = Q8,
    weight: QFormat = Q14,
    made: QFormat = Q9,
) -> FixedNetwork:
    """Make a network of one layer, gamma and beta the same for all places."""
    layer = LayerNorm(np.full(n, gamma, np.int16), np.full(n, beta, np.int64), epsilon)
    node = FixedNode("y", layer, (INPUT,), made, (weight,))
    return FixedNetwork("one", (n,), source, (node,))


def extremes(n: int) -> npt.NDArray[np.int16]:
    """Draw vectors whose variance is the least and the largest that can be, and between."""
    rng = np.random.default_rng(n)
    far = np.full(n, -32768)
    far[: n // 2] = 32767
    one = np.zeros(n)
    one[-1] = 1
    drawn = rng.integers(-32768, 32768, n), rng.integers(-2, 3, n)
    return np.array([far, one, np.full(n, 32767), -32768 * one, *drawn], np.int16)


@pytest.mark.parametrize("n", [1, 2, 768, 65536])
def test_engine_is_the_golden_model_at_any_size(n: int) -> None:
    """Where the sums of squares are largest, and where all values are the same."""
    agree(NetworkCase(normaliser(n, beta=-77), extremes(n).astype(np.int16)))


@pytest.mark.parametrize("n", [2, 5, 65536])
def test_it_is_layer_normalisation(n: int) -> None:
    """Half a count, and a relative 2**-29 of the root, away from the true quotient."""
    fixed, x = normaliser(n), extremes(n)
    found = golden.run(fixed, x).raw["y"]
    for vector, words in zip(x.tolist(), found.tolist(), strict=True):
        mean = Fraction(sum(vector), n)
        square = n * sum((v - mean) ** 2 for v in vector) + 1
        for v, word in zip(vector, words, strict=True):
            true = float((v - mean) * n) / math.sqrt(square) * 2**9
            assert abs(word - min(max(true, -32768), 32767)) <= 0.5 + abs(true) * 2**-29


def test_the_loop_is_the_same_in_python() -> None:
    """Compiled or not; values are counted that are out of range, and apart those below 0."""
    x = extremes(6)
    fixed = normaliser(6, made=QFormat(8, 5, signed=False))
    to, features = target(fixed["y"].requantize), np.zeros((4, 6), np.int64)
    features[0], features[2], features[3] = 1 << 14, 8, 14 + 8 - 5
    found = []
    for loop, apart in product((alone(norms.layer_norm), in_python(norms.layer_norm)), (0, 1)):
        out = np.zeros(x.shape, np.int16)
        counts = loop(x, features, 1, to, apart, out)
        found.append((*counts, out.tolist()))
    assert found[:2] == found[2:]
    assert found[0][0] == found[1][0] + found[1][1] > 0
    assert found[0][2] == golden.run(fixed, x).raw["y"].tolist()


def test_epsilon_is_rounded_and_never_0() -> None:
    """It is counted in squares of n counts."""
    layer = LayerNorm(np.ones(6), np.zeros(6), 1e-5)
    assert layer.raw_epsilon(QFormat(16, 12)) == round(Fraction(1e-5) * 36 * 4**12)
    assert layer.raw_epsilon(QFormat(16, -3)) == 1
    network = chain("one", (6,), {"y": layer})
    fixed = fxpnn.quantize(network, np.random.default_rng(0).normal(size=(9, 6)))
    back = dequantize(fixed)["y"].layer
    assert isinstance(back, LayerNorm)
    assert back.epsilon == pytest.approx(1e-5, rel=1e-3)
    report = fxpnn.compare(network, fixed, np.random.default_rng(1).normal(size=(99, 6)))
    assert (report.layers[-1].sqnr_db or 0) > 65


def test_a_format_can_be_proved() -> None:
    """No input leaves ``sqrt(n - 1) * gamma``, and beta beside it."""
    network = chain("one", (5,), {"y": LayerNorm(np.full(5, 1.5), np.full(5, 0.5))})
    settings = fxpnn.Settings(method=fxpnn.Method.PROVED)
    fixed = fxpnn.quantize(network, plan=fxpnn.Plan(settings, {INPUT: fxpnn.Settings(output=Q8)}))
    proof = prove(fixed)["y"]
    assert not proof.saturates
    assert fixed.formats["y"] == QFormat(16, 13)  # 3.5 at most
    assert proof.output.limits == (-20480, 28672)


@needs("gcc")
def test_it_is_written_in_c(tmp_path: Path) -> None:
    """And the Verilog core has no such layer, and says so."""
    fixed = normaliser(5, beta=-77)
    found = cosimulate(fixed, extremes(5), simulator="c", folder=tmp_path / "it")
    assert found.verdict() is None
    line = r"^layer y \(LayerNorm\): the Verilog core has no such layer; export it --to c$"
    with pytest.raises(ModelError, match=line):
        cosimulate(fixed, extremes(5), simulator="iverilog", folder=tmp_path / "that")


def test_it_is_trained_in_floats_alone() -> None:
    """The integers' forward pass, in floats, could miss its root by a bit."""
    line = r"^layer y \(LayerNorm\): must be trained in floats, not by the integers' forward pass$"
    with pytest.raises(ModelError, match=line):
        Grid(normaliser(3))


REFUSED = [
    ({"epsilon": 1 << 62}, "epsilon must be at most 4611686014132551678 counts, not 46116860184"),
    (
        {"weight": QFormat(16, -30), "made": QFormat(16, 0)},
        "output must have at most 29 fraction bits more than gamma, not 30; change its format, "
        "Q15.0, or gamma's",
    ),
    (
        {"beta": 1 << 58, "source": QFormat(16, -2)},
        "beta must fit 60 bits at 2 fraction bits more, not be 288230376151711744 counts",
    ),
    (
        {"source": QFormat(16, 32)},
        "input must have -16 to 31 fraction bits, not 32; change the format of input, Q-17.32",
    ),
]


@pytest.mark.parametrize(("change", "message"), REFUSED, ids=["epsilon", "gamma", "beta", "input"])
def test_what_would_not_fit_is_refused(change: dict[str, Any], message: str) -> None:
    """In a line that says what to change."""
    with pytest.raises(ModelError) as caught:
        normaliser(2, **change)
    assert str(caught.value).startswith(f"layer y (LayerNorm): {message}")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((np.ones((2, 2)), np.ones(2)), r"gamma must be 1 to 65536 values, not \(2, 2\)"),
        ((np.ones(65537), np.ones(65537)), r"gamma must be 1 to 65536 values, not \(65537\)"),
        ((np.ones(2), np.ones(3)), r"beta must be \(2\), not \(3\)"),
        ((np.ones(2), np.ones(2), 0.0), r"epsilon must be above 0, not 0.0"),
    ],
)
def test_parameters_fit_together(args: tuple[Any, ...], message: str) -> None:
    """Gamma and beta are as long, and epsilon is there."""
    with pytest.raises(ModelError, match=f"^{message}$"):
        LayerNorm(*args)
