"""What short words cost: the table in ``models/README.md``, made anew.

Run ``python -m tests.benchmarks.words`` in the project's folder.
"""

from collections.abc import Iterator
from pathlib import Path

import fxpnn
from fxpnn.analysis.report import Accuracy

FOLDER = Path(__file__).parents[2] / "models"
NAMES = ("mlp-784-100-10", "lenet5", "lenet5-relu")
WORDS = (16, 12, 10, 8, 7, 6, 5, 4, 3)


def accuracy(name: str, word: int) -> Accuracy:
    """Quantize a bundled network to a word, everything else at its default, and compare it."""
    network = fxpnn.load_onnx(FOLDER / f"{name}.onnx")
    images, labels = fxpnn.load_data("mnist")
    calibration = fxpnn.load_data("mnist:calibration").x
    fixed = fxpnn.quantize(network, calibration, fxpnn.Settings(word=word))
    return fxpnn.compare(network, fixed, images, labels).accuracy


def table(words: tuple[int, ...] = WORDS) -> Iterator[str]:
    """Give the table's rows."""
    yield f"| bits | {' | '.join(f'`{name}`' for name in NAMES)} |"
    yield "| --- " * (1 + len(NAMES)) + "|"
    for i, word in enumerate(words):
        found = [accuracy(name, word) for name in NAMES]
        if i == 0:
            yield row("float", [f"{lost.reference:.4f}" for lost in found])
        yield row(str(word), [f"{lost.fixed:.4f} ({lost.flips:,})" for lost in found])


def row(head: str, cells: list[str]) -> str:
    """Join a row."""
    return f"| {' | '.join([head, *cells])} |"


if __name__ == "__main__":
    for line in table():
        print(line, flush=True)
