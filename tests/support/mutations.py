"""What a mutation is; those of registers that drop bits of products, of pairs and of moves."""

from typing import NamedTuple


class Mutation(NamedTuple):
    """A rule, the file that states it, what it says, what to make of it, and tests that watch."""

    rule: str
    file: str
    line: str
    broken: str
    tests: str


REGISTERS = (
    Mutation(
        "that a fused product is rounded with the sum that it meets",
        "fxpnn/kernels/registers.py",
        "return round_rest(total + floor, term - (floor << shift), shift, rounding)",
        "return total + round_rest(floor, term - (floor << shift), shift, rounding)",
        "tests/engine/test_registers.py",
    ),
    Mutation(
        "that a cast product is clamped before it is added",
        "fxpnn/kernels/registers.py",
        "total += kept",
        "total += term",
        "tests/engine/test_registers.py",
    ),
    Mutation(
        "that a clamped product is an overflow of its step",
        "fxpnn/kernels/registers.py",
        "overflows += lost or total < low or total > high",
        "overflows += total < low or total > high",
        "tests/engine/test_registers.py",
    ),
    Mutation(
        "that a register rounds its bias",
        "fxpnn/kernels/registers.py",
        "    total = added(0, bias, dropped, rounding)\n    overflows",
        "    total = added(0, bias, dropped, FLOOR)\n    overflows",
        "tests/engine/test_registers.py",
    ),
    Mutation(
        "that bits which a register adds are cut, not lost",
        "fxpnn/kernels/registers.py",
        "kept: int = min(max(term, -room), room)",
        "kept: int = term",
        "tests/engine/test_registers.py",
    ),
    Mutation(
        "that a wrapping register counts what an endless one ends at",
        "fxpnn/kernels/registers.py",
        "endless = added(endless, product, dropped, rounding)",
        "endless = added(total, product, dropped, rounding)",
        "tests/engine/test_registers.py",
    ),
    Mutation(
        "that half of what is dropped is rounded down by nearest-down",
        "fxpnn/kernels/registers.py",
        "(half - 1) * (rounding == NEAREST_DOWN)",
        "half * (rounding == NEAREST_DOWN)",
        "tests/engine/test_registers.py",
    ),
    Mutation(
        "that only a proved register is as good as all bits",
        "fxpnn/engine/sums.py",
        "return own and not (known.proved and bool((node.dropped(*sources) <= 0).all()))",
        "return own and not bool((node.dropped(*sources) <= 0).all())",
        "tests/engine/test_registers.py",
    ),
    Mutation(
        "that bounds of fused products are rounded with the sum",
        "fxpnn/proofs/registers.py",
        "return round_rest(acc + floor, term - (floor << down), down, register.rounding)",
        "return acc + round_rest(floor, term - (floor << down), down, register.rounding)",
        "tests/proofs/test_registers.py",
    ),
    Mutation(
        "that a cast product must fit by itself",
        "fxpnn/proofs/registers.py",
        "terms).limits == found.limits:",
        "terms).limits:",
        "tests/proofs/test_registers.py",
    ),
    Mutation(
        "that the golden model rounds a fused product with its sum",
        "fxpnn/fixedpoint/integers.py",
        "return round_quotient((acc << down) + (term << up), 1 << down, register.rounding)",
        "return acc + round_quotient(term << up, 1 << down, register.rounding)",
        "tests/fixedpoint/test_integers.py",
    ),
)


PAIRS_AND_MOVES = (
    Mutation(
        "that lanes which are none of a row's are not counted",
        "fxpnn/kernels/vector/pairs.py",
        "combined(left, right) & mask",
        "combined(left, right)",
        "tests/kernels/vector/test_pairs.py",
    ),
    Mutation(
        "that words repeat in order where they are not moved",
        "fxpnn/engine/pairs.py",
        "return whole and bool(",
        "return whole or bool(",
        "tests/kernels/vector/test_pairs.py",
    ),
    Mutation(
        "that only depthwise sums of 32 bits are taken for such",
        "fxpnn/engine/depthwise.py",
        "if fits(known.terms) and fits(known.total):",
        "if fits(known.terms) or True:",
        "tests/engine/test_depthwise.py",
    ),
    Mutation(
        "that depthwise sums of more bits must be near a word",
        "fxpnn/engine/depthwise.py",
        "not rounding.near(shifts, bias, to)",
        "False",
        "tests/engine/test_depthwise.py",
    ),
    Mutation(
        "that what is outside the map is 0 in each strip's frame",
        "fxpnn/kernels/depthwise.py",
        "            target[:] = 0",
        "            target[:origin] = 0",
        "tests/kernels/test_depthwise.py",
    ),
    Mutation(
        "that a clip behind a clip is clipped to both",
        "fxpnn/engine/ends.py",
        "return Ends(*(min(max(end, low), high) for end in self))",
        "return Ends(low, high)",
        "tests/engine/test_clips.py",
    ),
    Mutation(
        "that words cast in registers are lowered to a clip's high end",
        "fxpnn/kernels/vector/level_casts.py",
        "words.max(self.least).min(self.most)",
        "words.max(self.least)",
        "tests/kernels/vector/test_vector_kernels.py",
    ),
    Mutation(
        "that only neighbours are copied as neighbours",
        "fxpnn/kernels/moves.py",
        "neighbours = step == 1 and pitch == 1",
        "neighbours = pitch == 1",
        "tests/kernels/test_moves.py",
    ),
    Mutation(
        "that places along axes add up to those of every value",
        "fxpnn/engine/moves.py",
        "return found if fits else None",
        "return found",
        "tests/kernels/test_moves.py",
    ),
)
