"""Confidence intervals of accuracies: how far another draw of as many images might move them."""

import math

import msgspec

NORMAL_95 = 1.959963984540054
"""The 97.5 % point of the standard normal distribution, for intervals of 95 %."""


class Interval(msgspec.Struct, frozen=True):
    """The ends of an interval."""

    low: float
    high: float


def wilson(hits: int, images: int, z: float = NORMAL_95) -> Interval:
    """Return the score interval of a share of hits, inside 0 and 1 also where all or none hit.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of
    the American Statistical Association 22 (1927), pages 209 to 212.

    >>> wilson(0, 100).low, round(wilson(0, 100).high, 4)
    (0.0, 0.037)
    """
    share, spread = hits / images, z * z / images
    centre = share + spread / 2
    half = z * math.sqrt(share * (1 - share) / images + spread / (4 * images))
    low, high = (centre - half) / (1 + spread), (centre + half) / (1 + spread)
    return Interval(low if hits else 0.0, high if hits < images else 1.0)


def paired_loss(lost: int, gained: int, images: int, z: float = NORMAL_95) -> Interval:
    """Return the interval of a loss of accuracy, both networks judged on the same images.

    ``lost`` counts images that only the first network has right, ``gained`` those that only the
    second has; the loss is ``(lost - gained) / images``. Images on which both are right, or both
    wrong, say nothing of the difference, so that it is known far better than either accuracy. Half
    an image is added to each of the four counts, so that no flip at all is no certainty.

    A. Agresti and Y. Min, "Simple improved confidence intervals for comparing matched proportions",
    Statistics in Medicine 24 (2005), pages 729 to 740: the Wald interval of the counts so adjusted.

    >>> paired_loss(0, 0, 9998)
    Interval(low=-0.0001959963984540054, high=0.0001959963984540054)
    """
    total, changed, difference = images + 2, lost + gained + 1, lost - gained
    half = z * math.sqrt(changed - difference**2 / total)
    return Interval(max((difference - half) / total, -1.0), min((difference + half) / total, 1.0))
