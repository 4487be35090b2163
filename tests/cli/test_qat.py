"""`fxpnn train --qat` trains for short words and writes integers, and the floats they mean."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fxpnn
from fxpnn.datasets import data_sha256
from fxpnn.fixedpoint.qformat import Overflow
from fxpnn.network.graph import chain
from fxpnn.network.layers import Array, Dense, Flatten, Relu
from fxpnn.proofs.bounds import prove
from fxpnn.zoo.architectures import architecture
from fxpnn.zoo.retraining import masks_of
from tests.support.cli_runner import fxp, sha256
from tests.support.parameters import weight


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Give a folder with images as Keras archives them, and a model to begin with."""
    x, y = fxpnn.load_data("mnist:calibration")
    assert y is not None
    parts: dict[str, Any] = {
        "x_train": x[:96, 0],
        "y_train": y[:96],
        "x_test": x[96:128, 0],
        "y_test": y[96:128],
    }
    np.savez(tmp_path / "m.npz", **parts)
    rng = np.random.default_rng(1)

    def dense(out: int, inputs: int) -> Dense:
        drawn = rng.normal(0, 0.05, (out, inputs)).astype(np.float32)
        return Dense(drawn, np.zeros(out, np.float32))

    layers = {"flat": Flatten(), "hidden": dense(12, 784), "relu": Relu(), "out": dense(10, 12)}
    fxpnn.save_onnx(chain("own", (1, 28, 28), layers), tmp_path / "own.onnx")
    return tmp_path


def command(
    folder: Path, *more: str | Path, name: str | Path = "", target: str = "t.fxp"
) -> tuple[str | Path, ...]:
    """Return a short training of the model."""
    data = ("--data", folder / "m.npz", "-o", folder / target, "--epochs", "2", "--batch", "16")
    return ("train", name or folder / "own.onnx", *data, "--qat", *more)


def test_integers_and_their_floats(folder: Path) -> None:
    """A network of logits is trained; the files name each other, and the engine judges."""
    done = fxp(*command(folder, "--weight-word", "3", "--json", "-q"))
    assert (done.status, done.err) == (0, "")
    fixed, grid = fxpnn.load(folder / "t.fxp"), fxpnn.load_onnx(folder / "t.onnx")
    learned, test = (fxpnn.load_data(folder / "m.npz", split=s) for s in ("train", "test"))
    accuracy = float((fxpnn.infer(fixed, test.x).predictions == test.y).mean())
    seconds = done.json["seconds"]
    assert done.json == {
        "schema": 1,
        "model": {"path": str(folder / "t.fxp"), "sha256": sha256(folder / "t.fxp"), "name": "own"},
        "reference": {"path": str(folder / "t.onnx"), "sha256": grid.sha256, "name": "own"},
        "data": {"name": str(folder / "m.npz"), "images": 96, "sha256": data_sha256(learned)},
        "lesson": {
            "network": str(folder / "own.onnx"),
            "epochs": 2,
            "batch": 16,
            "rate": 0.02,
            "seed": 1,
            "weight_word": 3,
            "output_word": 4,
            "last_word": 8,
            "per_channel": False,
            "accumulator": "48 saturate",
        },
        "seconds": seconds,
        "test_images": 32,
        "test_accuracy": accuracy,
        "accumulator_bits": max(proof.bits or 0 for proof in prove(fixed).values()),
        "proved": True,
    }
    assert (fixed.provenance.model, fixed.provenance.calibration) == (
        grid.sha256,
        data_sha256(learned),
    )
    words = {name: (fmt.word, fmt.signed) for name, fmt in fixed.formats.items()}
    assert words == {
        "input": (8, False),
        "flat": (8, False),
        "hidden": (4, False),
        "relu": (4, False),
        "out": (8, True),
    }
    assert {fixed[name].weight_formats[0].word for name in ("hidden", "out")} == {3}
    compared = fxp(
        "infer",
        folder / "t.fxp",
        "--data",
        f"{folder}/m.npz:test",
        "--reference",
        folder / "t.onnx",
    )
    assert compared.status == 0


def test_ternary_weights_and_a_file_of_formats(folder: Path) -> None:
    """Two bits are -1, 0 and 1; what the file says of a layer goes first."""
    (folder / "f.toml").write_text(
        "[layers.out]\nweight_word = 5\noutput_word = 6\nweight_overflow = 'saturate'\n"
        "[layers.input]\noutput_word = 4\n"
    )
    more = ("--weight-word", "2", "--output-word", "3", "--per-channel", "--formats")
    done = fxp(*command(folder, *more, folder / "f.toml"))
    assert (done.status, done.err) == (0, "")
    assert re.search(
        r"^ bits +weights 2, outputs 3, last 8, weights per channel *$", done.out, re.M
    )
    assert re.search(r"^ accuracy +0\.\d{4} of 32 test images, in integers *$", done.out, re.M)
    fixed = fxpnn.load(folder / "t.fxp")
    assert fixed["hidden"].rounded.overflow is Overflow.SATURATE_SYMMETRIC
    assert set(np.unique(weight(fixed["hidden"]))) == {-1, 0, 1}
    assert len(fixed["hidden"].weight_formats) == 12
    assert fixed["out"].rounded.overflow is Overflow.SATURATE
    assert (fixed["out"].weight_formats[0].word, fixed["out"].output_format.word) == (5, 6)
    assert fixed.input_format.word == 4


def test_a_known_architecture_starts_anew(folder: Path) -> None:
    """Its own connections stay as they are."""
    done = fxp(*command(folder, "--epochs", "1", name="lenet5"))
    assert (done.status, done.err) == (0, "")
    fixed = fxpnn.load(folder / "t.fxp")
    mask: Array = np.broadcast_to(architecture("lenet5").masks["c3.weight"], (16, 6, 5, 5))
    assert not weight(fixed["c3"])[mask == 0].any()
    assert masks_of(fxpnn.load_onnx(folder / "own.onnx")) == {}


def test_an_interrupted_run_goes_on(folder: Path) -> None:
    """From a checkpoint the same file comes out; that of another training is refused."""
    at = folder / "c.safetensors"
    assert fxp(*command(folder, "--checkpoint", at)).status == 0
    assert fxp(*command(folder, "--resume", at, target="u.fxp")).status == 0
    assert (folder / "u.fxp").read_bytes() == (folder / "t.fxp").read_bytes()
    for more, name, ours, theirs in (
        (("--seed", "4"), "seed", "4", "1"),
        (("--rate", "0.1"), "recipe", "2 epochs of 16 at rate 0.1", "2 epochs of 16 at rate 0.02"),
        (("--epochs", "3"), "recipe", "3 epochs of 16 at rate 0.02", "2 epochs of 16 at rate 0.02"),
    ):
        done = fxp(*command(folder, *more, "--resume", at, target="v.fxp"))
        line = f"{at}: must be of a training with the same {name}, {ours}, not {theirs}"
        assert done == (3, "", f"fxpnn: error: {line}\n")
    assert not (folder / "v.fxp").exists()


def test_accumulators_that_cannot_overflow(folder: Path) -> None:
    """Sums that took more bits are proved to fit those that are asked for, of a layer or of all."""
    (folder / "f.toml").write_text("[layers.out]\naccumulator = '11 wrap'\n")
    assert fxp(*command(folder, "--json", "-q")).json["accumulator_bits"] > 14
    more = ("--accumulator", "13", "--formats", folder / "f.toml")
    done = fxp(*command(folder, *more, target="u.fxp"))
    assert (done.status, done.err) == (0, "")
    said = "take at most 13 bits, and are proved to fit their accumulators"
    assert re.search(rf"^ sums +{said} *$", done.out, re.M)
    fixed = fxpnn.load(folder / "u.fxp")
    proofs = prove(fixed)
    assert all(proof.proved for proof in proofs.values())
    assert (proofs["hidden"].bits, str(fixed["out"].accumulator)) == (13, "11 wrap")
    done = fxp(*command(folder, "--accumulator", "8", target="v.fxp"))
    line = (
        "layer hidden (Dense): an accumulator must hold the largest input times the smallest "
        "weight, 9 bits, not 8"
    )
    assert done == (2, "", f"fxpnn: error: {line}\n")
    assert not (folder / "v.fxp").exists()


@pytest.mark.parametrize(
    ("args", "line"),
    [
        (
            ("mlp", "--qat"),
            "NAME: must be one of mlp-784-100-10, lenet5, lenet5-relu, or a file MODEL.onnx, "
            "not 'mlp'",
        ),
        (("lenet5", "--last", "8"), "--output must end in .onnx, not '{}/t.fxp'"),
        (("lenet5", "--last", "8", "-o", "t.onnx"), "--last must stand with --qat"),
        (("lenet5", "--accumulator", "9", "-o", "t.onnx"), "--accumulator must stand with --qat"),
        (("lenet5", "--qat", "-o", "t.onnx"), "--output must end in .fxp, not 't.onnx'"),
        (
            ("lenet5", "--qat", "--weight-word", "1"),
            "--weight-word: a tensor's word must be 2 to 16 bits, not 1",
        ),
    ],
)
def test_usage_errors(args: tuple[str, ...], line: str, folder: Path) -> None:
    """They are one line with exit status 2."""
    given = () if "-o" in args else ("-o", folder / "t.fxp")
    done = fxp("train", *args, "--data", folder / "m.npz", *given)
    wanted = line.format(folder)
    assert done == (2, "", f"fxpnn: error: {wanted} (see fxpnn train --help)\n")


def test_what_cannot_be_trained(folder: Path) -> None:
    """Integers, other tensors and models to be overwritten are refused; nothing is written."""
    own = folder / "own.onnx"
    assert fxp("quantize", own, "-o", folder / "q.fxp", "-q").status == 0
    (folder / "f.toml").write_text("[layers.other]\nword = 4\n")
    for args, status, line in (
        (
            command(folder, name=folder / "q.fxp"),
            3,
            f"{folder / 'q.fxp'}: must be a float model (.onnx), not a quantized one",
        ),
        (
            command(folder, target="own.fxp"),
            3,
            f"{own}: must not be written over, for it is an input too",
        ),
        (
            command(folder, "--formats", folder / "f.toml"),
            2,
            "settings must name layers of own, not other; it has input, flat, hidden, relu, out",
        ),
    ):
        done = fxp(*args)
        assert (done.status, done.out) == (status, "")
        assert done.err.startswith(f"fxpnn: error: {line}")
    assert not (folder / "t.fxp").exists()
    assert not (folder / "own.fxp").exists()
