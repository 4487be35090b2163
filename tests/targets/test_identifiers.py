"""Names of exports are what C, C++ and Verilog take, and nothing else is let through."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fxpnn.errors import FormatError
from fxpnn.targets.identifiers import HEADERS, KEYWORDS, check_name, name_of

SHAPE = "name must be a letter and up to 39 letters, digits and _ behind it, not "
KEPT = "name must be no keyword of C, C++ or Verilog, not "
OURS = (
    "name must not begin with fx_, as modules of the core do, nor have __, which C++ keeps for "
    "itself, not "
)


@pytest.mark.parametrize("name", ["mlp", "LeNet_5", "a", "x" * 40, "infer", "core"])
def test_what_is_a_name(name: str) -> None:
    """Letters, digits and ``_`` that no language keeps for itself."""
    assert check_name(name) == name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        *((name, f"{SHAPE}{name!r}") for name in (
            "", "2net", "_net", "a b", "a-b", "a.b", "../x", "/etc/passwd", "a;rm -rf", "a\n",
            "x" * 41, "Gr\xf6\xdfe", "a\x00", "$(x)", "`x`", "-o",
        )),
        *((name, f"{KEPT}{name!r}") for name in (
            "int", "restrict", "class", "co_await", "reg", "output", "endmodule", "inside", "logic",
            "bit",
        )),
        ("string", f"{KEPT}'string'"),
        ("stdint", "name must be no header of C, not 'stdint'"),
        ("STDDEF", "name must be no header of C, not 'STDDEF'"),
        *((name, f"{OURS}{name!r}") for name in ("fx_core", "FX_mac", "a__b")),
    ],
)  # fmt: skip
def test_what_is_none(name: str, message: str) -> None:
    """One line says what a name must be."""
    with pytest.raises(FormatError, match=f"^{re.escape(message)}$"):
        check_name(name)


@given(st.text() | st.sampled_from(sorted(KEYWORDS | HEADERS)) | st.from_regex(r"fx_\w*|_+\w*"))
def test_every_network_has_a_name(text: str) -> None:
    """Whatever ONNX calls it."""
    name = name_of(text)
    assert check_name(name) == name


def test_names_of_the_bundled_networks() -> None:
    """They are the models' own, but for what no identifier has."""
    names = ("mlp-784-100-10", "lenet5-relu", "2-4-1-2", "output", "fx_core")
    assert [name_of(name) for name in names] == [
        *("mlp_784_100_10", "lenet5_relu", "net_2_4_1_2", "net_output", "net_fx_core")
    ]
