"""The plan of the workspace: tensors not needed at the same time share their place."""

from collections.abc import Collection, Sequence
from typing import NamedTuple


class Use(NamedTuple):
    """What one instruction reads and writes, by the numbers of tensors.

    ``in_place`` says that it may write over its first tensor: value by value, of as many words.
    """

    reads: tuple[int, ...]
    writes: int
    in_place: bool


class Plan(NamedTuple):
    """Where each tensor begins, and how long they are together, in words per image."""

    begins: tuple[int, ...]
    words: int


def plan(sizes: Sequence[int], uses: Sequence[Use], keep: Collection[int]) -> Plan:
    """Lay tensors out, each at the first place that is free for as long as it is needed.

    Args:
        sizes: words per image of each tensor.
        uses: what each instruction does, in order.
        keep: tensors that stand from the first instruction to the last.
    """
    lives = _lives(len(sizes), uses, keep)
    begins: list[int] = []
    over = _written_over(uses, lives, keep)
    for tensor, size in enumerate(sizes):
        if tensor in over:
            begins.append(begins[over[tensor]])
        else:
            begins.append(_first_gap(size, _taken(begins, sizes, lives, lives[tensor])))
    ends = (begin + size for begin, size in zip(begins, sizes, strict=True))
    return Plan(tuple(begins), max(ends, default=0))


def _lives(count: int, uses: Sequence[Use], keep: Collection[int]) -> list[tuple[int, int]]:
    """Return the first and the last instruction that needs each tensor."""
    lives = [(0, len(uses)) if tensor in keep else (len(uses), -1) for tensor in range(count)]
    for i, use in enumerate(uses):
        for tensor in (*use.reads, use.writes):
            first, last = lives[tensor]
            lives[tensor] = min(first, i), max(last, i)
    return lives


def _written_over(
    uses: Sequence[Use], lives: list[tuple[int, int]], keep: Collection[int]
) -> dict[int, int]:
    """Return which tensor each one is written over; that one then lives as long."""
    over: dict[int, int] = {}
    for i, use in enumerate(uses):
        x, y = use.reads[0], use.writes
        if use.in_place and lives[x][1] == i == lives[y][0] and not {x, y} & {*keep}:
            over[y] = x
            while x in over:
                lives[x] = lives[x][0], lives[y][1]
                x = over[x]
            lives[x] = lives[x][0], lives[y][1]
    return over


def _taken(
    begins: Sequence[int],
    sizes: Sequence[int],
    lives: Sequence[tuple[int, int]],
    life: tuple[int, int],
) -> list[tuple[int, int]]:
    """Return the places of the tensors laid out already that are needed during a life."""
    placed = zip(begins, sizes, lives, strict=False)
    return [
        (begin, begin + size)
        for begin, size, (first, last) in placed
        if first <= life[1] and life[0] <= last
    ]


def _first_gap(size: int, taken: Sequence[tuple[int, int]]) -> int:
    """Return the first place where so many words lie free."""
    begin = 0
    for low, high in sorted(taken):
        if begin + size <= low:
            break
        begin = max(begin, high)
    return begin
