"""``fxpnn infer`` on networks that tell no classes apart, or have several outputs."""

import csv
from pathlib import Path

import numpy as np
import pytest

import fxpnn
from fxpnn.network.graph import INPUT, Network, Node
from fxpnn.network.layers import Dense, Relu, Reshape, Sigmoid, Step
from tests.support.cli_runner import fxp
from tests.support.onnx_models import floats, model, op

GENERATOR = np.random.default_rng(6)


def regressor() -> Network:
    """Build a network of three outputs: a map, a vector and one number."""

    def dense(outs: int, ins: int) -> Dense:
        return Dense(GENERATOR.normal(size=(outs, ins)).astype(np.float32), np.zeros(outs))

    nodes = (
        Node("hidden", dense(8, 4), (INPUT,)),
        Node("relu", Relu(), ("hidden",)),
        Node("map", Reshape((2, 2, 2)), ("relu",)),
        Node("vector", dense(3, 8), ("relu",)),
        Node("one", dense(1, 8), ("relu",)),
        Node("share", Sigmoid(), ("one",)),
    )
    return Network("regressor", (4,), nodes, ("map", "vector", "share"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with the model, its integers, and inputs with numbers as labels."""
    made = tmp_path_factory.mktemp("regressor")
    fxpnn.save_onnx(regressor(), made / "r.onnx")
    x = GENERATOR.normal(size=(20, 4)).astype(np.float32)
    np.savez(made / "x.npz", x=x, y=np.arange(20))
    command = ("quantize", made / "r.onnx", "-o", made / "r.fxp")
    assert fxp(*command, "--calibration", made / "x.npz", "-q").status == 0
    return made


def test_outputs_are_compared_one_by_one(folder: Path) -> None:
    """The JSON and the summary give each output's format, SQNR and largest error; no accuracy."""
    command = ("infer", folder / "r.fxp", "--data", folder / "x.npz")
    done = fxp(*command, "--reference", folder / "r.onnx", "--json").json
    assert set(done["accuracy"].values()) == {None}
    formats = fxpnn.load(folder / "r.fxp").formats
    assert [(o["name"], o["format"]) for o in done["outputs"]] == [
        (name, str(formats[name])) for name in ("map", "vector", "share")
    ]
    assert all(output["sqnr_db"] > 60 for output in done["outputs"])
    text = fxp(*command, "--reference", folder / "r.onnx").out
    for output in done["outputs"]:
        told = f"SQNR {output['sqnr_db']:.1f} dB, error at most {output['max_abs_error']:.2g}"
        assert f"{output['format']}, {told}" in text
    assert "accuracy" not in text
    alone = map(str.rstrip, fxp(*command).out.splitlines())
    assert f" output  vector  {formats['vector']}" in alone


def test_results_hold_every_output(folder: Path, tmp_path: Path) -> None:
    """Raw words of the first output and of the others, and no predictions where none are."""
    command = ("infer", folder / "r.fxp", "--data", folder / "x.npz", "-o")
    run = fxpnn.infer(fxpnn.load(folder / "r.fxp"), np.load(folder / "x.npz")["x"])
    assert fxp(*command, tmp_path / "r.npz").status == 0
    with np.load(tmp_path / "r.npz") as saved:
        assert sorted(saved) == ["labels", "output_1", "output_2", "raw"]
        for key, name in (("raw", "map"), ("output_1", "vector"), ("output_2", "share")):
            assert saved[key].tolist() == run.tensors[name].tolist()
    assert fxp(*command, tmp_path / "r.csv").status == 0
    head, first, *_ = csv.reader((tmp_path / "r.csv").read_text().splitlines())
    names = [f"raw_{i}" for i in range(8)] + [f"output_1_{i}" for i in range(3)] + ["output_2_0"]
    assert head == ["index", "label", "prediction", *names]
    words = [run.tensors[name][0].reshape(-1) for name in ("map", "vector", "share")]
    assert first == ["0", "0", "", *map(str, np.concatenate(words).tolist())]


def test_a_loss_needs_classes(folder: Path) -> None:
    """One line says so, before results are printed."""
    done = fxp(
        "infer", folder / "r.fxp", "--data", folder / "x.npz", "--reference", folder / "r.onnx",
        "--max-loss", "0.1", "-q",
    )  # fmt: skip
    line = f"{folder / 'x.npz'}: must have labels of {folder / 'r.fxp'}'s classes where --max-loss"
    assert (done.status, done.out) == (3, "")
    assert done.err == f"fxpnn: error: {line} is given: it has none\n"


def test_a_search_needs_classes(folder: Path, tmp_path: Path) -> None:
    """One line says so, and no folder is made."""
    given = ("--data", folder / "x.npz", "--calibration", folder / "x.npz", "--max-loss", "0.5")
    done = fxp("search", folder / "r.onnx", *given, "-o", tmp_path / "s", "-q")
    line = f"{folder / 'x.npz'}: must have labels of {folder / 'r.onnx'}'s classes where --max-loss"
    assert (done.status, done.out) == (3, "")
    assert done.err == f"fxpnn: error: {line} is given: it has none\n"
    assert not (tmp_path / "s").exists()


def test_an_exact_output_has_no_decibels(tmp_path: Path) -> None:
    """Steps of words of 16 bits are those of the floats: ``explain`` calls them exact."""
    network = fxpnn.chain("steps", (3,), {"step": Step()})
    x = np.random.default_rng(1).normal(size=(20, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    fxpnn.save_onnx(network, tmp_path / "s.onnx")
    fxpnn.quantize(network, x, fxpnn.Settings(word=2)).save(tmp_path / "s.fxp")
    given = ("--reference", tmp_path / "s.onnx", "--data", tmp_path / "x.npy")
    done = fxp("explain", tmp_path / "s.fxp", *given)
    assert done.status == 0
    (told,) = (line for line in done.out.splitlines() if "ideal at 16 bits" in line)
    assert told.rstrip().endswith("SQNR exact")


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a fully convolutional model, and images for it."""
    made = tmp_path_factory.mktemp("maps")
    conv = op("Conv", "x w", "y", pads=[1, 1, 1, 1])
    proto = model(conv, shape=("N", 2, "H", "W"), weights={"w": floats(3, 2, 3, 3)})
    (made / "m.onnx").write_bytes(proto.SerializeToString())
    np.savez(made / "x.npz", x=floats(9, 2, 6, 5))
    return made


def test_maps_of_any_size(maps: Path) -> None:
    """The user says how large the maps are; the reference then follows the integers."""
    made, images, shape = maps / "m.fxp", maps / "x.npz", ("--shape", "2,6,5")
    command = ("quantize", maps / "m.onnx", "-o", made, "--calibration", images)
    assert fxp(*command, *shape).status == 0
    done = fxp("infer", made, "--data", images, "--reference", maps / "m.onnx", "--json").json
    assert [output["sqnr_db"] > 60 for output in done["outputs"]] == [True]
    assert fxp("inspect", maps / "m.onnx", *shape, "--json").json["layers"][0]["shape"] == [3, 6, 5]


@pytest.mark.parametrize(
    ("args", "status", "line"),
    [
        (("--calibration", "flat.npz"), 3, "m.onnx: input x must be (2, ?, ?), not (60)"),
        (("--shape", "3,6,5"), 3, "m.onnx: input x must be (2, ?, ?), not (3, 6, 5)"),
        (("--shape", "2,6,0"), 2,
         "--shape: must be 1 or more, not 0 (see fxpnn quantize --help)"),
        (("--shape", "2,5,5"), 3,
         "x.npz: images must be (N, 2, 5, 5), as the network's input, not (N, 2, 6, 5)"),
    ],
)  # fmt: skip
def test_sizes_that_do_not_fit(
    args: tuple[str, ...], status: int, line: str, maps: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line says what the model leaves open, or what the data are."""
    monkeypatch.chdir(maps)
    np.savez("flat.npz", x=floats(9, 60))
    done = fxp("quantize", "m.onnx", "-o", "o.fxp", "--calibration", "x.npz", *args)
    assert (done.status, done.err) == (status, f"fxpnn: error: {line}\n")


def test_the_data_say_what_a_model_leaves_open(maps: Path) -> None:
    """Without --shape maps are as large as the calibration images; without both, they are asked."""
    one, two, images = maps / "one.fxp", maps / "two.fxp", ("--calibration", maps / "x.npz")
    assert fxp("quantize", maps / "m.onnx", "-o", one, *images).status == 0
    assert fxp("quantize", maps / "m.onnx", "-o", two, *images, "--shape", "2,6,5").status == 0
    assert one.read_bytes() == two.read_bytes()
    for name in ("x", "input"):
        command = ("quantize", maps / "m.onnx", "-o", two, *images, "--shape", f"{name}=2,6,5")
        assert fxp(*command).status == 0
        assert one.read_bytes() == two.read_bytes()
    done = fxp("quantize", maps / "m.onnx", "-o", one, "--method", "proved")
    line = f"{maps / 'm.onnx'}: input x leaves sizes open; a shape must be given for (2, ?, ?)"
    assert (done.status, done.err) == (3, f"fxpnn: error: {line}\n")


def test_grey_images_say_it_too(tmp_path: Path) -> None:
    """They may lack the axis of channels, as elsewhere."""
    conv = op("Conv", "x w", "y", pads=[1, 1, 1, 1])
    proto = model(conv, shape=("N", 1, "H", "W"), weights={"w": floats(3, 1, 3, 3)})
    (tmp_path / "m.onnx").write_bytes(proto.SerializeToString())
    np.save(tmp_path / "x.npy", np.arange(120, dtype=np.uint8).reshape(4, 6, 5))
    made = tmp_path / "m.fxp"
    command = ("quantize", tmp_path / "m.onnx", "-o", made, "--calibration", tmp_path / "x.npy")
    assert fxp(*command).status == 0
    assert fxpnn.load(made).input_shape == (1, 6, 5)


def test_only_a_model_leaves_sizes_open(folder: Path) -> None:
    """A quantized one has a shape."""
    done = fxp("inspect", folder / "r.fxp", "--shape", "4")
    line = "--shape must go with an ONNX model: a .fxp leaves nothing open"
    assert (done.status, done.err) == (2, f"fxpnn: error: {line} (see fxpnn inspect --help)\n")
