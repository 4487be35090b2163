"""Several inputs in hardware: one row of words, parted before the first layer."""

import re
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

import fxpnn
from fxpnn.errors import ModelError
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network import layers
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.inputs import FixedInput, entrance
from fxpnn.onnx import from_model
from fxpnn.targets import manifest, vectors
from fxpnn.targets.lowering import lower
from fxpnn.targets.simulation.cosim import Core, cosimulate
from tests.support import c_programs
from tests.support.strategies.inputs import of_several_inputs
from tests.support.tools import needs
from tests.support.two_inputs import arrays, two_inputs

A, B = QFormat(16, 12), QFormat(8, 3)


def joined() -> FixedNetwork:
    """Build a network whose first layer would be done with its input, were this a layer's."""
    inputs = FixedInput("a", (2,), A), FixedInput("b", (1, 2), B)
    nodes = (
        FixedNode("relu", layers.Relu(), ("a",), A),
        FixedNode("flat", layers.Flatten(), ("b",), B),
        FixedNode("sum", layers.Add(), ("relu", "flat"), QFormat(16, 10)),
    )
    return FixedNetwork(name="joined", **entrance(inputs), nodes=nodes)


@needs("gcc")
@pytest.mark.parametrize("part", range(2))
def test_c_of_random_networks(part: int, tmp_path: Path) -> None:
    """Every word and count is that of Python's integers."""
    drawn = c_programs.drawn(of_several_inputs(), 10, part)
    cases = [c_programs.case(f"n{place}", network) for place, network in enumerate(drawn)]
    c_programs.run_all(cases, tmp_path)


@pytest.mark.slow
@needs("iverilog", "vvp")
@pytest.mark.parametrize("stall", [0, 1])
def test_verilog_of_a_classifier(stall: int, tmp_path: Path) -> None:
    """The core takes the row of both inputs, and every word, count and cycle is as said."""
    fixed = fxpnn.quantize(from_model(two_inputs()), arrays(200))
    core = Core(4, stall=stall)
    done = cosimulate(fixed, arrays(2, seed=6), "iverilog", tmp_path / "d", core=core)
    assert done.verdict() is None
    assert done.words == 2 * sum(step.size for step in done.lowering.steps)


def test_a_row_is_parted_by_the_first_steps() -> None:
    """Each input's step reads its words of the row in its own format; a ReLU is done with one."""
    lowering = lower(joined())
    assert [step.name for step in lowering.steps] == ["b", "relu", "sum"]
    assert lowering.sizes == {"input": 4, "b": 2, "relu": 2, "sum": 2}
    assert [str(fmt) for fmt in lowering.formats.values()] == ["Q15.0", "Q4.3", "Q3.12", "Q5.10"]
    images = vectors.default_images(joined(), 10)
    assert images.shape == (10, 4)
    assert images[:, 2:].min() == B.min
    kept = vectors.vectors(lowering, images)
    assert kept.words["input"].tolist() == images.tolist()
    assert kept.words["relu"].tolist() == np.maximum(images[:, :2], 0).tolist()


@pytest.mark.parametrize("target", ["c", "hex", "verilog"])
def test_exported_folders_say_the_row(target: str, tmp_path: Path) -> None:
    """The manifest has the row and each input; images by name give the golden words."""
    x = {"a": np.array([[1.0, -2.0]]), "b": np.array([[[3.0, -1.0]]])}
    assert fxpnn.export(joined(), tmp_path / "d", target, x) == ()
    made = msgspec.json.decode(
        (tmp_path / "d" / "manifest.json").read_bytes(), type=manifest.Manifest
    )
    assert [layer.label for layer in made.layers][:3] == ["input", "input_0_a", "input_1_b"]
    assert (made.tensors[0].name, made.tensors[0].shape) == ("input", (4,))
    if target == "c":
        said = "input is a: 2 of Q3.12 and behind it b: 1 x 2 of Q4.3"
        assert said in (tmp_path / "d" / "joined.h").read_text(encoding="utf-8")
    else:
        words = (tmp_path / "d" / "input.hex").read_text(encoding="utf-8").split("\n")[1:5]
        assert words == ["1000", "e000", "0018", "fff8"]


def test_an_input_called_as_the_row_is_refused() -> None:
    """Hardware has one tensor of that name."""
    fixed = joined()
    nodes = (replace(fixed.nodes[0], inputs=("input",)), *fixed.nodes[1:])
    named = replace(fixed, input_name="input", nodes=nodes)
    told = "no input of several must be called 'input', as hardware calls the row of all"
    with pytest.raises(ModelError, match=f"^{re.escape(told)}$"):
        lower(named)
