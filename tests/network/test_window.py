"""A window counts its positions on a padded map as one who puts it down again and again."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxpnn.errors import ModelError
from fxpnn.network.window import Window

IMPOSSIBLE: list[tuple[Callable[[], object], str]] = [
    (lambda: Window((0, 1)), "kernel must be 2 counts of 1 to 2**31 - 1, not (0, 1)"),
    (lambda: Window((1, 2**31)), f"kernel must be 2 counts of 1 to 2**31 - 1, not (1, {2**31})"),
    (lambda: Window((1, 1), (1, -1)), "stride must be 2 counts of 1 to 2**31 - 1, not (1, -1)"),
    (
        lambda: Window((1, 1), dilation=(0, 0)),
        "dilation must be 2 counts of 1 to 2**31 - 1, not (0, 0)",
    ),
    (
        lambda: Window((1, 1), padding=(0, 0, -1, 0)),
        "padding must be 4 counts of 0 to 2**31 - 1, not (0, 0, -1, 0)",
    ),
]


@pytest.mark.parametrize(("build", "message"), IMPOSSIBLE)
def test_a_window_that_cannot_be_cannot_be_built(build: Callable[[], object], message: str) -> None:
    """Counts that are none are refused before anything runs."""
    with pytest.raises(ModelError, match=rf"^{re.escape(message)}$"):
        build()


@pytest.mark.parametrize("counts", [(), (1,), (1, 1, 1)])
@pytest.mark.parametrize("name", ["kernel", "stride", "padding", "dilation"])
def test_a_window_has_two_sides_or_four_paddings(name: str, counts: tuple[int, ...]) -> None:
    """Two sides have a kernel, a stride and a dilation; four have a padding."""
    arguments: dict[str, Any] = {"kernel": (1, 1), name: counts}
    with pytest.raises(ModelError, match=rf"^{name} must be [24] counts of .*, not .*$"):
        Window(**arguments)


class Side(NamedTuple):
    """A window along one side of a map."""

    kernel: int
    stride: int
    dilation: int
    before: int
    after: int
    ceil: bool


def put_down(side: Side, size: int) -> int:
    """Put windows on a padded side one after the other; count those that the layer counts."""
    edge = side.before + size + side.after
    done = 0
    for start in range(0, edge, side.stride):
        last = [start + step * side.dilation for step in range(side.kernel)][-1]
        if last >= edge:
            return done + (side.ceil and done > 0 and start < side.before + size)
        done += 1
        if last == edge - 1:
            break
    return done


@st.composite
def sides(draw: st.DrawFn) -> Side:
    """Draw a window of a pool: its padding is less than what it covers."""
    kernel, stride, dilation = (draw(st.integers(1, most)) for most in (4, 5, 3))
    padding = st.integers(0, dilation * (kernel - 1))
    return Side(kernel, stride, dilation, draw(padding), draw(padding), draw(st.booleans()))


@given(sides(), st.integers(1, 12))
def test_positions_equal_a_count(side: Side, size: int) -> None:
    """In ceil mode one window may hang over the end, if it starts before the far padding."""
    kernel, stride, dilation, before, after, ceil = side
    down = Window((kernel, 1), (stride, 1), (before, 0, after, 0), (dilation, 1), ceil)
    across = Window((1, kernel), (1, stride), (0, before, 0, after), (1, dilation), ceil)
    if wanted := put_down(side, size):
        assert down.output(size, 3) == (wanted, 3)
        assert across.output(3, size) == (3, wanted)
        top, left, bottom, right = across.reach(3, size)
        assert (top, left, bottom) == (0, before, 0)
        assert left + size + right >= (wanted - 1) * stride + across.span[1]
        assert right - after in range(across.span[1] if ceil else 1)
    else:
        with pytest.raises(ModelError, match=r"^kernel must fit its padded input: height .*$"):
            down.output(size, 3)
