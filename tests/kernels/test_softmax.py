"""What is asked of softmax: its bound, order, sum and widths, for up to 4,096 classes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxpnn import golden
from fxpnn.fixedpoint import integers
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network import layers
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.tables import SOFTMAX
from tests.support.strategies import raw_arrays

TABLE = SOFTMAX.build().tolist()
FRACS = (-3, 0, 4, 8, 11, 15, 20)
ANY = QFormat(16, 0)


def softmax(x: list[int], frac: int, shift: int | None = None) -> tuple[list[int], int]:
    """Run the golden softmax on raw logits; return raw Q0.15 and the saturations."""
    node = FixedNode(
        "p",
        layers.Softmax(),
        (INPUT,),
        QFormat(16, 15),
        table=SOFTMAX.build(),
        softmax_shift=shift,
    )
    run = golden.run(FixedNetwork("p", (len(x),), QFormat(16, frac), (node,)), np.array([x]))
    assert run.counts["p"].accumulator_overflows == 0
    return run.raw["p"][0].tolist(), run.counts["p"].saturations


@given(st.data())
def test_a_masked_softmax_is_that_of_its_run(data: st.DataObject) -> None:
    """What is hidden takes no part, whatever it is, and is 0."""
    rows, size = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 9))
    x = data.draw(raw_arrays(ANY, (rows, size)))
    frac = data.draw(st.sampled_from(FRACS))
    starts = [data.draw(st.integers(0, size - 1)) for _ in range(rows)]
    spans = tuple((start, data.draw(st.integers(start + 1, size))) for start in starts)
    layer, table = layers.MaskedSoftmax(-1, spans), SOFTMAX.build()
    node = FixedNode("p", layer, (INPUT,), QFormat(16, 15), table=table)
    fixed = FixedNetwork("p", (rows, size), QFormat(16, frac), (node,))
    found = golden.run(fixed, x[None]).raw["p"][0].tolist()
    for row, whole, (start, end) in zip(x.tolist(), found, spans, strict=True):
        shares, _ = softmax(row[start:end], frac)
        assert whole == [0] * start + shares + [0] * (size - end)


def true_softmax(x: list[int], frac: int) -> list[float]:
    """Compute it in float64, good to 1e-15; the differences of raw values are exact."""
    powers = [math.exp((v - max(x)) / 2.0**frac) for v in x]
    total = math.fsum(powers)
    return [power / total for power in powers]


def check(x: list[int], frac: int) -> None:
    """Check the bound, the order, the maximum, the sum and the range of the result."""
    p, _ = softmax(x, frac)
    true = true_softmax(x, frac)
    assert max(abs(v / 2**15 - t) for v, t in zip(p, true, strict=True)) <= 2**-15
    ranked = sorted(set(zip(x, p, strict=True)))
    assert [v for v, _ in ranked] == sorted(set(x)), "equal inputs must give equal outputs"
    assert [v for _, v in ranked] == sorted(v for _, v in ranked), "order must stay"
    assert p[x.index(max(x))] == max(p)
    assert abs(sum(p) / 2**15 - 1) <= (len(x) + 2) * 2**-16
    assert min(p) >= 0


@st.composite
def logits(draw: st.DrawFn, most: int = 12) -> list[int]:
    """Draw words of 16 bits, far apart or close to one of them."""
    classes = draw(st.integers(1, most))
    far = draw(raw_arrays(ANY, (classes,))).tolist()
    near = draw(st.lists(st.integers(-40, 40), min_size=classes, max_size=classes))
    close = [max(ANY.min, min(far[0] + v, ANY.max)) for v in near]
    return draw(st.sampled_from([close, far]))


@given(logits(), st.sampled_from(FRACS))
def test_softmax_keeps_its_promises(x: list[int], frac: int) -> None:
    """For 1 to 12 classes, of any format."""
    check(x, frac)


@pytest.mark.parametrize("frac", FRACS)
@pytest.mark.parametrize("spread", [3, 300, 2**15], ids=lambda spread: f"+-{spread}")
@pytest.mark.parametrize("classes", [10, 1000, 4096])
def test_softmax_keeps_its_promises_for_many_classes(classes: int, spread: int, frac: int) -> None:
    """Close together, where all count, and far apart, where one does."""
    random = np.random.default_rng(classes + spread + frac)
    check(random.integers(-spread, spread, classes).tolist(), frac)


@pytest.mark.parametrize("classes", [2, 3, 7, 1000, 2260, 3855, 4096])
def test_the_sum_of_equal_classes_errs_least(classes: int) -> None:
    """Also where every one of them is rounded by almost half a count (2,260 times 14.499)."""
    check([-(2**15)] * classes, 8)
    (p,) = set(softmax([5] * classes, 8)[0])
    assert p == round(2**15 / classes)


@pytest.mark.parametrize(
    ("x", "p"),
    [
        ([-7], [32767]),
        ([32767, -32768], [32767, 0]),
        ([-32768, 32767, 32767], [0, 16384, 16384]),
        ([0, 0, 0, 0], [8192] * 4),
    ],
)
def test_softmax_counts_nothing(x: list[int], p: list[int]) -> None:
    """1.0 is spelt 32767 in Q0.15: that is no saturation."""
    assert softmax(x, 8) == (p, 0)


@pytest.mark.parametrize("frac", [-40, 60])
def test_extreme_formats_are_not_special(frac: int) -> None:
    """Where one count is huge the winner takes all; where it is tiny all are equal."""
    expected = [0, 0, 32767, 0] if frac < 0 else [8192] * 4
    assert softmax([-(2**15), 0, 2**15 - 1, 2**15 - 2], frac)[0] == expected


# Widths, over every value that can be


def test_the_mantissa_falls_from_one_to_a_half() -> None:
    """For all of its 16-bit arguments it takes 21 bits, never rises, and errs by under 2 counts.

    Half a count is the table's, half the rounding's, and 0.96 the chord's.
    """
    m = np.array([integers.mantissa(u, TABLE) for u in range(2**16)])
    assert (m.max(), m[0], integers.mantissa(2**16, TABLE)) == (2**20, 2**20, 2**20)
    assert m.min() >= 2**19
    assert np.diff(m).max() <= 0
    assert np.abs(m - 2.0 ** (20 - np.arange(2**16) / 2**16)).max() < 2


@pytest.mark.parametrize("frac", FRACS)
def test_the_exponential_falls(frac: int) -> None:
    """For every difference of two 16-bit words it takes 31 bits and never rises: order stays."""
    e = np.array([integers.exponential(d, frac, TABLE) for d in range(2**16)])
    assert (e[0], e.max()) == (2**30, 2**30)
    assert e.min() >= 0
    assert np.diff(e).max() <= 0
    true = 2.0**30 * np.exp(-np.arange(2**16) / 2.0**frac)
    assert np.abs(e - true).max() <= 2**30 * 2**-16.5


EXTREME_SUMS = [2**b + c for b in range(30, 43) for c in (0, 1, 2 ** (b - 1)) if 2**b + c <= 2**42]


@pytest.mark.parametrize("S", [*EXTREME_SUMS, *(2**b - 1 for b in range(31, 43))])
def test_the_reciprocal_and_its_product_fit(S: int) -> None:
    """For sums of 2**30 to 4096 * 2**30: S 43 bits, R 19, the rounded product 49, p 16."""
    R, b = integers.reciprocal(S)
    assert S.bit_length() <= 43
    assert 2**b <= S < 2 ** (b + 1)
    assert 2**17 <= R <= 2**18
    assert abs(2 * (R * S - 2 ** (b + 18))) <= S
    product = 2**30 * R + 2 ** (b + 2)
    assert product.bit_length() <= 49
    assert product >> (b + 3) <= 2**15


# Without the maximum


@pytest.mark.parametrize(
    ("x", "shift", "p", "saturations"),
    [
        ([0, 0], 0, [16384, 16384], 0),
        ([256, 256, 256, 256], 256, [8192] * 4, 0),
        ([2560, 3072], 0, [16384, 16384], 2),  # 10 and 12: both exps are over 127.996
        ([2560, 3072], 3072, [3842, 28926], 0),  # 34/256 (of 34.6) and 1
        ([-5120, -5120], 0, [0, 0], 0),  # exp(-20) is 0 in Q7.8, and so is the sum
        ([-5120, 0], 0, [0, 32767], 0),
        ([32767, -32768], -32768, [32514, 254], 1),  # 128 - 1/256, and 1
        ([32767, -32768], 32767, [32767, 0], 0),
    ],
)
def test_a_constant_shift(x: list[int], shift: int, p: list[int], saturations: int) -> None:
    """Logits of Q7.8: what overflows becomes equal, what underflows becomes 0."""
    assert softmax(x, 8, shift) == (p, saturations)


@pytest.mark.parametrize("frac", FRACS)
def test_the_short_exponential_is_cut_to_eight_fraction_bits(frac: int) -> None:
    """For every difference of two words: true to 1.5 counts below 128, and over it above."""
    d = np.arange(-(2**16) + 1, 2**16)
    e = np.array([integers.short_exponential(int(v), frac, TABLE) for v in d])
    true = 2.0**8 * np.exp(np.minimum(d / 2.0**frac, 50))
    low, high = true < 2**15 - 2, true > 2**15 + 2
    assert np.all(np.abs(true[low] - 0.5 - e[low]) <= 1)
    assert e[high].min(initial=2**15) >= 2**15
