"""The plots are PNG files of their own names, the same each time, or one line says why not."""

import re
import sys
from pathlib import Path

import pytest

from fxpnn.errors import DataError
from fxpnn.textbook.formula import expression
from fxpnn.textbook.plots import DRAWINGS, draw

NAMES = [*DRAWINGS, "approximation"]


def test_every_plot(tmp_path: Path) -> None:
    """All are drawn into a new folder, large enough to read, and not of one colour."""
    import matplotlib.image

    found = draw(tmp_path / "new" / "plots")
    assert found == [tmp_path / "new" / "plots" / f"{name}.png" for name in NAMES]
    for path in found:
        image = matplotlib.image.imread(path)
        assert image.shape[0] > 400
        assert image.shape[1] > 1000
        assert image.std() > 0.05


def test_a_curve_of_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It changes the plot of the approximation; without one the bytes are the same each time."""
    monkeypatch.setattr("fxpnn.textbook.plots.DRAWINGS", {})
    plain, again, other = (
        draw(tmp_path, curve)[0].read_bytes() for curve in (None, None, expression("x**3", -1, 1))
    )
    assert plain == again != other


def test_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line names the extra."""
    for module in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    line = f"{tmp_path / 'descent.png'}: plots need matplotlib: pip install 'fxpnn[plot]'"
    with pytest.raises(DataError, match=rf"^{re.escape(line)}$"):
        draw(tmp_path)


def test_folder_that_cannot_be(tmp_path: Path) -> None:
    """A file where the folder should be is one line."""
    (tmp_path / "file").write_text("")
    line = f"{tmp_path / 'file'}: cannot be made: File exists"
    with pytest.raises(DataError, match=rf"^{re.escape(line)}$"):
        draw(tmp_path / "file")
