"""What C exports are made of: text that no name breaks, the helpers that are called, all words."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxpnn import golden
from fxpnn.errors import FormatError, ModelError, ToolError
from fxpnn.fixedpoint.qformat import Accumulator, QFormat
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Conv2D, Dense, Flatten, Layer, PRelu, Relu, Window
from fxpnn.targets.c import check, export, helpers, program, text
from fxpnn.targets.lowering import lower
from fxpnn.targets.simulation import words
from fxpnn.targets.vectors import Vectors
from tests.support import c_programs
from tests.support.strategies import NetworkCase
from tests.support.tools import needs

Q12 = QFormat(16, 12)


def network(layer: Layer, shape: tuple[int, ...] = (4,), word: int = 48) -> NetworkCase:
    """Build a network of one layer that sums, and an image of ones."""
    node = FixedNode("sum", layer, (INPUT,), Q12, (Q12,), Accumulator(word))
    return NetworkCase(FixedNetwork("one", shape, Q12, (node,)), np.ones((1, *shape), np.int64))


def dense(weight: int, terms: int = 4, outputs: int = 2, word: int = 48) -> str:
    """Write the C of a dense layer whose weights are all the same."""
    layer = Dense(np.full((outputs, terms), weight, np.int16), np.zeros(outputs, np.int64))
    case = c_programs.case("net", network(layer, (terms,), word))
    return c_programs.files(case)["net.c"].decode()


@given(name=st.text(max_size=60))
def test_a_comment_is_one_line_and_ends_once(name: str) -> None:
    """Whatever a layer is called: plain letters, no end of a comment inside, no trigraph."""
    made = text.comment(name)
    assert made.isascii()
    assert made.isprintable()
    assert made.startswith("/* ")
    assert not re.search(r"\*/|/\*|\?\?", made[2:-2])
    assert text.without_comments(f"a{made}b") == "a b"


@given(name=st.text(max_size=40))
def test_a_string_is_the_name_in_utf_8(name: str) -> None:
    """Octal escapes stand for every byte that is not plain."""
    name = name.encode("utf-8", "ignore").decode()
    made = text.literal(name)[1:-1]
    found = re.sub(r"\\([0-7]{3})", lambda it: chr(int(it[1], 8)), made)
    assert found.encode("latin-1") == name.encode()
    assert not re.search(r'["\n%]', made)


@given(shape=st.lists(st.integers(1, 4), min_size=1, max_size=4), data=st.data())
def test_loops_reach_every_place(shape: list[int], data: st.DataObject) -> None:
    """Run as Python, merged or not, they give the places that NumPy gives, in order."""
    order = data.draw(st.permutations(range(len(shape))))
    reads = [text.strides(tuple(shape))[axis] for axis in order]
    sizes = [shape[axis] for axis in order]
    lines = text.nest(tuple(sizes), [reads], lambda k: [f"found.append({k})"])
    code = "\n".join(lines)
    code = re.sub(
        r"for \(size_t (\w+) = 0; \w+ < (\d+); \w+\+\+\) {", r"for \1 in range(\2):", code
    )
    found: list[int] = []
    exec(code.replace("}", ""), {"found": found})
    wanted = np.arange(np.prod(shape)).reshape(shape).transpose(order)
    assert found == wanted.reshape(-1).tolist()


def test_sums_are_as_short_as_the_proof_allows() -> None:
    """In 32 bits where the total fits; in parts that do; in 64; clamped after each add."""
    assert "int32_t a0 = bias[0], a1 = bias[1];" in dense(100)
    long = dense(30_000, 32)
    assert "int64_t a0 = bias[0], a1 = bias[1];" in long
    assert "int32_t p0" not in long  # two products of full scale may not fit
    parts = dense(3_000, 64)
    assert "int32_t p0 = 0, p1 = 0;" in parts
    assert "part += 16" in parts
    clamped = dense(100, word=20)
    assert "a0 = layer_0_sum_add(a0, v * w[k]);" in clamped
    assert "sum < -524288 ? -524288 : sum > 524287 ? 524287 : sum" in clamped


@pytest.mark.parametrize(("outputs", "rows"), [(8, 4), (6, 3), (10, 2), (7, 1)])
def test_outputs_are_summed_together(outputs: int, rows: int) -> None:
    """A word is read once for as many outputs as divide their number, four at most."""
    written = dense(100, outputs=outputs)
    assert f"o += {rows}" in written or ("; o++" in written and rows == 1)
    assert written.count("a0 += v * w[k];") == 1
    assert (f"a{rows - 1} +=" in written, f"a{rows} +=" in written) == (True, False)


def test_helpers_are_written_only_where_they_are_called() -> None:
    """Names in comments, those of layers for instance, call none."""
    assert helpers.used("/* wrapped(v, 3) */ copied(x);") == []
    (only,) = helpers.used("y = wrapped(v, 3);")
    assert only == helpers.WRAPPED
    written = dense(100)
    assert all(
        f" {name}(" not in written
        for name in ("scaled_up", "wrapped", "first_tap", "reciprocal", "nearest_even_64")
    )


def test_windows_inside_their_map_are_not_clipped() -> None:
    """Only padding asks for what lies on the map."""
    weight, bias = np.ones((1, 1, 3, 3), np.int16), np.zeros(1, np.int64)
    for padding, clipped in ((0, False), (1, True)):
        layer = Conv2D(weight, bias, Window((3, 3), padding=(padding,) * 4))
        case = c_programs.case("net", network(layer, (1, 5, 5)))
        assert ("first_tap" in c_programs.files(case)["net.c"].decode()) is clipped


def test_equal_networks_give_equal_bytes() -> None:
    """Each of the four files, and no other."""
    layer = Dense(np.ones((2, 4), np.int16), np.zeros(2, np.int64))
    made = [c_programs.files(c_programs.case("net", network(layer))) for _ in range(2)]
    assert made[0] == made[1]
    assert list(made[0]) == ["net.h", "net.c", "net_weights.c", "net_test.c"]
    assert all(re.search(rb"[^\n]\n\Z", content) for content in made[0].values())


def square(name: str, source: str, weight: int, frac: int = 12) -> FixedNode:
    """Make a dense layer of two features, which has arrays of its own."""
    layer = Dense(np.full((2, 2), weight, np.int16), np.zeros(2, np.int64))
    return FixedNode(name, layer, (source,), Q12, (QFormat(16, frac),), Accumulator())


@needs("gcc")
def test_constants_that_hold_the_same_are_one_array(tmp_path: Path) -> None:
    """Whatever layers are called and wherever their arrays lie; another value makes another."""
    nodes = (
        square("a", INPUT, 300),
        square("b", "a", 300),
        square("c", "b", 301),
        square("d", "c", 300, frac=9),
    )
    fixed = FixedNetwork("four", (2,), Q12, nodes)
    raw = np.array([[4096, -4095], [32767, -32768], [1, 0]], np.int16)
    case = c_programs.case("net", NetworkCase(fixed, raw))
    written = c_programs.files(case)["net_weights.c"]
    declared = re.findall(rb"const int\d+_t net_layer_\w+\[", written)
    assert declared == [
        b"const int16_t net_layer_0_a_weight[",
        b"const int32_t net_layer_0_a_bias[",
        b"const int16_t net_layer_2_c_weight[",
    ]
    c_programs.run_all([case], tmp_path)


@needs("gcc")
def test_what_is_shared_has_each_layer_s_own_meaning(tmp_path: Path) -> None:
    """Bits that products drop are also those that the cast of a product with a slope drops."""
    fracs = QFormat(16, 12), QFormat(16, 10)
    slopes = PRelu(np.array([300, -200], np.int16))
    weights = Dense(np.array([[300, 1], [-200, 7]], np.int16), np.zeros(2, np.int64))
    register = Accumulator.parse("ap_fixed<24,12>")
    nodes = (
        FixedNode("a", weights, (INPUT,), Q12, fracs, register),
        FixedNode("b", slopes, ("a",), Q12, fracs),
    )
    raw = np.array([[4096, -4095], [32767, -32768], [1, 0]], np.int16)
    case = c_programs.case("net", NetworkCase(FixedNetwork("two", (2,), Q12, nodes), raw))
    written = c_programs.files(case)
    assert b"const int8_t *shift = net_layer_0_a_drop;" in written["net.c"]
    assert written["net_weights.c"].count(b"const int8_t") == 1
    c_programs.run_all([case], tmp_path)


def test_a_name_that_c_keeps_is_refused() -> None:
    """It would begin the names of functions, and be that of files."""
    case = c_programs.case("net", network(Dense(np.ones((2, 4), np.int16), np.zeros(2, np.int64))))
    with pytest.raises(
        FormatError, match=r"^name must be no keyword of C, C\+\+ or Verilog, not 'int'$"
    ):
        export.write(case.lowering, "int", case.vectors)


def test_a_layer_of_ones_own_is_refused() -> None:
    """There is no C for a kind that a user added."""
    case = c_programs.case("net", network(Dense(np.ones((2, 4), np.int16), np.zeros(2, np.int64))))
    (place,) = program.Program(case.lowering, "net").places
    message = r"^layer sum \(Dense\): must be of a kind that C is written for$"
    with pytest.raises(ModelError, match=message):
        program.written.dispatch(object)(place.step.node.layer, place)


def test_a_program_that_ended_early_is_no_run(tmp_path: Path) -> None:
    """Words of all layers, outputs and counts must be there, and no more."""
    case = c_programs.case("net", network(Dense(np.ones((2, 4), np.int16), np.zeros(2, np.int64))))
    path = tmp_path / words.WORDS
    whole = np.zeros(2 + 2 + 12, "<i2").tobytes()
    for content in (whole[:-2], whole + b"\0\0"):
        path.write_bytes(content)
        message = rf"^{path} must hold 16 words, not {len(content) // 2}; the program did not end$"
        with pytest.raises(ToolError, match=message):
            words.read_words(case.lowering, 1, tmp_path)
    path.write_bytes(whole)
    assert words.read_words(case.lowering, 1, tmp_path).words == 2


def test_checksums_tell_words_and_their_order() -> None:
    """That of nothing is FNV's basis; a word goes in whole."""
    rows = np.array([[1, -2], [-2, 1]], np.int16)
    one = ((2166136261 ^ 1) * 16777619) % 2**32
    assert check.checksum(rows)[0] == ((one ^ 0xFFFE) * 16777619) % 2**32
    assert check.checksum(rows)[0] != check.checksum(rows)[1]
    assert check.checksum(rows[:, :0]).tolist() == [2166136261] * 2


def test_an_output_that_is_the_input_is_copied() -> None:
    """So is one of two outputs that are one tensor; layers write to the first."""
    layer = Dense(np.ones((2, 4), np.int16), np.zeros(2, np.int64))
    nodes = (
        FixedNode("sum", layer, (INPUT,), Q12, (Q12,), Accumulator()),
        FixedNode("kept", Flatten(), ("sum",), Q12),
        FixedNode("same", Flatten(), (INPUT,), Q12),
        FixedNode("relu", Relu(), ("sum",), Q12),
    )
    fixed = FixedNetwork("many", (4,), Q12, nodes, ("sum", "kept", "same", "relu"))
    run = golden.run(fixed, np.ones((1, 4), np.int64))
    lowering = lower(fixed)
    found = {INPUT: np.ones((1, 4), np.int16)}
    found |= {step.name: run.raw[step.name].astype(np.int16) for step in lowering.steps}
    counts = {step.name: run.counts[step.node.name] for step in lowering.steps}
    written = export.write(lowering, "net", Vectors(found, counts))["net.c"].decode()
    assert "layer_0_sum(input, output_0);" in written
    assert "copy(output_0, output_1, 2);" in written
    assert "copy(input, output_2, 4);" in written
    assert "layer_3_relu(output_0, output_3);" in written
