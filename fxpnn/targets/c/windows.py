"""The loops that slide a window over a map, and those over its taps that lie on the map."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from fxpnn.network.layers import Shape, Window
from fxpnn.targets.c.text import Lines, block, index, loop, shifted

Terms = list[tuple[str, int]]


@dataclass(frozen=True)
class Axis:
    """A window along one axis: its position, its taps, and the names that C has for them.

    ``names`` are the position, the tap, the first tap on the map, how many lie there, and the place
    of the first. A window that never leaves the map needs the first two alone.
    """

    names: tuple[str, str, str, str, str]
    size: int
    positions: int
    taps: int
    stride: int
    dilation: int
    before: int

    @cached_property
    def seen(self) -> list[int]:
        """Count the taps on the map at each position."""
        starts = [place * self.stride - self.before for place in range(self.positions)]
        taps = [tap * self.dilation for tap in range(self.taps)]
        return [sum(0 <= start + tap < self.size for tap in taps) for start in starts]

    @property
    def clipped(self) -> bool:
        """Say whether some position has taps that are not on the map."""
        return min(self.seen) < self.taps

    @property
    def position(self) -> str:
        """Name the position; ``0`` where there is one."""
        return self.names[0] if self.positions > 1 else "0"

    @property
    def at(self) -> str:
        """Write where the window begins, counted from the padded edge."""
        return index((self.position, self.stride))

    @property
    def tap(self) -> str:
        """Name the tap, counted from the first on the map; ``0`` where there is one."""
        return self.names[1] if self.taps > 1 or self.clipped else "0"

    @property
    def count(self) -> str:
        """Write how many taps are on the map."""
        return self.names[3] if self.clipped else str(self.taps)

    def place(self, pitch: int) -> Terms:
        """Give the place of the first tap on the map, times a pitch."""
        if self.clipped:
            return [(self.names[4], pitch)]
        return [(self.position, self.stride * pitch)]

    def first(self, pitch: int) -> Terms:
        """Give the number of the first tap on the map, times a pitch."""
        return [(self.names[2], pitch)] if self.clipped else []

    def clip(self) -> Lines:
        """Write what is on the map, where that is not all."""
        if not self.clipped:
            return []
        _, _, first, count, place = self.names
        size = self.before + self.size
        begins = f"first_tap({self.at}, {self.before}, {self.taps}, {self.dilation})"
        ends = f"taps_to({self.at}, {size}, {self.taps}, {self.dilation})"
        where = index((self.position, self.stride), (first, self.dilation))
        return [
            f"const size_t {first} = {begins}, {count} = {ends} - {first};",
            f"const size_t {place} = {where} - {self.before};",
        ]


@dataclass(frozen=True)
class Sliding:
    """A window that slides over maps of one size, and makes maps of another."""

    rows: Axis
    columns: Axis

    def positions(self, body: Iterable[str]) -> Lines:
        """Write the loops over all positions."""
        inside = loop(self.columns.position, self.columns.positions, [*self.columns.clip(), *body])
        return loop(self.rows.position, self.rows.positions, [*self.rows.clip(), *inside])

    def output(self, *more: tuple[str, int]) -> str:
        """Write the place of an output, behind others."""
        across = self.columns.positions
        return index(*more, (self.rows.position, across), (self.columns.position, 1))

    def taps(
        self,
        pointer: str,
        maps: str,
        body: Sequence[str],
        weights: bool = False,
        around: tuple[Lines, Lines] = ([], []),
    ) -> Lines:
        """Write the loops over the taps on a map: in the body, ``line`` points to the first.

        ``maps`` names the map; with ``weights``, ``tap`` points to the weight of the first.
        ``around`` is what stands before and behind each line of taps.
        """
        rows, columns = self.rows, self.columns
        area, across = rows.size * columns.size, columns.size
        terms = [(maps, area), *rows.place(across), (rows.tap, rows.dilation * across)]
        line = shifted(pointer, index(*terms, *columns.place(1)))
        lines = [f"const int16_t *line = {line};"]
        if weights:
            first = [*rows.first(columns.taps), (rows.tap, columns.taps), *columns.first(1)]
            tap = shifted("w", index((maps, rows.taps * columns.taps), *first))
            lines.append(f"const int16_t *tap = {tap};")
        lines += [*around[0], *loop(columns.tap, columns.count, body), *around[1]]
        swept = loop(rows.tap, rows.count, lines)
        if 0 in columns.seen:  # no pointer may leave the map
            return block(f"if ({columns.count} > 0)", swept)
        return swept

    @property
    def word(self) -> str:
        """Write the word under a tap."""
        return f"line[{index((self.columns.tap, self.columns.dilation))}]"


def sliding(window: Window, source: Shape, output: Shape) -> Sliding:
    """Slide a window over maps ``(channels, height, width)`` to make an output's."""
    axes = [
        Axis(
            names,
            source[axis + 1],
            output[axis + 1],
            window.kernel[axis],
            window.stride[axis],
            window.dilation[axis],
            window.padding[axis],
        )
        for axis, names in enumerate(
            (("i", "m", "m0", "lines", "row"), ("j", "n", "n0", "columns", "column"))
        )
    ]
    return Sliding(*axes)
