"""All that is told of a fixed network on one page: what it loses, where, why, what would help."""

import math
from collections.abc import Callable, Sequence

import msgspec
import numpy as np

from fxpnn.analysis.attribution import explain, passes
from fxpnn.analysis.comparison import examine
from fxpnn.analysis.contents import InputContents, Totals
from fxpnn.analysis.explanation import (
    Effect,
    Explanation,
    FirstLoss,
    FlippedImage,
    LayerExplanation,
    Ranked,
    Tried,
)
from fxpnn.analysis.float_values import FloatValues, float_values
from fxpnn.analysis.inspection import inputs_of, inspect
from fxpnn.analysis.intervals import Interval, paired_loss, wilson
from fxpnn.analysis.matching import class_count, class_labels, reference_of
from fxpnn.analysis.report import Accuracy, LayerReport, OutputReport, SoftmaxReport
from fxpnn.analysis.summary import Report
from fxpnn.engine.inference import Run
from fxpnn.fixedpoint.casting import to_float
from fxpnn.network.fixed import FixedNetwork, Provenance
from fxpnn.network.graph import Network, Scaling
from fxpnn.network.images import logits_of
from fxpnn.network.layers import Array, Shape
from fxpnn.network.normalisation import Normalisation
from fxpnn.network.rows import Images, as_rows
from fxpnn.reference import forward, scale

PICTURES = 16
"""The most flipped images that are told with what both networks give them."""
MATRIX = 32
"""The most classes of which a confusion matrix is made."""
SHARES = 10
"""The most classes of an image whose shares are told."""


class Share(msgspec.Struct, frozen=True, rename={"reference": "float"}):
    """What both networks give one class of an image: its probability, by softmax."""

    label: int
    reference: float
    fixed: float


class FlippedShares(msgspec.Struct, frozen=True):
    """An image whose prediction changed, with its classes of largest probability, in order."""

    flip: FlippedImage
    shares: tuple[Share, ...]


class Confusion(msgspec.Struct, frozen=True, rename={"reference": "float"}):
    """How many images of each label, row by row, were taken for which class, by both networks."""

    reference: tuple[tuple[int, ...], ...]
    fixed: tuple[tuple[int, ...], ...]


class FullReport(
    msgspec.Struct, frozen=True, kw_only=True, rename={"reference_interval": "float_interval"}
):
    """What a fixed network loses against its float network, where, why, and what would help.

    Intervals are those of 95 %: of both accuracies, and of the loss, where labels are known.
    ``layers``, the input first, are those of a comparison, ``values`` what their floats take on,
    and ``explained`` those of an explanation, as are ``given`` to ``first_losses``. ``flipped``
    begins with the smallest margin of the float network and tells a few; ``accuracy`` counts all.
    """

    input_shape: Shape | None
    inputs: tuple[InputContents, ...]
    images: int
    accuracy: Accuracy
    reference_interval: Interval | None
    fixed_interval: Interval | None
    loss_interval: Interval | None
    outputs: tuple[OutputReport, ...]
    softmax: SoftmaxReport | None
    layers: tuple[LayerReport, ...]
    values: tuple[FloatValues, ...]
    given: Effect
    ideal: Effect
    ranking: tuple[Ranked, ...]
    tried: tuple[Tried, ...]
    explained: tuple[LayerExplanation, ...]
    first_losses: tuple[FirstLoss, ...]
    confusion: Confusion | None
    flipped: tuple[FlippedShares, ...]
    scaling: Scaling
    normalisation: Normalisation | None
    provenance: Provenance
    totals: Totals
    reference_matches: bool | None


def report_passes(fixed: FixedNetwork) -> int:
    """Return about how many times ``full_report`` runs the images."""
    return passes(fixed) + 3


def full_report(
    network: Network,
    fixed: FixedNetwork,
    x: Images,
    y: Array | None = None,
    calibration: Images | None = None,
    threads: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> FullReport:
    """Compare and explain a fixed network; the arguments, and what is raised, are ``explain``'s.

    Nothing in it depends on time or on the number of threads.
    """
    network, x = reference_of(network, fixed), as_rows(fixed, x)
    report, run = examine(network, fixed, x, y, threads, progress)
    found = explain(network, fixed, x, y, calibration, threads, None, progress)
    values = float_values(network, fixed, x, threads, progress)
    count = class_count(fixed)
    right, wrong = _changed(report)
    judged = report.accuracy.loss is not None
    hits = [round((a or 0) * len(x)) for a in (report.accuracy.reference, report.accuracy.fixed)]
    return FullReport(
        input_shape=None if fixed.further else fixed.input_shape,
        inputs=inputs_of(fixed),
        images=len(x),
        accuracy=report.accuracy,
        reference_interval=wilson(hits[0], len(x)) if judged else None,
        fixed_interval=wilson(hits[1], len(x)) if judged else None,
        loss_interval=paired_loss(right, wrong, len(x)) if judged else None,
        outputs=report.outputs,
        softmax=report.softmax,
        layers=report.layers,
        values=tuple(values[layer.name] for layer in report.layers),
        given=found.given,
        ideal=found.ideal,
        ranking=found.ranking,
        tried=found.tried,
        explained=found.layers,
        first_losses=found.first_losses,
        confusion=_confusion(report, run, count, class_labels(fixed, count, x, y)),
        flipped=_flipped(network, fixed, x, run, found),
        scaling=report.scaling,
        normalisation=report.normalisation,
        provenance=fixed.provenance,
        totals=inspect(fixed).totals,
        reference_matches=report.reference_matches,
    )


def _changed(report: Report) -> tuple[int, int]:
    """Count images that only the float network has right, and that only the fixed one has."""
    lost = sum(flip.reference == flip.label for flip in report.flipped)
    return lost, sum(flip.fixed == flip.label for flip in report.flipped)


def _confusion(report: Report, run: Run, count: int | None, y: Array | None) -> Confusion | None:
    """Count pairs of label and prediction; labels that are no class of the network have no row."""
    if y is None or count is None or count > MATRIX:
        return None
    reference = run.predictions.copy()
    for flip in report.flipped:
        reference[flip.index] = flip.reference
    return Confusion(_matrix(y, reference, count), _matrix(y, run.predictions, count))


def _matrix(y: Array, classes: Array, count: int) -> tuple[tuple[int, ...], ...]:
    known = (y >= 0) & (y < count)
    pairs = np.bincount(y[known].astype(np.int64) * count + classes[known], minlength=count * count)
    return tuple(map(tuple, pairs.reshape(count, count).tolist()))


def _flipped(
    network: Network, fixed: FixedNetwork, x: Array, run: Run, found: Explanation
) -> tuple[FlippedShares, ...]:
    """Give what both networks give the flipped images that the float one was least sure of."""
    flips = found.flipped[:PICTURES]
    if not flips:
        return ()
    places = [flip.index for flip in flips]
    name = logits_of(network)
    floats = forward(network, scale(x[places], network.scaling), keep=[name])[name]
    pairs = zip(_softmax(floats), _shares(fixed, run, places), strict=True)
    return tuple(
        FlippedShares(flip, _largest(flip, *pair)) for flip, pair in zip(flips, pairs, strict=True)
    )


def _shares(fixed: FixedNetwork, run: Run, places: Sequence[int]) -> Array:
    """Give the integers' own probabilities; without a softmax, those of the logits."""
    if run.probabilities is not None:
        return run.probabilities[places].reshape(len(places), -1)
    return _softmax(to_float(run.logits[places], fixed.formats[logits_of(fixed)]))


def _softmax(logits: Array) -> Array:
    """Return the shares of each row, 0 where logits are not finite."""
    rows = logits.reshape(len(logits), -1).astype(np.float64)
    with np.errstate(invalid="ignore"):
        powers = np.exp(rows - rows.max(1, keepdims=True))
        shares: Array = np.nan_to_num(powers / powers.sum(1, keepdims=True))
    return shares


def _largest(flip: FlippedImage, reference: Array, fixed: Array) -> tuple[Share, ...]:
    """Pair the shares of the classes that have most in either, always of both predictions."""
    most = np.maximum(reference, fixed)
    most[[flip.reference, flip.fixed]] = math.inf
    places = sorted(np.argsort(-most, kind="stable")[:SHARES].tolist())
    return tuple(Share(i, float(reference[i]), float(fixed[i])) for i in places)
