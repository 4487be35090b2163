"""What formats do not say is shown: modes, accumulators, softmax's constant, the pixels' scale."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fxpnn
from cli.console import tables
from cli.sources import DataSource, ModelSource
from cli.views import inspection
from cli.views import run as view
from fxpnn.analysis.comparison import summarize
from fxpnn.analysis.modes import normalisation_text, scaling_text
from fxpnn.analysis.statistics import Statistics
from fxpnn.analysis.summary import Report
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, Rounding
from fxpnn.network.fixed import Counts, FixedNetwork, FixedNode
from fxpnn.network.graph import Scaling
from fxpnn.network.layers import Dense, Flatten, LeakyRelu, Relu, Softmax, Tanh
from fxpnn.network.normalisation import Normalisation
from tests.support.cli_runner import fxp, write_models
from tests.support.onnx_models import model as onnx_model
from tests.support.onnx_models import op

MODEL, DATA = ModelSource("m", "", "m"), DataSource("d", 1, "")


def network() -> FixedNetwork:
    """Quantize layers that cast by modes, that have none, and that sum."""
    layers = {
        "flat": Flatten(),
        "sum": Dense(np.ones((3, 4)), np.zeros(3)),
        "relu": Relu(),
        "leaky": LeakyRelu(0.5),
        "tanh": Tanh(),
        "softmax": Softmax(),
    }
    images = np.zeros((1, 1, 2, 2), np.uint8)
    return fxpnn.quantize(fxpnn.chain("m", (1, 2, 2), layers), images)


FIXED = network()


def changes(node: FixedNode) -> Iterator[st.SearchStrategy[dict[str, object]]]:
    """Give what can be chosen for a layer beside its formats."""
    if node.layer.traits.casts:
        yield st.fixed_dictionaries(
            {"rounding": st.sampled_from(Rounding), "overflow": st.sampled_from(Overflow)}
        )
    if node.accumulator:
        register = st.builds(
            Accumulator,
            st.integers(8, 62),
            st.sampled_from([Overflow.SATURATE, Overflow.WRAP]),
        )
        yield st.fixed_dictionaries({"accumulator": register})
    if node.layer.traits.subtracts:
        yield st.fixed_dictionaries({"softmax_shift": st.none() | st.integers(-(2**15), 2**15 - 1)})


@st.composite
def variants(draw: st.DrawFn) -> FixedNetwork:
    """Draw other modes for some layers, another scale, and a normalisation of the input."""
    nodes = []
    for node in FIXED.nodes:
        chosen: dict[str, Any] = {
            k: v for choice in changes(node) if draw(st.booleans()) for k, v in draw(choice).items()
        }
        nodes.append(replace(node, **chosen))
    scales = st.sampled_from([1 / 256, 1 / 255, 0.1, 1.0, -1.0, 2.0])
    ends = st.tuples(st.floats(0.1, 2))
    scaling = draw(st.builds(Scaling, scales, ends, ends))
    begins = st.none() | st.builds(Normalisation, ends, ends)
    return replace(
        FIXED,
        nodes=tuple(nodes),
        scaling=draw(st.sampled_from([FIXED.scaling, scaling])),
        normalisation=draw(begins),
    )


def meaning(fixed: FixedNetwork) -> object:
    """Tell two networks apart by what their layers heed."""
    heeded = [
        (n.layer.traits.casts and (n.rounding, n.overflow), n.accumulator, n.softmax_shift)
        for n in fixed.nodes
    ]
    return heeded, fixed.scaling, fixed.normalisation


def report(fixed: FixedNetwork) -> Report:
    """Report on a run in which nothing overflowed, in no time."""
    nothing = Statistics(
        spans=((0, 1),),
        judged=False,
        compared=False,
        hits=0,
        reference_hits=0,
        flipped=(),
        counts=dict.fromkeys(fixed.shapes, Counts()),
        errors={},
        softmax=None,
        seconds=1.0,
        threads=1,
    )
    return summarize(fixed, nothing)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(one=variants(), other=variants())
def test_what_differs_is_printed_otherwise(
    one: FixedNetwork,
    other: FixedNetwork,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Models that differ in a mode, a register or what inputs become never print the same."""
    monkeypatch.setattr(tables, "on_terminal", lambda: True)
    pairs = [
        (
            inspection.inspected(fixed, MODEL),
            view.run_report(report(fixed), MODEL, DATA, fixed.scaling),
        )
        for fixed in (one, other)
    ]
    for columns in (60, 110, 4096):
        monkeypatch.setenv("COLUMNS", str(columns))
        inspected, run = [], []
        for found, done in pairs:
            inspection.print_inspection(found)
            inspected.append(capsys.readouterr().out)
            view.print_run(done)
            run.append(capsys.readouterr().out)
        for ours, theirs in (inspected, run):
            assert (ours != theirs) == (meaning(one) != meaning(other))


def test_modes_are_the_library_s(tmp_path: Path) -> None:
    """In JSON each layer has its modes; one that casts nothing has none."""
    folder = write_models(tmp_path)
    how = ("--rounding", "floor", "--overflow", "wrap", "--softmax", "0.5", "-q")
    assert fxp("quantize", folder / "tiny.onnx", "-o", folder / "t.fxp", *how).status == 0
    infer = ("infer", folder / "t.fxp", "--data", "mnist", "--limit", "1", "-q")
    inspected = fxp("inspect", folder / "t.fxp", "--json").json["layers"]
    rows = fxp(*infer, "--json").json["layers"]
    assert [rows[0][key] for key in ("rounding", "overflow", "softmax")] == [
        *("nearest-even", "saturate", None)
    ]
    for layers in (inspected, rows[1:]):
        found = {x["name"]: (x["rounding"], x["overflow"], x["softmax"]) for x in layers}
        assert found == {
            "flatten": (None, None, None),
            "hidden": ("floor", "wrap", None),
            "hidden_relu": (None, None, None),
            "output": ("floor", "wrap", None),
            "softmax": (None, None, "0.5"),
        }
    for out in (fxp("inspect", folder / "t.fxp").out, fxp(*infer).out):
        assert "floor wrap " in out
        assert "Q0.15 minus 0.5" in out
        assert "nearest-even and saturate, but where a mode stands beside a format" in out


@pytest.mark.parametrize(
    ("scaling", "text"),
    [
        (Scaling(), "x / 256"),
        (Scaling(assumed=True), "x / 256, assumed"),
        (Scaling(1.0), "x / 1"),
        (Scaling(-0.5), "x / -2"),
        (Scaling(2.0), "x * 2.0"),
        (Scaling(0.004), "x / 250"),
        (Scaling(0.0041), "x * 0.0041"),
        (Scaling(1e-300), "x * 1e-300"),
        (Scaling(1 / 255, (0.5, 0.25), (2.0,)), "(x / 255 - (0.5, 0.25)) / 2.0"),
    ],
)
def test_a_scale_is_spelled_exactly(scaling: Scaling, text: str) -> None:
    """A division where it is one, numbers to the last digit."""
    assert scaling_text(scaling) == text


@pytest.mark.parametrize(
    ("normalisation", "text"),
    [
        (None, ""),
        (Normalisation((0.1,), (-3.0,)), "x * 0.1 + -3.0"),
        (Normalisation((0.1, 2.0), (1.0,)), "x * (0.1, 2.0) + 1.0"),
        (Normalisation((0.5, *[2.0] * 16), (0.0,)), "x * (17 of 0.5 to 2.0) + 0.0"),
    ],
)
def test_a_normalisation_is_spelled_exactly(normalisation: Normalisation | None, text: str) -> None:
    """Each feature's numbers to the last digit, or the range of very many."""
    assert normalisation_text(normalisation) == text


def test_a_normalisation_is_shown(tmp_path: Path) -> None:
    """Of a float and a fixed model by ``inspect``, of a run by ``infer``; null where is none."""
    begin = Normalisation((0.25, 2.0), (-1.0, 0.5))
    dense = Dense(np.eye(2, dtype=np.float32), np.zeros(2, np.float32))
    net = replace(fxpnn.chain("n", (2,), {"d": dense}), normalisation=begin)
    fxpnn.save_onnx(net, tmp_path / "n.onnx")
    np.savez(tmp_path / "x.npz", x=np.array([[0.0, 0.5], [8.0, 0.25]]))
    data = ("--calibration", tmp_path / "x.npz")
    done = fxp("quantize", tmp_path / "n.onnx", "-o", tmp_path / "n.fxp", *data)
    told = "x * (0.25, 2.0) + (-1.0, 0.5)"
    assert f" the input becomes {told} before all layers\n" in done.out
    run = ("infer", tmp_path / "n.fxp", "--data", tmp_path / "x.npz")
    assert re.search(rf"^ input +{re.escape(told)} *$", fxp(*run).out, re.MULTILINE)
    for command in (
        ("inspect", tmp_path / "n.onnx"),
        ("inspect", tmp_path / "n.fxp"),
        run,
    ):
        found = fxp(*command, "--json").json["normalisation"]
        assert found == {"gain": [0.25, 2.0], "offset": [-1.0, 0.5]}
    fxpnn.save_onnx(replace(net, normalisation=None), tmp_path / "n.onnx")
    assert fxp("inspect", tmp_path / "n.onnx", "--json").json["normalisation"] is None


def test_an_assumed_scale_is_said(tmp_path: Path) -> None:
    """Where an ONNX model says nothing; what a user says, and floats, need no assumption."""
    gemm = op("Gemm", "x w", "y", transB=1)
    model = onnx_model(gemm, shape=("N", 2), weights={"w": np.ones((2, 2), np.float32)})
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    np.savez(tmp_path / "x.npz", x=np.array([[0, 255]], np.uint8))
    np.savez(tmp_path / "f.npz", x=np.array([[0.0, 0.5]]))
    command = ("quantize", tmp_path / "m.onnx", "-o", tmp_path / "m.fxp", "--json")
    assumed = "x / 256 is assumed, --scale, --mean and --std say otherwise"
    pixels = fxp(*command, "--calibration", tmp_path / "x.npz")
    assert pixels.err == (
        f"fxpnn: note: {tmp_path / 'm.onnx'} does not say how pixels become numbers: {assumed}\n"
    )
    assert pixels.json["scaling"]["assumed"]
    run = ("infer", tmp_path / "m.fxp", "--json", "--data")
    told = fxp(*run, tmp_path / "x.npz")
    assert told.json["scaling"] == {"scale": 1 / 256, "mean": [0.0], "std": [1.0], "assumed": True}
    assert "quantized on that assumption" in told.err
    assert fxp(*run, tmp_path / "f.npz").err == ""
    said = fxp(*command, "--calibration", tmp_path / "x.npz", "--scale", "1/256")
    assert (said.err, said.json["scaling"]["assumed"]) == ("", False)
    assert fxp(*command, "--calibration", tmp_path / "f.npz").err == ""


def test_an_assumption_is_not_written_down_as_a_fact(tmp_path: Path) -> None:
    """A model that says nothing of pixels says nothing when it is written again."""
    assumed = replace(fxpnn.chain("n", (2,), {"r": Relu()}), scaling=Scaling(assumed=True))
    fxpnn.save_onnx(assumed, tmp_path / "a.onnx")
    assert fxpnn.load_onnx(tmp_path / "a.onnx").scaling.assumed
    fxpnn.save_onnx(replace(assumed, scaling=Scaling()), tmp_path / "b.onnx")
    assert not fxpnn.load_onnx(tmp_path / "b.onnx").scaling.assumed
    fixed = fxpnn.quantize(assumed, np.zeros((1, 2), np.uint8))
    fixed.save(tmp_path / "a.fxp")
    assert fxpnn.load(tmp_path / "a.fxp").scaling.assumed
    assert json.loads(fxp("inspect", tmp_path / "a.fxp", "--json").out)["scaling"]["assumed"]
