"""What only ReLUs can see of a node, and what an unsigned word of it then counts."""

from dataclasses import replace

import numpy as np
import pytest

from fxpnn import golden
from fxpnn.fixedpoint.qformat import Overflow, QFormat
from fxpnn.network.fixed import Counts, FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT, Node, rectified
from fxpnn.network.layers import (
    Clip,
    Flatten,
    LeakyRelu,
    MaxPool2D,
    Pad,
    Quantize,
    Relu,
    Step,
    Window,
)

Q3_12, Q7_8 = QFormat(16, 12), QFormat(16, 8)

RECTIFIED = {
    "a ReLU": (("r", Relu(), "x"),),
    "a clip at 0 or more": (("r", Clip(0.0, 6.0), "x"),),
    "a pool before it": (("p", MaxPool2D(Window((2, 2))), "x"), ("r", Relu(), "p")),
    "two ReLUs": (("r", Relu(), "x"), ("s", Clip(0.5, 1.0), "x")),
}
SEEN = {
    "nothing": (),
    "a clip below 0": (("r", Clip(-1.0, 6.0), "x"),),
    "a leaky ReLU": (("r", LeakyRelu(), "x"),),
    "another reader": (("r", Relu(), "x"), ("s", Step(), "x")),
    "another reader behind a pool": (
        ("p", MaxPool2D(Window((2, 2))), "x"),
        ("r", Relu(), "p"),
        ("s", Step(), "p"),
    ),
    "padding before it": (("p", Pad(((0, 0), (1, 1), (1, 1)), -1.0), "x"), ("r", Relu(), "p")),
    "a pool that none reads": (("r", Relu(), "x"), ("p", MaxPool2D(Window((2, 2))), "x")),
}


@pytest.mark.parametrize("name", [*RECTIFIED, *SEEN])
def test_what_reaches_only_relus_is_found(name: str) -> None:
    """Past layers that select or move values; any other reader, or an output, sees it."""
    later = (RECTIFIED | SEEN)[name]
    nodes = [Node("x", Quantize(), (INPUT,)), *(Node(n, layer, (i,)) for n, layer, i in later)]
    found = rectified(nodes, [nodes[-1].name])
    assert ("x" in found) == (name in RECTIFIED)
    for node in nodes[:-1]:
        assert "x" not in rectified(nodes, [node.name]) or node.layer.rectifies()


@pytest.mark.parametrize("overflow", Overflow)
@pytest.mark.parametrize("signed", [True, False])
def test_an_unsigned_word_that_clamps_before_a_relu_is_rectified(
    signed: bool, overflow: Overflow
) -> None:
    """So are the words that a pool selects of it; one that wraps is not, and none with a sign."""
    fmt = QFormat(8, 4, signed)
    nodes = (
        FixedNode("q", Quantize(), (INPUT,), fmt, overflow=overflow),
        FixedNode("f", Flatten(), ("q",), fmt),
        FixedNode("r", Relu(), ("f",), fmt),
    )
    fixed = FixedNetwork("n", (1, 2, 2), Q3_12, nodes)
    assert fixed.rectified == (
        frozenset("qf") if not signed and overflow.value != "wrap" else set()
    )
    seen = FixedNetwork("n", (1, 2, 2), Q3_12, nodes, ("q", "r"))
    assert not seen.rectified


@pytest.mark.parametrize("overflow", [Overflow.SATURATE, Overflow.SATURATE_SYMMETRIC])
def test_what_is_below_zero_is_counted_apart_before_a_relu(overflow: Overflow) -> None:
    """-1 and -2**-4 are the ReLU's, 16 is a saturation; -2**-5 rounds to 0."""
    fmt = QFormat(8, 4, signed=False)
    nodes = (
        FixedNode("q", Quantize(), (INPUT,), fmt, overflow=overflow),
        FixedNode("r", Relu(), ("q",), fmt),
    )
    x = np.array([[-256, -16, -8, 0, 4080, 4096]])
    for outputs, counts in (((), Counts(0, 1, 2)), (("q", "r"), Counts(0, 3))):
        fixed = FixedNetwork("n", (6,), Q7_8, nodes, outputs)
        run = golden.run(fixed, x)
        assert run.raw["r"].tolist() == [[0, 0, 0, 0, 255, 255]]
        assert run.counts["q"] == counts
    zero = replace(nodes[0], overflow=Overflow.SATURATE_ZERO)
    run = golden.run(FixedNetwork("n", (6,), Q7_8, (zero, nodes[1])), x)
    assert run.raw["r"].tolist() == [[0, 0, 0, 0, 255, 0]]
    assert run.counts["q"] == Counts(0, 1, 2)
