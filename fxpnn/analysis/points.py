"""The points that a search tried, and their table, a line each: read, a search goes on with it."""

import csv
import io
from collections.abc import Iterable, Mapping

import msgspec

from fxpnn.analysis.explanation import Effect
from fxpnn.errors import DataError

HEAD = (
    *("search", "weights", "outputs", "cost"),
    *("accuracy", "flips", "lost", "gained", "sqnr_db", "seconds"),
)
"""The columns; ``search`` is the checksum of all that decides what a search finds."""
MAX_FILE = 1 << 26


class Words(msgspec.Struct, frozen=True):
    """The words of a network's weights and outputs, by the names of its layers."""

    weights: dict[str, int]
    outputs: dict[str, int]

    def key(self) -> str:
        """Spell them, in one way only."""
        return msgspec.json.encode([self.weights, self.outputs]).decode()

    def of(self, kind: str) -> dict[str, int]:
        """Give those of weights or of outputs."""
        return self.weights if kind == "weights" else self.outputs

    def with_words(self, kind: str, words: Mapping[str, int]) -> "Words":
        """Return these with other words of one kind."""
        return msgspec.structs.replace(self, **{kind: {**self.of(kind), **words}})


class Point(msgspec.Struct, frozen=True):
    """One network that was tried: its words, its cost, and what it reaches where it is decided."""

    words: Words
    cost: float
    effect: Effect


def line(cells: Iterable[object]) -> bytes:
    """Spell one line."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode()


def cells(point: Point, search: str, seconds: float) -> tuple[object, ...]:
    """Return what stands in a point's line; numbers are spelled exactly."""
    words, effect = point.words, point.effect
    return (
        search,
        msgspec.json.encode(words.weights).decode(),
        msgspec.json.encode(words.outputs).decode(),
        repr(point.cost),
        repr(effect.accuracy),
        effect.flips,
        effect.lost,
        effect.gained,
        repr(effect.sqnr_db),
        f"{seconds:.3f}",
    )


def read(content: bytes, search: str | None, where: str) -> list[Point]:
    """Read the points of a table; all are of one search, whichever that is if ``None``.

    Raises:
        DataError: a line is cut or no point, or they are of another search.
    """
    if not content.endswith(b"\n"):
        last = content.count(b"\n") + 1
        raise DataError(
            f"{where}: line {last} is cut; remove it, and the search goes on from there"
        )
    try:
        rows = list(csv.reader(io.StringIO(content.decode(), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{where}: must be a table of points: {error}") from None
    if not rows or tuple(rows[0]) != HEAD:
        raise DataError(f"{where}: must begin with the columns {', '.join(HEAD)}")
    name = search or (rows[1][0] if len(rows) > 1 and rows[1] else "")
    return [_point(row, number, name, where) for number, row in enumerate(rows[1:], 2)]


def front(points: Iterable[Point]) -> list[Point]:
    """Return the points that no other beats in both cost and accuracy, the cheapest first."""
    found: list[Point] = []
    for point in sorted(points, key=lambda p: (p.cost, -(p.effect.accuracy or 0.0))):
        if not found or (point.effect.accuracy or 0.0) > (found[-1].effect.accuracy or 0.0):
            found.append(point)
    return found


def _point(row: list[str], number: int, search: str, where: str) -> Point:
    if row[:1] != [search]:
        raise DataError(
            f"{where}: line {number} is of another search: the model, the data, a setting or the "
            "version is another"
        )
    try:
        weights, outputs = (msgspec.json.decode(text, type=dict[str, int]) for text in row[1:3])
        cost, accuracy, sqnr_db, _ = (float(row[i]) for i in (3, 4, 8, 9))
        flips, lost, gained = (int(text) for text in row[5:8])
    except (ValueError, IndexError, msgspec.MsgspecError) as error:
        raise DataError(f"{where}: line {number} must be a point: {error}") from None
    return Point(Words(weights, outputs), cost, Effect(accuracy, flips, sqnr_db, lost, gained))
