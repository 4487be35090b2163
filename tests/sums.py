"""Own layers of sums as tests draw them: what integers give, and what the fast kernels give."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from fxpnn.kernels import packing, products
from fxpnn.kernels.codes import target
from fxpnn.kernels.pipeline import alone
from fxpnn.qformat import Accumulator, Overflow, QFormat, Rounding
from tests.oracles import cast_rational, saturated_sum, wrapped_sum

Ints = npt.NDArray[np.int64]
WORD16 = QFormat(16, 0)
WIDE = Accumulator(62)
exact, clamped = alone(products.exact), alone(products.clamped)


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

    def modes(self) -> tuple[int, int, int, int, int]:
        """Encode the cast for the kernels."""
        to = target(self.output, self.rounding, self.overflow)
        return (*to, 0 if self.relu else -32768)

    def expected(self) -> tuple[Ints, int, int]:
        """Compute in Python integers: outputs, overflows of the accumulator and of the cast."""
        total = wrapped_sum if self.accumulator.overflow is Overflow.WRAP else saturated_sum
        products = self.x.astype(object)[:, None, :] * self.weight.astype(object)
        out, overflows, saturations = np.zeros(products.shape[:2], np.int64), 0, 0
        for at in np.ndindex(out.shape):
            acc, more = total(self.accumulator, [int(self.bias[at[1]]), *products[at]])
            scaled = Fraction(acc, 1) / Fraction(2) ** self.shift
            raw, over = cast_rational(scaled, self.output, self.rounding, self.overflow)
            out[at] = max(raw, 0) if self.relu else raw
            overflows, saturations = overflows + more, saturations + over
        return out, overflows, saturations


def block(x: Ints) -> npt.NDArray[np.int16]:
    """Lay rows out as the kernels read them, with one word behind that no weight meets."""
    return np.append(x.ravel(), 77).astype(np.int16)


def tables(packed: packing.Packed, starts: Ints, bias: Any, shift: int, windows: Ints) -> Any:
    """Put a layer's arrays together."""
    shifts = packing.fill_lanes(np.full(len(bias), shift))
    return (*packed, starts, packing.fill_lanes(bias), shifts, windows)


NO_WINDOWS = np.zeros((0, 1), np.int64)


def run_exact(case: Case, sums: type = np.int32, packed: packing.Packed | None = None) -> Any:
    """Run a dense layer with exact sums of 32 or 64 bits."""
    (n, k), outputs = case.x.shape, len(case.weight)
    weight, offsets = case.weight.astype(np.int16), np.arange(k)
    packed = packed or packing.pack(weight, offsets)
    layer = tables(packed, np.arange(n) * k, case.bias.astype(sums), case.shift, NO_WINDOWS)
    out = np.empty(n * outputs, np.int16)
    word = case.accumulator.min, case.accumulator.max
    wraps = case.accumulator.overflow is Overflow.WRAP
    frame = (1, n * k, outputs, 0, 0, 0, 0, 0, 0, outputs)
    counts = exact(block(case.x), out, layer, frame, word, wraps, case.modes())
    return out.reshape(n, outputs), *counts


def run_chunked(case: Case) -> Any:
    """Run a dense layer with sums of 64 bits, in chunks that fit 32 for every int16 input."""
    k = case.x.shape[1]
    weight = case.weight.astype(np.int16)
    packed = packing.pack_chunks(weight, np.arange(k), np.full(k, -32768), np.full(k, 32767))
    return run_exact(case, np.int64, packed)


def run_parted(case: Case) -> Any:
    """Run a dense layer with sums of 64 bits, upper and lower bytes of the weights apart."""
    k = case.x.shape[1]
    weight = case.weight.astype(np.int16)
    packed = packing.pack_parts(weight, np.arange(k), np.full(k, -32768), np.full(k, 32767))
    return run_exact(case, np.int64, packed)


def run_clamped(case: Case) -> Any:
    """Run a dense layer with sums that are clamped after each product."""
    (n, k), outputs = case.x.shape, len(case.weight)
    pairs, steps = packing.pack_steps(case.weight.astype(np.int16), np.arange(k), k)
    word = case.accumulator.min, case.accumulator.max
    bias = np.clip(case.bias, *word).astype(np.int32 if case.accumulator.word <= 32 else np.int64)
    layer = tables(pairs, np.arange(n) * k, bias, case.shift, NO_WINDOWS)
    out = np.empty(n * outputs, np.int16)
    frame = (1, n * k, outputs, 0, 0, 0, 0, 0, 0, outputs)
    overflows, saturations = clamped(
        block(case.x), out, layer, (*steps,), frame, word, case.modes()
    )
    overflows += n * int((bias != case.bias).sum())
    return out.reshape(n, outputs), overflows, saturations


def assert_equal(found: Any, case: Case) -> None:
    """Compare outputs and both counts."""
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
