"""The README's chapters on results as JSON, devices and formats show what their commands print."""

import re
import shlex
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.cli_runner import fxp

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MODELS = {"mlp.onnx": "mlp-784-100-10.onnx", "lenet5-relu.onnx": "lenet5-relu.onnx"}

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work where the README does: beside copies of two models, by the names that it gives them."""
    for name, bundled in MODELS.items():
        (tmp_path / name).write_bytes((ROOT / "models" / bundled).read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blocks(heading: str) -> list[tuple[str, str]]:
    """Return the blocks of code below a heading, each with its language."""
    _, _, rest = README.partition(f"\n{heading}\n")
    return BLOCK.findall(re.split(r"^##", rest, maxsplit=1, flags=re.MULTILINE)[0])


def run(commands: str) -> str:
    """Run lines of commands, which all must succeed, and return what they print."""
    printed = ""
    for line in commands.replace("\\\n", "").strip().splitlines():
        program, *args = shlex.split(line)
        assert program == "fxpnn"
        done = fxp(*args)
        assert done.status == 0, (line, done.err)
        printed += done.out
    return printed


def words(text: str) -> str:
    """Leave out where lines end, and how far columns stand apart."""
    return " ".join(re.sub("\N{BOX DRAWINGS LIGHT HORIZONTAL}+", "-", text).split())


def test_formats_that_do_not_fit_lose_what_is_shown(folder: Path) -> None:
    """The remedy, the ranking of layers and the words that a search finds are as printed."""
    shown, printed = 0, ""
    for language, text in blocks("## When a format does not fit"):
        if language == "toml":
            (folder / "bad.toml").write_text(text)
        elif language == "sh" and "report" not in text:
            # The words shown are those of a block's last search.
            printed = run(text[text.rindex("fxpnn search") :] if "search" in text else text)
        elif language == "text":
            assert words(text) in words(printed)
            shown += 1
    assert shown == 3


def test_the_device_that_rounds_down_differs_as_shown() -> None:
    """The table is that of a trace of the same integers, cast by floor."""
    run("fxpnn quantize mlp.onnx -o mlp.fxp\nfxpnn quantize mlp.onnx -o floor.fxp --rounding floor")
    run("fxpnn trace floor.fxp --data mnist --index 7 -o seven")
    ((_, table),) = (found for found in blocks("### Compare with a device") if found[0] == "text")
    done = fxp("diff", "mlp.fxp", "seven")
    assert done.status == 1
    assert words(table) in words(done.out)


def holds(shown: Any, found: Any) -> bool:
    """Return whether what is shown, rounded and shortened, is true of what was found."""
    if isinstance(shown, dict):
        return all(holds(value, found[key]) for key, value in shown.items())
    if isinstance(shown, list):
        return all(any(holds(item, other) for other in found) for item in shown)
    if isinstance(shown, str):
        return bool(found.startswith(shown.removesuffix("...")))
    return bool(found == pytest.approx(shown, rel=0.02))


def test_json_holds_what_is_shown() -> None:
    """Of 6 layers one, and the other keys, but for what time and version decide."""
    shell, document = (text for _, text in blocks("## Results as JSON"))
    assert "--json -q > run.json" in shell
    run("fxpnn quantize mlp.onnx -o mlp.fxp")
    found = fxp(*shlex.split("infer mlp.fxp --data mnist --reference mlp.onnx --json -q")).json
    shown = msgspec.json.decode(document)
    assert len(found["layers"]) == 6
    assert shown.pop("timing").keys() == found["timing"].keys()
    del shown["model"]["sha256"]  # the version stands in the file
    assert holds(shown, found)
