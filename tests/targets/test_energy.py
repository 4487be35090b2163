"""A table of energies says what it says, and between its figures what its four rules say."""

import re
import tomllib
from fractions import Fraction
from pathlib import Path

import pytest

from fxpnn.errors import DataError
from fxpnn.targets import energy
from fxpnn.targets.energy import Arithmetic, EnergyTable, Read

KB8 = 8 * 8192
WHOLE = """
name = "mine"
add = [{bits = 16, pj = 0.5, source = "mine"}]
multiply = [{bits = 16, pj = 2, source = "mine"}]
read = [
  {bytes = 1024, bits = 32, pj = 3.2, source = "mine"},
  {bytes = 65536, bits = 32, pj = 6.4, source = "mine"},
]
"""


def test_the_shipped_table_has_the_figures_of_its_source() -> None:
    """Those of Horowitz, ISSCC 2014, and no other; each says that it is an estimate."""
    table = energy.shipped()
    assert [(it.bits, it.pj) for it in table.add] == [(8, 0.03), (32, 0.1)]
    assert [(it.bits, it.pj) for it in table.multiply] == [(8, 0.2), (32, 3.1)]
    assert [(it.bytes, it.bits, it.pj) for it in table.read] == [(8192, 64, 10.0)]
    sources = [it.source for it in (*table.add, *table.multiply)]
    for source in (*sources, table.read[0].source):
        assert source.startswith("estimate: Horowitz, ISSCC 2014, 45 nm, 0.9 V: ")
    text = Path(energy.__file__).with_name("energy.toml").read_text()
    assert len(tomllib.loads(text)) == 4


@pytest.mark.parametrize(
    ("bits", "pj"),
    [
        (8, Fraction(3, 100)),
        (32, Fraction(1, 10)),
        (20, Fraction(65, 1000)),
        (48, Fraction(1, 10) + 16 * Fraction(7, 100) / 24),
        (2, Fraction(3, 100) - 6 * Fraction(7, 100) / 24),
    ],
)
def test_adds_follow_a_line(bits: int, pj: Fraction) -> None:
    """Through its two words, and beyond them."""
    assert energy.shipped().add_pj(bits) == pytest.approx(float(pj), abs=1e-12)


@pytest.mark.parametrize(
    ("bits", "other", "pj"),
    [
        (8, 8, Fraction(2, 10)),
        (32, 32, Fraction(31, 10)),
        (16, 16, Fraction(2, 10) + 192 * Fraction(29, 10) / 960),
        (16, 8, Fraction(2, 10) + 64 * Fraction(29, 10) / 960),
        (2, 3, Fraction(2, 10) - 58 * Fraction(29, 10) / 960),
    ],
)
def test_multiplies_follow_the_square(bits: int, other: int, pj: Fraction) -> None:
    """Of the word, or the product of two words, in either order."""
    table = energy.shipped()
    assert table.multiply_pj(bits, other) == pytest.approx(float(pj), abs=1e-12)
    assert table.multiply_pj(other, bits) == table.multiply_pj(bits, other)


def test_reads_cost_by_the_bit() -> None:
    """Of a smaller memory as of 8 KB; of a larger one as of one of the many that it is."""
    table = energy.shipped()
    for size in (16, KB8, KB8 + 1, 100 * KB8):
        assert table.read_pj(64, size) == 10.0
        assert table.read_pj(16, size) == 2.5
        assert table.read_pj(4096, size) == 640.0


def test_figures_may_be_ones_own(tmp_path: Path) -> None:
    """One word is a line through 0; a read is that of the smallest memory that is large enough."""
    (tmp_path / "e.toml").write_text(WHOLE)
    table = energy.load(tmp_path / "e.toml")
    assert table.name == "mine"
    assert (table.add_pj(16), table.add_pj(32), table.multiply_pj(8, 16)) == (0.5, 1.0, 1.0)
    assert [table.read_pj(10, 8 * size) for size in (1, 1024, 1025, 65536, 1 << 20)] == [
        *(1.0, 1.0, 2.0, 2.0, 2.0)
    ]


def test_no_energy_is_below_zero() -> None:
    """Where a line would cross 0."""
    points = tuple(Arithmetic(bits, pj, "x") for bits, pj in ((8, 0.0), (16, 8.0), (32, 9.0)))
    table = EnergyTable("x", points, points, (Read(1, 1, 1.0, "x"),))
    assert [table.add_pj(bits) for bits in (4, 12, 24, 48)] == [0.0, 4.0, 8.5, 10.0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = 'x", "Expected \"'\" (at end of document)"),
        ("name = 'x'", "Object missing required field `add`"),
        (WHOLE.replace("bits = 16, pj = 0.5", "bits = 0, pj = 0.5"),
         "Expected `int` >= 1 - at `$.add[0].bits`"),
        (WHOLE.replace("pj = 0.5", "pj = -1"), "Expected `float` >= 0.0 - at `$.add[0].pj`"),
        (WHOLE.replace("pj = 0.5", "pj = nan"), "Expected `float` >= 0.0 - at `$.add[0].pj`"),
        (WHOLE.replace("pj = 0.5", "pj = 0.5, volts = 1"),
         "Object contains unknown field `volts` - at `$.add[0]`"),
        (WHOLE.replace(', source = "mine"}]', "}]"),
         "Object missing required field `source` - at `$.add[0]`"),
        (re.sub(r"add = .*", "add = []", WHOLE), "Expected `array` of length >= 1 - at `$.add`"),
        (re.sub(r"add = \[(.*)\]", r"add = [\1, \1]", WHOLE), "no word must have two figures"),
    ],
)  # fmt: skip
def test_what_is_no_table(text: str, message: str, tmp_path: Path) -> None:
    """One line names the file and the figure."""
    path = tmp_path / "e.toml"
    path.write_text(text)
    whole = f"{path}: must be a table of energies: {message}"
    with pytest.raises(DataError, match=f"^{re.escape(whole)}.*$"):
        energy.load(path)


def test_what_is_no_file(tmp_path: Path) -> None:
    """One line, too; a long key would take the parser's memory."""
    (tmp_path / "e.toml").write_text("a." * 1000 + "b = 1")
    message = f"^{re.escape(str(tmp_path))}/e.toml: lines must be at most 1000 bytes$"
    with pytest.raises(DataError, match=message):
        energy.load(tmp_path / "e.toml")
    with pytest.raises(DataError, match=r"^none\.toml: cannot be read: No such file or directory$"):
        energy.load("none.toml")
