"""Under Verilator the units of the core give the golden model's integers, whatever they read."""

from itertools import product

import numpy as np
import numpy.typing as npt
import pytest

from fxpnn.fixedpoint.integers import cast_raw, exponential
from fxpnn.fixedpoint.qformat import Overflow, QFormat, Rounding
from fxpnn.golden.sums import Unit, activate, compute
from fxpnn.network import layers
from fxpnn.network.fixed import FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Layer
from fxpnn.network.tables import SOFTMAX, table_for
from tests.support.rtl_units import memory, rows, run, signed, tables
from tests.support.tools import needs

pytestmark = needs("verilator", "make", "g++")

WORDS = np.arange(1 << 16) - (1 << 15)
KINDS = layers.Sigmoid, layers.Tanh, layers.Silu, layers.Elu, layers.Softplus
"""In the order of their numbers."""
BOUNDED = KINDS[:2]
"""Those to which x itself adds nothing."""
POWERS = SOFTMAX.build()
BASE = 300
"""Where tables are put, so that their place matters."""

Words = npt.NDArray[np.int64]


class Uncast(Unit):
    """The golden model's unit, but for the cast: the exact value stays."""

    fine = 34

    def cast(self, value: int, frac: int, source: QFormat | None = None, count: int = 1) -> int:
        """Align to ``fine`` bits."""
        return value << (self.fine - frac)


def uncast(kind: type[Layer], frac: int) -> Uncast:
    """Give the unit of a layer that reads words of so many fraction bits."""
    node = FixedNode("n", kind(), (INPUT,), QFormat(16, 15), table=table_for(kind))
    unit = Uncast(node, (QFormat(16, frac),))
    unit.fine = 34 if kind in BOUNDED else max(frac, 34)
    return unit


@pytest.mark.parametrize("frac", range(-5, 35))
def test_exponentials(frac: int) -> None:
    """Each of the 65,536 distances has the golden exponential, 5 cycles later."""
    distances, table = np.arange(1 << 16), POWERS.tolist()
    asked = rows(3, len(distances) + 5, d=np.pad(distances, (0, 5)), exponent=frac + 5, base=BASE)
    out = run(tables(POWERS, BASE), asked)[len(POWERS) + 5 :, 0]
    got = (out >> np.uint64(10)) << (out & np.uint64(15))
    assert got.tolist() == [exponential(d, frac, table) for d in range(1 << 16)]


@pytest.mark.parametrize("beyond", [-6, -40, 35, 60])
def test_exponentials_beyond_the_ends(beyond: int) -> None:
    """What a fraction beyond -5 or 34 gives is what that one gives, for the end distances too."""
    table, nearest = POWERS.tolist(), min(max(beyond, -5), 34)
    for d in (0, 1, 2, 3, 32767, 32768, 65535):
        assert exponential(d, beyond, table) == exponential(d, nearest, table)


@pytest.mark.parametrize(
    ("kind", "frac"),
    [
        *product(KINDS, (15, 12, 8, 0)),
        *product(BOUNDED, (-9, 40)),
        *product(KINDS[2:], (-12, 34, 35, 56)),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_tables(kind: type[Layer], frac: int) -> None:
    """Each of the 65,536 words has the golden function's exact value, 6 cycles later."""
    unit, made = uncast(kind, frac), kind.traits.table
    assert made is not None
    table = made.build()
    asked = rows(
        2,
        len(WORDS) + 6,
        valid=np.pad(np.ones_like(WORDS), (0, 6)),
        x=np.pad(WORDS, (0, 6)),
        kind=KINDS.index(kind),
        position_shift=min(max(16 + made.steps - frac, -16), 27),
        segments=made.segments,
        base=BASE,
        relu_shift=0 if kind in BOUNDED else unit.fine - frac,
        g_shift=unit.fine - 34,
    )
    out = run(tables(table, BASE), asked)[len(table) :, 0]
    assert (out >> np.uint64(62)).tolist() == [0] * 6 + [1] * len(WORDS)
    assert signed(out[6:], 62).tolist() == [
        activate(unit.node.layer, unit, x) for x in WORDS.tolist()
    ]


def softmax(x: Words, axis: int, frac: int) -> tuple[Words, int, int]:
    """Run the unit on an array; give what it wrote, argmax and the cycles from start to done."""
    size, inner = x.shape[axis], int(np.prod(x.shape[axis + 1 :]))
    vectors, to = x.size // size, 1000 + x.size
    cycles = vectors * (3 * size + 20) + 40
    asked = rows(
        4,
        cycles,
        start=np.arange(cycles) == 0,
        **{"from": 1000},
        to=to,
        stride=inner,
        jump=size * inner - inner + 1,
        size=size,
        inner=inner,
        outer=vectors // inner,
        exponent=frac + 5,
        base=BASE,
    )
    out = run(memory(x.ravel(), 1000), tables(POWERS, BASE), asked)[x.size + len(POWERS) :]
    written = out[out[:, 1] >> np.uint64(16) & np.uint64(1) == 1]
    (done,) = np.flatnonzero(out[:, 1] >> np.uint64(17))
    y = np.full(x.size, -1)
    y[(written[:, 0] >> np.uint64(48)).astype(np.int64) - to] = written[:, 1] & np.uint64(0xFFFF)
    assert len(written) == x.size
    return y.reshape(x.shape), int(out[-1, 0] & np.uint64(0xFFFF)), int(done)


RANGES: dict[str, list[int]] = {
    "all": [*range(-(1 << 15), 1 << 15)],
    "near": [*range(-40, 40)],
    "ends": [-(1 << 15), -1, 0, (1 << 15) - 1],
    "equal": [7],
    "least": [-(1 << 15)],
}


def drawn(words: str, *shape: int) -> Words:
    """Draw an array from one of the ``RANGES``."""
    return np.array(np.random.default_rng(len(shape)).choice(RANGES[words], shape), np.int64)


VECTORS: list[tuple[Words, int, int]] = [
    *(
        (drawn(words, 3, size, 1), 1, frac)
        for words, size, frac in product(("all", "near", "ends"), (1, 2, 3, 10), (0, 12))
    ),
    (drawn("all", 1000), 0, 12),
    (drawn("near", 2, 5, 3), 1, 2),
    (drawn("near", 4, 3, 5), 0, 3),
    (drawn("near", 5, 7), 1, -5),
    (drawn("equal", 4096), 0, 15),
    (drawn("least", 4096), 0, 0),
    (drawn("ends", 4096), 0, 8),
    (np.append(drawn("least", 4095), (1 << 15) - 1), 0, 15),
]
"""Arrays, the axis of their vectors, and fraction bits: ties, extremes, the longest vectors."""


@pytest.mark.parametrize("case", range(len(VECTORS)))
def test_softmax(case: int) -> None:
    """Every word is the golden one, cycles depend on sizes alone, argmax is the last vector's."""
    x, axis, frac = VECTORS[case]
    node = FixedNode("n", layers.Softmax(axis), (INPUT,), QFormat(16, 15), table=POWERS)
    y, argmax, done = softmax(x, axis, frac)
    assert (
        y.tolist()
        == compute(node.layer, Unit(node, (QFormat(16, frac),)), x.astype(object)).tolist()
    )
    last = np.moveaxis(x, axis, -1).reshape(-1, x.shape[axis])[-1]
    assert argmax == int(np.argmax(last))
    assert done == x.size // x.shape[axis] * (3 * x.shape[axis] + 20) + 10


MINIMUM = -1000
"""What padding is to a maximum here."""


def windows(average: bool, steps: int) -> tuple[list[list[tuple[int, bool, bool]]], Words]:
    """Draw windows of taps (x, in the map, counted), and give the pool's value of each."""
    drawn = np.random.default_rng(7)
    made, parts, ends, time = [], [], [], 0
    for size in (1, 2, 3, 4, 5, 7, 9, 12, 25, 100) * 40:
        x = (
            drawn.choice([-(1 << 15), (1 << 15) - 1], size)
            if drawn.random() < 0.2
            else drawn.integers(-60, 60, size)
        )
        inside = drawn.random(size) < drawn.choice([0, 0.7, 1], p=[0.1, 0.3, 0.6])
        counted = inside | (drawn.random() < 0.5)
        made.append(list(zip(x.tolist(), inside.tolist(), counted.tolist(), strict=True)))
        at = np.arange(size)
        gaps = max(0, steps + 1 - size) if average else 0
        pad = {
            "x": x,
            "in_map": inside,
            "counted": counted,
            "first": at == 0,
            "last": at == size - 1,
        }
        valid = {"valid": np.pad(np.ones(size, np.int64), (gaps, 0))}
        fields = valid | {
            name: np.pad(value.astype(np.int64), (gaps, 0)) for name, value in pad.items()
        }
        parts.append(rows(5, gaps + size, average=average, minimum=MINIMUM, steps=steps, **fields))
        time += gaps + size
        ends.append(time - 1 + (steps + 3 if average else 1))
    parts.append(rows(5, steps + 4, average=average, minimum=MINIMUM, steps=steps))
    out = run(*parts)[:, 0]
    given = np.flatnonzero(out >> np.uint64(62))
    assert given.tolist() == ends
    return made, signed(out[given], 62)


def test_maximum() -> None:
    """The largest of a window, padding being the minimum, is there a cycle behind the last tap."""
    made, values = windows(average=False, steps=0)
    assert values.tolist() == [
        max(x if inside else MINIMUM for x, inside, _ in window) for window in made
    ]


@pytest.mark.parametrize("up", [0, 1, 5, 16])
def test_average(up: int) -> None:
    """The value casts to every format, in every mode, as the exact sum / count does."""
    made, values = windows(average=True, steps=16 + up)
    modes = product(Rounding, Overflow, (0,) if up else (0, 1, 3))
    for rounding, overflow, down in modes:
        target = QFormat(9, up - down)
        for window, value in zip(made, values.tolist(), strict=True):
            total = sum(x for x, inside, _ in window if inside)
            taps = sum(counted for *_, counted in window) or 1
            want = cast_raw(total, 0, target, rounding, overflow, count=taps)
            assert cast_raw(value, up + 2, target, rounding, overflow) == want


def test_average_of_every_word() -> None:
    """Nine taps, one of them each of the 65,536 words: the quotient and what is behind it."""
    others = np.array([3, -7, 11, 0, 100, -32768, 5, 32767])
    taps = np.column_stack(
        [WORDS, np.tile(others, (len(WORDS), 1)), np.zeros((len(WORDS), 8), np.int64)]
    )
    place = np.tile(np.arange(17), len(WORDS))
    asked = rows(
        5,
        taps.size,
        valid=place < 9,
        in_map=1,
        counted=1,
        first=place == 0,
        last=place == 8,
        average=1,
        x=taps.ravel(),
        steps=16,
    )
    out = run(asked, rows(5, 20, average=1, steps=16))[:, 0]
    values = signed(out[out >> np.uint64(62) == 1], 62)
    total = WORDS + others.sum()
    rest = total % 9
    assert (
        values.tolist()
        == (total // 9 * 4 + np.where(rest == 0, 0, np.where(2 * rest < 9, 1, 3))).tolist()
    )
