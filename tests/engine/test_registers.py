"""Sums in a register that drops bits: engine, golden model and rationals agree in every count."""

import os
import subprocess
import sys
from itertools import product as product_of

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given

from fxpnn import golden
from fxpnn.engine.inference import Engine, infer
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, Product, QFormat, Rounding
from fxpnn.network.fixed import Counts, FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Conv2D, Dense
from fxpnn.proofs.bounds import prove
from tests.support.agreement import agree
from tests.support.oracles import ORACLES, judged
from tests.support.strategies import NetworkCase, dense_in_register, fixed_networks


@given(case=dense_in_register())
def test_sums_on_ties_and_limits_agree(case: NetworkCase) -> None:
    """Each rounding, overflow and entry of products, bits dropped or added by the channel."""
    agree(case)


@given(case=fixed_networks(kinds=(Dense, Conv2D), max_layers=2))
def test_layers_of_sums_agree(case: NetworkCase) -> None:
    """Dense, grouped, dilated and padded, with drops of up to 900 bits either way."""
    agree(case)


@given(case=dense_in_register())
def test_the_golden_model_is_the_rational_one(case: NetworkCase) -> None:
    """An oracle that knows neither shifts nor counts gives the same words and counts."""
    (node,) = case.fixed.nodes
    run = golden.run(case.fixed, case.raw)
    raw, counts = ORACLES[type(node.layer)](
        node, [case.fixed.formats[INPUT]], [case.raw[0].astype(object)]
    )
    assert run.raw[node.name][0].tolist() == raw.tolist()
    assert run.counts[node.name] == judged(counts, node, case.fixed)


def dense(text: str, drops: list[int], bias: int = 0) -> FixedNetwork:
    """Build a dense layer of 40 inputs whose outputs drop so many bits in a register."""
    rng, register = np.random.default_rng(3), Accumulator.parse(text)
    weight = rng.integers(-128, 128, (len(drops), 40), np.int16)
    assert register.frac is not None
    formats = tuple(QFormat(8, register.frac + dropped) for dropped in drops)
    layer = Dense(weight, np.full(len(drops), bias))
    node = FixedNode("d", layer, (INPUT,), QFormat(16, 0), formats, register)
    return FixedNetwork("n", (40,), QFormat(8, 0), (node,))


def images(count: int) -> npt.NDArray[np.int16]:
    """Draw images of 40 full-scale words."""
    return np.random.default_rng(4).integers(-128, 128, (count, 40), np.int16)


@pytest.mark.parametrize("text", ["Q19.0 nearest-up", "Q9.0 zero wrap", "Q12.0 nearest-even cast"])
def test_results_do_not_depend_on_threads_or_batch(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One thread or three, one batch or many: the same bits and the same counts."""
    monkeypatch.setattr("fxpnn.engine.inference.WORTH", 1)
    fixed, x = dense(text, [3, 0, 7, -2]), images(6000)
    whole, split = (Engine(fixed).run(x, threads=threads) for threads in (1, 3))
    parts = [infer(fixed, x[i : i + 700]) for i in range(0, len(x), 700)]
    assert whole.raw.tolist() == split.raw.tolist()
    assert whole.raw.tolist() == np.concatenate([part.raw for part in parts]).tolist()
    assert whole.layers == split.layers
    assert whole.layers["d"] == sum((part.layers["d"] for part in parts), Counts())


@pytest.mark.parametrize("product", Product)
@pytest.mark.parametrize("rounding", Rounding)
def test_ties_in_a_register_that_cannot_overflow(rounding: Rounding, product: Product) -> None:
    """Of 40 products each, some are halves of what is dropped: there the roundings part."""
    drops, x = [1, 2, 3, 5], images(5)
    fixed = dense(f"Q23.0 {rounding.value} saturate {product.value}", drops)
    assert prove(fixed)["d"].proved
    layer = fixed["d"].layer
    assert isinstance(layer, Dense)
    for weight, dropped in zip(layer.weight.astype(int), drops, strict=True):
        rest = (x.astype(int) * weight) % (1 << dropped)
        assert (rest == 1 << dropped - 1).any()
    agree(NetworkCase(fixed, x))


@pytest.mark.parametrize(
    ("text", "drops", "method"),
    [
        ("Q30.4 nearest-even cast", [0, -3, -4], "plain 32-bit"),
        ("Q18.4 nearest-even", [0, -3, -4], "stepwise in Q18.4"),
        ("Q30.4", [0, 1], "stepwise in Q30.4"),
    ],
)
def test_a_register_that_is_proved_to_keep_all_bits_is_no_slower(
    text: str, drops: list[int], method: str
) -> None:
    """Its sums are those of all bits, whatever its rounding; any other goes step by step."""
    fixed = dense(text, drops)
    assert Engine(fixed).methods["d"] == method
    agree(NetworkCase(fixed, images(3)))


@pytest.mark.parametrize("rounding", Rounding)
@pytest.mark.parametrize("product", Product)
@pytest.mark.parametrize("dropped", [-900, -63, -34, -33, -4, 1, 15, 30, 31, 32, 62, 63, 64, 900])
def test_products_of_full_scale_are_dropped_whole(
    rounding: Rounding, product: Product, dropped: int
) -> None:
    """2**30, its neighbours, and biases of 61 bits, at shifts up and down about ends of words."""
    weight = np.array([[-32768, 32767, -32768, 1]] * 2, np.int16)
    layer = Dense(weight, np.array([2**61 - 1, -(2**61) + 1]))
    x = np.array([[-32768, 32767, 32767, -1], [-32768, -32768, -32768, -32768]], np.int16)
    for overflow, word in product_of((Overflow.SATURATE, Overflow.WRAP), (8, 62)):
        register = Accumulator(word, overflow, -dropped, rounding, product)
        output = QFormat(16, 14 - dropped)
        node = FixedNode("d", layer, (INPUT,), output, (QFormat(16, 0),), register)
        agree(NetworkCase(FixedNetwork("n", (4,), QFormat(16, 0), (node,)), x))


@pytest.mark.slow
@pytest.mark.parametrize("environment", [{"FXPNN_KERNELS": "plain"}, {"NUMBA_DISABLE_JIT": "1"}])
def test_other_loops_agree(environment: dict[str, str]) -> None:
    """The plain loops and those of Python give the same bits."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", __file__]
    command += ["-k", "on_ties or whole and floor"]
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout[-2000:]
