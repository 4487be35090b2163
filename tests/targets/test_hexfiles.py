"""Hex files hold every word of a network and of its golden vectors, each at its width."""

from pathlib import Path

import numpy as np
from hypothesis import given

import fxpnn
from fxpnn import golden
from fxpnn.fixedpoint.qformat import Accumulator
from fxpnn.network.fixed import FixedNetwork, FixedNode, raw_bias
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Dense, LeakyRelu, Relu, Sigmoid
from fxpnn.targets import hexfiles, readmemh
from fxpnn.targets.dump import manifest_of
from fxpnn.targets.lowering import lower
from fxpnn.targets.vectors import default_images, vectors
from tests.support.strategies import NetworkCase, fixed_networks


def named(*names: str) -> FixedNetwork:
    """Quantize a chain whose layers have these names: dense, leaky ReLU, sigmoid, ReLU, dense."""
    rng = np.random.default_rng(6)
    kinds = (
        *(Dense(rng.normal(size=(3, 4)), rng.normal(size=3)), LeakyRelu(0.25), Sigmoid(), Relu()),
        Dense(rng.normal(size=(2, 3)), np.zeros(2)),
    )
    network = fxpnn.chain("named", (4,), dict(zip(names, kinds, strict=True)))
    settings = fxpnn.Settings(word=10, per_channel=True)
    return fxpnn.quantize(network, rng.normal(size=(9, 4)).astype(np.float32), settings)


def files_of(fixed: FixedNetwork) -> dict[str, bytes]:
    """Write a network and three images."""
    lowering = lower(fixed)
    return hexfiles.write(lowering, vectors(lowering, default_images(fixed, 3)))


PLAIN = "first", "leaky", "curve", "relu", "last"


@given(case=fixed_networks())
def test_golden_files_are_the_golden_words(case: NetworkCase) -> None:
    """Image behind image, by the names of a trace; parameters are the layer's own integers."""
    lowering, run = lower(case.fixed), golden.run(case.fixed, case.raw)
    files = hexfiles.write(lowering, vectors(lowering, case.raw.astype(np.int16)))
    stems = {it.name: it.hex for it in manifest_of(case.fixed).tensors}
    held = run.raw | {INPUT: case.raw}
    for name, fmt in lowering.formats.items():
        words = np.asarray(held[name])
        text = files.pop(stems[name]).decode()
        found = readmemh.parse(text, words.shape, fmt.word, fmt.signed)
        assert found.tolist() == words.tolist()
    for step in lowering.steps:
        for it in hexfiles.parameters(step):
            text = files.pop(stems[step.node.name].replace(".hex", f".{it.name}.hex")).decode()
            held_by = step.node if it.name == "table" else step.node.layer
            array = np.atleast_1d(getattr(held_by, it.name))
            assert readmemh.parse(text, array.shape, it.word, it.signed).tolist() == array.tolist()
    assert files == {}


def test_words_are_as_wide_as_they_must_be() -> None:
    """Weights as their format says; biases and tables as the widest of them needs, and no wider."""
    fixed = named(*PLAIN)
    first = fixed["first"]
    step = {step.node.name: step for step in lower(fixed).steps}
    weight, bias = hexfiles.parameters(step["first"])
    assert (weight.word, weight.fracs) == (10, tuple(fmt.frac for fmt in first.weight_formats))
    limit = 1 << (bias.word - 1)
    assert all(-limit <= word < limit for word in raw_bias(first.layer).tolist())
    assert any(not -limit // 2 <= word < limit // 2 for word in bias.words.tolist())
    assert bias.fracs == tuple(fixed.product_fracs(first).tolist())
    (slope,) = hexfiles.parameters(step["leaky"])
    assert (slope.name, slope.words.tolist(), slope.word) == ("slope", [1 << 14], 16)
    (table,) = hexfiles.parameters(step["curve"])  # of the sigmoid that it limits
    assert (table.name, table.word, table.fracs, table.words.max()) == ("table", 20, (18,), 1 << 18)
    assert [it.word for it in hexfiles.parameters(step["last"])] == [10, 1]


def test_weights_may_have_no_sign() -> None:
    """The header says so: the highest bit counts."""
    fmt = fxpnn.QFormat(4, 2, signed=False)
    layer = Dense(np.array([[15, 3]], np.int16), np.array([0]))
    node = FixedNode("d", layer, (INPUT,), fmt, (fmt,), Accumulator())
    text = files_of(FixedNetwork("one", (2,), fmt, (node,)))["layer_0_d.weight.hex"].decode()
    assert text == "// d.weight, Dense 1x2 of 4 bits without a sign, last axis fastest\nf\n3\n"


def test_every_file_has_a_header_and_a_last_newline() -> None:
    """The header says whose words they are, on one line of ASCII that is short for any name."""
    for names in (PLAIN, ("/a/B.0", "a\nb\x1b[2J", "reg", "\xe9" * 500, "x" * 500)):
        fixed = named(*names)
        for name, content in files_of(fixed).items():
            head, *words = content.split(b"\n")
            assert head.startswith(b"// ")
            assert len(head) <= 203
            assert head.isascii()
            assert words.pop() == b""
            assert all(words), name
            assert Path(name).name == name
    heads = {
        name: content.decode().partition("\n")[0]
        for name, content in files_of(named(*PLAIN)).items()
    }
    assert heads["input.hex"] == "// input, Input 4 of Q2.7, 3 images, last axis fastest"
    assert heads["layer_4_last.weight.hex"] == (
        "// last.weight, Dense 2x3 of 10 bits, last axis fastest"
    )


def test_layers_that_are_limits_have_no_file() -> None:
    """Their words are those of the step; the trace's names count all layers."""
    assert sorted(files_of(named(*PLAIN))) == [
        "input.hex",
        "layer_0_first.bias.hex",
        "layer_0_first.hex",
        "layer_0_first.weight.hex",
        "layer_1_leaky.hex",
        "layer_1_leaky.slope.hex",
        "layer_2_curve.table.hex",
        "layer_3_relu.hex",
        "layer_4_last.bias.hex",
        "layer_4_last.hex",
        "layer_4_last.weight.hex",
    ]
