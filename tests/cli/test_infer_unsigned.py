"""`fxpnn infer` tells what unsigned words cut in front of ReLUs apart from overflows."""

import re
from pathlib import Path

from tests.support.cli_runner import Outcome, fxp, write_models


def infer(models: Path, name: str, *args: str | Path) -> Outcome:
    """Run one of the models on the first 64 test images."""
    return fxp("infer", models / f"{name}.fxp", "--data", "mnist", "--limit", "64", *args)


def test_what_a_relu_cuts_is_no_overflow(tmp_path: Path) -> None:
    """An unsigned word before it passes the gate and is compared; its table tells what it cut."""
    write_models(tmp_path)
    for name, output in (("fits", "UQ4.11"), ("large", "UQ-1.16")):
        (tmp_path / "f.toml").write_text(f'[layers.hidden]\noutput = "{output}"\n')
        target, plan = tmp_path / f"{name}.fxp", tmp_path / "f.toml"
        quantized = fxp("quantize", tmp_path / "tiny.onnx", "-o", target, "--formats", plan, "-q")
        assert quantized.status == 0
    compared = ("--reference", tmp_path / "tiny.onnx")
    done = infer(tmp_path, "fits", *compared, "--fail-on-overflow", "--json")
    assert (done.status, done.err) == (0, "")
    hidden, relu = (x for x in done.json["layers"] if x["name"] in ("hidden", "hidden_relu"))
    assert (hidden["saturations"], relu["below_zero"]) == (0, 0)
    assert hidden["below_zero"] > 0
    assert hidden["sqnr_db"] == relu["sqnr_db"] > 60
    table = infer(tmp_path, "fits", *compared).out
    assert re.search(r"saturated +below 0 +SQNR dB", table)
    assert re.search(rf"^ hidden .* {hidden['below_zero']:,} ", table, re.MULTILINE)
    assert "below 0" not in infer(tmp_path, "tiny", *compared).out
    large = infer(tmp_path, "large", "--fail-on-overflow", "--json", "-q")
    counted = sum(layer["saturations"] for layer in large.json["layers"])
    assert counted > 0
    assert large.err == (
        f"fxpnn: failed: 0 accumulator overflows and {counted:,} saturations "
        "with --fail-on-overflow\n"
    )
