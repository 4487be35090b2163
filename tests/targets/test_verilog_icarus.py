"""Random networks in Verilog, each a design of its own, run by Icarus, which knows X."""

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, reject, settings

from fxpnn.errors import ModelError
from fxpnn.network import layers
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.graph import INPUT
from fxpnn.targets.lowering import lower
from fxpnn.targets.simulation import verilog
from fxpnn.targets.vectors import vectors
from fxpnn.targets.verilog import cycles, export
from tests.support.strategies import NetworkCase, fixed_networks
from tests.support.tools import needs

KINDS = (
    *(layers.Conv2D, layers.MaxPool2D, layers.AvgPool2D, layers.Relu, layers.Add, layers.Concat),
    *(layers.Pad, layers.Flatten, layers.Dense, layers.Silu, layers.PRelu, layers.Mul),
    *(layers.Softmax, layers.Quantize),
)
NAMES = ("reg", "/conv1/Conv.0", 'in"side\\', "REG", "output\n%d")
"""Names of layers that no file of Verilog may repeat as they are."""


def renamed(fixed: FixedNetwork) -> FixedNetwork:
    """Give each layer a name that nobody would choose."""
    names = {node.name: new for node, new in zip(fixed.nodes, NAMES, strict=False)} | {INPUT: INPUT}
    nodes = [
        replace(node, name=names[node.name], inputs=tuple(names[name] for name in node.inputs))
        for node in fixed.nodes
    ]
    return FixedNetwork(fixed.name, fixed.input_shape, fixed.input_format, tuple(nodes))


@pytest.mark.slow
@needs("iverilog")
@settings(max_examples=10)
@given(case=fixed_networks(KINDS, max_layers=5))
def test_nothing_is_unknown_behind_a_reset(case: NetworkCase) -> None:
    """Words, streams, counts and cycles are right from the first image on, trimmed or not."""
    lowering = lower(renamed(case.fixed))
    golden = vectors(lowering, case.raw.astype(np.int16))
    macs, trim = 1 + len(case.fixed.nodes), len(case.raw) > 1
    try:
        files = export.write(lowering, "net", golden, macs, trim)
    except ModelError:
        reject()
    with tempfile.TemporaryDirectory() as place:
        for name, content in files.items():
            (Path(place) / name).write_bytes(content)
        found = verilog.simulate(lowering, "net", golden, Path(place), verilog.ICARUS)
    assert (found.differs, found.fault, found.images) == (None, None, golden.images)
    assert dict(found.counts) == dict(golden.counts)
    assert dict(found.cycles) == cycles.step_cycles(lowering, macs)
    assert found.image_cycles == cycles.image_cycles(lowering, macs)
