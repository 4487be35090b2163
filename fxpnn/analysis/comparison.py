"""Compare a fixed network with its float reference: how much is lost, and where.

A data set can be compared in parts, anywhere and in any order: ``measure`` each part, add the
statistics, ``summarize`` them. A part begins at a multiple of ``block_images``, so that every float
is computed in the same block as without a split, and the report is the same to the bit.
"""

import math
import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat

import numpy as np
import numpy.typing as npt

from fxpnn.analysis.report import (
    Accuracy,
    Flip,
    LayerReport,
    OutputReport,
    Report,
    SoftmaxReport,
    Timing,
    weight_text,
)
from fxpnn.analysis.statistics import ErrorStatistics, Statistics, error_statistics
from fxpnn.engine.inference import Engine, Progress, Run, prepared
from fxpnn.errors import DataError, ModelError
from fxpnn.fixedpoint.casting import to_float
from fxpnn.kernels import compiled
from fxpnn.network.fixed import Counts, FixedNetwork
from fxpnn.network.graph import INPUT, Network
from fxpnn.network.images import check_images, logits_of
from fxpnn.network.layers import Array, Softmax
from fxpnn.proofs.bounds import Proof, prove
from fxpnn.quantization.calibration import fitting
from fxpnn.reference import forward, scale

BLOCK = 256
"""At most so many images are compared layer by layer at once."""
VALUES = 1 << 20
"""At most so many values of all layers are in memory at once for each thread, where one image has
no more."""


def compare(
    network: Network | None,
    fixed: FixedNetwork,
    x: Array,
    y: Array | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
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

    Raises:
        DataError: the images or labels do not fit.
        ModelError: the reference has other layers than the fixed network.
    """
    return examine(network, fixed, x, y, threads, progress)[0]


def examine(
    network: Network | None,
    fixed: FixedNetwork,
    x: Array,
    y: Array | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> tuple[Report, Run]:
    """Do as ``compare`` and give the run's raw results too."""
    engine = prepared(fixed)
    found, run = _measure(network, engine, x, y, 0, threads, progress)
    return summarize(fixed, found, engine.proofs), run


def measure(
    network: Network | None,
    fixed: FixedNetwork,
    x: Array,
    y: Array | None = None,
    first: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Statistics:
    """Return the statistics of a part of a data set; they can be pickled and added.

    ``first`` is the part's first image in the data set, a multiple of ``block_images(fixed)``; the
    other arguments are those of ``compare``.

    Raises:
        DataError: the images or labels do not fit, or ``first`` is no such multiple.
        ModelError: the reference has other layers than the fixed network.
    """
    return _measure(network, prepared(fixed), x, y, first, threads, progress)[0]


def summarize(
    fixed: FixedNetwork, found: Statistics, proofs: dict[str, Proof] | None = None
) -> Report:
    """Report on merged statistics; ``proofs`` are those of the network, made anew by default."""
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
        found.flipped if found.judged else tuple(map(_unlabelled, found.flipped)),
    )


def block_images(fixed: FixedNetwork) -> int:
    """Return how many images are compared at once; parts of a data set begin at multiples."""
    values = sum(math.prod(shape) for shape in fixed.shapes.values())
    return max(1, min(BLOCK, VALUES // values))


def class_count(fixed: FixedNetwork) -> int | None:
    """Count the classes that a network tells apart: the values of its logits, if in one row."""
    shape = fixed.shapes[logits_of(fixed)]
    return max(shape) if 1 < max(shape) == math.prod(shape) else None


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
    if first < 0 or first % block_images(fixed):
        raise DataError(
            f"a part must begin at a multiple of {block_images(fixed)} images, not at {first}"
        )
    check_images(fixed, x)
    count = class_count(fixed)
    y = _class_labels(fixed, count, x, y)
    if network is not None:
        _check_reference(network, fixed)
    engine.run(x[:1], 1)  # compiled, or read from the cache, before the clock runs
    workers = threads or os.cpu_count() or 1
    started = time.perf_counter()
    run = engine.run(x, workers, [logits_of(fixed)], progress)
    seconds = time.perf_counter() - started
    errors: dict[str, ErrorStatistics] = {}
    classes = None
    if network is not None:
        errors, classes = _trace(network, engine, x, workers, progress)
    if count is None:
        classes = None
    found = Statistics(
        spans=((first, len(x)),),
        judged=y is not None,
        compared=classes is not None,
        hits=0 if y is None else int((run.predictions == y).sum()),
        reference_hits=0 if y is None or classes is None else int((classes == y).sum()),
        flipped=tuple(_flips(run, classes, y, first)),
        counts={name: run.layers[name] for name in (INPUT, *(node.name for node in fixed.nodes))},
        errors=errors,
        softmax=_softmax_report(fixed, run),
        seconds=seconds,
        threads=workers,
    )
    return found, run


def _class_labels(
    fixed: FixedNetwork, count: int | None, x: Array, y: Array | None
) -> Array | None:
    """Return labels that name classes; a row of numbers without a softmax may be no classes."""
    if y is None or count is None:
        return None
    if not isinstance(y, np.ndarray) or y.shape != (len(x),):
        given = y.shape if isinstance(y, np.ndarray) else f"a {type(y).__name__}"
        raise DataError(f"labels must be an array ({len(x)},), one per image, not {given}")
    if isinstance(fixed[fixed.outputs[0]].layer, Softmax):
        return y
    return y if y.dtype.kind in "iu" and y.min() >= 0 and y.max() < count else None


def _check_reference(network: Network, fixed: FixedNetwork) -> None:
    if dict(network.shapes) != dict(fixed.shapes) or network.outputs != fixed.outputs:
        odd = set(network.shapes.items()) ^ set(fixed.shapes.items())
        names = ", ".join(sorted({name for name, _ in odd})) or "outputs"
        raise ModelError(
            f"the reference must be the network that {fixed.name} was quantized from; "
            f"they differ in {names}"
        )


def _trace(
    network: Network, engine: Engine, x: Array, threads: int, progress: Progress | None
) -> tuple[dict[str, ErrorStatistics], npt.NDArray[np.int64]]:
    """Compare every layer's output, block by block; also give the reference's predictions."""
    fixed = engine.fixed
    logits = logits_of(fixed)
    classes = np.empty(len(x), np.int64)
    engine.program(fixed.shapes)  # made once, before the threads ask for it
    step = block_images(fixed)

    def work(start: int) -> dict[str, ErrorStatistics]:
        """Compare one block."""
        block = x[start : start + step]
        raw = engine.run(block, 1, fixed.shapes).tensors
        floats = forward(network, scale(block, network.scaling), keep=fixed.shapes)
        found = {}
        for name in fixed.shapes:
            reference = np.ascontiguousarray(floats[name], np.float32).reshape(-1)
            lsb = fixed.formats[name].lsb
            sums = compiled.measure(reference, raw[name].reshape(-1), lsb)
            found[name] = error_statistics(*map(float, sums))
        classes[start : start + step] = floats[logits].reshape(len(block), -1).argmax(1)
        if progress is not None:
            progress(len(block))
        return found

    errors = dict(zip(fixed.shapes, repeat(ErrorStatistics())))
    with ThreadPoolExecutor(threads) as pool:
        for part in pool.map(work, range(0, len(x), step)):
            errors = {name: error + part[name] for name, error in errors.items()}
    return errors, classes


def _accuracy(found: Statistics) -> Accuracy:
    if not found.judged:
        return Accuracy()
    images, hits, right = found.images, found.hits, found.reference_hits
    if not found.compared:
        return Accuracy(hits / images)
    loss = (right - hits) / images  # of counts: a difference of fractions may miss a limit
    return Accuracy(hits / images, right / images, loss, len(found.flipped))


def _flips(run: Run, classes: Array | None, y: Array | None, first: int) -> Iterable[Flip]:
    if classes is None:
        return
    for i in map(int, np.flatnonzero(classes != run.predictions)):
        label = None if y is None else int(y[i])
        yield Flip(first + i, label, int(classes[i]), int(run.predictions[i]))


def _unlabelled(flip: Flip) -> Flip:
    return Flip(flip.index, None, flip.reference, flip.fixed)


def _output_report(fixed: FixedNetwork, name: str, error: ErrorStatistics | None) -> OutputReport:
    sqnr, largest = (error.sqnr_db, error.largest) if error else (None, None)
    return OutputReport(name, str(fixed.formats[name]), sqnr, largest)


def _layer_report(
    fixed: FixedNetwork,
    name: str,
    proof: Proof | None,
    counts: Counts,
    error: ErrorStatistics | None,
) -> LayerReport:
    node = None if name == INPUT else fixed[name]
    output = fixed.formats[name]
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
        str(fitting(error.low, error.high, output.word, output.signed)) if error else None,
    )


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
