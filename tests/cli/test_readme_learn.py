"""The README's section "Learn with it" shows what its commands print."""

import re
import shlex
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.cli_runner import fxp

ROOT = Path(__file__).parents[2]
HEADING = "## Learn with it"
BLOCK = re.compile(r"^```(sh|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


class Example(NamedTuple):
    """A command as the section spells it, and the output that it shows."""

    command: str
    output: str


def section() -> str:
    """Return the section's text, which is empty where there is none."""
    _, _, rest = (ROOT / "README.md").read_text().partition(f"\n{HEADING}\n")
    return re.split(r"^## ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def examples() -> list[Example]:
    """Pair each command of the section with the block of text behind it."""
    blocks = BLOCK.findall(section())
    kinds = [kind for kind, _ in blocks]
    assert kinds == ["sh", "text"] * (len(kinds) // 2), "a command must have its output behind it"
    return [Example(c.strip(), o) for (_, c), (_, o) in zip(blocks[::2], blocks[1::2], strict=True)]


MACHINE = re.compile(
    r"[\d,]+ images/s on .*|\d+\.\d +(\d+: +\d+\.\d +)?\N{BOX DRAWINGS HEAVY HORIZONTAL}+$"
)
"""Its speed, and a ratio in dB, whose last digit hangs on the rounding of its float32 sums."""


def plain(text: str) -> list[str]:
    """Leave out blank lines and ends of lines, and what differs between machines."""
    lines = (line.rstrip() for line in text.splitlines())
    return [MACHINE.sub("...", line) for line in lines if line]


@pytest.mark.skipif(not section(), reason="README.md has no section 'Learn with it' yet")
def test_the_section_shows_what_its_commands_print(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every command succeeds, says nothing on stderr, and prints what stands below it."""
    (tmp_path / "models").symlink_to(ROOT / "models")
    monkeypatch.chdir(tmp_path)
    shown = examples()
    assert len(shown) >= 10
    for example in shown:
        program, *args = shlex.split(example.command)
        assert program == "fxpnn"
        done = fxp(*args)
        assert (done.status, done.err) == (0, ""), example.command
        assert plain(done.out) == plain(example.output), example.command
