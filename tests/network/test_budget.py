"""What a network may cost is counted before any of it is taken."""

import re

import numpy as np
import pytest

from fxpnn.errors import ModelError
from fxpnn.network import budget
from fxpnn.network.graph import INPUT, Network, Node, chain
from fxpnn.network.layers import Add, AvgPool2D, Conv2D, Dense, Layer, Pad, Relu, Window

LIVE = f"at most {budget.LIVE:,} values of an image at a time"
LESS = "smaller images need less"


def conv(kernel: int, padding: int) -> Conv2D:
    """Make a convolution of one map with one weight at each place, of ones."""
    weight = np.ones((1, 1, kernel, kernel), np.float32)
    return Conv2D(weight, np.zeros(1), Window((kernel, kernel), padding=(padding,) * 4))


def refuse(message: str, shape: tuple[int, ...], *layers: Layer) -> None:
    """Assert that a chain of layers is refused in one line."""
    with pytest.raises(ModelError, match=rf"^{re.escape(message)}$"):
        chain("large", shape, {f"n{i}": layer for i, layer in enumerate(layers)})


def test_what_is_needed_at_a_time_is_bounded() -> None:
    """As many values as may be are taken, one more is refused; what is read no more is free."""
    half = budget.LIVE // 2
    assert chain("large", (half,), {"relu": Relu()})
    refuse(f"its tensors must hold {LIVE}, not {2 * half + 2:,}; {LESS}", (half + 1,), Relu())
    refuse(
        f"its tensors must hold {LIVE}, not {budget.LIVE + 1:,}; {LESS}",
        (1,),
        Pad(((0, budget.LIVE - 1),)),
    )
    relus = [Relu()] * 3
    assert chain("long", (half,), {f"r{i}": relu for i, relu in enumerate(relus)})
    third = budget.LIVE // 3
    skipped = (
        Node("a", Relu(), (INPUT,)),
        Node("b", Relu(), ("a",)),
        Node("c", Add(), ("b", "a")),
    )
    assert Network("skip", (third,), skipped)
    with pytest.raises(ModelError, match=rf"^its tensors must hold {LIVE}, not"):
        Network("skip", (third + 1,), skipped)


def test_all_tensors_together_are_bounded() -> None:
    """One more value than comparisons may keep is refused, in however many tensors."""
    size = budget.VALUES // 32
    assert chain("long", (size,), {f"r{i}": Relu() for i in range(31)})
    refuse(
        f"its tensors must hold at most {budget.VALUES:,} values of an image in all, "
        f"not {33 * size:,}; {LESS}",
        (size,),
        *[Relu()] * 32,
    )


def test_padding_counts_though_it_is_no_tensor() -> None:
    """A window that sees one place of 4,000 x 4,000 needs them all."""
    window = Window((2001, 2001), (4001, 4001), (2000, 2000, 2000, 2000))
    refuse(
        f"its tensors must hold {LIVE}, not {4500**2 + 1:,}; {LESS}",
        (1, 500, 500),
        AvgPool2D(window),
    )


def test_parameters_allow_more() -> None:
    """A file that must hold many weights may describe larger maps."""
    weight = np.ones((1 << 9, 1 << 9), np.float32)
    dense = Dense(weight, np.zeros(1 << 9))
    count = budget.LIVE + budget.LIVE_EACH * (weight.size + (1 << 9)) - (1 << 9)
    pad = Node("pad", Pad(((0, count - (1 << 9)),)), ("dense",))
    assert Network("large", (1 << 9,), (Node("dense", dense, (INPUT,)), pad))
    more = Node("pad", Pad(((0, count - (1 << 9) + 1),)), ("dense",))
    with pytest.raises(ModelError, match=r"^its tensors must hold at most 25,182,208 values"):
        Network("large", (1 << 9,), (Node("dense", dense, (INPUT,)), more))


def test_a_denoiser_of_photographs_is_allowed() -> None:
    """DnCNN, 17 convolutions of maps of 256 x 256, has 140 million values, few at a time."""
    rng = np.random.default_rng(1)

    def same(ins: int, outs: int) -> Conv2D:
        weight = rng.normal(size=(outs, ins, 3, 3)).astype(np.float32)
        return Conv2D(weight, np.zeros(outs, np.float32), Window((3, 3), padding=(1,) * 4))

    layers: dict[str, Layer] = {"c0": same(1, 64), "r0": Relu()}
    for i in range(1, 16):
        layers |= {f"c{i}": same(64, 64), f"r{i}": Relu()}
    layers["c16"] = same(64, 1)
    nodes = chain("dncnn", (1, 256, 256), layers).nodes
    assert Network("dncnn", (1, 256, 256), (*nodes, Node("clean", Add(), (INPUT, "c16"))))


def test_work_is_bounded() -> None:
    """Products, and what pools see, of one image."""
    most = budget.WORK + budget.WORK_EACH * (101**2 + 1)
    products = (1000 - 100) ** 2 * 101**2
    refuse(
        f"its layers must need at most {most:,} products of an image in all, "
        f"not {products:,}; smaller images need less",
        (1, 1000, 1000),
        conv(101, 0),
    )
    refuse(
        f"its layers must need at most {budget.WORK:,} products of an image in all, "
        f"not {budget.TAP * 900**2 * 101**2:,}; smaller images need less",
        (1, 1000, 1000),
        AvgPool2D(Window((101, 101))),
    )


def test_layers_and_axes_are_few() -> None:
    """More of either than anybody needs is refused before anything is done for each."""
    relus = [Relu()] * (budget.NODES + 1)
    refuse(f"a network must have at most {budget.NODES} layers, not {len(relus)}", (1,), *relus)
    wide = (1,) * (budget.AXES + 1)
    refuse(f"the input must hold 1 to 2**27 values on its axes, not {wide}", wide, Relu())
