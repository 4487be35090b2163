"""The file of formats that a fixed network has makes it anew; what it can say, per channel too."""

import re
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fxpnn.errors import FormatError
from fxpnn.fixedpoint.qformat import Overflow, QFormat, Rounding
from fxpnn.network.fixed import FixedNetwork, FixedNode, Losses, Provenance, raw_bias
from fxpnn.network.fxp import dumps
from fxpnn.network.graph import INPUT, Network, Node, chain
from fxpnn.network.layers import Array, Dense
from fxpnn.network.normalisation import Normalisation
from fxpnn.quantization.dequantizer import FLOAT_LIMIT, dequantize
from fxpnn.quantization.formats_file import formats_toml, load_plan
from fxpnn.quantization.quantizer import quantize
from fxpnn.quantization.settings import Method, Plan, Settings
from tests.support.parameters import weight
from tests.support.strategies import NetworkCase, fixed_networks
from tests.support.strategies.quantized import trained_like


def again(
    fixed: FixedNetwork, network: Network, x: Array | None = None, more: str = ""
) -> FixedNetwork:
    """Write the file of a network's formats, read it, and quantize by it."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "formats.toml"
        path.write_text(formats_toml(fixed, network) + more)
        return quantize(network, x, load_plan(path, Settings()))


def integers(fixed: FixedNetwork) -> bytes:
    """Spell a network, but for where it came from, what that lost, and modes without effect."""
    return dumps(replace(fixed, nodes=tuple(map(bare, fixed.nodes)), provenance=Provenance()))


def bare(node: FixedNode) -> FixedNode:
    """Leave out what the file need not give again."""
    node = replace(node, losses=Losses())
    if node.layer.traits.casts:
        return node
    return replace(node, rounding=Rounding.NEAREST_EVEN, overflow=Overflow.SATURATE)


@given(case=fixed_networks())
def test_any_network_is_made_anew(case: NetworkCase) -> None:
    """Of the floats that its integers mean, without calibration data, in every bit."""
    fixed = case.fixed
    assume(all(np.abs(raw_bias(node.layer)).max() <= FLOAT_LIMIT for node in fixed.nodes))
    assert integers(again(fixed, dequantize(fixed))) == integers(fixed)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**32),
    weight_word=st.integers(2, 16),
    output_word=st.integers(2, 16),
    per_channel=st.booleans(),
    method=st.sampled_from(Method),
)
def test_what_calibration_chose_is_made_anew(
    seed: int, weight_word: int, output_word: int, per_channel: bool, method: Method
) -> None:
    """Of the float network, without the data, whatever chose its formats."""
    rng = np.random.default_rng(seed)
    network = trained_like(rng)
    x = rng.integers(0, 256, (9, *network.input_shape), np.uint8)
    chosen = Settings(
        weight_word=weight_word, output_word=output_word, per_channel=per_channel, method=method
    )
    fixed = quantize(network, x, chosen)
    assert integers(again(fixed, network)) == integers(fixed)


def test_a_normalisation_in_front_of_pixels_stays_folded() -> None:
    """The input's format is that of the pixels again, by its word."""
    layer = Dense(np.array([[0.5, -1.5, 0.25]]), np.array([0.5]))
    begin = Normalisation((2.0,), (-0.5,))
    network = Network("n", (3,), (Node("d", layer, (INPUT,)),), normalisation=begin)
    x = np.arange(30, dtype=np.uint8).reshape(10, 3)
    fixed = quantize(network, x, Settings(output_word=6))
    assert fixed.normalisation is None
    assert integers(again(fixed, network, x)) == integers(fixed)


NAMES = ["a.b", 'quo"te', "back\\slash", "new\nline", "Größe 🙂", "\x7f\x01", "[layers]", "x = 1"]


def test_names_are_quoted() -> None:
    """Whatever a layer is called, the file is that of its formats, and ASCII."""
    layers = {name: Dense(np.array([[0.3 + i]]), np.array([0.1])) for i, name in enumerate(NAMES)}
    network = chain("n", (1,), layers)
    fixed = quantize(network, np.array([[0.25], [-0.75]]), Settings(7))
    assert formats_toml(fixed, network).isascii()
    assert integers(again(fixed, network)) == integers(fixed)


def written(tmp_path: Path, text: str) -> Plan:
    """Read a plan from a file of that text."""
    (tmp_path / "f.toml").write_text(text)
    return load_plan(tmp_path / "f.toml", Settings(weight_word=5))


def test_a_word_of_a_layer_is_that_of_both(tmp_path: Path) -> None:
    """It goes before what all layers have apart; a word apart goes before ``word``."""
    read = written(
        tmp_path,
        """
        [defaults]
        output_word = 9
        [layers.both]
        word = 12
        [layers.apart]
        word = 12
        weight_word = 4
        """,
    )
    found = {n: (read[n].weight_bits, read[n].output_bits) for n in ("any", "both", "apart")}
    assert found == {"any": (5, 9), "both": (12, 12), "apart": (4, 12)}


def test_a_format_for_each_channel(tmp_path: Path) -> None:
    """A list of texts, in the order of the channels."""
    read = written(tmp_path, '[layers.d]\nweight = ["Q0.3", "ap_fixed<4,2>"]\noutput = "UQ2.6"')
    assert read["d"].weight == (QFormat(4, 3), QFormat(4, 2))
    network = chain("n", (2,), {"d": Dense(np.array([[0.5, 0.25], [1.5, -1]]), np.zeros(2))})
    node = quantize(network, np.eye(2), read)["d"]
    assert node.weight_formats == read["d"].weight
    assert node.output_format == QFormat(8, 6, signed=False)
    assert weight(node).tolist() == [[4, 2], [6, -4]]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("weight_word = 1", "a tensor's word must be 2 to 16 bits, not 1"),
        ("output_word = 17", "a tensor's word must be 2 to 16 bits, not 17"),
        ("weight = []", "weight must be a format or some, not none"),
        (
            'weight = ["Q0.3", "Q0.4"]',
            "weight formats must differ in their fraction only, not be Q0.3, Q0.4",
        ),
        (
            'weight = ["Q0.3", "UQ0.4"]',
            "weight formats must differ in their fraction only, not be Q0.3, UQ0.4",
        ),
        ("weight = [3]", "Expected `str`, got `int` - at `$.weight[0]`"),
    ],
)
def test_what_cannot_be(tmp_path: Path, table: str, message: str) -> None:
    """One line names the file, the table and what is wrong."""
    where = tmp_path / "f.toml"
    with pytest.raises(FormatError, match=f"^{re.escape(f'{where}: layers.d: {message}')}$"):
        written(tmp_path, f"[layers.d]\n{table}")
