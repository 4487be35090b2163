"""A reference that is not the file the model came from fails a gate, and is told everywhere."""

import copy
import pickle
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

import fxpnn
from fxpnn.analysis.comparison import measure, summarize
from fxpnn.errors import DataError
from fxpnn.network.graph import Provenance, Scaling
from tests.support.cli_runner import Outcome, fxp, sha256, tiny, write_models


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with tiny.onnx, tiny.fxp, and the same network in another file."""
    folder = write_models(tmp_path_factory.mktemp("models"))
    fxpnn.save_onnx(replace(tiny(), name="other"), folder / "other.onnx")
    return folder


def infer(models: Path, reference: str, *args: str) -> Outcome:
    """Compare the model with one of the files."""
    run = ("infer", models / "tiny.fxp", "--data", "mnist", "--limit", "8", "--json")
    return fxp(*run, "--reference", models / reference, *args)


def test_another_reference_fails_the_gate(models: Path) -> None:
    """With -q too; the results are printed all the same."""
    assert infer(models, "tiny.onnx", "--max-loss", "1", "-q").status == 0
    done = infer(models, "other.onnx", "--max-loss", "1", "-q")
    assert done.status == 1
    assert done.err == (
        f"fxpnn: failed: {models / 'tiny.fxp'} was quantized from another file than "
        f"{models / 'other.onnx'}; --allow-other-reference judges by it all the same\n"
    )
    assert done.json["reference_matches"] is False


def test_another_reference_may_be_allowed(models: Path) -> None:
    """The option does what the failure says; a note is left."""
    done = infer(models, "other.onnx", "--max-loss", "1", "--allow-other-reference")
    assert done.status == 0
    assert done.err == (
        f"fxpnn: note: {models / 'tiny.fxp'} was quantized from another file than "
        f"{models / 'other.onnx'}\n"
    )


def test_without_a_gate_another_reference_is_noted(models: Path) -> None:
    """It is compared all the same; -q silences the note."""
    done = infer(models, "other.onnx")
    assert (done.status, done.json["reference_matches"]) == (0, False)
    assert done.err.endswith(f"from another file than {models / 'other.onnx'}\n")
    assert infer(models, "other.onnx", "-q").err == ""


def test_json_says_whether_the_reference_matches(models: Path, tmp_path: Path) -> None:
    """It is null where there is no reference, or the model does not know its file."""
    assert infer(models, "tiny.onnx").json["reference_matches"] is True
    run = ("--data", "mnist", "--limit", "8", "--json")
    assert fxp("infer", models / "tiny.fxp", *run).json["reference_matches"] is None
    fixed = fxpnn.load(models / "tiny.fxp")
    replace(fixed, provenance=Provenance()).save(tmp_path / "a.fxp")
    done = fxp("infer", tmp_path / "a.fxp", *run, "--reference", models / "other.onnx")
    assert (done.err, done.json["reference_matches"]) == ("", None)


def test_the_option_without_a_gate_is_refused(models: Path) -> None:
    """It would have no effect."""
    done = infer(models, "other.onnx", "--allow-other-reference")
    line = "--allow-other-reference must have a --max-loss to judge (see fxpnn infer --help)"
    assert (done.status, done.err) == (2, f"fxpnn: error: {line}\n")


def test_labels_that_are_no_classes_fail_the_gate(models: Path, tmp_path: Path) -> None:
    """Neither network has any of them right: no loss is to be seen where all may be lost."""
    images = fxpnn.load_data("mnist").x[:2]
    np.savez(tmp_path / "x.npz", x=images, y=np.array([3, 10]))
    run = ("infer", models / "tiny.fxp", "--data", tmp_path / "x.npz", "-q")
    done = fxp(*run, "--reference", models / "tiny.onnx", "--max-loss", "1")
    assert done == (
        3,
        "",
        f"fxpnn: error: {tmp_path / 'x.npz'}: labels must be the classes 0 to 9 where --max-loss "
        "is given, not reach 10\n",
    )
    assert fxp(*run).status == 0
    done = fxp("explain", *run[1:], "--reference", models / "tiny.onnx", "--max-loss", "1")
    assert (done.status, done.out) == (3, "")
    assert "labels must be the classes 0 to 9 where --max-loss is given, not reach 10" in done.err


def test_labels_that_are_no_classes_decide_nothing(models: Path, tmp_path: Path) -> None:
    """A search would find that every word holds; where no loss is judged, a note tells of it."""
    images = fxpnn.load_data("mnist").x[:20]
    np.savez(tmp_path / "x.npz", x=images, y=np.arange(20))
    given = ("--data", tmp_path / "x.npz")
    found = fxp("search", models / "tiny.onnx", *given, "--max-loss", "1", "-o", tmp_path / "s")
    assert (found.status, found.out) == (3, "")
    assert "labels must be the classes 0 to 9 where --max-loss is given, not reach 19" in found.err
    assert not (tmp_path / "s").exists()
    told = "its labels are 0 to 19, but the network has the classes 0 to 9"
    swept = fxp("sweep", models / "tiny.onnx", *given, "--word", "8")
    reference = ("--reference", models / "tiny.onnx")
    explained = fxp("explain", models / "tiny.fxp", *given, *reference)
    for done in (swept, explained):
        assert done.status == 0
        assert f"fxpnn: note: {tmp_path / 'x.npz'}: {told}\n" in done.err


# From Python


def test_a_network_knows_its_file(models: Path) -> None:
    """Also when it is copied, pickled, scaled or quantized; not when it is changed."""
    path = models / "tiny.onnx"
    network = fxpnn.load_onnx(path)
    scaled = network.with_scaling(Scaling(1 / 255))
    for same in (network, copy.deepcopy(network), pickle.loads(pickle.dumps(network)), scaled):
        assert same.sha256 == sha256(path)
    assert scaled.scaling == Scaling(1 / 255)
    fixed = fxpnn.quantize(network, fxpnn.load_data("mnist:calibration").x)
    assert fixed.provenance.model == sha256(path)
    changed = replace(network, nodes=network.nodes[:-1], outputs=())
    assert (changed.sha256, tiny().sha256) == ("", "")


def test_compare_warns(models: Path) -> None:
    """Of another file only; merged parts know it too, and do not mix."""
    fixed, x = fxpnn.load(models / "tiny.fxp"), fxpnn.load_data("mnist").x[:4]
    own, other = (fxpnn.load_onnx(models / f"{name}.onnx") for name in ("tiny", "other"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fxpnn.compare(own, fixed, x).reference_matches is True
        assert fxpnn.compare(tiny(), fixed, x).reference_matches is None
        assert fxpnn.compare(None, fixed, x).reference_matches is None
    message = "^the reference must be the file that tiny was quantized from, not another$"
    with pytest.warns(UserWarning, match=message) as caught:
        assert fxpnn.compare(other, fixed, x).reference_matches is False
    assert caught[0].filename == __file__
    part = measure(other, fixed, x)
    assert summarize(fixed, part).reference_matches is False
    with pytest.raises(DataError, match=r"^parts must be of the same networks to be merged$"):
        part + measure(own, fixed, x)


def test_weights_in_other_files_are_part_of_a_model(tmp_path: Path) -> None:
    """Two models that differ in them only are not the same, though their .onnx files are."""
    hashes = []
    for seed in (1, 2):
        folder = tmp_path / str(seed)
        folder.mkdir()
        fxpnn.save_onnx(tiny(), folder / "m.onnx")
        model = onnx.load(folder / "m.onnx")
        for tensor in model.graph.initializer:
            array = onnx.numpy_helper.to_array(tensor) * seed
            tensor.CopyFrom(onnx.numpy_helper.from_array(array, tensor.name))
        onnx.save(
            model,
            folder / "m.onnx",
            save_as_external_data=True,
            location="weights",
            size_threshold=0,
        )
        hashes.append((sha256(folder / "m.onnx"), fxpnn.load_onnx(folder / "m.onnx").sha256))
    (file, model_), (other_file, other_model) = hashes
    assert file == other_file
    assert model_ != other_model
