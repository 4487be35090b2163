"""Models of several inputs from end to end on the command line: data are arrays by name."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import fxpnn
from tests.support.cli_runner import fxp
from tests.support.tools import needs
from tests.support.two_inputs import arrays, two_inputs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with pair.onnx, its data, and pair.fxp as the command line makes it."""
    folder = tmp_path_factory.mktemp("pair")
    onnx.save(two_inputs(), folder / "pair.onnx")
    np.savez(folder / "train.npz", **dict[str, Any](arrays(200)))
    x = arrays(60, seed=1)
    y = fxpnn.forward(fxpnn.load_onnx(folder / "pair.onnx"), x)["softmax"].argmax(1)
    np.savez(folder / "test.npz", **dict[str, Any](x, y=y))
    done = fxp(
        *("quantize", folder / "pair.onnx", "-o", folder / "pair.fxp"),
        *("--calibration", folder / "train.npz", "-q"),
    )
    assert (done.status, done.err) == (0, "")
    return folder


def test_quantized_is_what_python_makes(folder: Path) -> None:
    """The same arrays give the same file but for where it says that it came from."""
    made = fxpnn.quantize(fxpnn.load_onnx(folder / "pair.onnx"), arrays(200))
    read = fxpnn.load(folder / "pair.fxp")
    assert read.inputs == made.inputs
    x = arrays(9, seed=4)
    assert fxpnn.infer(read, x).raw.tolist() == fxpnn.infer(made, x).raw.tolist()


@pytest.mark.parametrize(
    ("model", "formats"), [("pair.onnx", [None] * 2), ("pair.fxp", ["Q1.14", "Q7.8"])]
)
def test_inspect_names_each_input(folder: Path, model: str, formats: list[Any]) -> None:
    """JSON gives the name, shape and format of each; what one input alone has is null."""
    found = fxp("inspect", folder / model, "--json").json
    assert found["inputs"] == [
        {"name": "image", "shape": [1, 6, 6], "format": formats[0]},
        {"name": "beside", "shape": [3], "format": formats[1]},
    ]
    assert found["input_shape"] is None
    assert found.get("input_format") is None
    shown = fxp("inspect", folder / model).out
    of = [f" of {fmt}" if fmt else "" for fmt in formats]
    assert f"inputs image 1x6x6{of[0]}, beside 3{of[1]}" in " ".join(shown.split())


def test_infer_compares_each_input(folder: Path, tmp_path: Path) -> None:
    """Labels stand beside the inputs; each has a row of its own."""
    done = fxp(
        *("infer", folder / "pair.fxp", "--data", folder / "test.npz"),
        *("--reference", folder / "pair.onnx", "--json", "-o", tmp_path / "results.npz"),
    )
    assert done.status == 0
    found = done.json
    assert found["accuracy"]["float"] == 1
    assert [layer["name"] for layer in found["layers"]][:3] == ["image", "beside", "conv"]
    assert len(np.load(tmp_path / "results.npz")["raw"]) == 60


def test_explain_report_sweep(folder: Path, tmp_path: Path) -> None:
    """All that runs both networks takes such data."""
    data = ("--data", folder / "test.npz")
    reference = ("--reference", folder / "pair.onnx")
    found = fxp("explain", folder / "pair.fxp", *reference, *data, "--json", "-q").json
    assert [layer["name"] for layer in found["layers"]][:2] == ["image", "beside"]
    page = tmp_path / "pair.html"
    done = fxp("report", folder / "pair.fxp", *reference, *data, "-o", page, "-q")
    assert done.status == 0
    assert "image 1 × 6 × 6, beside 3" in page.read_text(encoding="utf-8")
    calibration = ("--calibration", folder / "train.npz")
    words = ("--word", "4..5")
    points = fxp("sweep", folder / "pair.onnx", *data, *calibration, *words, "--json", "-q").json
    assert [point["word"] for point in points["points"]] == [4, 5]


def test_trace_and_diff(folder: Path, tmp_path: Path) -> None:
    """Each input has its files; without one of them the other layers cannot be judged."""
    out = tmp_path / "words"
    traced = ("trace", folder / "pair.fxp", "--data", folder / "test.npz", "--index", "3")
    assert fxp(*traced, "-o", out, "-q").status == 0
    x = {name: array[3] for name, array in arrays(60, seed=1).items()}
    fixed = fxpnn.load(folder / "pair.fxp")
    for place, it in enumerate(fixed.inputs):
        found = np.load(out / f"input_{place}_{it.name}.npy")
        assert found.tolist() == fxpnn.from_float(x[it.name], it.format).tolist()
    assert fxp("diff", folder / "pair.fxp", out, "-q").status == 0
    shown = ("--data", folder / "test.npz", "--index")
    assert fxp("diff", folder / "pair.fxp", out, *shown, "3", "-q").status == 0
    other = fxp("diff", folder / "pair.fxp", out, *shown, "4", "--json", "-q")
    assert other.status == 1
    differ = {it["name"] for it in other.json["layers"] if it["state"] == "differs"}
    assert differ == {"image", "beside"}
    (out / "layer_5_join.hex").unlink()
    joined = np.load(out / "layer_5_join.npy")
    joined[5] += 1
    np.save(out / "layer_5_join.npy", joined)
    done = fxp("diff", folder / "pair.fxp", out, "--json", "-q")
    assert done.status == 1
    states = {layer["name"]: layer["state"] for layer in done.json["layers"]}
    assert states["join"] == "differs"
    assert states["image"] == states["beside"] == "unknown"


def test_sizes_are_seen_in_the_data(folder: Path, tmp_path: Path) -> None:
    """Where the file leaves them open, the arrays of the same names say them."""
    onnx.save(two_inputs(sizes=False), tmp_path / "open.onnx")
    made = ("quantize", tmp_path / "open.onnx", "-o", tmp_path / "open.fxp", "-q")
    assert fxp(*made, "--calibration", folder / "train.npz").status == 0
    assert fxpnn.load(tmp_path / "open.fxp").inputs == fxpnn.load(folder / "pair.fxp").inputs


def open_model(folder: Path) -> Path:
    """Write the model with sizes of both inputs open."""
    made = two_inputs(sizes=False)
    for dim in made.graph.input[0].type.tensor_type.shape.dim[2:]:
        dim.dim_param = "side"
    onnx.save(made, folder / "both.onnx")
    return folder / "both.onnx"


def test_shapes_by_name(folder: Path, tmp_path: Path) -> None:
    """Each is said by ``--shape``, or one of them, where the data say the other."""
    model, data = open_model(tmp_path), ("--calibration", folder / "train.npz")
    image, beside = ("--shape", "image=1,6,6"), ("--shape", "beside=3")
    found = fxp("inspect", model, *image, *beside, "--json").json
    assert [it["shape"] for it in found["inputs"]] == [[1, 6, 6], [3]]
    for place, shapes in enumerate((image, beside, (*beside, *image))):
        out = tmp_path / f"{place}.fxp"
        assert fxp("quantize", model, "-o", out, *data, *shapes, "-q").status == 0
        assert fxpnn.load(out).inputs == fxpnn.load(folder / "pair.fxp").inputs


@pytest.mark.parametrize(
    ("shapes", "status", "line"),
    [
        (("image=1,6,6",), 3,
         "{model}: input beside leaves sizes open; a shape must be given for (?)"),
        (("1,6,6",), 3, "{model}: shapes must be given by the names of its inputs: image, beside"),
        (("image=1,6,6", "beide=3"), 3,
         "{model}: shapes must be of its inputs (image, beside), not of beide"),
        (("image=2,6,6", "beside=3"), 3, "{model}: input image must be (1, ?, ?), not (2, 6, 6)"),
        (("image=1,6,6", "3"), 2,
         "--shape: must name its input where there are several: NAME=C,H,W{help}"),
        (("beside=3", "beside=4"), 2, "--shape: must be given once for each input{help}"),
        (("beside=three",), 2, "--shape: must be a whole number, not 'three'{help}"),
        (("beside=",), 2, "--shape: must be a whole number, not ''{help}"),
    ],
)  # fmt: skip
def test_shapes_that_do_not_fit(
    shapes: tuple[str, ...], status: int, line: str, tmp_path: Path
) -> None:
    """One line names the input, or what the option lacks."""
    model = open_model(tmp_path)
    done = fxp("inspect", model, *(word for shape in shapes for word in ("--shape", shape)))
    told = line.format(model=model, help=" (see fxpnn inspect --help)")
    assert done == (status, "", f"fxpnn: error: {told}\n")


def test_search(folder: Path, tmp_path: Path) -> None:
    """Words are taken from layers behind each input; other commands take what is written."""
    model, data, out = folder / "pair.onnx", ("--data", folder / "test.npz"), tmp_path / "small"
    limits = ("--max-loss", "0.3", "--word", "6", "--step-back")
    made = fxp("search", model, *data, "--calibration", folder / "train.npz", *limits, "-o", out)
    assert made.status == 0, made.err
    best = fxpnn.load(out / "best.fxp")
    assert [it.name for it in best.inputs] == ["image", "beside"]
    assert {best[name].weight_formats[0].word for name in ("conv", "dense", "logits")} != {6}
    judged = fxp("infer", out / "best.fxp", *data, "--reference", model, "--json", "-q").json
    assert judged["accuracy"]["loss"] <= 0.3
    again = tmp_path / "again.fxp"
    formats = ("--formats", out / "formats.toml", "-q")
    assert fxp("quantize", model, "-o", again, *formats).status == 0
    x = arrays(20, seed=7)
    assert (fxpnn.infer(fxpnn.load(again), x).raw == fxpnn.infer(best, x).raw).all()


@pytest.mark.parametrize(
    "simulator",
    [
        pytest.param("c", marks=needs("gcc")),
        pytest.param("iverilog", marks=needs("iverilog")),
    ],
)
def test_cosim(simulator: str, folder: Path) -> None:
    """Hardware reads both inputs; data are given by name, or drawn."""
    run = ("cosim", folder / "pair.fxp", "--with", simulator, "--limit", "3", "--json", "-q")
    for data in ((), ("--data", folder / "test.npz")):
        done = fxp(*run, *data)
        assert done.status == 0, done.err
        assert done.json["verdict"] is None


def test_inspect_hardware(folder: Path) -> None:
    """All values of both are read, and each is then a part of the row."""
    found = fxp("inspect", folder / "pair.fxp", "--hardware", "--json").json
    (core,) = found["cores"]
    assert [(layer["name"], layer["op"]) for layer in core["layers"]][:3] == [
        *(("input", "Input"), ("image", "Slice"), ("beside", "Slice"))
    ]
    assert core["layers"][0]["cycles"] == 39
    assert (
        f"{core['cycles']} cycles an image" in fxp("inspect", folder / "pair.fxp", "--hardware").out
    )


def test_pixels_beside_floats_want_a_scale(folder: Path, tmp_path: Path) -> None:
    """Nobody said what the pixels mean; --scale does, and the formats are those of the numbers."""
    x = arrays(50)
    x["image"] = np.round(x["image"] * 255).astype(np.uint8)
    data = tmp_path / "mixed.npz"
    np.savez(data, **dict[str, Any](x))
    made = ("quantize", folder / "pair.onnx", "-o", tmp_path / "m.fxp", "--calibration", data, "-q")
    assert fxp(*made) == (
        3,
        "",
        f"fxpnn: error: {data}: pixels beside floats must have a scale, which the network does not "
        "say: image; give it (--scale), or floats\n",
    )
    assert fxp(*made, "--scale", "1/255").status == 0
    floats = {**x, "image": x["image"] / 255}
    fixed = fxpnn.load(tmp_path / "m.fxp")
    assert fxpnn.infer(fixed, x).raw.tolist() == fxpnn.infer(fixed, floats).raw.tolist()


def other(folder: Path, **changes: Any) -> Path:
    """Write test data with arrays changed, or without those that are ``None``."""
    held = {**arrays(8), **changes}
    np.savez(folder / "other.npz", **{n: array for n, array in held.items() if array is not None})
    return folder / "other.npz"


NAMED = "arrays named image, beside"


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"beside": None}, f"must hold {NAMED}, not lack beside"),
        (
            {"extra": np.ones((8, 2))},
            "must hold no arrays but image, beside (and y, for labels), not 'extra'",
        ),
        ({"beside": np.ones((8, 4))}, "beside must be (N, 3), not (8, 4)"),
        (
            {"beside": np.ones((7, 3))},
            "inputs must hold equally many images, not 8 in image, 7 in beside",
        ),
        ({"beside": np.full((8, 3), np.nan)}, "beside[0, 0] must be finite, not nan"),
        ({"y": np.zeros(9, np.int64)}, "labels must be (8), one for each image, not (9,)"),
    ],
)
def test_data_that_do_not_fit(
    folder: Path, tmp_path: Path, changes: dict[str, Any], line: str
) -> None:
    """One line says the file, the input and what is wanted."""
    data = other(tmp_path, **changes)
    done = fxp("infer", folder / "pair.fxp", "--data", data, "-q")
    assert done == (3, "", f"fxpnn: error: {data}: {line}\n")


def test_data_of_one_input(folder: Path, tmp_path: Path) -> None:
    """A name of bundled images, an .npy and a folder of images have no names of inputs."""
    np.save(tmp_path / "x.npy", np.ones((4, 39)))
    (tmp_path / "images").mkdir()
    for data in ("mnist", str(tmp_path / "x.npy"), str(tmp_path / "images")):
        done = fxp("infer", folder / "pair.fxp", "--data", data, "-q")
        assert done == (
            3,
            "",
            f"fxpnn: error: {data}: must be an .npz of {NAMED}, for the network has several "
            "inputs\n",
        )


def test_training_refuses(folder: Path, tmp_path: Path) -> None:
    """What cannot take several inputs yet says so, and writes nothing."""
    data = ("--data", folder / "test.npz", "-o", tmp_path / "t.fxp")
    done = fxp("train", folder / "pair.onnx", *data, "--qat", "-q")
    told = "training takes networks of one input, not of 2: image, beside"
    assert (done.status, done.err) == (3, f"fxpnn: error: {told}\n")
    assert not any(tmp_path.iterdir())


def test_calibration_must_be_named(folder: Path, tmp_path: Path) -> None:
    """No bundled images fit; where formats are given, none are needed."""
    done = fxp("quantize", folder / "pair.onnx", "-o", tmp_path / "no.fxp", "-q")
    assert done.status == 2
    assert done.err == (
        "fxpnn: error: the range of the input must be known: give calibration data or the input's "
        "format, or, if these are pixels, their scale\n"
    )
