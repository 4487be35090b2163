"""Run the command line in tests, on tiny models."""

import hashlib
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from click import Context
from click.testing import CliRunner
from jsonschema import Draft202012Validator

import fxpnn
from cli import schema
from cli.main import main
from fxpnn.network.layers import Dense, Flatten, Relu, Softmax


class Outcome(NamedTuple):
    """What a command printed, and its exit status."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Parse what was printed on stdout."""
        return msgspec.json.decode(self.out)


def fxp(*args: str | Path) -> Outcome:
    """Run a command line in this process, as a user does; an exception that escapes is raised."""
    result = CliRunner().invoke(main, [str(arg) for arg in args])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    done = Outcome(result.exit_code, result.stdout, result.stderr)
    if "--json" in args and done.out:
        name = " ".join(str(arg) for arg in args[: 1 + (args[0] == "data")])
        validator(name).validate(done.json)
    return done


@cache
def validator(name: str) -> Draft202012Validator:
    """Make what checks a command's JSON: it may have no key that its schema does not tell."""
    described = schema.described(name, schema.commands(main, Context(main))[name])
    for part in described["$defs"].values():
        if part["type"] == "object":
            part.setdefault("additionalProperties", False)
    return Draft202012Validator(described)


def installed(*args: str, **environment: str) -> Outcome:
    """Run the installed command in a process of its own."""
    command = Path(sys.executable).with_name("fxpnn")
    done = subprocess.run(
        [command, *args],
        capture_output=True,
        timeout=120,
        env={**os.environ, **environment},
        check=False,
    )
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())


def tiny(classes: int = 10, shape: tuple[int, ...] = (1, 28, 28)) -> fxpnn.Network:
    """Build a network of two layers whose weights are drawn from a seed; it has learned nothing."""
    generator = np.random.default_rng(1)
    size = int(np.prod(shape))
    layers = {
        "flatten": Flatten(),
        "hidden": Dense(generator.normal(0, 0.1, (8, size)), generator.normal(0, 0.1, 8)),
        "hidden_relu": Relu(),
        "output": Dense(generator.normal(0, 1, (classes, 8)), np.zeros(classes)),
        "softmax": Softmax(),
    }
    return fxpnn.chain("tiny", shape, layers)


def write_models(folder: Path) -> Path:
    """Write ``tiny.onnx`` and, quantized by the command line, ``tiny.fxp``; return the folder."""
    fxpnn.save_onnx(tiny(), folder / "tiny.onnx")
    done = fxp("quantize", folder / "tiny.onnx", "-o", folder / "tiny.fxp", "-q")
    assert done.status == 0, done.err
    return folder


def sha256(path: Path) -> str:
    """Return a file's sha256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
