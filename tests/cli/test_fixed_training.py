"""`fxpnn train --fixed` trains in fixed point and writes the integers, or nothing at all."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fxpnn
from fxpnn import golden
from fxpnn.network.layers import Dense
from fxpnn.training.fixed import FixedStep, Stochastic, load_formats, train_fixed
from fxpnn.training.sgd import Recipe, Schedule
from fxpnn.zoo.architectures import architecture
from tests.support.cli_runner import fxp, sha256

NAME = "mlp-784-100-10"
FORMATS = """
[weights]
all = "Q1.14"
[activations]
all = "Q4.11"
[deltas]
all = "Q1.14"
[gradients]
all = "Q1.14"
"""
ARGS = ("--epochs", "2", "--batch", "20", "--seed", "3")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Give a file of 60 images with their classes."""
    x, y = fxpnn.load_data("mnist:calibration")
    assert y is not None
    path = tmp_path / "images.npz"
    np.savez(path, x=x[:60], y=y[:60])
    return path


@pytest.fixture
def formats(tmp_path: Path) -> Path:
    """Give a file of formats."""
    path = tmp_path / "formats.toml"
    path.write_text(FORMATS)
    return path


def test_the_words_of_the_last_step_are_written(data: Path, formats: Path, tmp_path: Path) -> None:
    """The .fxp holds the integers that Python trains, the .onnx beside it what they mean."""
    target = tmp_path / "mlp.fxp"
    args = ("--fixed", formats, "--random-bits", "8", *ARGS, "--json")
    done = fxp("train", NAME, "--data", data, "-o", target, *args)
    assert (done.status, done.err) == (0, "")
    known, (x, y) = architecture(NAME), fxpnn.load_data(data)
    assert y is not None
    *_, last = train_fixed(
        known.network(3),
        x,
        y,
        load_formats(formats),
        Recipe(epochs=2, batch=20, rate=0.5, schedule=Schedule.COSINE),
        rounding=Stochastic(8, seed=3),
        seed=3,
        masks=known.masks,
    )
    written = fxpnn.load(target)
    for node in ("hidden", "output"):
        weight = getattr(written[node].layer, "weight")  # noqa: B009
        assert weight.tolist() == last.state.words[f"{node}.weight"].tolist()
    one = golden.run(written, x[:1])
    means = fxpnn.forward(
        fxpnn.load_onnx(target.with_suffix(".onnx")), x[:1] / np.float64(256), float
    )
    assert one.raw["softmax"].argmax() == means["softmax"].argmax()
    told = done.json
    seconds, epochs = told.pop("seconds"), told.pop("epochs")
    assert seconds > 0
    assert [epoch["number"] for epoch in epochs] == [1, 2]
    assert last.report is not None
    assert epochs[1]["lost_updates"] == last.report.lost_updates
    assert epochs[1]["bits"] == {kind: list(bits) for kind, bits in last.report.bits.items()}
    assert told.pop("data")["images"] == 60
    reference = target.with_suffix(".onnx")
    assert told == {
        "schema": 1,
        "model": {"path": str(target), "sha256": sha256(target), "name": NAME},
        "reference": {"path": str(reference), "sha256": sha256(reference), "name": NAME},
        "lesson": {
            "architecture": NAME,
            "epochs": 2,
            "batch": 20,
            "rate": 0.5,
            "momentum": 0.0,
            "seed": 3,
            "rounding": "stochastic",
            "random_bits": 8,
        },
        "test_images": 0,
        "test_accuracy": None,
    }


def test_a_table_of_epochs_and_bits(data: Path, formats: Path, tmp_path: Path) -> None:
    """Without --json, for people."""
    target = tmp_path / "mlp.fxp"
    args = ("--fixed", formats, "--rounding", "nearest-even", *ARGS, "-q")
    done = fxp("train", NAME, "--data", data, "-o", target, *args)
    assert (done.status, done.err) == (0, "")
    assert "rounding   nearest-even " in done.out
    assert "lost updates" in done.out
    assert "gradients" in done.out


REFUSED = [
    (("--fixed", "F", "--qat"), 2, "--fixed must stand without --qat"),
    (("--rounding", "floor"), 2, "--rounding must stand with --fixed"),
    (("--random-bits", "8"), 2, "--random-bits must stand with --fixed"),
    (("--fixed", "F", "--weight-word", "4"), 2, "--weight-word must stand with --qat"),
    (
        ("--fixed", "F", "--rounding", "floor", "--random-bits", "8"),
        2,
        "--random-bits must stand with --rounding stochastic",
    ),
    (
        ("--fixed", "F", "--random-bits", "25"),
        2,
        "--random-bits: must be 0 to 24, not 25",
    ),
    (("--fixed", "BAD"), 2, "BAD: the table deltas must be given, not be missing"),
]


@pytest.mark.parametrize(("args", "status", "line"), REFUSED, ids=[line for *_, line in REFUSED])
def test_what_cannot_be_trained_is_one_line(
    data: Path, formats: Path, tmp_path: Path, args: tuple[str, ...], status: int, line: str
) -> None:
    """With its status, and nothing written."""
    bad = tmp_path / "bad.toml"
    bad.write_text(FORMATS.partition("[deltas]")[0])
    files = {"F": str(formats), "BAD": str(bad)}
    output = tmp_path / ("mlp.fxp" if "--fixed" in args else "mlp.onnx")
    done = fxp("train", NAME, "--data", data, "-o", output, *(files.get(arg, arg) for arg in args))
    assert done.status == status
    assert done.err.startswith(f"fxpnn: error: {line.replace('BAD', str(bad))}")
    assert not output.exists()
    assert len(done.err.splitlines()) == 1


def test_a_resumed_training_writes_the_same_words(
    data: Path, formats: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the checkpoint that an interrupted one left; one of another seed is refused."""
    whole, rest, kept = (tmp_path / name for name in ("a.fxp", "b.fxp", "c.safetensors"))
    common = ("train", NAME, "--data", data, "--fixed", formats, "-q")
    assert fxp(*common, "-o", whole, *ARGS).status == 0

    def interrupted(*args: Any, **more: Any) -> Iterator[FixedStep]:
        for step in train_fixed(*args, **more):
            yield step
            if step.number == 4:
                raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("cli.fixed.train_fixed", interrupted)
        done = fxp(*common, "-o", rest, "--checkpoint", kept, *ARGS)
    assert done.status == 130
    assert not rest.exists()
    assert fxp(*common, "-o", rest, "--resume", kept, *ARGS).status == 0
    for node in ("hidden", "output"):
        made = [fxpnn.load(path)[node].layer for path in (whole, rest)]
        one, other = (layer.weight.tolist() for layer in made if isinstance(layer, Dense))
        assert one == other
    other_seed = fxp(*common, "-o", rest, "--resume", kept, *ARGS[:-1], "4")
    assert other_seed.status == 3
    assert other_seed.err.startswith(f"fxpnn: error: {kept}: must be of a training with the same ")
    assert len(other_seed.err.splitlines()) == 1
    content = bytearray(kept.read_bytes())
    content[-1] ^= 1
    kept.write_bytes(content)
    altered = fxp(*common, "-o", rest, "--resume", kept, *ARGS)
    line = f"fxpnn: error: {kept}: has been altered: its sha256 does not fit its content\n"
    assert (altered.status, altered.err) == (3, line)
    kept.write_bytes(content[:100])
    cut = fxp(*common, "-o", rest, "--resume", kept, *ARGS)
    assert cut.status == 3
    assert cut.err.startswith(
        f"fxpnn: error: {kept}: is no checkpoint of training in fixed point or is damaged ("
    )
