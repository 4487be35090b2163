"""Yosys's SAT solver proves units of the core against the contract, for all inputs at once.

Each statement is a module beside this file, whose output `holds`; a unit that is wrong breaks it.
"""

import re
import subprocess
from importlib import resources
from pathlib import Path

import pytest

from tests.support.tools import needs

pytestmark = needs("yosys")

STATEMENTS = Path(__file__).parent
RTL = resources.files("fxpnn.targets.rtl")


class Claim:
    """That a statement holds of a unit of the core, or of a mutant of it."""

    def __init__(self, folder: Path, statement: str, unit: str, **parameters: int) -> None:
        self.folder, self.statement, self.parameters = folder, statement, parameters
        self.unit = RTL.joinpath(f"{unit}.v").read_text()

    def mutate(self, old: str, new: str) -> None:
        """Change the unit's text in the one place where it says so."""
        assert self.unit.count(old) == 1, f"{old} must stand in the unit once"
        self.unit = self.unit.replace(old, new)

    def proved(self, *cases: str) -> bool:
        """Return whether the statement holds in all cases, each the options of a ``sat``."""
        (self.folder / "unit.v").write_text(self.unit)
        stated = (STATEMENTS / f"{self.statement}.v").read_text()
        for name, value in self.parameters.items():  # -chparam stops Yosys 0.23 by an assertion
            stated, changed = re.subn(rf"(parameter {name} =) \d+", rf"\1 {value}", stated)
            assert changed == 1, name
        (self.folder / "statement.v").write_text(stated)
        script = (
            f"read_verilog -defer unit.v statement.v {STATEMENTS / 'fx_rounds.v'}",
            f"hierarchy -check -top {self.statement}",
            "proc; flatten; opt -full; check -assert",
            *(f"sat -verify -prove holds 1 {case} {self.statement}" for case in cases),
        )
        args = ["yosys", "-q", "-p", "; ".join(script)]
        ran = subprocess.run(args, cwd=self.folder, capture_output=True, text=True, check=False)
        if "proof did fail!" in ran.stderr:
            return False
        assert (ran.returncode, ran.stderr) == (0, "")
        return True


OPEN = "-set floor 32768 -set ceiling 32767"
"""No ReLU and no clip: the least word of 16 bits and the largest."""


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 64, 8))
def test_a_cast_that_drops_bits(tmp_path: Path, first: int) -> None:
    """Every accumulator of 62 bits, every pair of limits, all modes and words, shift by shift."""
    claim = Claim(tmp_path, "requantize", "fx_requantize", RIGHT=1)
    assert claim.proved(*(f"-set shift {shift} {OPEN}" for shift in range(first, first + 8)))


@pytest.mark.parametrize("shift", [0, 40])
def test_limits_behind_a_cast(tmp_path: Path, shift: int) -> None:
    """Every floor and ceiling of a ReLU or clip, and all else that a cast is given."""
    claim = Claim(tmp_path, "requantize", "fx_requantize", RIGHT=1)
    assert claim.proved(f"-set shift {shift}")


def test_a_cast_that_adds_bits(tmp_path: Path) -> None:
    """Every accumulator of 62 bits, every limit, all modes, and all of the 64 shifts at once."""
    assert Claim(tmp_path, "requantize", "fx_requantize", RIGHT=0).proved("")


def test_every_accumulator_can_be_rounded(tmp_path: Path) -> None:
    """One of the two neighbours is what a rounding may give: no proof is about nothing."""
    claim = Claim(tmp_path, "possible", "fx_requantize")
    assert claim.proved(*(f"-set shift {shift}" for shift in (0, 1, 2, 31, 61, 62, 63)))


@pytest.mark.parametrize("wide", [34, 48])
def test_a_narrower_cast(tmp_path: Path, wide: int) -> None:
    """So it is where accumulators have fewer bits, for shifts that drop most or more than all."""
    claim = Claim(tmp_path, "requantize", "fx_requantize", RIGHT=1, WIDE=wide)
    shifts = 0, 17, wide - 1, wide, wide + 1, 63
    assert claim.proved(*(f"-set shift {shift} {OPEN}" for shift in shifts))


CASTS = [
    ("half & (more | odd)", "half", "17"),
    ("half & (more | odd)", "half & (more | ~odd)", "1"),
    ("half & (more | odd)", "half & odd", "20"),
    ("increment = half & more;", "increment = half;", "3"),
    ("half & (more | negative)", "half & (more | ~negative)", "5"),
    ("half & (more | ~negative)", "half", "5"),
    ("negative & (half | more)", "negative & half", "9"),
    ("default: increment = 1'b0", "default: increment = half", "2"),
    ("stage[0].out[18:17] != {2{negative}}", "(stage[0].out[18] != negative)", "23"),
    ("wire far = |cut | ", "wire far = ", "4"),
    ("rounded > highest", "rounded >= highest", "0"),
    ("rounded < lowest", "rounded[16:0] < lowest[16:0]", "6"),
    ("(rounded[15:0] & kept) | (sign ? ~kept : 16'd0)", "rounded[15:0]", "8"),
    ("signed_word & |", "|", "8"),
    ("2'd2: cast = 16'sd0", "2'd2: cast = low", "8"),
    ("under ? low : high", "under ? high : low", "8"),
    ("cast < floor ? floor : ", "", "8"),
    ("cast > ceiling", "cast >= high", "8"),
    ("assign below = (under | above) & negative", "assign below = under", "8"),
]
"""Casts that are wrong in one place, and a shift at which it shows."""


@pytest.mark.parametrize(("old", "new", "shift"), CASTS)
def test_wrong_casts_are_refuted(tmp_path: Path, old: str, new: str, shift: str) -> None:
    """The statement is sharp: no change of the unit passes."""
    claim = Claim(tmp_path, "requantize", "fx_requantize", RIGHT=1)
    claim.mutate(old, new)
    assert not claim.proved(f"-set shift {shift}")


def test_a_shift_that_adds_too_few_bits_is_refuted(tmp_path: Path) -> None:
    """Shifts up by 16 and more are as one, by 15 they are not."""
    claim = Claim(tmp_path, "requantize", "fx_requantize", RIGHT=0)
    claim.mutate("shift < -7'sd16 ? 7'd0 :", "shift < -7'sd14 ? 7'd1 :")
    assert not claim.proved("")


MACS = [(48, 48, 1), (62, 62, 1), (48, 20, 1), (17, 17, 1), (34, 30, 0)]
"""Bits of the accumulator and of the bias, and whether sums are clamped."""


@pytest.mark.parametrize(("acc", "bias", "clamp"), MACS)
def test_an_add_of_the_accumulator(tmp_path: Path, acc: int, bias: int, clamp: int) -> None:
    """Every product, bias and sum so far, every word of 8 bits and more: clamped sum and counts."""
    claim = Claim(tmp_path, "mac", "fx_mac", ACC=acc, BIAS=bias, CLAMP=clamp)
    assert claim.proved("-seq 1")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("(ACC > 32 ? ACC : 32) + 1", "ACC + 1"),
        ("begun = first ?", "begun = !first ?"),
        ("kept = far ? ends ^ sign : exact", "kept = exact"),
        ("{first && bias_clamped, far}", "{1'b0, far}"),
        ("{first && bias_clamped, far}", "{bias_clamped, far}"),
        ("|((exact ^ sign) & ~ends)", "|(exact & ~ends)"),
    ],
)
def test_wrong_adds_are_refuted(tmp_path: Path, old: str, new: str) -> None:
    """A sum too narrow for a product, no clamp, or a clamp untold: each is found."""
    claim = Claim(tmp_path, "mac", "fx_mac", ACC=20, BIAS=20)
    claim.mutate(old, new)
    assert not claim.proved("-seq 1")


RECIPROCAL = " ".join(
    ["-seq 21 -prove-skip 20 -set-at 1 start 1", *(f"-set-at {i} start 0" for i in range(2, 22))]
)
"""Start in the first cycle; what holds is asked in the last, 19 steps later."""


@pytest.mark.slow
def test_the_reciprocal(tmp_path: Path) -> None:
    """Every sum of up to 12 bits has the nearest integer to its reciprocal, after 19 steps."""
    assert Claim(tmp_path, "reciprocal", "fx_divide", WIDE=12).proved(
        f"{RECIPROCAL} -set divisor[11] 1"
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("fits ? less[WIDE-1:0] : rest[WIDE-1:0]", "less[WIDE-1:0]"),
        ("assign behind = fits ?", "assign behind = ~fits ?"),
        ("left == 6'd1", "left == 6'd2"),
        ("quotient[QUOTIENT-2:0], fits", "quotient[QUOTIENT-2:0], ~fits"),
    ],
)
def test_wrong_reciprocals_are_refuted(tmp_path: Path, old: str, new: str) -> None:
    """A wrong step, rounding or number of steps is found."""
    claim = Claim(tmp_path, "reciprocal", "fx_divide", WIDE=6)
    claim.mutate(old, new)
    assert not claim.proved(f"{RECIPROCAL} -set divisor[5] 1")
