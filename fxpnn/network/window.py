"""The window that convolutions and pools slide over maps: its positions, its padding."""

from dataclasses import dataclass

from fxpnn.errors import ModelError


@dataclass(frozen=True)
class Window:
    """The window that a convolution or pool slides over a map; pairs are (vertical, horizontal).

    ``padding`` is (top, left, bottom, right). With ``ceil_mode`` a last window that hangs over the
    padded edge counts too, if it starts inside the input or its top-left padding.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        for name in ("kernel", "stride", "dilation", "padding"):
            counts = getattr(self, name)
            length, least = (4, 0) if name == "padding" else (2, 1)
            if len(counts) != length or not all(least <= n < 1 << 31 for n in counts):
                raise ModelError(
                    f"{name} must be {length} counts of {least} to 2**31 - 1, not {counts}"
                )

    @property
    def span(self) -> tuple[int, int]:
        """Give the height and width that one dilated window covers."""
        (kh, kw), (dh, dw) = self.kernel, self.dilation
        return dh * (kh - 1) + 1, dw * (kw - 1) + 1

    def output(self, height: int, width: int) -> tuple[int, int]:
        """Count the window's positions on a map.

        Raises:
            ModelError: the window is larger than the padded map.
        """
        top, left, bottom, right = self.padding
        return (
            self._positions("height", height, top, bottom, 0),
            self._positions("width", width, left, right, 1),
        )

    def reach(self, height: int, width: int) -> tuple[int, int, int, int]:
        """Extend the padding (top, left, bottom, right) by what the last window hangs over."""
        top, left, bottom, right = self.padding
        rows, columns = self.output(height, width)
        below = (rows - 1) * self.stride[0] + self.span[0] - (top + height)
        beside = (columns - 1) * self.stride[1] + self.span[1] - (left + width)
        return top, left, max(bottom, below), max(right, beside)

    def _positions(self, side: str, size: int, before: int, after: int, axis: int) -> int:
        span, stride = self.span[axis], self.stride[axis]
        room = size + before + after - span
        if room < 0:
            padded = size + before + after
            raise ModelError(f"kernel must fit its padded input: {side} {span} is over {padded}")
        if not self.ceil_mode:
            return room // stride + 1
        count = -(-room // stride) + 1
        return count - ((count - 1) * stride >= size + before)
