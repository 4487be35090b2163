"""The plan of a memory: tensors not needed at the same time share their place."""

from bisect import insort
from collections.abc import Collection, Iterable, Sequence
from itertools import accumulate
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

    Only the places of tensors that live on are looked at: a chain of thousands has few.

    Args:
        sizes: words per image of each tensor.
        uses: what each instruction does, in order.
        keep: tensors that stand from the first instruction to the last.
    """
    lives = _lives(len(sizes), uses, keep)
    over = _written_over(uses, lives, keep)
    begins, words, taken = list[int](), 0, list[_Place]()
    for tensor, soon in enumerate(_soonest(lives)):
        if tensor in over:
            begins.append(begins[over[tensor]])
            continue
        first, last = lives[tensor]
        taken = [place for place in taken if place.last >= soon]
        beside = (place for place in taken if place.first <= last and first <= place.last)
        begin = _first_gap(sizes[tensor], beside)
        begins.append(begin)
        end = begin + sizes[tensor]
        insort(taken, _Place(begin, end, first, last))
        words = max(words, end)
    return Plan(tuple(begins), words)


class _Place(NamedTuple):
    """Where a tensor lies, and the first and last instruction that needs it."""

    begin: int
    end: int
    first: int
    last: int


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


def _soonest(lives: Sequence[tuple[int, int]]) -> list[int]:
    """Return the first instruction that needs any tensor from each one on."""
    firsts = accumulate((first for first, _ in reversed(lives)), min)
    return list(firsts)[::-1]


def _first_gap(size: int, taken: Iterable[_Place]) -> int:
    """Return the first place where so many words lie free."""
    begin = 0
    for place in taken:
        if begin + size <= place.begin:
            break
        begin = max(begin, place.end)
    return begin
