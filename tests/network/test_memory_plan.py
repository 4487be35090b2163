"""Tensors share the workspace only where one is no longer needed."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxpnn.network import memory_plan
from fxpnn.network.memory_plan import Plan, Use, plan


def test_a_chain_needs_two_places() -> None:
    """What an instruction writes may lie where the one before it read."""
    uses = [Use((0,), 1, False), Use((1,), 2, False), Use((2,), 3, False)]
    assert plan([4, 3, 4, 2], uses, ()) == Plan((0, 4, 0, 4), 7)


def test_kept_tensors_share_with_none() -> None:
    """They are written before the end, and fetched behind it."""
    uses = [Use((0,), 1, False), Use((1,), 2, False), Use((2,), 3, False)]
    assert plan([4, 3, 4, 2], uses, (0, 3)) == Plan((0, 4, 7, 11), 13)


def test_elementwise_outputs_reuse_their_inputs_place() -> None:
    """One by one, as often as they follow each other, unless another still reads them."""
    uses = [Use((0,), 1, False), Use((1,), 2, True), Use((2,), 3, True), Use((3,), 4, False)]
    assert plan([2, 4, 4, 4, 1], uses, (0, 4)) == Plan((0, 2, 2, 2, 6), 7)
    uses[3] = Use((3, 2), 4, False)
    assert plan([2, 4, 4, 4, 1], uses, (0, 4)) == Plan((0, 2, 2, 6, 10), 11)


SIZES = st.lists(st.integers(1, 5), min_size=2, max_size=9)


@given(data=st.data())
def test_what_is_needed_is_never_written_over(data: st.DataObject) -> None:
    """Replayed word by word, every instruction finds what was written for it."""
    sizes = data.draw(SIZES)
    uses = []
    for tensor in range(1, len(sizes)):
        read = data.draw(st.lists(st.integers(0, tensor - 1), min_size=1, max_size=2))
        same = sizes[read[0]] == sizes[tensor]
        uses.append(Use(tuple(read), tensor, same and data.draw(st.booleans())))
    keep = {0, len(sizes) - 1} | data.draw(st.sets(st.integers(0, len(sizes) - 1)))
    begins, words = plan(sizes, uses, keep)
    memory: list[int | None] = [None] * words
    places = [range(b, b + size) for b, size in zip(begins, sizes, strict=True)]
    for word in places[0]:
        memory[word] = 0
    for use in uses:
        for tensor in use.reads:
            assert {memory[word] for word in places[tensor]} == {tensor}
        others = {word for tensor in use.reads for word in places[tensor]}
        mine = set(places[use.writes])
        assert not others & mine or (use.in_place and mine == set(places[use.reads[0]]))
        for word in mine:
            memory[word] = use.writes
    assert all({memory[word] for word in places[tensor]} == {tensor} for tensor in keep)


def test_a_chain_of_thousands_is_planned_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only tensors that live on are looked at, not all that were laid out before."""
    looked_at = []

    def gap(size: int, beside: Iterable[Any]) -> int:
        held = [*beside]
        looked_at.append(len(held))
        return first_gap(size, held)

    first_gap = memory_plan._first_gap
    monkeypatch.setattr(memory_plan, "_first_gap", gap)
    count = 20_000
    uses = [Use((i,), i + 1, False) for i in range(count)]
    assert plan([1] * (count + 1), uses, ()).words == 2
    assert len(looked_at) == count + 1
    assert max(looked_at) == 1
