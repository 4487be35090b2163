"""Compare a fixed network with its float reference: how much is lost, and where.

A data set can be compared in parts, anywhere and in any order: ``measure`` each part, add the
statistics, ``summarize`` them, and let ``with_remedy`` try on all images what helps a layer that
overflowed. The report is the same to the bit, wherever the data set was cut: floats are computed in
blocks that are counted from its start, filled up where a part has not all of their images, for a
matrix product may round otherwise in a block of another size.
"""

import math
import os
import time
import warnings
from collections.abc import Iterable
from concurrent.futures import Executor
from dataclasses import asdict
from functools import partial, reduce
from operator import add
from threading import Lock
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from msgspec.structs import replace

from fxpnn.analysis import channels
from fxpnn.analysis.blocks import BLOCK, abreast, block_images
from fxpnn.analysis.matching import class_count, class_labels, reference_matches, reference_of
from fxpnn.analysis.modes import modes
from fxpnn.analysis.remedy import with_remedy
from fxpnn.analysis.report import (
    Accuracy,
    Flip,
    LayerReport,
    OutputReport,
    SoftmaxReport,
    Timing,
    weight_text,
)
from fxpnn.analysis.statistics import ErrorStatistics, Statistics, error_statistics
from fxpnn.analysis.summary import Report
from fxpnn.engine.inference import Engine, Progress, Run, prepared
from fxpnn.engine.threads import spread
from fxpnn.errors import DataError
from fxpnn.fixedpoint.casting import to_float
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.kernels import compiled
from fxpnn.kernels.layout import exact_sum
from fxpnn.network.fixed import Counts, FixedNetwork, Losses
from fxpnn.network.graph import Network
from fxpnn.network.images import check_images, logits_of
from fxpnn.network.layers import Array, Softmax
from fxpnn.network.rows import Images, as_rows
from fxpnn.proofs.bounds import Proof, prove
from fxpnn.quantization.calibration import fitting
from fxpnn.reference import scale, steps
from fxpnn.reference.blas import one_thread

PARTS = 16
"""Into so many parts, of whole blocks, a data set is cut at most for an executor's workers."""


def compare(
    network: Network | None,
    fixed: FixedNetwork,
    x: Images,
    y: Array | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> Report:
    """Run images through a fixed network and report what it lost, and where.

    Args:
        network: the float network it came from, or ``None`` to report on the integers alone.
        fixed: the network of integers.
        x: images, as ``infer`` takes them.
        y: labels ``(N,)``, or ``None``; they are of no use where the network has no classes.
        threads: how many the engine uses, by default one per core.
        progress: called with the number of images done since the last call: each counts once in
            the integer run, and once more where there is a reference.
        executor: where given, its workers compare parts of the images, each on one thread; the
            report is the same but for ``timing``, in which their seconds add up.

    Raises:
        DataError: the images or labels do not fit.
        ModelError: the reference has other layers than the fixed network.

    Warns:
        UserWarning: the reference is another file than the fixed network came from.
    """
    if executor is None:
        report = examine(network, fixed, x, y, threads, progress)[0]
    else:
        report = examine_by(executor, network, fixed, x, y, threads, progress)
    if report.reference_matches is False:
        line = f"the reference must be the file that {fixed.name} was quantized from, not another"
        warnings.warn(line, stacklevel=2)
    return report


def examine(
    network: Network | None,
    fixed: FixedNetwork,
    x: Images,
    y: Array | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> tuple[Report, Run]:
    """Do as ``compare`` and give the run's raw results too."""
    engine, x = prepared(fixed), as_rows(fixed, x)
    found, run = _measure(network, engine, x, y, 0, threads, progress)
    return with_remedy(summarize(fixed, found, engine.proofs), fixed, x, threads), run


def examine_by(
    executor: Executor,
    network: Network | None,
    fixed: FixedNetwork,
    x: Images,
    y: Array | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Report:
    """Do as ``compare``: an executor's workers measure parts of the images, which are merged."""
    x = as_rows(fixed, x)
    check_images(fixed, x)  # as a whole: a part of what does not fit may fit
    y = class_labels(fixed, class_count(fixed), x, y)
    block = block_images(fixed)
    step = block * math.ceil(len(x) / block / PARTS)
    starts = range(0, len(x), step)
    parts = executor.map(  # of lists: that of Dask takes no generators
        partial(measure, network, fixed, threads=1),
        [x[start : start + step] for start in starts],
        [None if y is None else y[start : start + step] for start in starts],
        starts,
    )
    found: list[Statistics] = []
    for part in parts:
        found.append(part)
        if progress is not None:
            progress(part.images * (1 if network is None else 2))
    return with_remedy(summarize(fixed, reduce(add, found)), fixed, x, threads)


def measure(
    network: Network | None,
    fixed: FixedNetwork,
    x: Images,
    y: Array | None = None,
    first: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Statistics:
    """Return the statistics of a part of a data set; they can be pickled and added.

    ``first`` is the place of the part's first image in the data set; the other arguments are those
    of ``compare``.

    Raises:
        DataError: the images or labels do not fit, or ``first`` is negative.
        ModelError: the reference has other layers than the fixed network.
    """
    return _measure(network, prepared(fixed), as_rows(fixed, x), y, first, threads, progress)[0]


def summarize(
    fixed: FixedNetwork, found: Statistics, proofs: dict[str, Proof] | None = None
) -> Report:
    """Report on merged statistics; ``proofs`` are those of the network, made anew by default.

    No remedy is in it yet: to try one takes the images (``with_remedy``).
    """
    proofs = prove(fixed) if proofs is None else proofs
    return Report(
        _accuracy(found),
        tuple(_output_report(fixed, name, found.errors.get(name)) for name in fixed.outputs),
        tuple(
            _layer_report(fixed, name, proofs.get(name), counts, found.errors.get(name))
            for name, counts in found.counts.items()
        ),
        found.softmax,
        Timing(found.seconds, found.images / max(found.seconds, 1e-9), found.threads),
        tuple(f if found.judged else replace(f, label=None) for f in found.flipped),
        found.matches,
        found.images,
        fixed.scaling,
        fixed.normalisation,
    )


def _measure(
    network: Network | None,
    engine: Engine,
    x: Array,
    y: Array | None,
    first: int,
    threads: int | None,
    progress: Progress | None,
) -> tuple[Statistics, Run]:
    fixed = engine.fixed
    if first < 0:
        raise DataError(f"a part's first image must be 0 or later, not {first}")
    check_images(fixed, x)
    count = class_count(fixed)
    y = class_labels(fixed, count, x, y)
    if network is not None:
        network = reference_of(network, fixed)
    engine.run(x[:1], 1)  # compiled, or read from the cache, before the clock runs
    workers = threads or os.cpu_count() or 1
    started = time.perf_counter()
    run = engine.run(x, workers, [logits_of(fixed)], progress)
    seconds = time.perf_counter() - started
    errors: dict[str, ErrorStatistics] = {}
    classes = None
    if network is not None:
        errors, classes = _trace(network, engine, x, first, workers, progress)
    if count is None:
        classes = None
    found = Statistics(
        spans=((first, len(x)),),
        judged=y is not None,
        compared=classes is not None,
        hits=0 if y is None else int((run.predictions == y).sum()),
        reference_hits=0 if y is None or classes is None else int((classes == y).sum()),
        flipped=tuple(_flips(run, classes, y, first)),
        counts={name: run.layers[name] for name in fixed.shapes},
        errors=errors,
        softmax=_softmax_report(fixed, run),
        seconds=seconds,
        threads=workers,
        matches=reference_matches(network, fixed),
    )
    return found, run


def _trace(
    network: Network,
    engine: Engine,
    x: Array,
    first: int,
    threads: int,
    progress: Progress | None,
) -> tuple[dict[str, ErrorStatistics], npt.NDArray[np.int64]]:
    """Compare every layer's output, block by block; also give the reference's predictions."""
    fixed = engine.fixed
    logits = logits_of(fixed)
    classes = np.empty(len(x), np.int64)
    engine.program(fixed.shapes)  # made once, before the threads ask for it
    step = block_images(fixed)
    by_channel = channels.told_apart(fixed.shapes)
    whole, merging = dict[str, _Block](), Lock()

    def work(start: int) -> None:
        """Compare the images of the block that begins ``start`` images behind the part's first."""
        here = slice(max(start, 0), min(start + step, len(x)))
        images = x[here]
        raw = engine.run(images, 1, fixed.shapes).tensors
        block = np.zeros((step, *x.shape[1:]), x.dtype)
        place = slice(here.start - start, here.stop - start)
        block[place] = images
        for name, floats in steps(network, scale(block, network.scaling)):
            reference = np.ascontiguousarray(floats[place], np.float32).reshape(-1)
            if name == logits:
                classes[here] = reference.reshape(len(images), -1).argmax(1)
            if name in fixed.rectified:
                reference = np.maximum(reference, 0)
            errors = _measured(reference, raw[name], fixed.formats[name].lsb, name in by_channel)
            with merging:  # exact sums: blocks may come in any order
                whole[name] = whole[name].joined(errors) if name in whole else errors
        if progress is not None:
            progress(len(images))

    with one_thread():  # each of ours multiplies matrices
        spread(work, range(-(first % step), len(x), step), abreast(fixed, threads))
    return {name: block.statistics() for name, block in whole.items()}, classes


class _Block(NamedTuple):
    """The errors of a block of images: their range, whether all are finite, and exact sums."""

    largest: float
    low: float
    high: float
    finite: bool
    digits: npt.NDArray[np.int64]

    def joined(self, other: "_Block") -> "_Block":
        """Join two blocks."""
        return _Block(
            max(self.largest, other.largest),
            min(self.low, other.low),
            max(self.high, other.high),
            self.finite and other.finite,
            self.digits + other.digits,
        )

    def statistics(self) -> ErrorStatistics:
        """Spell the sums as integers."""
        return error_statistics(*self[:4], exact_sum.integers(self.digits))


def _measured(reference: Array, raw: Array, lsb: float, by_channel: bool) -> _Block:
    """Compare the words of a block with their references, float32 and flat."""
    words, count = raw.reshape(-1), raw.shape[1] if by_channel else 1
    signal, noise, largest, low, high = map(float, compiled.measure(reference, words, lsb))
    digits = exact_sum.no_sums(2 * count)
    compiled.measure_channels(reference, words, lsb, raw[0].size // count, digits)
    return _Block(largest, low, high, math.isfinite(signal) and math.isfinite(noise), digits)


def _accuracy(found: Statistics) -> Accuracy:
    flips = len(found.flipped) if found.compared else None
    if not found.judged:
        return Accuracy(flips=flips)
    images, hits, right = found.images, found.hits, found.reference_hits
    if not found.compared:
        return Accuracy(hits / images)
    loss = (right - hits) / images  # of counts: a difference of fractions may miss a limit
    return Accuracy(hits / images, right / images, loss, flips)


def _flips(run: Run, classes: Array | None, y: Array | None, first: int) -> Iterable[Flip]:
    if classes is None:
        return
    for i in map(int, np.flatnonzero(classes != run.predictions)):
        label = None if y is None else int(y[i])
        yield Flip(first + i, label, int(classes[i]), int(run.predictions[i]))


def _output_report(fixed: FixedNetwork, name: str, error: ErrorStatistics | None) -> OutputReport:
    fmt = str(fixed.formats[name])
    if error is None:
        return OutputReport(name, fmt, None, None)
    return OutputReport(name, fmt, error.sqnr_db, error.largest, error.exact)


def _layer_report(
    fixed: FixedNetwork,
    name: str,
    proof: Proof | None,
    counts: Counts,
    error: ErrorStatistics | None,
) -> LayerReport:
    node = fixed.node(name)
    output = fixed.formats[name]
    worst = channels.worst(error, fixed.shapes[name])
    return LayerReport(
        name,
        node.op if node else "Input",
        ", ".join(str(fixed.formats[source]) for source in node.inputs) if node else None,
        weight_text(node.weight_formats) if node else None,
        str(output),
        str(node.accumulator) if node and node.accumulator else None,
        proof.bits if proof else None,
        proof.proved if proof else True,
        counts.accumulator_overflows,
        counts.saturations,
        error.sqnr_db if error else None,
        error.largest if error else None,
        _fitting(error, output) if error else None,
        counts.below_zero,
        **asdict(node.losses if node else Losses()),
        **modes(fixed, name),
        exact=error.exact if error else None,
        worst_channel=worst,
        worst_channel_sqnr_db=error.channels[worst].sqnr_db
        if error and worst is not None
        else None,
    )


def _fitting(error: ErrorStatistics, output: QFormat) -> str | None:
    """Return the format of the same word for the reference; what is below 0 asks for a sign.

    There is none where the reference leaves the range of float32.
    """
    if not (math.isfinite(error.low) and math.isfinite(error.high)):
        return None
    return str(fitting(error.low, error.high, output.word, output.signed or error.low < 0))


def _softmax_report(fixed: FixedNetwork, run: Run) -> SoftmaxReport | None:
    node = fixed[fixed.outputs[0]]
    if not isinstance(node.layer, Softmax):
        return None
    source, axis = node.inputs[0], node.layer.axis + (node.layer.axis >= 0)
    largest, lost = 0.0, 0
    for start in range(0, len(run.raw), BLOCK):
        here = slice(start, start + BLOCK)
        logits = to_float(run.tensors[source][here], fixed.formats[source])
        powers = np.exp(logits - logits.max(axis, keepdims=True))
        shares = to_float(run.raw[here], node.output_format)
        errors = shares - powers / powers.sum(axis, keepdims=True)
        largest = max(largest, float(np.abs(errors).max()))
        lost += int((shares.argmax(axis) != logits.argmax(axis)).sum())
    return SoftmaxReport(largest, lost)
