"""How one value comes about is told truly, of every kind of layer."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from fxpnn.analysis.element import Cast, Element, Read, element
from fxpnn.fixedpoint.qformat import Accumulator, QFormat
from fxpnn.golden import run
from fxpnn.network.fixed import FixedNode
from fxpnn.network.layers import Conv2D, Window
from tests.support.strategies import NetworkCase, fixed_networks

Q7_0 = QFormat(8, 0)


@settings(max_examples=300)
@given(fixed_networks(max_images=1), st.data())
def test_each_value_is_what_the_golden_model_computes(
    case: NetworkCase, data: st.DataObject
) -> None:
    """Of any layer, at any place; what it reads is there, and sum and cast lead to it."""
    fixed = case.fixed
    tensors = {"input": case.raw[0], **{n: raw[0] for n, raw in run(fixed, case.raw).raw.items()}}
    node = data.draw(st.sampled_from(fixed.nodes))
    place = data.draw(st.integers(0, tensors[node.name].size - 1))
    index = tuple(int(i) for i in np.unravel_index(place, fixed.shapes[node.name]))
    formats = [fixed.formats[name] for name in node.inputs]
    found = element(node, formats, [tensors[name] for name in node.inputs], index)
    assert (found.index, found.raw) == (index, tensors[node.name][index])
    assert found.reads
    for read in found.reads:
        assert read.tensor in node.inputs
        if read.index is not None:
            assert read.raw == tensors[read.tensor][read.index]
    terms = [read for read in found.reads if read.weight is not None]
    assert bool(terms) == (found.bias is not None) == node.layer.traits.sums
    for term in terms:
        assert term.product == (term.weight or 0) * term.raw
    if (it := found.cast) is not None:
        source = formats[0] if len(formats) == 1 else fixed.formats[found.reads[0].tensor]
        kept = source if node.layer.traits.exact else None
        raw, over = node.requantize.raw(it.value, it.frac, kept, it.count)
        assert raw == found.raw
        assert it.overflowed == (over and not node.clips_one)
    if found.bias is not None:
        assert found.cast is not None
        assert found.cast.value == terms[-1].accumulator


def test_a_sum_is_told_step_by_step() -> None:
    """The register holds the bias, then clamps after each add; padding is read as 0."""
    window = Window((1, 3), padding=(0, 1, 0, 0))
    conv = Conv2D(np.array([[[[7, 100, 100]]]], np.int16), np.array([10]), window)
    node = FixedNode("c", conv, ("input",), Q7_0, (Q7_0,), Accumulator(8))
    found = element(node, [Q7_0], [np.array([[[1, -2, 3]]])], (0, 0, 0))
    assert found == Element(
        index=(0, 0, 0),
        raw=-90,
        reads=(
            Read("input", None, 0, 7, 0, 10),
            Read("input", (0, 0, 0), 1, 100, 100, 110),
            Read("input", (0, 0, 1), -2, 100, -200, -90),
        ),
        bias=10,
        start=10,
        cast=Cast(-90, 1, 0, "Q7.0", "nearest-even", "saturate", False),
    )
    found = element(node, [Q7_0], [np.array([[[1, 3, -2]]])], (0, 0, 0))
    assert [read.accumulator for read in found.reads] == [10, 110, 127]
