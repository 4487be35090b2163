"""Layers of sums as tests draw them: what integers give, and what the fast kernels give."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from fxpnn.fixedpoint.qformat import Accumulator, Overflow, QFormat, Rounding
from fxpnn.fixedpoint.requantize import Shift
from fxpnn.kernels import clamping, products
from fxpnn.kernels.build.pipeline import alone
from fxpnn.kernels.layout import instructions, packing, rounding
from tests.support.oracle_sums import saturated_sum, wrapped_sum
from tests.support.oracles import cast_rational

Ints = npt.NDArray[np.int64]
WORD16 = QFormat(16, 0)
WIDE = Accumulator(62)
GUARD = 12345
exact, clamped = alone(products.exact), alone(clamping.clamped)


@dataclass(frozen=True)
class Case:
    """A dense layer, a block of its inputs, and how it sums and casts."""

    x: Ints
    weight: Ints
    bias: Ints
    accumulator: Accumulator = WIDE
    shift: int = 8
    rounding: Rounding = Rounding.NEAREST_EVEN
    overflow: Overflow = Overflow.SATURATE
    output: QFormat = WORD16
    relu: bool = False
    apart: bool = False
    most: int = 32767

    def modes(self) -> tuple[int, int, int, int, int, int, int]:
        """Encode the cast for the kernels."""
        least = 0 if self.relu or self.apart else -32768
        return (*self.target(), least, self.most, int(self.apart))

    def target(self) -> instructions.Target:
        """Encode the cast without what words are raised to."""
        return instructions.target(Shift(self.output, self.rounding, self.overflow))

    def direct(self) -> instructions.Target:
        """Encode the cast in registers."""
        return self.target().with_sign if self.apart else self.target()

    def shifts(self) -> Ints:
        """Return a shift for each lane."""
        return packing.fill_lanes(np.full(len(self.weight), self.shift), "edge")

    def rule(self, extra: int) -> Ints | None:
        """Return how sums with so many extra bits are rounded directly, if they can be."""
        sums = int(self.sums().min()), int(self.sums().max())
        return rounding.rule(self.shifts(), self.direct(), sums, extra)

    def near(self) -> bool:
        """Say whether sums that have a rule are near."""
        return rounding.near(self.shifts(), packing.fill_lanes(self.bias), self.direct())

    def extra(self, packed: packing.Packed) -> int:
        """Return how many bits more than 32 the sums need."""
        extra = rounding.extra_bits(int(np.abs(self.sums()).max()), packed.cuts.shape[1])
        assert extra is not None
        return extra

    def sums(self) -> npt.NDArray[np.object_]:
        """Return the sums as integers of any size."""
        sums: npt.NDArray[np.object_]
        sums = self.x.astype(object) @ self.weight.astype(object).T + self.bias
        return sums

    def expected(self) -> tuple[Ints, int, int, int]:
        """Compute in Python integers: outputs, overflows of the accumulator and of the cast.

        Those below 0 that are counted apart come last.
        """
        total = wrapped_sum if self.accumulator.overflow is Overflow.WRAP else saturated_sum
        products = self.x.astype(object)[:, None, :] * self.weight.astype(object)
        out, overflows, saturations, below = np.zeros(products.shape[:2], np.int64), 0, 0, 0
        for at in np.ndindex(out.shape):
            acc, more = total(self.accumulator, [int(self.bias[at[1]]), *products[at]])
            scaled = Fraction(acc, 1) / Fraction(2) ** self.shift
            raw, over = cast_rational(scaled, self.output, self.rounding, self.overflow)
            out[at] = min(max(raw, 0) if self.relu else raw, self.most)
            fallen = self.apart and over and acc < 0
            overflows, below = overflows + more, below + fallen
            saturations += over and not fallen
        return out, overflows, saturations, below


def block(x: Ints) -> npt.NDArray[np.int16]:
    """Lay rows out as the kernels read them, with one word behind that no weight meets."""
    return np.append(x.ravel(), 77).astype(np.int16)


def tables(
    packed: packing.Packed,
    starts: Ints,
    bias: Any,
    shift: int,
    windows: Ints,
    rule: Ints | None = None,
) -> Any:
    """Put a layer's arrays together."""
    lanes = packing.fill_lanes(bias)
    shifts = np.full(lanes.size, shift)
    rule = np.zeros(4 * lanes.size, np.int64) if rule is None else rule
    return (*packed, starts, shifts, windows, lanes, rule.astype(np.int32))


def guarded(size: int) -> npt.NDArray[np.int16]:
    """Make an array to write, with 32 words behind it that nothing may write."""
    return np.full(size + 32, GUARD, np.int16)[:size]


def assert_guarded(out: npt.NDArray[np.int16]) -> None:
    """Check the words behind the array."""
    assert out.base is not None
    assert (out.base[out.size :] == GUARD).all()


NO_WINDOWS = np.zeros((0, 1), np.int64)


def run_exact(case: Case, sums: type = np.int32, packed: packing.Packed | None = None) -> Any:
    """Run a dense layer with exact sums of 32 or 64 bits, in strips and, where it can be, direct.

    Direct casts are made in groups of all rows and of three, and sums that are near also as if they
    might not be; all ways must agree.
    """
    (n, k), outputs = case.x.shape, len(case.weight)
    weight, offsets = case.weight.astype(np.int16), np.arange(k)
    packed = packed or packing.pack(weight, offsets)
    word = case.accumulator.min, case.accumulator.max
    wraps = case.accumulator.overflow is Overflow.WRAP
    bias: Any = case.bias.astype(sums)
    extra = case.extra(packed) if sums is np.int64 else 0
    rule = None if wraps else case.rule(extra)

    modes = case.modes()
    near = rule is not None and case.near()

    def run(leave: int, group: int, rule: Ints | None, near: bool = False) -> Any:
        layer = tables(packed, np.arange(group) * k, bias, case.shift, NO_WINDOWS, rule)
        out = guarded(n * outputs)
        frame = (n, k, outputs, leave, 0, 0, 0, 0, 0, outputs, group, 1, extra, int(near))
        counts = exact(block(case.x), out, layer, frame, word, wraps, modes)
        assert_guarded(out)
        return out.reshape(n, outputs), *counts

    found = run(instructions.STRIPS, n, None)
    if rule is not None:
        ways = [(instructions.DIRECT, n), (instructions.DIRECT, min(n, 3))]
        for leave, group, close in [(*way, close) for way in ways for close in {near, False}]:
            direct = run(leave, group, rule, close)
            np.testing.assert_array_equal(direct[0], found[0])
            assert direct[1:] == found[1:]
    return found


def run_chunked(case: Case) -> Any:
    """Run a dense layer with sums of 64 bits, in chunks that fit 32 for every int16 input."""
    k = case.x.shape[1]
    weight = case.weight.astype(np.int16)
    packed = packing.pack_chunks(weight, np.arange(k), np.full(k, -32768), np.full(k, 32767))
    return run_exact(case, np.int64, packed)


def run_clamped(case: Case) -> Any:
    """Run a dense layer with sums that are clamped after each product."""
    (n, k), outputs = case.x.shape, len(case.weight)
    pairs, steps = packing.pack_steps(case.weight.astype(np.int16), np.arange(k), k)
    word = case.accumulator.min, case.accumulator.max
    narrow = packing.narrow_steps(case.accumulator.word)
    bias = np.clip(case.bias, *word).astype(np.int32 if narrow else np.int64)
    layer = tables(pairs, np.arange(n) * k, bias, case.shift, NO_WINDOWS)
    out = guarded(n * outputs)
    frame = (n, k, outputs, instructions.STRIPS, 0, 0, 0, 0, 0, outputs, n, 1, 0, 0)
    overflows, *casts = clamped(block(case.x), out, layer, (*steps,), frame, word, case.modes())
    assert_guarded(out)
    overflows += n * int((bias != case.bias).sum())
    return out.reshape(n, outputs), overflows, *casts


def assert_equal(found: Any, case: Case) -> None:
    """Compare outputs and all counts."""
    outputs, *counts = case.expected()
    np.testing.assert_array_equal(found[0], outputs)
    assert list(found[1:]) == counts


def random_case(seed: int, n: int, k: int, outputs: int, x: int = 300, weight: int = 300) -> Case:
    """Draw words and weights up to the given magnitudes."""
    rng = np.random.default_rng(seed)
    return Case(
        rng.integers(-x, x, (n, k)),
        rng.integers(-weight, weight, (outputs, k)),
        rng.integers(-(10**6), 10**6, outputs),
    )
