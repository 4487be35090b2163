"""Kernels, compiled and as plain Python, against integers that cannot overflow."""

from collections.abc import Callable
from decimal import Context, Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fxpnn.fixedpoint.integers import cast_raw, wrap
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, QFormat, Rounding
from fxpnn.fixedpoint.requantize import Shift
from fxpnn.kernels import arithmetic, entry, lookup, plain, pool
from fxpnn.kernels.build.pipeline import alone
from fxpnn.kernels.layout import instructions
from fxpnn.kernels.layout.instructions import target
from tests.support.loops import in_python
from tests.support.oracles import cast_rational
from tests.support.strategies import (
    Accumulation,
    Cast,
    accumulations,
    casts,
    modes,
    near_ties,
    quotients,
    squares,
)

Kernel = Callable[..., Any]


def both(kernel: Any) -> pytest.MarkDecorator:
    """Run a test with a kernel compiled and as plain Python."""
    kernels = [alone(kernel), in_python(kernel)]
    return pytest.mark.parametrize("kernel", kernels, ids=["jit", "python"])


@both(arithmetic.round_shift)
@given(case=near_ties())
def test_round_shift_is_ties_to_even(kernel: Kernel, case: tuple[int, int]) -> None:
    """The shifted integer equals the rational quotient, rounded half to even."""
    value, shift = case
    if shift > 0:
        assert kernel(value, shift, instructions.NEAREST_EVEN) == round(Fraction(value, 2**shift))


@both(arithmetic.cast)
@given(case=casts(high=16))
def test_cast_is_the_exact_cast(kernel: Kernel, case: Cast) -> None:
    """Every rounding and overflow mode, any shift, ties and limits: value and overflow."""
    assume(abs(case.value) <= 2**62)  # what the kernel promises to take
    shift = case.frac - case.target.frac
    to = target(Shift(case.target, case.rounding, case.overflow))
    expected = cast_raw(case.value, case.frac, case.target, case.rounding, case.overflow)
    assert kernel(case.value, shift, to) == expected


METHODS = {Overflow.SATURATE: instructions.CLAMPED, Overflow.WRAP: instructions.WRAPPED}


@both(plain.accumulate)
@given(case=accumulations())
def test_accumulate_clamps_every_add(kernel: Kernel, case: Accumulation) -> None:
    """The bias first, then each product; a wrapping word keeps the low bits of the total."""
    word = case.accumulator
    how = (METHODS[word.overflow], word.min, word.max)
    offsets = np.arange(len(case.x))
    assert kernel(case.x, case.weight, offsets, case.bias, how) == summed(case)


def summed(case: Accumulation) -> tuple[int, int]:
    """Add up in Python integers; return the total and the count of overflows."""
    word = case.accumulator
    terms = [case.bias, *(int(a) * int(b) for a, b in zip(case.x, case.weight, strict=True))]
    if word.overflow is Overflow.WRAP:
        return wrap(sum(terms), word), int(not word.min <= sum(terms) <= word.max)
    total = overflows = 0
    for term in terms:
        total += term
        overflows += not word.min <= total <= word.max
        total = sorted((word.min, total, word.max))[1]
    return total, overflows


def test_plain_rows_of_two_outputs() -> None:
    """Each row reads its words at their offsets; a clip lowers 15; counts add up."""
    x = np.array([1, 2, 3, 4, 0], np.int16)
    weights = np.array([10, 1, -10, -1], np.int16)
    out = np.empty(4, np.int16)
    to = (*target(Shift(QFormat(5, 0), Rounding.NEAREST_EVEN, Overflow.SATURATE)), 0, 14, 0)
    starts, offsets, bias, shifts = (np.array(v) for v in ([0, 2], [1, 0], [4, 0], [1, 0]))
    frame = (1, 4, 2, instructions.STRIPS, 0, 0, 0, 0, 0, 2, 1, 2)
    counts = alone(plain.run)(
        x, out, weights, offsets, starts, bias, shifts, frame, (instructions.CLAMPED, -40, 44), to
    )
    # 4+20+1 halved, -20-1; 4+40 and 3 more, halved; -40, -3 more
    assert out.tolist() == [12, 0, 14, 0]
    assert counts == (2, 3, 0)


@both(lookup.slope)
def test_slope_takes_negative_values_only(kernel: Kernel) -> None:
    """Each word of an image has its slope and shift; the overflow of -8 * -2 is counted."""
    x = np.array([5, 7, -8, -8], np.int16)
    out = np.empty_like(x)
    to = target(Shift(QFormat(5, 0), Rounding.FLOOR, Overflow.SATURATE))
    assert kernel(x, np.array([3, -4]), np.array([2, 1]), to, out) == 1
    assert out.tolist() == [5, 7, -6, 15]


@both(lookup.combine)
def test_sums_of_formats_20_bits_apart(kernel: Kernel) -> None:
    """Both sides are aligned exactly, added exactly and cast once."""
    a, b = np.array([1, -32768], np.int16), np.array([1, 32767], np.int16)
    out = np.empty(2, np.int16)
    to = target(Shift(QFormat(16, 0), Rounding.NEAREST_UP, Overflow.SATURATE))
    assert kernel(a, b, (0, 20, 0, 1), (*to, -32768, 32767, 0), 0, out) == (2, 0)
    assert out.tolist() == [32767, -32768]
    assert kernel(a, b, (0, 20, 0, 21), (*to, -32768, 32767, 0), 0, out) == (0, 0)
    assert out.tolist() == [1, -16384]
    unsigned = target(Shift(QFormat(15, 0, signed=False), Rounding.NEAREST_UP))
    assert kernel(a, b, (0, 20, 0, 1), (*unsigned, 0, 32767, 1), 0, out) == (1, 1)
    assert out.tolist() == [32767, 0]


@both(lookup.combine)
def test_products_are_cast_once(kernel: Kernel) -> None:
    """Words at their limits have a product of 2**30, which a left shift saturates."""
    a, b = np.array([-32768, -32768, 3], np.int16), np.array([-32768, 32767, 5], np.int16)
    out = np.empty(3, np.int16)
    to = target(Shift(QFormat(16, 0), Rounding.NEAREST_EVEN, Overflow.SATURATE))
    assert kernel(a, b, (1, 0, 0, 15), (*to, -32768, 32767, 0), 0, out) == (1, 0)
    assert out.tolist() == [32767, -32767, 0]
    assert kernel(a, b, (1, 0, 0, 1), (*to, -32768, 32767, 0), 0, out) == (2, 0)
    assert out.tolist() == [32767, -32768, 8]
    unsigned = target(Shift(QFormat(8, 0, signed=False), overflow=Overflow.SATURATE_ZERO))
    assert kernel(a, b, (1, 0, 0, 1), (*unsigned, 0, 32767, 1), 0, out) == (1, 1)
    assert out.tolist() == [0, 0, 8]


@both(lookup.combine)
def test_words_repeat_from_any_word_on(kernel: Kernel) -> None:
    """The third word of five meets the first of two; sums are kept from 23 to 40."""
    a, b, out = np.arange(5, dtype=np.int16), np.array([10, 20], np.int16), np.zeros(5, np.int16)
    to = (*target(Shift(QFormat(7, 0))), 23, 40, 0)
    assert kernel(a, b, (0, 0, 1, 0), to, 2, out) == (0, 0)
    assert out.tolist() == [0, 0, 23, 40, 24]


WINDOW = (2, 2, 1, 1, 1, 0, 1, 1)  # 2 x 2, stride 1, one line of padding above
MAP = (2, 2, 1, 2, 1)
POOL = alone(pool.pool)
FULL = Shift(QFormat(16, 0))


@pytest.mark.parametrize(
    ("kind", "shift", "cast", "rim", "expected", "saturations"),
    [
        (instructions.MAX, 0, Shift(QFormat(5, 0)), (0, 0, 0, 0), [-1, -1], 0),
        (instructions.AVERAGE, 0, FULL, (0, 0, 0, 0), [-2, -4], 0),  # -3/2, -16/4
        (instructions.AVERAGE, 0, FULL, (1, 0, 0, 0), [-1, -4], 0),  # -3/4
        (instructions.AVERAGE, -1, FULL, (0, 0, 0, 0), [-3, -8], 0),  # twice as fine
        (instructions.AVERAGE, 1, Shift(QFormat(2, 0)), (0, 0, 0, 0), [-1, -2], 0),
        (instructions.AVERAGE, 0, Shift(QFormat(2, 0)), (0, 0, 0, 0), [-2, -2], 1),
        (instructions.AVERAGE, 0, Shift(QFormat(4, 0, signed=False)), (0, 0, 0, 0), [0, 0], 2),
        (instructions.L2, 0, Shift(QFormat(4, 0)), (0, 0, 0, 0), [2, 7], 1),  # sqrt(5), sqrt(102)
        (instructions.L2, 1, FULL, (0, 0, 0, 0), [1, 5], 0),  # 1.12, 5.05
        (instructions.L2, -2, FULL, (0, 0, 0, 0), [9, 40], 0),  # 8.94, 40.4
    ],
)
def test_pools(
    kind: int,
    shift: int,
    cast: Shift,
    rim: tuple[int, int, int, int],
    expected: list[int],
    saturations: int,
) -> None:
    """Windows of negative values with padding above: largest, averages, root of squares."""
    x, out = np.array([-1, -2, -4, -9], np.int16), np.empty(2, np.int16)
    below = saturations if not cast.format.signed else kind == instructions.AVERAGE and saturations
    found = POOL(kind, x, MAP, WINDOW, rim, shift, target(cast), out, 1)
    assert found == (saturations, below)
    assert out.tolist() == expected


@both(pool.cast_all)
@given(case=casts(high=16))
def test_all_values_are_cast_exactly(kernel: Kernel, case: Cast) -> None:
    """The value and its neighbours, by every rounding and overflow mode, any shift."""
    assume(abs(case.value) < 2**61)
    values = np.array([case.value - 1, case.value, case.value + 1, -case.value])
    cast, out = Shift(case.target, case.rounding, case.overflow), np.empty(4, np.int16)
    assume(case.target.word < 16 or case.target.signed)
    expected = [cast.raw(value, case.frac) for value in values.tolist()]
    shift = case.frac - case.target.frac
    under = [over and value < 0 for value, (_, over) in zip(values, expected, strict=True)]
    counts = sum(over for _, over in expected), sum(under)
    assert kernel(values, shift, target(cast), out) == counts
    assert out.tolist() == [raw for raw, _ in expected]


DIVIDE, ROOT, CAST = (alone(kernel) for kernel in (pool.divide, pool.root, pool.cast_all))
LOOPS = (
    (DIVIDE, ROOT, CAST),
    tuple(in_python(kernel) for kernel in (pool.divide, pool.root, pool.cast_all)),
)


@pytest.mark.parametrize("loops", LOOPS, ids=["jit", "python"])
@settings(max_examples=800)
@given(case=quotients(), word=st.integers(2, 16), modes=modes)
def test_a_quotient_is_cast_in_one_step(
    loops: tuple[Kernel, ...],
    case: tuple[int, int, int],
    word: int,
    modes: tuple[Rounding, Overflow],
) -> None:
    """Powers of two or not, on a tie or beside one, to a finer or a coarser format."""
    divide, _, cast_all = loops
    total, count, shift = case
    cast, values, out = Shift(QFormat(word, -shift), *modes), np.array([total]), np.empty(1, "i2")
    over, below = cast_all(values, divide(values, count, shift), target(cast), out)
    wanted = cast_rational(Fraction(total, count), cast.format, *modes)
    assert (out[0], over, below) == (*wanted, wanted[1] and total < 0)


@pytest.mark.parametrize("loops", LOOPS, ids=["jit", "python"])
@settings(max_examples=800)
@given(case=squares(), word=st.integers(2, 16), modes=modes)
def test_a_root_is_cast_in_one_step(
    loops: tuple[Kernel, ...],
    case: tuple[int, int],
    word: int,
    modes: tuple[Rounding, Overflow],
) -> None:
    """On a square, a tie, and one beside them, in a finer or a coarser format."""
    _, root, cast_all = loops
    shift, square = case
    cast, out = Shift(QFormat(word, -shift), *modes), np.empty(1, np.int16)
    values = np.array([root(np.int64(square), shift)])
    over, _ = cast_all(values, 2, target(cast), out)
    exact = Fraction(Decimal(square).sqrt(Context(prec=200)))
    assert (out[0], over) == cast_rational(exact, cast.format, *modes)


@both(entry.floats)
def test_floats_enter_by_one_cast(kernel: Kernel) -> None:
    """To nearest even, saturated and counted; NaN is told apart; places are followed."""
    x = np.array([[0.5, 1.5, np.inf], [-9.0, np.nan, 2.5]], np.float32)
    out = np.zeros(6, np.int16)
    counts = kernel(np.nan_to_num(x, posinf=np.inf), 1.0, -8.0, 7.0, np.array([2, 0, 1]), 3, out)
    assert counts == (2, 0)
    assert out.tolist() == [2, 7, 0, 0, 2, -8]
    assert kernel(x[1:], 1.0, -8.0, 7.0, np.zeros(0, np.int64), 3, out)[1] == 1


@both(entry.pixels)
def test_pixels_enter_by_their_channels_table(kernel: Kernel) -> None:
    """Each channel has a table; flagged pixels are counted."""
    raws = np.stack([np.arange(256), -np.arange(256)]).astype(np.int16)
    over = np.zeros((2, 256), bool)
    over[1, 7] = True
    x, out = np.array([[1, 2, 3, 7]], np.uint8), np.empty(4, np.int16)
    assert kernel(x, raws, over, np.array([0, 2, 1, 3]), 4, out) == 1
    assert out.tolist() == [1, -3, 2, -7]
    assert kernel(x, raws, over, np.zeros(0, np.int64), 4, out) == 1
    assert out.tolist() == [1, 2, -3, -7]


@both(entry.words)
def test_input_words_are_written_to_their_places(kernel: Kernel) -> None:
    """Each image has words of its own, of which some may be nobody's place."""
    x, places = np.array([[1, 2], [3, 4]], np.int16), np.array([2, 0])
    block = np.zeros(6, np.int16)
    assert kernel(x, places, 3, block) == 0
    assert block.tolist() == [2, 0, 1, 4, 0, 3]
    assert kernel(x, np.zeros(0, np.int64), 2, block) == 0
    assert block[:4].tolist() == [1, 2, 3, 4]


@both(entry.pixels)
def test_pixels_enter_by_any_table(kernel: Kernel) -> None:
    """Steps of one size reach both ends of the words; others are looked up."""
    x, none, out = np.arange(256, dtype=np.uint8)[None], np.zeros(0, np.int64), np.empty(256, "i2")
    even, bent = np.arange(-32768, 32768, 257), np.minimum(np.arange(256) * 200, 32767)
    for table in (even, even[::-1], bent):
        raws = table.astype(np.int16)[None]
        assert kernel(x, raws, np.zeros((1, 256), bool), none, 256, out) == 0
        assert out.tolist() == table.tolist()


@both(lookup.look_up)
def test_look_up_indexes_by_the_words_bits(kernel: Kernel) -> None:
    """Negative words are found at their unsigned index."""
    answers = np.arange(65536).astype(np.uint16).view(np.int16)[::-1].copy()
    x = np.array([-32768, -1, 0, 32767], np.int16)
    out = np.empty_like(x)
    kernel(x, answers, out)
    assert out.tolist() == [32767, 0, -1, -32768]


def test_accumulator_words_fit_the_kernels() -> None:
    """The widest accumulator plus one product stays inside int64."""
    assert Accumulator(62).max + 2**30 < 2**63
