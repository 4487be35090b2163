"""Own the comparison of a fixed network with its float reference: how much is lost, and where."""

import math
import os
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from fxpnn.engine.inference import Engine, Progress, Run, logits_of
from fxpnn.errors import DataError, ModelError
from fxpnn.fixedpoint.casting import to_float
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.kernels import compiled
from fxpnn.network.fixed import Counts, FixedNetwork
from fxpnn.network.graph import INPUT, Network
from fxpnn.network.layers import Array, Softmax
from fxpnn.proofs.bounds import Proof
from fxpnn.quantization.calibration import fitting
from fxpnn.reference import forward, scale

BLOCK = 256
"""At most so many images are compared layer by layer at once."""
VALUES = 1 << 20
"""At most so many values of all layers are in memory at once for each thread, where one image has
no more."""


class Accuracy(msgspec.Struct, frozen=True, rename={"reference": "float"}):
    """Fractions of right predictions; ``None`` where labels, classes or the reference are missing.

    ``loss`` is float minus fixed; ``flips`` counts predictions that differ from the reference's.
    """

    fixed: float | None = None
    reference: float | None = None
    loss: float | None = None
    flips: int | None = None


class LayerReport(msgspec.Struct, frozen=True):
    """What one layer's integers mean, what overflowed, and how far they are from the floats.

    ``accumulator_bits_needed`` is the narrowest accumulator that provably cannot overflow.
    ``sqnr_db`` and ``max_abs_error`` are ``None`` without a reference; a layer that is exact has
    an endless SQNR, which JSON spells null. ``fitting_format`` is the format of the same word that
    holds every value the reference took on.
    """

    name: str
    op: str
    input_format: str | None
    weight_format: str | None
    output_format: str
    accumulator: str | None
    accumulator_bits_needed: int | None
    proved: bool
    accumulator_overflows: int
    saturations: int
    sqnr_db: float | None
    max_abs_error: float | None
    fitting_format: str | None = None


class OutputReport(msgspec.Struct, frozen=True):
    """The format of one of the network's outputs, and how far it is from the reference's."""

    name: str
    format: str
    sqnr_db: float | None
    max_abs_error: float | None


class SoftmaxReport(msgspec.Struct, frozen=True):
    """How far the integer softmax is from the true one of the same logits.

    ``argmax_lost`` counts images whose largest output is not that of their largest logit.
    """

    max_abs_error: float
    argmax_lost: int


class Timing(msgspec.Struct, frozen=True):
    """Wall seconds of the integer engine alone, proofs and compilation not counted."""

    seconds: float
    images_per_second: float
    threads: int


class Flip(msgspec.Struct, frozen=True):
    """An image whose prediction changed."""

    index: int
    label: int | None
    reference: int
    fixed: int


class Report(msgspec.Struct, frozen=True):
    """A comparison; ``flipped`` lists the images whose prediction changed, in order."""

    accuracy: Accuracy
    outputs: tuple[OutputReport, ...]
    layers: tuple[LayerReport, ...]
    softmax: SoftmaxReport | None
    timing: Timing
    flipped: tuple[Flip, ...]


@dataclass
class _Error:
    """Running sums of a layer's signal and error, and its range."""

    signal: float = 0.0
    noise: float = 0.0
    largest: float = 0.0
    low: float = math.inf
    high: float = -math.inf

    def add(self, other: "tuple[float, ...] | _Error") -> None:
        signal, noise, largest, low, high = other if isinstance(other, tuple) else astuple(other)
        self.signal += signal
        self.noise += noise
        self.largest = max(self.largest, largest)
        self.low = min(self.low, low)
        self.high = max(self.high, high)

    @property
    def sqnr_db(self) -> float:
        if self.noise == 0:
            return math.inf
        return 10 * math.log10(self.signal / self.noise) if self.signal else -math.inf


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
    count = class_count(fixed)
    y = _class_labels(fixed, count, x, y)
    if network is not None:
        _check_reference(network, fixed)
    engine = Engine(fixed)
    engine.run(x[:1], 1)  # compiled, or read from the cache, before the clock runs
    workers = threads or os.cpu_count() or 1
    started = time.perf_counter()
    run = engine.run(x, workers, [logits_of(fixed)], progress)
    seconds = time.perf_counter() - started
    errors: dict[str, _Error] = {}
    classes = None
    if network is not None:
        errors, classes = _trace(network, engine, x, workers, progress)
    if count is None:
        classes = None
    report = Report(
        _accuracy(run, classes, y),
        tuple(_output_report(fixed, name, errors.get(name)) for name in fixed.outputs),
        tuple(_layer_reports(fixed, engine.proofs, run, errors)),
        _softmax_report(fixed, run),
        Timing(seconds, len(x) / max(seconds, 1e-9), workers),
        tuple(_flips(run, classes, y)),
    )
    return report, run


def class_count(fixed: FixedNetwork) -> int | None:
    """Count the classes that a network tells apart: the values of its logits, if in one row."""
    shape = fixed.shapes[logits_of(fixed)]
    return max(shape) if 1 < max(shape) == math.prod(shape) else None


def _class_labels(
    fixed: FixedNetwork, count: int | None, x: Array, y: Array | None
) -> Array | None:
    """Return labels that name classes; a row of numbers without a softmax may be no classes."""
    if y is None or count is None:
        return None
    if y.shape != (len(x),):
        raise DataError(f"labels must be ({len(x)},), one per image, not {y.shape}")
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
) -> tuple[dict[str, _Error], npt.NDArray[np.int64]]:
    """Compare every layer's output, block by block; also give the reference's predictions."""
    fixed = engine.fixed
    logits = logits_of(fixed)
    classes = np.empty(len(x), np.int64)
    engine.program(fixed.shapes)  # made once, before the threads ask for it
    values = sum(math.prod(shape) for shape in fixed.shapes.values())
    step = max(1, min(BLOCK, VALUES // values))

    def work(number: int) -> dict[str, _Error]:
        """Compare every ``threads``-th block."""
        errors = {name: _Error() for name in fixed.shapes}
        for start in range(number * step, len(x), threads * step):
            block = x[start : start + step]
            raw = engine.run(block, 1, fixed.shapes).tensors
            floats = forward(network, scale(block, network.scaling), keep=fixed.shapes)
            for name, error in errors.items():
                reference = np.ascontiguousarray(floats[name], np.float32).reshape(-1)
                lsb = fixed.formats[name].lsb
                error.add(tuple(compiled.measure(reference, raw[name].reshape(-1), lsb)))
            classes[start : start + step] = floats[logits].reshape(len(block), -1).argmax(1)
            if progress is not None:
                progress(len(block))
        return errors

    with ThreadPoolExecutor(threads) as pool:
        parts = list(pool.map(work, range(threads)))
    for part in parts[1:]:
        for name, error in part.items():
            parts[0][name].add(error)
    return parts[0], classes


def _accuracy(run: Run, classes: Array | None, y: Array | None) -> Accuracy:
    if y is None:
        return Accuracy()
    hits = int((run.predictions == y).sum())
    if classes is None:
        return Accuracy(hits / len(y))
    right = int((classes == y).sum())
    loss = (right - hits) / len(y)  # of counts: a difference of fractions may miss a limit
    return Accuracy(hits / len(y), right / len(y), loss, int((classes != run.predictions).sum()))


def _flips(run: Run, classes: Array | None, y: Array | None) -> Iterable[Flip]:
    if classes is None:
        return
    for i in map(int, np.flatnonzero(classes != run.predictions)):
        label = None if y is None else int(y[i])
        yield Flip(i, label, int(classes[i]), int(run.predictions[i]))


def _output_report(fixed: FixedNetwork, name: str, error: _Error | None) -> OutputReport:
    sqnr, largest = (error.sqnr_db, error.largest) if error else (None, None)
    return OutputReport(name, str(fixed.formats[name]), sqnr, largest)


def _layer_reports(
    fixed: FixedNetwork, proofs: dict[str, Proof], run: Run, errors: dict[str, _Error]
) -> Iterable[LayerReport]:
    yield _layer_report(fixed, INPUT, None, run.layers[INPUT], errors.get(INPUT))
    for node in fixed.nodes:
        proof, error = proofs[node.name], errors.get(node.name)
        yield _layer_report(fixed, node.name, proof, run.layers[node.name], error)


def _layer_report(
    fixed: FixedNetwork, name: str, proof: Proof | None, counts: Counts, error: _Error | None
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


def weight_text(formats: tuple[QFormat, ...]) -> str | None:
    """Print a weight's format, or the coarsest and finest of its channels' formats."""
    ordered = sorted(set(formats), key=lambda fmt: fmt.frac)
    if not ordered:
        return None
    return str(ordered[0]) if len(ordered) == 1 else f"{ordered[0]}..{ordered[-1]}"


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
