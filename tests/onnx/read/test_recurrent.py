"""Recurrent operators, unrolled, against ONNX Runtime."""

import itertools
from typing import Any

import numpy as np
import onnx
import pytest

import fxpnn
from fxpnn.errors import FormatError
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.fixed import FixedNode
from fxpnn.network.graph import Network
from fxpnn.network.layers import Array
from fxpnn.onnx import from_model
from fxpnn.reference import forward
from tests.support.onnx_models import (
    assert_floats_agree,
    floats,
    model,
    op,
    refuse,
    runtime,
)
from tests.support.recurrent_models import FEATURES, HIDDEN, STEPS, parameters, recurrent

IMAGES = 2
DIRECTIONS = ("forward", "reverse", "bidirectional")
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "rnn": ("RNN", {}),
    "relu": ("RNN", {"activations": ["Relu"]}),
    "leaky": ("RNN", {"activations": ["LeakyRelu"], "activation_alpha": [0.25]}),
    "lstm": ("LSTM", {}),
    "hard lstm": (
        "LSTM",
        {
            "activations": ["HardSigmoid", "Softsign", "Tanh"],
            "activation_alpha": [0.25],
            "activation_beta": [0.625],
        },
    ),
    "gru": ("GRU", {}),
    "late gru": ("GRU", {"linear_before_reset": 1}),
}


def agree(proto: onnx.ModelProto) -> Network:
    """Assert that a network computes what ONNX Runtime does."""
    network, x = from_model(proto), floats(STEPS, IMAGES, FEATURES)
    found = forward(network, x.swapaxes(0, 1))
    for name, wanted in zip(network.outputs, runtime(proto, x), strict=True):
        assert_floats_agree(found[name], wanted)
    return network


@pytest.mark.parametrize("states", [False, True], ids=["zero", "given"])
@pytest.mark.parametrize("bias", [False, True], ids=["plain", "bias"])
@pytest.mark.parametrize("direction", DIRECTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_operator(kind: str, direction: str, bias: bool, states: bool) -> None:
    """All outputs are those of ONNX Runtime, whatever the direction and the first state."""
    name, attributes = KINDS[kind]
    if direction == "bidirectional":
        attributes = {
            key: values * 2 if isinstance(values, list) else values
            for key, values in attributes.items()
        }
    agree(recurrent(name, direction=direction, bias=bias, states=states, **attributes))


@pytest.mark.parametrize("outputs", ["y", "y_last", "y_cell"])
def test_outputs_that_nothing_reads_are_left_out(outputs: str) -> None:
    """Each output alone is what it is among others, and what only others need is no layer."""
    network = agree(recurrent("LSTM", outputs=outputs))
    last = f"loop.{STEPS - 1}.h"
    assert (last in network.shapes) == (outputs != "y_cell")


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_lengths_that_are_the_whole_sequence(kind: str) -> None:
    """Lengths that leave nothing out change nothing; those of other steps are refused."""
    found = agree(recurrent(kind, lengths=[STEPS] * IMAGES))
    plain = agree(recurrent(kind))
    assert [node.op for node in found.nodes] == [node.op for node in plain.nodes]
    refuse(
        recurrent(kind, lengths=[STEPS, STEPS - 1]),
        f"{kind} (node loop, opset 17): sequence_lens must be the whole 4 for all images",
    )


def batch_first(kind: str, layout: bool, **attributes: Any) -> onnx.ModelProto:
    """Make a model of images first, by the operator's own layout or between transpositions."""
    weights = parameters(kind)
    if layout:
        return model(
            op(kind, "x w r b", "every last", hidden_size=HIDDEN, layout=1, **attributes),
            shape=("N", STEPS, FEATURES),
            weights=weights,
            outputs="every last",
        )
    return model(
        op("Transpose", "x", "turned", perm=[1, 0, 2]),
        op(kind, "turned w r b", "sequence final", hidden_size=HIDDEN, **attributes),
        op("Transpose", "sequence", "every", perm=[2, 0, 1, 3]),
        op("Transpose", "final", "last", perm=[1, 0, 2]),
        shape=("N", STEPS, FEATURES),
        weights=weights,
        outputs="every last",
    )


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_layouts_are_alike(kind: str) -> None:
    """Images first or steps first: the same values, which ONNX Runtime computes of the latter."""
    one, other = (from_model(batch_first(kind, layout)) for layout in (True, False))
    x = floats(3, STEPS, FEATURES)
    wanted = runtime(batch_first(kind, False), x)
    found = [[*forward(each, x).values()] for each in (one, other)]
    for values, others, y in zip(*found, wanted, strict=True):
        assert values.tolist() == others.tolist()
        assert_floats_agree(values, y)


def test_a_state_that_is_an_input() -> None:
    """A state may come from the network's input, as whole sequences do in parts."""
    weights = parameters("GRU")
    proto = model(
        op("Slice", "x zero steps one", "begin"),
        op("Slice", "x steps more one", "state"),
        op("Transpose", "begin", "turned", perm=[1, 0, 2]),
        op("Transpose", "state", "before", perm=[1, 0, 2]),
        op("GRU", "turned w r b - before", "sequence final", hidden_size=HIDDEN),
        op("Transpose", "final", "last", perm=[1, 0, 2]),
        shape=("N", STEPS + 1, HIDDEN),
        weights={
            **weights,
            "w": floats(1, 3 * HIDDEN, HIDDEN),
            **{name: np.array([at]) for name, at in (("zero", 0), ("one", 1), ("steps", STEPS))},
            "more": np.array([STEPS + 1]),
        },
        outputs="last",
    )
    network, x = from_model(proto), floats(3, STEPS + 1, HIDDEN)
    (found,), (wanted,) = forward(network, x).values(), runtime(proto, x)
    assert_floats_agree(found, wanted)


def quantized(proto: onnx.ModelProto, **settings: Any) -> tuple[Network, fxpnn.FixedNetwork, Array]:
    """Quantize by some sequences."""
    network = from_model(proto)
    x = np.random.default_rng(3).normal(size=(50, STEPS, FEATURES)).astype(np.float32)
    return network, fxpnn.quantize(network, x, fxpnn.Plan(**settings)), x


@pytest.mark.parametrize("kind", KINDS)
def test_steps_share_formats_and_weights(kind: str) -> None:
    """Each layer of the loop has one format, weight and bias in all steps, in memory once."""
    name, attributes = KINDS[kind]
    network, fixed, _ = quantized(recurrent(name, direction="forward", **attributes))
    loops: dict[str, list[FixedNode]] = {}
    for node in fixed.nodes:
        assert node.unrolled == network[node.name].unrolled
        if node.unrolled:
            loops.setdefault(node.unrolled, []).append(node)
    assert loops
    for loop, nodes in loops.items():
        assert len({node.output_format for node in nodes}) == 1, loop
        for one, other in itertools.pairwise(nodes):
            if one.layer.traits.weighted:
                assert one.layer is other.layer
                assert one.weight_formats == other.weight_formats


def test_one_setting_holds_for_all_steps() -> None:
    """A plan may name a layer of the loop; a step that it names too has its own."""
    given = fxpnn.Settings(output=QFormat.parse("Q5.6"))
    own = fxpnn.Settings(output=QFormat.parse("Q4.9"))
    _, fixed, _ = quantized(recurrent("LSTM"), layers={"loop.c": given, "loop.2.c": own})
    found = [str(fixed.formats[f"loop.{step}.c"]) for step in range(STEPS)]
    assert found == ["Q5.6", "Q5.6", "Q4.9", "Q5.6"]


def test_names_of_a_loop_stand_for_its_steps() -> None:
    """What a plan may name is told by the names of loops, not by those of all steps."""
    with pytest.raises(FormatError, match=r"it has input, .*loop\.state") as told:
        quantized(recurrent("RNN"), layers={"loop.d": fxpnn.Settings(output=QFormat.parse("Q5.6"))})
    assert "loop.1.state" not in str(told.value)


REFUSALS = {
    "peepholes": (
        recurrent("LSTM"),
        {"inputs": {7: "b"}},
        "peepholes (input P) must not be used",
    ),
    "clip": (recurrent("LSTM", clip=2.0), {}, "clip must not be used, nor be 2.0"),
    "forget": (recurrent("LSTM", input_forget=1), {}, "input_forget must not be used, nor be 1"),
    "activation": (
        recurrent("RNN", activations=["ThresholdedRelu"]),
        {},
        "activations must be 1 of relu, tanh, sigmoid, softsign, softplus, leakyrelu, "
        "hardsigmoid, not thresholdedrelu",
    ),
    "gate": (
        recurrent("GRU", activations=["Relu", "Tanh"]),
        {},
        "the activation of its gates must be Sigmoid or HardSigmoid, 0 to 1",
    ),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_refused(what: str) -> None:
    """What a cell has that fxpnn has not is refused by its name."""
    proto, changes, message = REFUSALS[what]
    node = proto.graph.node[0]
    for place, name in changes.get("inputs", {}).items():
        node.input.extend([""] * (place + 1 - len(node.input)))
        node.input[place] = name
    refuse(proto, f"{node.op_type} (node loop, opset 17): {message}")
