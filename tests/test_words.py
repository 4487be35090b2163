"""The table of short words in the models' README is what its command prints."""

import re

import pytest

from tests.benchmarks.words import FOLDER, WORDS, table

README = (FOLDER / "README.md").read_text()
CELL = re.compile(r"(0\.\d{4})")


def told(head: str) -> list[float]:
    """Read a row of the README's table."""
    row = re.search(rf"^\| {head} \|(.*)\|$", README, re.MULTILINE)
    assert row is not None
    return [float(cell) for cell in CELL.findall(row[1])]


def test_eight_bits_cost_a_thousandth_at_most() -> None:
    """And 16 bits nothing, of each bundled network, as the README tells it."""
    for exact, short in zip(told("float"), told("8"), strict=True):
        assert exact - short <= 0.001
    assert told("16") == told("float")


@pytest.mark.slow
def test_the_table_is_what_the_command_prints() -> None:
    """Every row, for every word."""
    assert "\n".join(table(WORDS)) in README
