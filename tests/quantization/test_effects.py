"""A setting without effect is refused by the name of the layer that does not heed it."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fxpnn
from fxpnn.errors import FormatError
from fxpnn.fixedpoint.qformat import QFormat, Rounding
from fxpnn.fixedpoint.requantize import Shift
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import (
    AvgPool2D,
    Clip,
    Conv2D,
    Dense,
    Flatten,
    HardSigmoid,
    LeakyRelu,
    MaxPool2D,
    Relu,
    Softmax,
    Tanh,
    Window,
)
from fxpnn.quantization.formats_file import load_plan
from fxpnn.quantization.quantizer import quantize
from fxpnn.quantization.settings import Given, Plan, Settings
from tests.support.cli_runner import fxp, tiny

IMAGES = np.zeros((2, 1, 6, 6), np.uint8)
Q3_12 = QFormat(16, 12)
LAYERS = {
    "conv": Conv2D(np.ones((2, 1, 3, 3)), np.zeros(2), Window((3, 3))),
    "leaky": LeakyRelu(0.25),
    "max": MaxPool2D(Window((2, 2))),
    "average": AvgPool2D(Window((2, 2))),
    "clip": Clip(0.0, 6.0),
    "flat": Flatten(),
    "hard": HardSigmoid(),
    "tanh": Tanh(),
    "dense": Dense(np.ones((3, 8)), np.zeros(3)),
    "softmax": Softmax(),
}
NETWORK = fxpnn.chain("every", (1, 6, 6), LAYERS)
WITHOUT = "without effect there; it heeds"


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ("[layers.conv]\nsoftmax = 'naive'", "layer conv (Conv2D) must be given no softmax"),
        ("[layers.leaky]\nword = 8", "layer leaky (LeakyRelu) must be given no word"),
        ("[layers.max]\naccumulator = 48", "layer max (MaxPool2D) must be given no accumulator"),
        ("[layers.max]\nrounding = 'floor'", "layer max (MaxPool2D) must be given no rounding"),
        ("[layers.average]\nmethod = 'mse'", "layer average (AvgPool2D) must be given no method"),
        ("[layers.clip]\nper_channel = false", "layer clip (Clip) must be given no per_channel"),
        ("[layers.flat]\nweight = 'Q3.12'", "layer flat (Flatten) must be given no weight"),
        ("[layers.hard]\nmethod = 'mse'", "layer hard (HardSigmoid) must be given no method"),
        ("[layers.tanh]\naccumulator = 30", "layer tanh (Tanh) must be given no accumulator"),
        (
            "[layers.softmax]\noutput = 'Q1.14'\nrounding = 'floor'\nword = 16",
            "layer softmax (Softmax) must be given no output, rounding, word",
        ),
        (
            "[layers.dense]\nweight = 'Q3.12'\nper_channel = true",
            "layer dense (Dense) must be given no per_channel",
        ),
        (
            "[layers.dense]\nweight = 'Q3.12'\noutput = 'Q3.12'\nword = 8\nmethod = 'mse'",
            "layer dense (Dense) must be given no method, word",
        ),
        (
            "[layers.dense]\nweight = 'Q3.12'\nweight_word = 8",
            "layer dense (Dense) must be given no weight_word",
        ),
        (
            "[layers.dense]\nweight_word = 8\noutput_word = 8\nword = 8",
            "layer dense (Dense) must be given no word",
        ),
        (
            "[layers.dense]\nweight = 'Q3.12'\noutput_word = 8\nword = 8",
            "layer dense (Dense) must be given no word",
        ),
        (
            "[layers.dense]\nweight_rounding = 'feedback'\noutput = 'Q3.12'\nmethod = 'mse'",
            "layer dense (Dense) must be given no method",
        ),
        (
            "[layers.tanh]\nweight_rounding = 'nearest'\nbias_correction = true",
            "layer tanh (Tanh) must be given no bias_correction, weight_rounding",
        ),
        ("[layers.tanh]\nweight_word = 8", "layer tanh (Tanh) must be given no weight_word"),
        ("[layers.max]\noutput_word = 8", "layer max (MaxPool2D) must be given no output_word"),
        ("[layers.input]\noutput_word = 8\nword = 8", "input must be given no word"),
        ("[layers.input]\noutput = 'Q0.7'\noutput_word = 8", "input must be given no output_word"),
        ("[layers.input]\naccumulator = 30", "input must be given no accumulator"),
        ("[layers.input]\nrounding = 'floor'", "input must be given no rounding"),
        ("[layers.input]\noutput = 'ap_fixed<8,0,AP_TRN>'", "input must be given no rounding"),
        ("[layers.input]\noutput = 'Q0.7'\nword = 8", "input must be given no word"),
    ],
)
def test_a_key_that_its_layer_does_not_heed(table: str, line: str, tmp_path: Path) -> None:
    """It is refused though it says the default, and the message says what the layer heeds."""
    (tmp_path / "f.toml").write_text(table)
    with pytest.raises(FormatError, match=f"^{re.escape(line)}, {WITHOUT} .+$"):
        quantize(NETWORK, IMAGES, load_plan(tmp_path / "f.toml", Settings()))


VALUES = {
    "word": "12",
    "weight_word": "12",
    "output_word": "12",
    "method": "'mse'",
    "percentile": "99.0\nmethod = 'percentile'",
    "accumulator": "30",
    "rounding": "'floor'",
    "overflow": "'wrap'",
    "per_channel": "true",
    "signed": "true",
    "weight": "'Q3.12'",
    "output": "'Q3.12'",
    "bias": "'Q3.12'",
    "softmax": "'naive'",
    "weight_rounding": "'feedback'",
    "bias_correction": "true",
    "weight_overflow": "'saturate-symmetric'",
}
"""A choice that is not the default, for each key."""


@pytest.mark.parametrize("name", [INPUT, *LAYERS])
def test_what_a_layer_is_told_to_heed_it_takes(name: str, tmp_path: Path) -> None:
    """Each key that the refusal of another names is accepted alone, with a value of its own."""
    odd = next(key for key in ("softmax", "per_channel", "signed") if _refused(name, key, tmp_path))
    told = str(_refused(name, odd, tmp_path)).rpartition("it heeds ")[2]
    keys = [] if told == "no setting" else told.split(", ")
    assert keys or isinstance(LAYERS.get(name), MaxPool2D | Flatten | Clip)
    for key in keys:
        assert _refused(name, key, tmp_path) is None


def _refused(name: str, key: str, folder: Path) -> FormatError | None:
    (folder / "f.toml").write_text(f"[layers.{name}]\n{key} = {VALUES[key]}")
    try:
        quantize(NETWORK, IMAGES, load_plan(folder / "f.toml", Settings()))
    except FormatError as error:
        return error
    return None


@pytest.mark.parametrize(
    "table",
    [
        "[layers.conv]\nword = 8\nmethod = 'mse'\nper_channel = true\naccumulator = 30",
        "[layers.conv]\noutput = 'Q3.12'\nword = 8",
        "[layers.conv]\noutput_word = 9\nword = 8",
        "[layers.conv]\nweight_word = 9\noutput_word = 8",
        "[layers.conv]\nweight_rounding = 'feedback'\nmethod = 'mse'\nper_channel = true",
        "[layers.conv]\nweight_rounding = 'feedback'\nbias_correction = true\nweight = 'Q1.2'",
        "[layers.tanh]\noutput_word = 8",
        "[layers.input]\noutput_word = 8",
        "[defaults]\nweight_word = 9\nword = 8",
        "[layers.conv]\nweight = 'Q3.12'\nmethod = 'mse'",
        "[layers.leaky]\nweight = 'Q3.12'\nrounding = 'floor'",
        "[layers.average]\noutput = 'Q3.12'\nrounding = 'floor'\noverflow = 'wrap'",
        "[layers.tanh]\nword = 8\nrounding = 'floor'",
        "[layers.hard]\nweight = 'Q3.12'\noutput = 'Q3.12'",
        "[layers.softmax]\nsoftmax = 'naive'\noutput = 'Q0.15'",
        "[layers.input]\nword = 5\nmethod = 'minmax'",
        "[layers.input]\noutput = 'ap_fixed<8,0,AP_RND_CONV,AP_SAT>'",
        "[layers.conv]\noutput = 'Q3.12'\n[layers.max]\noutput = 'Q3.12'",
        "[defaults]\nsoftmax = 'naive'\nper_channel = true\naccumulator = 30\nrounding = 'zero'",
    ],
)
def test_keys_that_have_an_effect(table: str, tmp_path: Path) -> None:
    """They are taken; a default is, where one layer heeds it."""
    (tmp_path / "f.toml").write_text(table)
    quantize(NETWORK, IMAGES, load_plan(tmp_path / "f.toml", Settings()))


@pytest.mark.parametrize(
    ("choices", "names"),
    [
        ({"softmax": 0.0}, "softmax"),
        ({"accumulator": "30", "per_channel": True}, "accumulator, per_channel"),
        ({"overflow": "wrap", "rounding": "floor"}, "overflow, rounding"),
        ({"weight": "Q3.12"}, "weight"),
    ],
)
def test_a_choice_for_all_that_no_layer_heeds(choices: dict[str, Any], names: str) -> None:
    """From Python too: what differs from the default was chosen."""
    network = fxpnn.chain("moves", (1, 6, 6), {"relu": Relu(), "flat": Flatten()})
    message = f"^moves must be given no {names}, which none of its layers heeds$"
    with pytest.raises(FormatError, match=message):
        quantize(network, IMAGES, Settings(**choices))
    quantize(network, IMAGES, Settings(word=5))


def test_a_layer_s_settings_from_python() -> None:
    """Refused is what differs from what all have, and from what nobody chose."""
    with pytest.raises(FormatError, match=r"^layer flat \(Flatten\) must be given no word, "):
        quantize(NETWORK, IMAGES, Plan(layers={"flat": Settings(word=8)}))
    quantize(NETWORK, IMAGES, Plan(Settings(word=8), {"softmax": Settings(softmax=0.0)}))


def test_modes_for_a_layer_go_before_those_of_a_model_file(tmp_path: Path) -> None:
    """A model's format comes with its modes; those that a layer is given are not dropped."""
    (tmp_path / "f.toml").write_text("[layers.conv]\nrounding = 'floor'\n")
    given = {"conv": Given(output=Shift(Q3_12, Rounding.ZERO))}
    plan = load_plan(tmp_path / "f.toml", Settings(rounding=Rounding.NEAREST_UP)).completed(given)
    conv = quantize(NETWORK, IMAGES, plan)["conv"]
    assert (conv.output_format, conv.rounding) == (Q3_12, Rounding.FLOOR)


def test_a_mode_for_all_where_a_model_file_has_its_own() -> None:
    """It is refused where every layer that casts has the file's."""
    network = fxpnn.chain("one", (8,), {"dense": Dense(np.ones((2, 8)), np.zeros(2))})
    given = {"dense": Given(output=Shift(Q3_12, Rounding.ZERO))}
    plan = Plan(Settings(rounding=Rounding.FLOOR)).completed(given)
    message = "^one must be given no rounding, which none of its layers heeds$"
    with pytest.raises(FormatError, match=message):
        quantize(network, np.zeros((1, 8)), plan)


# By command


def test_options_that_no_layer_heeds(tmp_path: Path) -> None:
    """They are usage errors, and nothing is written; also where they say the default."""
    network = tiny()
    bare = fxpnn.Network("bare", network.input_shape, network.nodes[:-1])
    fxpnn.save_onnx(bare, tmp_path / "bare.onnx")
    command = ("quantize", tmp_path / "bare.onnx", "-o", tmp_path / "bare.fxp", "-q")
    for option in (("--softmax", "max"), ("--softmax", "2")):
        done = fxp(*command, *option)
        line = "fxpnn: error: bare must be given no softmax, which none of its layers heeds\n"
        assert (done.status, done.err) == (2, line)
    done = fxp(*command, "--format", "Q5.10", "--method", "mse")
    assert (done.status, "no method" in done.err) == (2, True)
    assert not (tmp_path / "bare.fxp").exists()


def test_calibration_data_that_nothing_needs_get_one_note(tmp_path: Path) -> None:
    """Where every format is given or proved."""
    fxpnn.save_onnx(tiny(), tmp_path / "t.onnx")
    command = ("quantize", tmp_path / "t.onnx", "-o", tmp_path / "t.fxp", "--json")
    data = ("--calibration", "mnist:calibration")
    line = "fxpnn: note: no format is chosen on mnist:calibration: all are given or proved\n"
    for how in (("--format", "Q5.10"), ("--method", "proved")):
        assert fxp(*command, *data, *how).err.count(line) == 1
    assert "no format is chosen" not in fxp(*command, *data).err


def test_the_input_is_no_layer_with_modes() -> None:
    """What is chosen for all is not refused because of it."""
    quantize(
        NETWORK,
        IMAGES,
        Plan(Settings(rounding=Rounding.FLOOR), {INPUT: Settings(output=QFormat(8, 7))}),
    )
