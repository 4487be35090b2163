"""Large maps are bounded channel by channel: as soundly, in little time and memory."""

import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given

from fxpnn.fixedpoint.interval import Interval
from fxpnn.fixedpoint.qformat import Accumulator, QFormat
from fxpnn.network import layers
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Window
from fxpnn.proofs import bounds, windows
from fxpnn.proofs.bounds import Proof, prove
from tests.support.strategies import NetworkCase, fixed_networks

WORD, WEIGHT = QFormat(16, 8), QFormat(16, 15)


def widest(fixed: FixedNetwork, held: int = 0) -> dict[str, Proof]:
    """Bound a network as if tensors of so many values were large, and no effort allowed."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(windows, "HELD", held)
        patched.setattr(bounds, "EFFORT", 0)
        return prove(fixed)


@given(case=fixed_networks())
def test_bounds_of_channels_hold_those_of_places(case: NetworkCase) -> None:
    """Nothing that each place's own bounds cannot exclude is excluded."""
    near, far = prove(case.fixed), widest(case.fixed)
    for name, proof in near.items():
        wide = far[name]
        assert (wide.output.low <= proof.output.low).all()
        assert (wide.output.high >= proof.output.high).all()
        assert wide.saturates >= proof.saturates
        assert wide.below_zero >= proof.below_zero
        assert wide.proved <= proof.proved
        assert (wide.bits or 0) >= (proof.bits or 0)


def chain(shape: tuple[int, ...], *made: layers.Layer) -> FixedNetwork:
    """Put layers in a row."""
    nodes = []
    for i, layer in enumerate(made):
        formats, register = ((WEIGHT,), Accumulator()) if layer.traits.sums else ((), None)
        source = f"n{i - 1}" if i else INPUT
        nodes.append(FixedNode(f"n{i}", layer, (source,), WORD, formats, register))
    return FixedNetwork("chain", shape, WORD, tuple(nodes))


def conv(ins: int, outs: int, kernel: int, padding: int) -> layers.Conv2D:
    """Make a convolution with weights that look random."""
    shape = (outs, ins, kernel, kernel)
    weight = np.random.default_rng(shape).integers(-3000, 3000, shape).astype(np.int16)
    window = Window((kernel, kernel), padding=(padding,) * 4)
    return layers.Conv2D(weight, np.arange(outs, dtype=np.int64), window)


def test_the_verdicts_are_those_of_the_middle_of_the_maps() -> None:
    """Where a window lies on its map, the bounds of all together are its own."""
    pool = layers.MaxPool2D(Window((2, 2), (2, 2)))
    fixed = chain((1, 40, 40), conv(1, 4, 3, 1), layers.Relu(), conv(4, 4, 3, 1), pool)
    near, far = prove(fixed), widest(fixed, 4)
    for name, proof in near.items():
        assert far[name].output.limits == proof.output.limits
        assert (far[name].total, far[name].bits) == (proof.total, proof.bits)


def seconds(fixed: FixedNetwork) -> float:
    """Prove a network three times; return the least CPU seconds, since others share the machine."""

    def once() -> float:
        start = time.process_time()
        prove(fixed)
        return time.process_time() - start

    return min(once() for _ in range(3))


def large(size: int) -> FixedNetwork:
    """Make a network of many layers whose maps have 16 channels of ``size`` by ``size``."""
    body = [layer for _ in range(7) for layer in (conv(16, 16, 3, 1), layers.Relu())]
    pad = layers.Pad(((0, 0), (1, 1), (1, 1)), 0)
    pool = layers.AvgPool2D(Window((3, 3), padding=(1, 1, 1, 1)), count_padding=True)
    return chain((1, size, size), conv(1, 16, 3, 1), *body, pad, pool, conv(16, 1, 3, 1))


def test_large_maps_take_little() -> None:
    """Many layers of 640,000 words are proved in some MB; of four times as many, hardly slower."""
    fixed = large(200)
    tracemalloc.start()
    proofs = prove(fixed)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert all(proof.output.low.shape == fixed.shapes[name] for name, proof in proofs.items())
    assert peak < 30 << 20
    assert seconds(large(400)) < 3 * seconds(fixed)


def unlike(size: int) -> FixedNetwork:
    """Make a pool as wide as its map, in which no two windows see the same, and a convolution."""
    pool = layers.AvgPool2D(Window((size, size), padding=(size // 2,) * 4), count_padding=True)
    return chain((1, size, size), pool, conv(1, 30, size - 1, size // 2), layers.Relu())


def test_maps_without_equal_neighbours_take_little() -> None:
    """Few of 3 * 10**9 products are taken; 256 times as many take no more than their weights."""
    assert prove(unlike(101))["n1"].proved
    assert seconds(unlike(201)) < 64 * seconds(unlike(51))


def test_reshaping_keeps_what_holds_for_channels() -> None:
    """Channels that stay the first axis keep their own ends; a vector has one for all."""
    ends = Interval(np.array([-1, -2]), np.array([3, 4]))
    x = Interval(*(np.broadcast_to(end[:, None, None], (2, 3, 4)) for end in ends))
    for layer, kept in ((layers.Reshape((2, 12)), (2, 1)), (layers.Flatten(), (24,))):
        node = FixedNode("r", layer, (INPUT,), WORD)
        found = bounds.prove_node(node, [x], [WORD]).output
        assert found.once.low.shape == kept
        assert np.array_equal(found.low.ravel(), x.low.ravel())
        assert np.array_equal(found.high.ravel(), x.high.ravel())
