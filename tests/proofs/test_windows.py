"""Bounds of pools, of maps kept once and in full, equal the golden model's on either end."""

from decimal import Context, Decimal
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fxpnn import golden
from fxpnn.errors import ModelError
from fxpnn.fixedpoint.interval import Interval
from fxpnn.fixedpoint.qformat import Overflow, QFormat, Rounding
from fxpnn.fixedpoint.requantize import Shift
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import AvgPool2D, L2Pool2D, MaxPool2D, Window
from fxpnn.proofs.bounds import prove_node
from fxpnn.proofs.windows import _cast_quotient, _cast_root
from tests.support.oracles import cast_rational
from tests.support.strategies import modes, quotients, squares

WORD = QFormat(16, 8)
Pool = MaxPool2D | AvgPool2D | L2Pool2D


@st.composite
def pools(draw: st.DrawFn) -> tuple[Pool, Interval]:
    """Draw a pool, and ends that are the same along any axes of its maps."""
    pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
    window = Window(
        draw(st.tuples(st.integers(1, 5), st.integers(1, 5))),
        draw(pairs),
        draw(st.tuples(*[st.integers(0, 2)] * 4)),
        draw(pairs),
        draw(st.booleans()),
    )
    kinds: list[Pool] = [MaxPool2D(window), AvgPool2D(window), AvgPool2D(window, True)]
    layer = draw(st.sampled_from([*kinds, L2Pool2D(window)]))
    shape = (draw(st.integers(1, 2)), draw(st.integers(1, 7)), draw(st.integers(1, 7)))
    once = tuple(draw(st.sampled_from([1, size])) for size in shape)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    largest = draw(st.sampled_from([2, 300, 32767]))
    ends = np.sort(rng.integers(-largest - 1, largest + 1, (2, *once)), axis=0)
    return layer, Interval(*ends).spread(shape)


@given(case=pools())
def test_pools_are_bounded_by_what_their_ends_give(case: tuple[Pool, Interval]) -> None:
    """The golden model gives the bounds from the ends, or for roots the larger magnitudes."""
    layer, x = case
    node = FixedNode("pool", layer, (INPUT,), WORD)
    try:
        fixed = FixedNetwork("pool", x.low.shape, WORD, (node,))
    except ModelError:  # the window does not fit
        return
    proof = prove_node(node, [x], [WORD])
    ends = x
    if isinstance(layer, L2Pool2D):
        ends = Interval(np.zeros_like(x.low), np.where(-x.low > x.high, x.low, x.high))
    run = golden.run(fixed, np.stack(ends))
    assert proof.output.low.shape == fixed.shapes["pool"]
    assert np.array_equal(np.stack(proof.output), run.raw["pool"])
    assert proof.saturates == (run.counts["pool"].saturations > 0)


@settings(max_examples=800)
@given(case=quotients(), word=st.integers(2, 16), modes=modes)
def test_a_quotient_is_cast_in_one_step(
    case: tuple[int, int, int], word: int, modes: tuple[Rounding, Overflow]
) -> None:
    """Rounding the exact quotient once, in every mode, to a finer or a coarser format."""
    total, count, shift = case
    cast = Shift(QFormat(word, 9 - shift), *modes)
    found, over = _cast_quotient(np.array([total]), np.array([count]), 9, cast)
    wanted = cast_rational(Fraction(total, count) / 2**9, cast.format, *modes)
    assert (int(found[0]), bool(over[0])) == wanted


@settings(max_examples=800)
@given(case=squares(), word=st.sampled_from([8, 16, 32]), modes=modes)
def test_a_root_is_cast_in_one_step(
    case: tuple[int, int], word: int, modes: tuple[Rounding, Overflow]
) -> None:
    """On a square, a tie, and one beside them."""
    shift, square = case
    cast = Shift(QFormat(word, 100 - shift), *modes)
    found, over = _cast_root(np.array([square]), 100, cast)
    exact = Fraction(Decimal(square).sqrt(Context(prec=200))) / 2**100
    wanted = cast_rational(exact, cast.format, *modes)
    assert (int(found[0]), bool(over[0])) == wanted
