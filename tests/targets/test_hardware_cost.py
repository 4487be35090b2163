"""What hardware costs is what the program, the table of energies and the files of C say."""

import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fxpnn
from fxpnn.errors import ModelError
from fxpnn.fixedpoint.qformat import Accumulator, QFormat
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import (
    Abs,
    Add,
    AvgPool2D,
    Concat,
    Conv2D,
    Dense,
    L2Pool2D,
    Layer,
    MaxPool2D,
    Mul,
    Quantize,
    Relu,
    Sigmoid,
    Softmax,
    Step,
    Window,
)
from fxpnn.network.tables import table_for
from fxpnn.targets import energy
from fxpnn.targets.c import export as c
from fxpnn.targets.energy import Arithmetic, EnergyTable, Read
from fxpnn.targets.hardware_cost import core_cost, hardware_cost
from fxpnn.targets.lowering import Lowering, lower
from fxpnn.targets.vectors import default_images, vectors
from fxpnn.targets.verilog.program import assemble
from fxpnn.targets.verilog.roms import spell
from tests.support.strategies import NetworkCase, fixed_networks

MODELS = Path(__file__).parents[2] / "models"
TABLE = energy.shipped()
Q12 = QFormat(16, 12)


@cache
def bundled(name: str) -> Lowering:
    """Quantize a bundled network by its defaults, and lower it."""
    network = fxpnn.load_onnx(MODELS / f"{name}.onnx")
    return lower(fxpnn.quantize(network, fxpnn.load_data("mnist:calibration").x))


def test_the_energy_of_the_mlp_by_hand() -> None:
    """From Horowitz's figures alone, each access with its bits and each product with its words."""
    lowering = bundled("mlp-784-100-10")
    found = core_cost(lowering, 16, 100.0, TABLE)
    multiply_16_8, multiply_16_16 = 0.2 + 2.9 * (128 - 64) / 960, 0.2 + 2.9 * (256 - 64) / 960
    add_48 = 0.03 + 0.07 * (48 - 8) / 24
    assert found.energy.arithmetic_pj == pytest.approx(
        78_400 * (multiply_16_8 + add_48) + 1_000 * (multiply_16_16 + add_48)
    )
    instruction = assemble(lowering, 16).sizes.instruction
    bits = (
        784 * 16  # the image is written
        + 7 * 784 * (16 + 16 * 16) + 7 * 16 * (8 + 2) + 100 * 16  # 7 groups of 16 units
        + 1 * 100 * (16 + 16 * 16) + 1 * 16 * (8 + 2) + 10 * 16
        + 10 * (3 * 16 + 2 * 40) + 10 * 16  # softmax: 3 passes, 2 powers of 2 for each value
        + 10 * 16  # the outputs are read
        + 5 * instruction
    )  # fmt: skip
    assert found.energy.memory_pj == pytest.approx(bits * 10 / 64)


MOST = {
    "mlp-784-100-10": {1: 80_292, 4: 20_796, 16: 6_492},
    "lenet5-relu": {1: 423_740, 4: 121_203, 16: 45_863},
}
"""The cycles of an image that the core was designed to take at most."""


@pytest.mark.parametrize("name", MOST)
def test_cycles_of_the_bundled_networks(name: str) -> None:
    """An image takes no more than was meant; the rows add up, and say how well units are used."""
    for macs, most in MOST[name].items():
        found = core_cost(bundled(name), macs, 50.0, TABLE)
        assert found.cycles <= most
        assert found.images_per_second == 50e6 / found.cycles
        assert found.use == found.products / (found.cycles * macs)
        assert found.rom.weights == 16 * found.weight_words
    assert found.products == fxpnn.inspect(bundled(name).fixed).totals.multiply_accumulates
    assert found.ram_bits == 16 * bundled(name).memory().words


@settings(max_examples=25)
@given(case=fixed_networks(), macs=st.sampled_from([1, 2, 3, 7, 16]))
def test_rows_add_up_and_roms_are_the_files(case: NetworkCase, macs: int) -> None:
    """Of any network that the core has: totals are sums, and ROMs hold what their files do."""
    lowering = lower(case.fixed)
    try:
        program = assemble(lowering, macs)
    except ModelError:
        return
    found = core_cost(lowering, macs, 100.0, TABLE)
    assert [row.op for row in found.layers] == [
        *("Input", *(step.node.op for step in lowering.steps), "Output")
    ]
    assert found.cycles == sum(row.cycles for row in found.layers)
    assert found.products == sum(row.products for row in found.layers)
    assert found.weight_words == sum(row.weight_words for row in found.layers)
    assert found.weight_words == program.weights.size
    for whole in ("arithmetic_pj", "memory_pj"):
        parts = sum(getattr(row.energy, whole) for row in found.layers)
        assert getattr(found.energy, whole) == pytest.approx(parts)
    assert all(row.use is None or 0 < row.use <= 1 for row in found.layers)
    files, bits = spell(program), found.rom
    lines = {name: content.splitlines() for name, content in files.items()}
    for name, held in zip(
        lines, (bits.program, bits.weights, bits.biases, bits.tables), strict=True
    ):
        digits = len(lines[name][0]) * len(lines[name])
        assert 4 * digits - 3 * len(lines[name]) <= held <= 4 * digits


def test_the_bytes_of_c_are_those_of_its_files() -> None:
    """Every array of the file of constants, and the scratch memory that its header names."""
    for name in MOST:
        lowering = bundled(name)
        files = c.write(lowering, "net", vectors(lowering, default_images(lowering.fixed, 1)))
        text = files["net_weights.c"].decode()
        arrays = re.findall(r"^const u?int(\d+)_t \w+\[(\d+)\] = {$", text, re.MULTILINE)
        assert len(arrays) >= 5
        scratch = re.search(r"#define NET_SCRATCH_WORDS (\d+)", files["net.h"].decode())
        assert scratch is not None
        found = hardware_cost(lowering, [16], 100.0, TABLE).c
        assert found.const_bytes == sum(int(bits) // 8 * int(size) for bits, size in arrays)
        assert found.scratch_bytes == 2 * int(scratch[1])


def one(layer: Layer, count: int = 1) -> Lowering:
    """Lower a network of one layer that reads its input of 1 x 4 x 4, once or twice."""
    node = FixedNode("only", layer, (INPUT,) * count, Q12)
    return lower(FixedNetwork("one", (1, 4, 4), Q12, (node,)))


def test_adds_and_comparisons_are_priced() -> None:
    """Two adds for each sum of tensors, one comparison for each value of a window."""
    point = (Arithmetic(16, 1.0, "x"),)
    table = EnergyTable("x", point, point, (Read(1, 1, 0.0, "x"),))
    assert core_cost(one(Add(), 2), 1, 1.0, table).energy.pj == 2 * 16
    pool = MaxPool2D(Window((2, 2), (2, 2)))
    assert core_cost(one(pool), 1, 1.0, table).energy.pj == 4 * 4


def test_units_without_channels_are_idle() -> None:
    """Those beyond the channels of every layer; all of them where nothing sums."""
    mlp = bundled("mlp-784-100-10")
    assert [core_cost(mlp, macs, 1.0, TABLE).idle_units for macs in (100, 101, 256)] == [0, 1, 156]
    assert core_cost(one(MaxPool2D(Window((2, 2)))), 8, 1.0, TABLE).idle_units == 8


def test_what_verilog_has_not_c_has() -> None:
    """The line that refuses it is told; the bytes of C are known all the same."""
    lowering = one(L2Pool2D(Window((2, 2))))
    found = hardware_cost(lowering, [1, 4], 100.0, TABLE)
    assert found.cores == ()
    assert found.refused is not None
    assert re.fullmatch(r"layer only \(L2Pool2D\): .*; export it --to c", found.refused)
    with pytest.raises(ModelError, match=f"^{re.escape(found.refused)}$"):
        core_cost(lowering, 4, 100.0, TABLE)
    assert np.array([found.c.const_bytes, found.c.scratch_bytes]).tolist() == [0, 0]


CONV = Conv2D(np.ones((6, 2, 2, 2), np.int16), np.zeros(6, np.int64), Window((2, 2)), groups=2)
DENSE = Dense(np.ones((10, 3), np.int16), np.zeros(10, np.int64))


@pytest.mark.parametrize(
    ("layer", "shape", "cycles"),
    [
        (DENSE, (3,), 3 * max(3, 4) - (4 - 3) + 3 + 2),
        (CONV, (4, 3, 3), 4 * (2 * 1) * max(8, 3) + 3 + 3),
        (Add(), (2, 3, 4), 2 * 24 + 4),
        (MaxPool2D(Window((2, 2))), (2, 3, 4), 4 * 12 + 3),
        (AvgPool2D(Window((2, 2))), (2, 3, 4), 4 * 12 + 4),
        (AvgPool2D(Window((3, 3))), (2, 3, 4), (4 - 1) * max(9, 17) + 9 + 16 + 5),
        (AvgPool2D(Window((3, 3))), (1, 5, 6), (12 - 1) * max(9, 17) + 9 + 16 + 5),
        (Mul(), (2, 3, 4), 2 * 24 + 4),
        (Abs(), (2, 3, 4), 24 + 4),
        (Step(0), (2, 3, 4), 24 + 4),
        (Sigmoid(), (2, 3, 4), 24 + 8),
        (Quantize(), (2, 3, 4), 24 + 3),
        (Relu(), (2, 3, 4), 24 + 3),
        (Concat(0), (2, 3, 4), 2 * (24 + 3)),
        (Softmax(-1), (2, 3, 4), 6 * (3 * 4 + 20) + 11),
    ],
)
def test_each_layer_takes_the_cycles_that_the_readme_tells(
    layer: Layer, shape: tuple[int, ...], cycles: int
) -> None:
    """By its own numbers, on four units."""
    fmt = QFormat(16, 15) if isinstance(layer, Softmax) else Q12
    sums = layer.traits.sums
    node = FixedNode(
        *("only", layer, (INPUT,) * (2 if isinstance(layer, Add | Concat | Mul) else 1), fmt),
        weight_formats=(Q12,) if sums else (),
        accumulator=Accumulator() if sums else None,
        table=table_for(type(layer)),
    )
    found = core_cost(lower(FixedNetwork("one", shape, Q12, (node,))), 4, 1.0, TABLE)
    assert [row.cycles for row in found.layers][1] == cycles
