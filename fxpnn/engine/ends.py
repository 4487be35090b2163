"""What words are raised and lowered to behind a cast: ReLUs and clips that are done with it."""

from typing import NamedTuple

from fxpnn.network.layers import Number


class Ends(NamedTuple):
    """What words are raised and lowered to behind a cast."""

    least: int
    most: int

    def within(self, least: Number | None, most: Number | None) -> "Ends":
        """Return the ends that are as good as these and then others, of which either may lack."""
        low = EVERY_WORD.least if least is None else int(least)
        high = EVERY_WORD.most if most is None else int(most)
        return Ends(*(min(max(end, low), high) for end in self))


EVERY_WORD = Ends(-(1 << 15), (1 << 15) - 1)
"""What a cast has of itself: no word is raised or lowered."""
