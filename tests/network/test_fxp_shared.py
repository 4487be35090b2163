"""A .fxp file in which layers share tensors may promise no more than one in which they do not."""

import json
import re

import pytest

from fxpnn.network import fxp
from fxpnn.network.fxp import loads
from tests.support.fxp_sample import refusal, signed, taken_apart


def test_what_is_shared_must_fit_each_layer_that_has_it() -> None:
    """A tensor that is right for one is refused for another."""
    header, tensors = taken_apart()
    (dense,) = (node for node in header["nodes"] if node["name"] == "dense")
    dense["shared"] = {"bias": "conv.bias"}
    del tensors["dense.bias"]
    line = refusal(signed(json.dumps(header), tensors))
    assert re.match(r"^layer dense \(Dense\): bias must be \(3\), not \(2\)$", line)


def test_what_is_shared_counts_for_each_layer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file must not describe more arrays than a large one may hold."""
    header, tensors = taken_apart()
    made = header["nodes"][0]
    again = [{**made, "name": f"c{i}", "shared": {"weight": "conv.weight"}} for i in range(100)]
    header["nodes"] += again
    tensors |= {f"c{i}.bias": tensors["conv.bias"] for i in range(100)}
    size = sum(array.nbytes for array in tensors.values()) + 100 * tensors["conv.weight"].nbytes
    content = signed(json.dumps(header), tensors)
    monkeypatch.setattr(fxp, "MAX_FILE", size)
    assert len(loads(content).nodes) == 109
    monkeypatch.setattr(fxp, "MAX_FILE", size - 1)
    line = f"tensors of all layers must take at most {size - 1} bytes, not {size}"
    assert refusal(content) == line
