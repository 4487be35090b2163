"""Own the file of results: raw outputs, predictions and probabilities as .npz or .csv."""

import csv
import io
import zipfile
from pathlib import Path

import numpy as np

from fxpnn import files
from fxpnn.engine import Run
from fxpnn.layers import Array


def write(path: Path, run: Run, labels: Array | None) -> None:
    """Write a run's results, whole or not at all; equal runs give equal bytes.

    Raises:
        DataError: the file cannot be written.
    """
    files.write(path, _npz(run, labels) if path.suffix == ".npz" else _csv(run, labels))


def _npz(run: Run, labels: Array | None) -> bytes:
    arrays: dict[str, Array] = {"raw": run.raw, "predictions": run.predictions}
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


def _csv(run: Run, labels: Array | None) -> bytes:
    """Spell one line for each image; a label that is not known is empty."""
    raw = run.raw.reshape(len(run.raw), -1)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["index", "label", "prediction", *(f"raw_{i}" for i in range(raw.shape[1]))])
    known = [""] * len(raw) if labels is None else labels.tolist()
    rows = zip(known, run.predictions.tolist(), raw.tolist(), strict=True)
    writer.writerows([i, label, guess, *words] for i, (label, guess, words) in enumerate(rows))
    return text.getvalue().encode()
