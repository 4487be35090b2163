"""Paths that the system refuses end in one line on every command, wherever they stand."""

from collections.abc import Callable
from pathlib import Path

import pytest

import fxpnn
from fxpnn import files
from fxpnn.errors import DataError, ModelError
from tests.support.cli_runner import fxp, write_models

NULL = "a\0b"
REAL = ("--reference", "tiny.onnx", "--data", "mnist", "--limit", "5")
LINES = (
    "quantize {}.onnx -o o.fxp",
    "quantize tiny.onnx -q -o {}.fxp",
    "quantize tiny.onnx -o o.fxp --formats {}.toml",
    "quantize tiny.onnx -o o.fxp --calibration {}",
    "infer {}.fxp --data mnist",
    "infer tiny.fxp --data {}.npz",
    "infer tiny.fxp --data {}.npz:test",
    "infer tiny.fxp --data mnist --limit 5 --labels {}.npy",
    "infer tiny.fxp --data mnist --limit 5 --reference {}.onnx",
    "infer tiny.fxp --data mnist --limit 5 -q -o {}.csv",
    "explain tiny.fxp --reference {}.onnx --data mnist",
    f"explain tiny.fxp {' '.join(REAL)} --fix --max-loss 0.5 -q -o {{}}.toml",
    f"report tiny.fxp {' '.join(REAL)} -q -o {{}}.html",
    f"report tiny.fxp {' '.join(REAL)} -q -o o.html --points {{}}.csv",
    "search tiny.onnx --data mnist --max-loss 1 -q -o {}",
    "search tiny.onnx --data mnist --max-loss 1 -q -o o --resume {}.csv",
    "sweep {}.onnx --data mnist",
    "inspect {}",
    "inspect tiny.fxp --hardware --energy {}.toml",
    "trace tiny.fxp --data mnist -q -o {}",
    "diff tiny.fxp {}",
    "export tiny.fxp --to qonnx -q -o {}.onnx",
    "export tiny.fxp --to c -q -o {}",
    "cosim tiny.fxp --with c --keep {}",
    "convert lenet5 {}.npz -o o.onnx",
    "convert lenet5 tiny.onnx -o {}.onnx",
    "train {}.onnx --data mnist:calibration -o o.fxp --qat -q",
    "train lenet5 --data mnist:calibration -q -o {}.onnx",
    "train lenet5 --data mnist:calibration -q -o o.fxp --fixed {}.toml",
    "train lenet5 --data mnist:calibration -q -o o.fxp --qat --checkpoint {}.safetensors",
    "train lenet5 --data mnist:calibration -q -o o.fxp --qat --resume {}.safetensors",
    "demo --textbook --lesson xor --plots {}",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with models, a file, and a link that leads to itself."""
    made = write_models(tmp_path_factory.mktemp("paths"))
    (made / "file").write_bytes(b"x")
    (made / "loop").symlink_to("loop")
    return made


@pytest.mark.parametrize("odd", [NULL, "n" * 300, "m/" * 3000 + "m", "file/x", "loop/x"])
@pytest.mark.parametrize("line", LINES)
def test_one_line_tells(line: str, odd: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit status is 2 for what is no name at all, else 3; nothing is written."""
    monkeypatch.chdir(folder)
    before = sorted(folder.iterdir())
    done = fxp(*(word.format(odd) for word in line.split()))
    assert done.out == ""
    assert done.err.startswith("fxpnn: error: ")
    assert done.err.count("\n") == 1
    assert done.status == (2 if odd == NULL else 3), done.err
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("odd", [NULL, "half\ud800"])
@pytest.mark.parametrize(
    ("use", "kind"),
    [
        (fxpnn.load, ModelError),
        (fxpnn.load_onnx, ModelError),
        (fxpnn.load_data, DataError),
        (lambda path: files.write(Path(path), b"x"), DataError),
        (lambda path: files.write_folder(Path(path), []), DataError),
    ],
)
def test_python_refuses_them_too(
    use: Callable[[str], object], kind: type[Exception], odd: str
) -> None:
    """What the library reads and writes is named, and no error of Python comes."""
    with pytest.raises(kind, match=r"must be "):
        use(odd)
