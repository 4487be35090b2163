"""The program of the Verilog core: its encoding, what it refuses, its sizes and cycles."""

import re
from dataclasses import replace
from functools import cache
from importlib import resources
from itertools import pairwise

import numpy as np
import pytest

import fxpnn
from fxpnn.errors import ModelError
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, QFormat
from fxpnn.network import layers
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.tables import table_for
from fxpnn.targets.lowering import Lowering, lower
from fxpnn.targets.verilog import cycles, roms
from fxpnn.targets.verilog.instruction import LAYOUT, Loop, Sizes, items, pack, reads, writes
from fxpnn.targets.verilog.program import assemble
from fxpnn.targets.verilog.weights import Lanes, Roms, lanes, spread

CORE = resources.files("fxpnn.targets.rtl").joinpath("fx_core.v").read_text()
SIZES = Sizes(
    macs=2,
    acc=20,
    bias=20,
    clamp=1,
    wide=62,
    words=20,
    place=4,
    count=6,
    program=3,
    weights=9,
    biases=4,
    tables=257,
    steps=2,
)
RENAMED = {"kind": "kind", "function": "curve_kind"}
"""Fields that the core calls otherwise."""


def test_the_core_has_the_fields_of_the_layout_in_its_order() -> None:
    """What it takes an instruction apart into is what is put together."""
    match = re.search(r"assign \{([^}]*)\} = instruction;", CORE)
    assert match is not None
    fields = re.findall(r"\w+", match[1])
    assert fields == [RENAMED.get(name, name) for name, _ in LAYOUT]


def test_the_core_has_the_widths_of_the_layout() -> None:
    """Each wire has the field's bits, and all together are as wide as the instruction."""
    match = re.search(r"localparam WIDTH = (.*);", CORE)
    assert match is not None
    letters = {letter: SIZES.bits(letter) for letter in "APNWBT"}
    assert eval(match[1], {}, letters) == SIZES.instruction
    widths: dict[str, str] = {}
    for bits, names in re.findall(r"^    wire +(?:\[(.*?):0\])? *([a-z_0-9, ]+);", CORE, re.M):
        widths |= dict.fromkeys(re.findall(r"\w+", names), bits)
    for name, width in LAYOUT:
        bits = f"{width.replace('7', '7*')}-1" if isinstance(width, str) else str(width - 1)
        assert widths[RENAMED.get(name, name)] == ("" if width == 1 else bits), name


def test_a_number_below_0_is_twos_complement_in_its_field() -> None:
    """Fields stand from the highest bits down, loop 0 lowest in its own."""
    word = pack({"own_shift": -2, "counts": (5, 0, 0, 0, 0, 0, 1)}, SIZES)
    text, found = f"{word:0{SIZES.instruction}b}", {}
    for name, width in LAYOUT:
        bits = SIZES.bits(width) * items(width)
        found[name], text = text[:bits], text[bits:]
    assert text == ""
    assert found["own_shift"] == "1111110"
    assert found["counts"] == "000001" + "000000" * 5 + "000101"
    assert {name for name, bits in found.items() if "1" in bits} == {"own_shift", "counts"}


def walked(fields: dict[str, int | tuple[int, ...]], name: str, base: int) -> list[int]:
    """Do what ``fx_address`` does with the turns of one kind."""
    counts, turns = fields["counts"], fields[name]
    assert isinstance(counts, tuple)
    assert isinstance(turns, tuple)
    place, found, done = base, [base], [0] * len(counts)
    while done != list(counts):
        loop = next(i for i, count in enumerate(counts) if done[i] < count)
        done = [0] * loop + [done[loop] + 1] + done[loop + 1 :]
        place += turns[loop]
        found.append(place)
    return found


def test_turns_walk_nested_loops() -> None:
    """Each turn adds one constant; together they visit all places in order."""
    fields = reads(7, [Loop(2, 1, 0, 1), Loop(3, 10, 1, 0), Loop(), Loop(2, 100)], (-1, -2))
    places = [7 + a + 10 * b + 100 * c for c in range(2) for b in range(3) for a in range(2)]
    assert walked(fields, "address_turns", 7) == places
    assert walked(fields, "row_turns", -1) == [-1, -1, 0, 0, 1, 1] * 2
    assert walked(fields, "column_turns", -2) == [-2, -1] * 6


def test_the_writer_turns_from_row_to_row() -> None:
    """Channels lie a stride apart; the next position is one word behind the first of the last."""
    fields = writes(40, across=3, down=4, stride=10, outer=1)
    assert (fields["write_base"], fields["across"], fields["down"]) == (40, 2, 3)
    assert (fields["stride"], fields["turn"]) == (10, 1 - 20)


@pytest.mark.parametrize(
    ("channels", "groups", "macs", "shared"),
    [
        (10, 1, 4, Lanes(1, 3, 4, 2)),
        (10, 1, 16, Lanes(1, 1, 10, 10)),
        (12, 2, 4, Lanes(2, 2, 4, 2)),
        (6, 6, 4, Lanes(6, 1, 1, 1)),
    ],
)
def test_units_share_out_the_channels(channels: int, groups: int, macs: int, shared: Lanes) -> None:
    """No group of units crosses those of a convolution; each unit reads its channel's weights."""
    assert lanes(channels, groups, macs) == shared
    weights = np.arange(channels * 3).reshape(channels, 3) + 1
    words = spread(weights, shared, macs)
    assert words.shape == (groups * shared.groups * 3, macs)
    each = channels // groups
    for channel in range(channels):
        group = channel // each * shared.groups + channel % each // shared.full
        unit = channel % each % shared.full
        assert words[3 * group : 3 * group + 3, unit].tolist() == weights[channel].tolist()
    assert np.count_nonzero(words) == weights.size


def test_a_table_is_stored_once() -> None:
    """Two layers with one table read the same words: entries, and the steps between them."""
    kept = Roms(4)
    assert [kept.add_table(np.array(table)) for table in ([5, 9], [1], [5, 9])] == [0, 2, 0]
    assert kept.tables.tolist() == [[5, 4], [9, 0], [1, 0]]


def test_a_bias_beyond_the_accumulator_is_its_limit() -> None:
    """It is clamped where it is stored, and a bit beside it says so."""
    kept, shared = Roms(2), lanes(2, 1, 2)
    biases, shifts = np.array([-300, 127]), np.array([-3, 5])
    kept.add_sums(np.ones((2, 1)), biases, shifts, shared, (-128, 127))
    assert kept.biases.tolist() == [[-128, 127]]
    assert kept.beside.tolist() == [[2 * -3 + 1, 2 * 5]]


Q8 = QFormat(8, 4)


def network(*nodes: FixedNode, shape: tuple[int, ...] = (2, 3, 3)) -> Lowering:
    """Lower nodes that read the input, in formats of 8 bits."""
    return lower(FixedNetwork("net", shape, Q8, nodes, tuple(node.name for node in nodes)))


def dense(register: Accumulator, weight: int = 3) -> FixedNode:
    """Build a layer of three channels and two weights."""
    layer = layers.Dense(np.full((3, 2), weight, np.int16), np.array([-5, 0, 5]))
    return FixedNode("dense", layer, (INPUT,), Q8, (Q8,), register)


def test_roms_are_spelled_unit_by_unit() -> None:
    """Unit 0 is lowest; a bias has what is beside it above; each line is a word and ends."""
    files = roms.spell(assemble(network(dense(Accumulator(12)), shape=(2,)), 2))
    assert files["weights.hex"] == b"00030003\n00030003\n00000003\n00000003\n"
    units = [[2 * 4 << 4 | bias & 15 for bias in pair] for pair in ((-5, 0), (5, 0))]
    units[1][1] = 0
    words = [low | high << 12 for low, high in units]
    assert files["bias.hex"].decode().split() == [f"{word:06x}" for word in words]
    assert files["tables.hex"] == b"0000000000\n" * 257
    assert len(files["program.hex"].splitlines()) == 3
    assert all(content.endswith(b"\n") for content in files.values())


REFUSED = [
    (
        FixedNode("p", layers.L2Pool2D(layers.Window((2, 2))), (INPUT,), Q8),
        r"layer p \(L2Pool2D\): the Verilog core has no such layer",
    ),
    (
        FixedNode(
            "/s.0",
            layers.Softmax(),
            (INPUT,),
            QFormat(16, 15),
            table=table_for(layers.Softmax),
            softmax_shift=3,
        ),
        r"layer /s\.0 \(Softmax\): softmax must subtract the maximum, not a constant",
    ),
    (
        FixedNode(
            "m",
            layers.MaskedSoftmax(-1, ((0, 1),)),
            (INPUT,),
            QFormat(16, 15),
            table=table_for(layers.Softmax),
        ),
        r"layer m \(MaskedSoftmax\): softmax must be of whole vectors, not masked",
    ),
    (
        FixedNode("a", layers.AvgPool2D(layers.Window((3, 3))), (INPUT,), QFormat(8, 21)),
        r"layer a \(AvgPool2D\): output must have at most 16 fraction bits more than the input",
    ),
]


@pytest.mark.parametrize(("node", "message"), REFUSED)
def test_what_the_core_has_not_is_refused(node: FixedNode, message: str) -> None:
    """In one line, with the layer's name and what to do instead."""
    with pytest.raises(ModelError, match=rf"^{message}; export it --to c$"):
        assemble(network(node), 4)


def test_an_accumulator_with_a_fraction_is_refused() -> None:
    """C has it."""
    with pytest.raises(
        ModelError,
        match=r"^layer dense \(Dense\): an accumulator must have no fraction bits of its own; "
        r"export it --to c$",
    ):
        assemble(network(dense(Accumulator(20, frac=8)), shape=(2,)), 4)


def test_sums_that_wrap_must_be_held_whole() -> None:
    """A bias and products that need 64 bits do not fit the widest accumulator."""
    layer = layers.Dense(np.full((1, 2), 3, np.int16), np.array([(1 << 61) - 1]))
    node = FixedNode("d", layer, (INPUT,), Q8, (Q8,), Accumulator(20, Overflow.WRAP))
    assert assemble(network(node, shape=(2,)), 4).sizes.acc == 63
    proof = replace(network(node, shape=(2,)).steps[0].proof, bits=64)
    lowering = network(node, shape=(2,))
    lowering = replace(lowering, steps=(replace(lowering.steps[0], proof=proof),))
    with pytest.raises(
        ModelError,
        match=r"^layer d \(Dense\): sums that wrap must fit 63 bits before they do; "
        r"export it --to c$",
    ):
        assemble(lowering, 4)


def test_counters_of_16_bits_have_an_end() -> None:
    """A softmax of 65,536 vectors and an average of so many positions are refused."""
    table = table_for(layers.Softmax)
    softmax = FixedNode("s", layers.Softmax(0), (INPUT,), QFormat(16, 15), table=table)
    with pytest.raises(
        ModelError,
        match=r"^layer s \(Softmax\): values on either side of the axis must be fewer than 65536; "
        r"export it --to c$",
    ):
        assemble(network(softmax, shape=(2, 1 << 16)), 4)
    window = layers.Window((3, 22000))
    average = FixedNode("a", layers.AvgPool2D(window), (INPUT,), Q8)
    with pytest.raises(
        ModelError,
        match=r"^layer a \(AvgPool2D\): a window must have fewer than 65536 positions; "
        r"export it --to c$",
    ):
        assemble(network(average, shape=(1, 3, 22000)), 4)


def test_tables_and_branches_have_a_reach() -> None:
    """A table that one multiplier cannot follow, and branches too far apart for a weight."""
    steep = np.zeros(1025, np.int32)
    steep[1] = 1 << 17
    curve = FixedNode("t", layers.Sigmoid(), (INPUT,), Q8, table=steep)
    with pytest.raises(
        ModelError,
        match=r"^layer t \(Sigmoid\): table entries must be less than 131072 apart; "
        r"export it --to c$",
    ):
        assemble(network(curve), 4)
    fine = FixedNode("q", layers.Quantize(), (INPUT,), QFormat(8, 19))
    both = FixedNode("add", layers.Add(), (INPUT, "q"), Q8)
    with pytest.raises(
        ModelError,
        match=r"^layer add \(Add\): the branches must be at most 14 fraction bits apart; "
        r"export it --to c$",
    ):
        assemble(network(fine, both), 4)


def test_other_refusals_name_the_layer_too() -> None:
    """What is clipped behind softmax, moved along five axes, padded along four, or repeated."""
    table, q15 = table_for(layers.Softmax), QFormat(16, 15)
    soft = FixedNode("s", layers.Softmax(), (INPUT,), q15, table=table)
    clip = FixedNode("c", layers.Clip(0, 99), ("s",), q15)
    refused = {
        r"layer s \(Softmax\): its outputs must not be clipped": lower(
            FixedNetwork("net", (3,), Q8, (soft, clip))
        ),
        r"layer t \(Transpose\): values must lie along 4 axes, or one more of at most 64 places": (
            network(
                FixedNode("t", layers.Transpose((5, 4, 3, 2, 1, 0)), (INPUT,), Q8), shape=(2,) * 6
            )
        ),
        r"layer a \(Take\): places must lie in 64 runs of even steps, not 75": network(
            FixedNode("a", layers.Take(0, tuple(i * i % 7 for i in range(150))), (INPUT,), Q8),
            shape=(7,),
        ),
        r"layer y \(Softsign\): the Verilog core has no such layer": network(
            FixedNode("y", layers.Softsign(), (INPUT,), Q8), shape=(3,)
        ),
        r"layer p \(Pad\): values must be padded along at most 3 axes": network(
            FixedNode("p", layers.Pad(((1, 0),) * 4, 0), (INPUT,), Q8), shape=(2, 2, 2, 2)
        ),
        r"layer m \(Mul\): both branches must have one shape": network(
            FixedNode("x", layers.MaxPool2D(layers.Window((3, 3))), (INPUT,), Q8),
            FixedNode("m", layers.Mul(), (INPUT, "x"), Q8),
        ),
    }
    for message, lowering in refused.items():
        with pytest.raises(ModelError, match=rf"^{message}; export it --to c$"):
            assemble(lowering, 4)


def test_steps_are_counted_in_8_bits() -> None:
    """255 layers that compute are the most."""
    names = [INPUT, *(f"n{i}" for i in range(256))]
    nodes = [FixedNode(name, layers.Quantize(), (source,), Q8) for source, name in pairwise(names)]
    with pytest.raises(
        ModelError,
        match=r"^net must have at most 255 layers that compute, not 256; export it --to c$",
    ):
        assemble(network(*nodes), 4)


@pytest.mark.parametrize("macs", [0, 257])
def test_units_have_a_range(macs: int) -> None:
    """From 1 to 256."""
    with pytest.raises(ModelError, match=rf"^macs must be 1 to 256, not {macs}$"):
        assemble(network(dense(Accumulator()), shape=(2,)), macs)


def test_a_core_must_be_large_enough() -> None:
    """A program is moved to a larger core, never to a smaller one or one of other units."""
    program = assemble(network(dense(Accumulator(12)), shape=(2,)), 2)
    assert program.on(SIZES).sizes == SIZES
    with pytest.raises(ModelError, match=r"^the core must have MACS 4, not 2$"):
        assemble(network(dense(Accumulator(12)), shape=(2,)), 4).on(SIZES)
    with pytest.raises(ModelError, match=r"^the core must have ACC 48, not 20$"):
        assemble(network(dense(Accumulator()), shape=(2,)), 2).on(SIZES)


def test_a_network_that_only_relabels_has_no_steps() -> None:
    """Its words go in and out again."""
    program = assemble(network(FixedNode("flat", layers.Flatten(), (INPUT,), Q8)), 4)
    assert len(program.instructions) == 2


@cache
def bundled(name: str) -> Lowering:
    """Quantize and lower a bundled network by its defaults."""
    images = fxpnn.load_data("mnist:calibration").x
    return lower(fxpnn.quantize(fxpnn.load_onnx(f"models/{name}.onnx"), images))


def test_trimmed_accumulators_are_as_wide_as_the_proof() -> None:
    """34 bits for the MLP instead of 48, without a clamp; what is not proved keeps its own."""
    sizes = assemble(bundled("mlp-784-100-10"), 4, trim=True).sizes
    assert (sizes.acc, sizes.clamp) == (34, 0)
    sizes = assemble(bundled("mlp-784-100-10"), 4).sizes
    assert (sizes.acc, sizes.clamp) == (48, 1)
    unproved = network(dense(Accumulator(10), weight=127), shape=(2,))
    sizes = assemble(unproved, 4, trim=True).sizes
    assert (sizes.acc, sizes.clamp) == (10, 1)


@pytest.mark.parametrize(
    ("name", "macs", "count"),
    [
        ("mlp-784-100-10", 1, 80265),
        ("mlp-784-100-10", 4, 20769),
        ("mlp-784-100-10", 16, 6465),
        ("lenet5-relu", 1, 423707),
        ("lenet5-relu", 4, 121170),
        ("lenet5-relu", 16, 45830),
    ],
)
def test_cycles_of_the_bundled_networks(name: str, macs: int, count: int) -> None:
    """So many an image, from its first word to the last that comes out."""
    assert cycles.image_cycles(bundled(name), macs) == count


def test_cycles_follow_from_the_design() -> None:
    """Positions * groups * max(K, channels at once), and what the last words need to be written."""
    lowering = bundled("lenet5-relu")
    found = list(cycles.step_cycles(lowering, 16).values())
    sums = [784 * 25 + 3 + 6, 100 * 150 + 3 + 16]
    assert (found[0], found[2]) == tuple(sums)
    assert (found[1], found[3]) == (6 * 196 * 4 + 3, 16 * 25 * 4 + 3)
