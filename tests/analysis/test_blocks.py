"""Comparisons take memory by bytes, whatever the number of threads."""

import pytest

from fxpnn.analysis import blocks
from fxpnn.analysis.blocks import abreast, block_images
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Relu

WORD = QFormat(16, 8)
FIXED = FixedNetwork("n", (500,), WORD, (FixedNode("r", Relu(), (INPUT,), WORD),))


def test_blocks_hold_few_values(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many images as all tensors' values allow, at least one, at most a block."""
    for values, images in ((10_999, 10), (1, 1), (1 << 30, blocks.BLOCK)):
        monkeypatch.setattr(blocks, "VALUES", values)
        assert block_images(FIXED) == images


def test_threads_share_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many take part as their blocks allow, at least one, none that was not asked for."""
    monkeypatch.setattr(blocks, "VALUES", 2000)
    each = 2000 * blocks.EACH
    for size, threads in ((3 * each, 3), (each - 1, 1), (99 * each, 8)):
        monkeypatch.setattr(blocks, "BYTES", size)
        assert abreast(FIXED, 8) == threads
