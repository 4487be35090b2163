"""Write the file of results: raw outputs, predictions and probabilities as .npz or .csv."""

import csv
import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from fxpnn import files
from fxpnn.analysis.matching import class_count
from fxpnn.engine.inference import Run
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.layers import Array


def write(path: Path, run: Run, labels: Array | None, fixed: FixedNetwork) -> None:
    """Write a run's results, whole or not at all; equal runs give equal bytes.

    The first output is ``raw``, others ``output_1`` and on; there are no predictions where the
    network has no classes.

    Raises:
        DataError: the file cannot be written.
    """
    outputs = {"raw": run.raw}
    outputs |= {f"output_{i}": run.tensors[n] for i, n in enumerate(fixed.outputs) if i}
    guesses = run.predictions if class_count(fixed) else None
    spell = _npz if path.suffix == ".npz" else _csv
    files.write(path, spell(run, outputs, guesses, labels))


def _npz(
    run: Run, outputs: Mapping[str, Array], guesses: Array | None, labels: Array | None
) -> bytes:
    arrays: dict[str, Array] = dict(outputs)
    if guesses is not None:
        arrays["predictions"] = guesses
    if run.probabilities is not None:
        arrays["probabilities"] = run.probabilities
    if labels is not None:
        arrays["labels"] = labels
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w") as member:  # dated 1980, whenever it is
                np.lib.format.write_array(member, array, allow_pickle=False)
    return content.getvalue()


def _csv(
    run: Run, outputs: Mapping[str, Array], guesses: Array | None, labels: Array | None
) -> bytes:
    """Spell one line for each image; a label that is not known is empty."""
    count = len(run.raw)
    raw = {name: words.reshape(count, -1) for name, words in outputs.items()}
    heads = [f"{name}_{i}" for name, words in raw.items() for i in range(words.shape[1])]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["index", "label", "prediction", *heads])
    columns = ([""] * count if known is None else known.tolist() for known in (labels, guesses))
    rows = zip(range(count), *columns, np.hstack([*raw.values()]).tolist(), strict=True)
    writer.writerows([*row, *words] for *row, words in rows)
    return text.getvalue().encode()
