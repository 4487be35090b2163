"""Pieces of C text: comments and strings of any name, loops, lists of numbers."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from fxpnn.errors import one_line
from fxpnn.network.layers import Array, Shape

Lines = list[str]
COLUMNS = 96
"""Lists of numbers are no wider."""
NAMES = "ijklm"
"""The variables of loops over axes, from the first."""
_COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
_PLAIN = re.compile(r"[A-Za-z0-9 _.,:;()=<>+-]")


def comment(text: str) -> str:
    r"""Write a comment of one line, whatever the text: no end of it, no trigraph is left inside.

    >>> comment("a */ b ??/ c")
    '/* a *\\/ b ?\\?/ c */'
    """
    safe = one_line(text).encode("ascii", "backslashreplace").decode()
    for ends in ("*/", "/*", "??"):
        safe = safe.replace(ends, f"{ends[0]}\\{ends[1]}")
    return f"/* {safe} */"


def without_comments(text: str) -> str:
    """Return C text without its comments."""
    return _COMMENT.sub(" ", text)


def literal(text: str) -> str:
    r"""Write a string; what is not plain is an octal escape of its byte.

    >>> literal('a"b')
    '"a\\042b"'
    """
    letters = (
        c if _PLAIN.fullmatch(c) else "".join(f"\\{byte:03o}" for byte in c.encode()) for c in text
    )
    return f'"{"".join(letters)}"'


def indent(lines: Iterable[str]) -> Lines:
    """Shift lines by one level; lines of the preprocessor stay at the margin."""
    return [f"    {line}" if line and line[0] != "#" else line for line in lines]


def block(head: str, body: Iterable[str]) -> Lines:
    """Put lines in braces behind a head."""
    return [f"{head} {{", *indent(body), "}"]


def loop(name: str, count: int | str, body: Iterable[str], step: int = 1) -> Lines:
    """Count a variable from 0; one that is named ``0`` has one value, and needs no loop."""
    if name == "0":
        return list(body)
    more = f"{name}++" if step == 1 else f"{name} += {step}"
    return block(f"for (size_t {name} = 0; {name} < {count}; {more})", body)


def function(head: str, body: Iterable[str], note: str = "") -> Lines:
    """Define a function, with a comment above it, and an empty line behind."""
    return [*([comment(note)] if note else []), head, "{", *indent(body), "}", ""]


def nest(
    shape: Shape, strides: Sequence[Sequence[int]], body: Callable[..., Lines], names: str = NAMES
) -> Lines:
    """Write loops over all places of a shape; the body is given an index for each list of strides.

    Axes of one place need no loop, and those that lie behind each other in all lists need one.
    """
    axes: list[tuple[int, tuple[int, ...]]] = []
    for size, *pitches in zip(shape, *strides, strict=True):
        if size == 1:
            continue
        if axes and axes[-1][1] == tuple(size * pitch for pitch in pitches):
            axes[-1] = axes[-1][0] * size, tuple(pitches)
        else:
            axes.append((size, tuple(pitches)))
    known = [names[place] if place < len(names) else f"i{place}" for place in range(len(axes))]
    indices = [
        index(*((name, pitches[which]) for name, (_, pitches) in zip(known, axes, strict=True)))
        for which in range(len(strides))
    ]
    lines = body(*indices)
    for name, (size, _) in reversed(list(zip(known, axes, strict=True))):
        lines = loop(name, size, lines)
    return lines


def strides(shape: Shape) -> tuple[int, ...]:
    """Give how far apart neighbours along each axis lie, last axis fastest."""
    found, pitch = list[int](), 1
    for size in reversed(shape):
        found.append(pitch)
        pitch *= size
    return tuple(reversed(found))


def index(*terms: tuple[str, int]) -> str:
    """Write a sum of variables and their strides; ``("", n)`` is a constant, ``("0", n)`` nothing.

    >>> index(("c", 784), ("j", 1), ("", 2)), index(("0", 5))
    ('c * 784 + j + 2', '0')
    """
    parts = []
    for name, stride in terms:
        if name == "0" or stride == 0:
            continue
        if not name:
            parts.append(str(stride))
        else:
            parts.append(name if stride == 1 else f"{name} * {stride}")
    return " + ".join(parts) or "0"


def shifted(pointer: str, offset: str) -> str:
    """Write a pointer moved by an offset."""
    return pointer if offset == "0" else f"{pointer} + {offset}"


def shape_text(shape: Shape) -> str:
    """Spell a shape."""
    return " x ".join(map(str, shape))


def wrap(head: str, items: Iterable[str], end: str = ";") -> Lines:
    """Write items behind a head, parted by commas, in lines that are not too long."""
    lines, line = list[str](), head
    for item in items:
        if len(line) + len(item) > COLUMNS - 16 and line != head:
            lines.append(line.rstrip())
            line = "    "
        line += f"{item}, "
    return [*lines, line.rstrip(", ") + end]


def numbers(values: Array) -> Iterator[str]:
    """Write the initializer of an array, in lines."""
    line = "   "
    for value in values.reshape(-1).tolist():
        word = f" {value},"
        if len(line) + len(word) > COLUMNS:
            yield line
            line = "   "
        line += word
    yield line.removesuffix(",")
