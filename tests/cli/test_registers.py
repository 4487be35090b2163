"""Commands take accumulators with a fraction of their own, and show how they were understood."""

import re
from pathlib import Path

import pytest

from tests.support.cli_runner import fxp, write_models


@pytest.mark.parametrize(
    ("text", "word", "resolved"),
    [
        ("ap_fixed<24,10>", 24, "Q9.14 floor wrap cast"),
        ("ap_fixed<32,16,AP_RND,AP_SAT>", 32, "Q15.16 nearest-up saturate cast"),
        ("Q9.10", 20, "Q9.10 floor saturate fused"),
    ],
)
def test_a_register_is_shown_as_it_was_understood(
    tmp_path: Path, text: str, word: int, resolved: str
) -> None:
    """Its format, rounding, overflow and products: when it is made, inspected and run."""
    models = write_models(tmp_path)
    made = tmp_path / "out.fxp"
    done = fxp("quantize", models / "tiny.onnx", "-o", made, "--accumulator", text)
    assert len(re.findall(rf"proved, needs \d+ of {word}: {resolved}", done.out)) == 2
    assert resolved in fxp("inspect", made).out
    run = fxp("infer", made, "--data", "mnist", "--limit", "8")
    assert resolved in run.out
    for args in (("inspect", made), ("infer", made, "--data", "mnist", "--limit", "8")):
        shown = fxp(*args, "--json").json["layers"]
        assert [x["accumulator"] for x in shown if x["op"] == "Dense"] == [resolved] * 2


def test_a_register_that_drops_bits_is_not_exported(tmp_path: Path) -> None:
    """One line names each layer that has one; nothing is written."""
    models = write_models(tmp_path)
    made, written = tmp_path / "out.fxp", tmp_path / "out.onnx"
    fxp("quantize", models / "tiny.onnx", "-o", made, "--accumulator", "Q9.3")
    done = fxp("export", made, "--to", "qonnx", "-o", written)
    told = "accumulator must hold every bit of a product, not drop some (Q9.3 floor saturate fused)"
    assert (done.status, done.err) == (
        3,
        f"fxpnn: error: layer hidden (Dense): {told}; layer output (Dense): {told}\n",
    )
    assert not written.exists()
