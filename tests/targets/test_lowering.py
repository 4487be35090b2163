"""Every target reads the same steps and tensors of a network."""

import numpy as np
import pytest
from hypothesis import given

import fxpnn
from fxpnn import golden
from fxpnn.fixedpoint.qformat import Accumulator, QFormat
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Array, Clip, Concat, Dense, Flatten, Relu
from fxpnn.targets.lowering import Lowering, Step, lower
from tests.support.strategies.networks import NetworkCase, fixed_networks


def bundled(name: str) -> FixedNetwork:
    """Quantize a bundled network by its defaults."""
    return fxpnn.quantize(
        fxpnn.load_onnx(f"models/{name}.onnx"), fxpnn.load_data("mnist:calibration").x
    )


def computed(step: Step, inputs: list[Array]) -> Array:
    """Run a step's layer in Python integers, and keep its limits."""
    formats = tuple(source.format for source in step.sources)
    unit = golden.Unit(step.node, formats, step.rectified)
    y = golden.compute(step.node.layer, unit, *inputs)
    return np.minimum(np.maximum(y, step.low), step.high)


def run_in_one_memory(lowering: Lowering, image: Array) -> dict[str, Array]:
    """Run the steps on one memory of words; give what each wrote, and the outputs left in it."""
    memory = lowering.memory()
    words = np.full(memory.words, 1 << 20, object)  # no format has such a word

    def place(name: str) -> slice:
        return slice(memory.offsets[name], memory.offsets[name] + lowering.sizes[name])

    words[place(INPUT)] = image.astype(object).reshape(-1)
    written = {}
    for step in lowering.steps:
        inputs = [words[place(s.tensor)].reshape(s.shape) for s in step.sources]
        written[step.name] = computed(step, inputs)
        words[place(step.name)] = written[step.name].reshape(-1)
    return written | {f"left {name}": words[place(name)] for name in lowering.outputs}


@given(case=fixed_networks())
def test_steps_in_one_memory_give_the_golden_words(case: NetworkCase) -> None:
    """Every tensor that is stored equals the layer's words; outputs are still there at the end."""
    fixed, lowering = case.fixed, lower(case.fixed)
    for image in case.raw:
        want = golden.run(fixed, image[np.newaxis]).raw | {INPUT: image[np.newaxis]}
        found = run_in_one_memory(lowering, image)
        for layer, tensor in lowering.stored.items():
            if tensor != INPUT:
                assert found[tensor].reshape(-1).tolist() == want[layer].reshape(-1).tolist()
        for name, tensor in zip(fixed.outputs, lowering.outputs, strict=True):
            assert found[f"left {tensor}"].tolist() == want[name].reshape(-1).tolist()


@given(case=fixed_networks())
def test_layers_that_are_kept_are_stored(case: NetworkCase) -> None:
    """Nothing is joined where all words are asked for; only relabels share a tensor."""
    names = [node.name for node in case.fixed.nodes]
    lowering = lower(case.fixed, names)
    assert lowering.stored.keys() == {INPUT, *names}
    assert not any(step.joined for step in lowering.steps)


@pytest.mark.parametrize(
    ("name", "whole", "inside"),
    [("mlp-784-100-10", 884, 110), ("lenet5-relu", 5880, 5880), ("lenet5", 5880, 5880)],
)
def test_memory_of_the_bundled_networks(name: str, whole: int, inside: int) -> None:
    """So many words with the input and outputs in it, and without; each ReLU is a limit."""
    lowering = lower(bundled(name))
    assert lowering.memory().words == whole
    assert lowering.memory({INPUT, *lowering.outputs}).words == inside
    assert not any(isinstance(step.node.layer, Relu | Flatten) for step in lowering.steps)


Q12 = QFormat(16, 12)


def branching(outputs: tuple[str, ...]) -> FixedNetwork:
    """Build a sum, two clips and a ReLU behind each other, and a join with the last."""
    dense = Dense(np.full((2, 2), 3, np.int16), np.zeros(2, np.int64))
    nodes = (
        FixedNode("sum", dense, (INPUT,), Q12, (Q12,), Accumulator()),
        FixedNode("narrow", Clip(-100, 900), ("sum",), Q12),
        FixedNode("flat", Flatten(), ("narrow",), Q12),
        FixedNode("relu", Relu(), ("flat",), Q12),
        FixedNode("joined", Concat(), ("relu", INPUT), Q12),
        FixedNode("last", Clip(5, 7), ("joined",), Q12),
    )
    return FixedNetwork("branching", (2,), Q12, nodes, outputs)


def test_limits_join_the_step_before_them() -> None:
    """A clip and a ReLU, through what relabels, are two limits; another's own are not touched."""
    lowering = lower(branching(("last",)))
    assert [(step.name, step.low, step.high) for step in lowering.steps] == [
        ("relu", 0, 900),
        ("last", 5, 7),
    ]
    assert lowering.stored == {INPUT: INPUT, "relu": "relu", "last": "last"}


@pytest.mark.parametrize("asked", ["sum", "flat"])
def test_what_is_asked_for_is_stored(asked: str) -> None:
    """By an output as by who keeps a layer: limits behind it are steps of their own."""
    for lowering in (lower(branching(("last",)), [asked]), lower(branching((asked, "last")))):
        stored = "sum" if asked == "sum" else "narrow"
        assert [step.name for step in lowering.steps] == [stored, "relu", "last"]
        assert (lowering.stored[asked], lowering.steps[1].low) == (stored, 0)
