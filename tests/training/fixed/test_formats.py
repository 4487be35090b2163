"""The file of formats: a table for each kind, a layer's own inside, all else refused."""

import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from fxpnn.errors import DataError, FormatError
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.graph import Network, chain
from fxpnn.network.layers import Dense, Relu, Softmax
from fxpnn.training.fixed import Formats, load_formats
from fxpnn.training.fixed.formats import resolved

FILE = """
[weights]
all = "Q1.14"
output = "Q2.13"
hidden.bias = "Q3.12"
[activations]
all = "Q4.11"
hidden = "ap_fixed<12,4>"
[deltas]
all = "Q1.14"
[gradients]
all = "Q1.14"
"output.bias" = "Q3.8"
"""


def network() -> Network:
    """Build 2-3-2."""
    hidden, output = Dense(np.ones((3, 2)), np.zeros(3)), Dense(np.ones((2, 3)), np.zeros(2))
    body = {"hidden": hidden, "relu": Relu(), "output": output, "softmax": Softmax()}
    return chain("small", (2,), body)


def test_formats_of_all_of_layers_and_of_parameters(tmp_path: Path) -> None:
    """The nearest name is meant; velocities are as gradients, the logits' delta is Q0.15."""
    path = tmp_path / "formats.toml"
    path.write_text(FILE)
    read = load_formats(path)
    assert pickle.loads(pickle.dumps(read)) == read
    found = resolved(read, network(), floats=True)
    assert {name: str(fmt) for name, fmt in found.weights.items()} == {
        "hidden.weight": "Q1.14",
        "hidden.bias": "Q3.12",
        "output.weight": "Q2.13",
        "output.bias": "Q2.13",
    }
    assert {name: str(fmt) for name, fmt in found.activations.items()} == {
        "hidden": "Q3.8",
        "output": "Q4.11",
        "input": "Q4.11",
    }
    assert {name: str(fmt) for name, fmt in found.deltas.items()} == {
        "hidden": "Q1.14",
        "relu": "Q1.14",
        "output": "Q0.15",
    }
    assert found.gradients["output.bias"] == found.velocity["output.bias"] == QFormat(12, 8)
    assert "input" not in resolved(read, network(), floats=False).activations


KINDS = "weights, activations, deltas, gradients, velocity"
REFUSED = {
    "weights = 3": f"tables must be {KINDS}, not 'weights'",
    "[bias]": f"tables must be {KINDS}, not 'bias'",
    "[weights]": "the table activations must be given, not be missing",
    "[weights]\nall = 3": "weights.all: a format must be text, as Q3.12, not 3",
    "[weights]\nall = 'Q8.12'": (
        "weights.all: Q8.12 takes 21 bits with its sign, not 16; did you mean Q3.12?"
    ),
    "[weights]\na.b = 'x'": (
        "weights.a.b: a format must look like Q3.12, UQ0.8 or ap_fixed<16,4>, not 'x'"
    ),
    "[weights": None,
    "#": "the table weights must be given, not be missing",
    "#" * 1001: "lines must be at most 1000 bytes",
}


@pytest.mark.parametrize(("text", "message"), REFUSED.items(), ids=range(len(REFUSED)))
def test_what_is_no_file_of_formats_is_refused(
    tmp_path: Path, text: str, message: str | None
) -> None:
    """In one line, with the file and the table."""
    path = tmp_path / "formats.toml"
    path.write_text(text)
    wanted = ".+" if message is None else re.escape(message)
    with pytest.raises(FormatError, match=rf"^{re.escape(str(path))}: {wanted}$"):
        load_formats(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """By its name."""
    with pytest.raises(DataError, match=r"^.*none\.toml.*$"):
        load_formats(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "weights.relu",
            "weights must name hidden.weight, hidden.bias, output.weight, output.bias, ",
        ),
        ("deltas.softmax", "deltas must name hidden, relu, output, not 'softmax'"),
        ("activations.relu", "activations must name input, hidden, output, not 'relu'"),
        ("gradients.hidden.bia", "gradients must name hidden.weight, hidden.bias, output.weight, "),
    ],
)
def test_an_unknown_tensor_is_refused(tmp_path: Path, line: str, message: str) -> None:
    """With those that there are."""
    kind, _, name = line.partition(".")
    path = tmp_path / "formats.toml"
    path.write_text(FILE.replace(f"[{kind}]", f'[{kind}]\n"{name}" = "Q1.14"'))
    with pytest.raises(FormatError, match=f"^{re.escape(message)}.*$"):
        resolved(load_formats(path), network(), floats=False)


def test_a_tensor_without_format_is_refused() -> None:
    """With the key that would give one."""
    tables = {kind: {"all": "Q1.14"} for kind in ("weights", "deltas", "gradients")}
    read = Formats.of({**tables, "activations": {"hidden": "Q4.11"}})
    message = "activations of output must have a format, not none; give activations.all"
    with pytest.raises(FormatError, match=f"^{re.escape(message)}$"):
        resolved(read, network(), floats=False)
