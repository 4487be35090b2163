"""Channels are told apart where their exact sums take little memory."""

import numpy as np

import fxpnn
from fxpnn.analysis.channels import MOST, MOST_IN_ALL, told_apart
from fxpnn.network.graph import chain
from fxpnn.network.layers import LeakyRelu, Reshape, Shape


def test_layers_of_few_channels_are_told_apart() -> None:
    """Neither one of very many, nor what is behind as many in all."""
    shapes: dict[str, Shape] = {f"n{i}": (MOST, 2) for i in range(MOST_IN_ALL // MOST + 1)}
    shapes = {"wide": (MOST + 1,), **shapes, "last": (1, 9)}
    assert told_apart(shapes) == shapes.keys() - {"wide", f"n{MOST_IN_ALL // MOST}", "last"}


def test_a_layer_of_many_channels_is_compared_as_a_whole() -> None:
    """Its row has a ratio, the same as that of its values in channels, but no worst channel."""
    half = MOST // 2 + 1
    layers = {"slope": LeakyRelu(0.3), "pairs": Reshape((half, 2))}
    network = chain("wide", (2 * half,), layers)
    x = np.random.default_rng(3).normal(size=(5, 2 * half))
    report = fxpnn.compare(network, fxpnn.quantize(network, x), x)
    wide, pairs = report.layers[1:]
    assert wide.sqnr_db is not None
    assert pairs.sqnr_db is not None
    assert abs(wide.sqnr_db - pairs.sqnr_db) < 1e-9
    assert (wide.worst_channel, wide.worst_channel_sqnr_db) == (None, None)
    assert pairs.worst_channel is not None
