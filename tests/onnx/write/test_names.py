"""Names of layers, inputs and networks: what a network may have, an ONNX file gives back."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import fxpnn
from fxpnn import FixedNetwork, Network, chain
from fxpnn.errors import ModelError
from fxpnn.network.graph import Node
from fxpnn.network.inputs import INPUT, Input
from fxpnn.network.layers import Add, Dense, Relu, Silu
from fxpnn.onnx import from_model, to_model
from tests.support.onnx_models import model, op

ODD = (" ", "\t", "\n", "\xa0", " a ", "a  b", "a\nb", "\x1b[2J", "\u202e", "a\0b", "x" * 999)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=9) | st.sampled_from(
    (*ODD, "b.out", "b.weight", "b.sigmoid", "network", "constant")
)


def names(network: Network | FixedNetwork) -> list[str]:
    """Name the network, its inputs and its layers."""
    return [network.name, *(it.name for it in network.inputs), *(it.name for it in network.nodes)]


def dense() -> Dense:
    """Make a layer with parameters."""
    return Dense(np.eye(4), np.ones(4))


@given(
    called=st.lists(NAMES.filter(lambda name: name != INPUT), min_size=4, max_size=4, unique=True)
)
@example(called=["a", "a_2", "a_3", "a.out"])
@example(called=[*ODD[:4]])
def test_names_come_back(called: list[str]) -> None:
    """So they do where operators and tensors of the file have names that are made of them."""
    name, first, second, third = called
    net = chain(name, (4,), {first: dense(), second: Silu(), third: dense()})
    assert names(from_model(to_model(net))) == names(net)


@given(called=st.lists(NAMES, min_size=4, max_size=4, unique=True))
@example(called=["a", "b", "input", "c"])
def test_names_of_several_inputs_come_back(called: list[str]) -> None:
    """A layer may be called ``input`` where no input is."""
    a, b, first, second = called
    nodes = (Node(first, Add(), (a, b)), Node(second, dense(), (first,)))
    net = Network("net", (4,), nodes, input_name=a, further=(Input(b, (4,)),))
    assert names(from_model(to_model(net))) == names(net)


@pytest.mark.parametrize("odd", ODD)
def test_fixed_networks_keep_them(odd: str, tmp_path: Path) -> None:
    """Their files do, QONNX and ``.fxp``."""
    net = chain("net", (4,), {odd: dense(), "relu": Relu()})
    fixed = fxpnn.quantize(net, np.eye(4))
    fxpnn.export(fixed, tmp_path / "m.onnx", "qonnx")
    fixed.save(tmp_path / "m.fxp")
    assert names(fxpnn.load_onnx(tmp_path / "m.onnx")) == names(net)
    assert names(fxpnn.load(tmp_path / "m.fxp")) == names(net)


@pytest.mark.parametrize("where", ["name", "layer"])
def test_half_a_character_is_refused(where: str) -> None:
    """No file can hold it, so no network is made."""
    odd = "a\ud800"
    message = re.escape(f"names must be text that UTF-8 can spell, not {odd!r}")
    with pytest.raises(ModelError, match=rf"^{message}$"):
        chain(odd if where == "name" else "net", (4,), {odd if where == "layer" else "h": dense()})


def test_nodes_of_white_space_in_a_file() -> None:
    """Of two nodes of one name the second gets a number; one without a name has its output's."""
    read = from_model(
        model(op("Relu", "x", "a", " "), op("Sigmoid", "a", "b", " "), op("Tanh", "b", "y"))
    )
    assert [node.name for node in read.nodes] == [" ", " _2", "y"]
