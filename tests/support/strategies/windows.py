"""Strategies for windows: dilated beyond their map, padded, hanging over."""

from hypothesis import strategies as st

from fxpnn.errors import ModelError
from fxpnn.network.layers import AvgPool2D, MaxPool2D, Window


@st.composite
def windows(draw: st.DrawFn, height: int, width: int, pool: bool) -> Window:
    """Draw a window that some layer takes on a map: dilated beyond it, padded, hanging over."""
    for _ in range(50):
        kernel, stride, dilation = (
            (draw(st.integers(1, most)), draw(st.integers(1, most))) for most in (3, 3, 5)
        )
        padding = draw(st.tuples(*[st.integers(0, 3)] * 4))
        window = Window(kernel, stride, padding, dilation, pool and draw(st.booleans()))
        try:
            (MaxPool2D if pool else AvgPool2D)(window).shape((1, height, width))
        except ModelError:
            continue
        return window
    return Window((1, 1))
