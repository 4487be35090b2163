"""Products of two tensors: the engine, the golden model, rationals and the proofs agree."""

import numpy as np
import pytest
from hypothesis import given, settings

from fxpnn import golden
from fxpnn.engine.inference import Engine
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, QFormat
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import MatMul, Reshape, Shape, Slice
from fxpnn.proofs.bounds import prove
from tests.support.agreement import agree, agree_in_dirty_memory
from tests.support.loops import plainly
from tests.support.oracles import ORACLES, judged
from tests.support.strategies import NetworkCase, matrix_products

WORD = QFormat(16, 12)


def product(
    one: Shape, other: Shape, accumulator: Accumulator | None = None, word: QFormat = WORD
) -> FixedNetwork:
    """Multiply two parts of an input."""
    size, whole = int(np.prod(one)), int(np.prod(one) + np.prod(other))
    nodes = [
        FixedNode("left", Slice(0, 0, size), (INPUT,), word),
        FixedNode("a", Reshape(one), ("left",), word),
        FixedNode("right", Slice(0, size, whole), (INPUT,), word),
        FixedNode("b", Reshape(other), ("right",), word),
        FixedNode("y", MatMul(), ("a", "b"), word, accumulator=accumulator or Accumulator()),
    ]
    return FixedNetwork("product", (whole,), word, tuple(nodes))


@settings(max_examples=300)
@given(case=matrix_products())
def test_engine_is_the_golden_model(case: NetworkCase) -> None:
    """Of any sizes, formats, accumulators and modes, wherever the words lie."""
    agree(case)


@settings(max_examples=100)
@given(case=matrix_products(most=5))
def test_a_product_is_its_exact_value_cast_once(case: NetworkCase) -> None:
    """In raw values and counts, against rationals."""
    fixed, run = case.fixed, golden.run(*case)
    node = next(node for node in fixed.nodes if isinstance(node.layer, MatMul))
    inputs = [run.raw[name][0].astype(object) for name in node.inputs]
    y, counts = ORACLES[MatMul](node, list(fixed.sources(node)), inputs)
    assert run.raw[node.name][0].tolist() == y.tolist()
    if len(case.raw) == 1:
        assert run.counts[node.name] == judged(counts, node, fixed)


@settings(max_examples=200)
@given(case=matrix_products(most=9))
def test_no_output_leaves_its_interval(case: NetworkCase) -> None:
    """What is proved never overflows, and outputs lie where the proof says."""
    run = golden.run(*case)
    for name, proof in prove(case.fixed).items():
        assert (run.raw[name] >= proof.output.low).all()
        assert (run.raw[name] <= proof.output.high).all()
        assert not (proof.proved and run.counts[name].accumulator_overflows)
        assert proof.saturates or not run.counts[name].saturations


@pytest.mark.parametrize("k", [1, 2, 7])
def test_a_bound_is_reached(k: int) -> None:
    """The register of as many bits as are proved is the narrowest that never overflows."""
    fixed = product((1, k), (k, 1))
    bits = prove(fixed)["y"].bits
    assert bits is not None
    least = np.full((1, 2 * k), -32768, np.int16)
    assert prove(product((1, k), (k, 1), Accumulator(bits)))["y"].proved
    narrow = product((1, k), (k, 1), Accumulator(bits - 1))
    assert not prove(narrow)["y"].proved
    assert golden.run(narrow, least).counts["y"].accumulator_overflows > 0


@pytest.mark.parametrize(
    ("word", "accumulator", "method"),
    [
        (QFormat(8, 4), Accumulator(), "64-bit in chunks by the words"),
        (WORD, Accumulator(), "64-bit in chunks by the words"),
        (WORD, Accumulator(34, Overflow.WRAP), "64-bit in chunks by the words, wrapped"),
        (WORD, Accumulator(34), "plain loops"),
        (WORD, Accumulator(24, Overflow.SATURATE, 6), "stepwise in Q17.6"),
    ],
)
def test_method_is_what_the_proof_licenses(
    word: QFormat, accumulator: Accumulator, method: str
) -> None:
    """Also where all words are the least, of which two products pass 32 bits."""
    fixed = product((2, 9, 40), (2, 40, 21), accumulator, word)
    by_words = method.startswith("64-bit in chunks")
    assert Engine(fixed).methods["y"] == ("plain loops" if by_words and plainly() else method)
    raw = np.random.default_rng(1).integers(word.min, word.max + 1, (3, *fixed.input_shape))
    raw[2] = word.min
    agree(NetworkCase(fixed, raw.astype(np.int16)))
    agree_in_dirty_memory(NetworkCase(fixed, raw.astype(np.int16)), -32768)
