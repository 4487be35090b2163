"""Convolution and pooling by hand: small maps of integers whose results fit on paper."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from fxpnn.network.graph import Network, chain
from fxpnn.network.layers import Array, AvgPool2D, Conv2D, L2Pool2D, Layer, MaxPool2D, Window
from fxpnn.reference import forward
from fxpnn.textbook.lesson import Check, Numbers, Row, both, check, formats

MAP = np.arange(9).reshape(1, 3, 3)
"""0 1 2 / 3 4 5 / 6 7 8."""
MAPS = np.concatenate([MAP, MAP + 1])

KERNEL = np.array([[0, 1], [2, 3]])
KERNELS = np.stack([KERNEL, KERNEL + 1])
SQUARE = Window((2, 2))


def convolution(name: str, kernels: npt.ArrayLike, padding: int = 0) -> Network:
    """Build one output map of kernels ``(maps, height, width)`` on 3 x 3 maps."""
    weight = np.asarray(kernels, np.float64)[None]
    window = Window((weight.shape[2], weight.shape[3]), padding=(padding,) * 4)
    conv = Conv2D(weight, np.zeros(1), window)
    return chain(name, (weight.shape[1], 3, 3), {"conv": conv})


def correlation() -> Network:
    """Build the 2 x 2 kernel that slides over 3 x 3 as it is, which is what networks mean."""
    return convolution("correlation", KERNEL[None])


def true_convolution() -> Network:
    """Build the kernel flipped on both axes, which is what mathematics means."""
    return convolution("convolution", KERNEL[None, ::-1, ::-1])


def same_size() -> Network:
    """Build a 3 x 3 kernel of ones; one ring of zeros around the map keeps its size."""
    return convolution("same-size", np.ones((1, 3, 3)), padding=1)


def two_maps() -> Network:
    """Build an output map that reads two input maps, each by a kernel of its own."""
    return convolution("two-maps", KERNELS)


def pool(name: str, layer: Layer) -> Network:
    """Build a pool of 2 x 2 windows, stride 1, on a 3 x 3 map."""
    return chain(name, (1, 3, 3), {"pool": layer})


def max_pool() -> Network:
    """Keep the largest of each window."""
    return pool("max-pool", MaxPool2D(SQUARE))


def average_pool() -> Network:
    """Average each window."""
    return pool("average-pool", AvgPool2D(SQUARE))


def l2_pool() -> Network:
    """Take the root of each window's sum of squares."""
    return pool("l2-pool", L2Pool2D(SQUARE))


def rows() -> Iterator[Row]:
    """Slide kernels and windows over the maps; all but L2 pooling is exact on both sides."""
    yield _exact("2 x 2 kernel on 3 x 3", correlation(), MAP, (19, 25, 37, 43))
    yield _exact("true convolution, flipped kernel", true_convolution(), MAP, (5, 11, 23, 29))
    padded = (8, 15, 12, 21, 36, 27, 20, 33, 24)
    yield _exact("zero padding keeps the size", same_size(), MAP, padded)
    yield _exact("two input maps", two_maps(), MAPS, (56, 72, 104, 120), _sum_of_maps())
    yield _exact("max pooling", max_pool(), MAP, (4, 5, 7, 8))
    yield _exact("average pooling", average_pool(), MAP, (2, 3, 5, 6))
    yield _l2_pool()


def _exact(name: str, network: Network, maps: Array, published: Numbers, *others: Check) -> Row:
    sides = both(network, maps[None], formats("Q7.8"))
    shape = check("size", sides.y.shape[-1], round(len(published) ** 0.5))
    values = (check("float map", published, sides.y), check("fixed map", published, sides.y_fixed))
    return sides.row(name, (shape, *values, *others))


def _sum_of_maps() -> Check:
    """Compare the result of two maps with the sum of what each makes with its own kernel."""
    alone = [
        forward(convolution("alone", kernel[None]), maps[None, None], np.float64)["conv"]
        for kernel, maps in zip(KERNELS, MAPS, strict=True)
    ]
    return check("sum of the maps' own", (56, 72, 104, 120), np.sum(alone, axis=0))


def _l2_pool() -> Row:
    sides = both(l2_pool(), MAP[None], formats("Q7.8"))
    expected = (
        check("roots of 26, 46, 110, 154", (5.10, 6.78, 10.49, 12.41), sides.y, digits=2),
        check("at most half an LSB off", 1, sides.lsb <= 0.5),
    )
    return sides.row("L2 pooling", expected)
