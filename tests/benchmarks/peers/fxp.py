"""Run a network by fxpmath."""

import numpy as np
from fxpmath import Fxp

from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.fixed import FixedNode
from fxpnn.network.layers import Array, Conv2D, Dense
from tests.benchmarks.peers.walk import BIAS, Rows, matrix, walk
from tests.benchmarks.work import Floats, Run, Work


def prepare(work: Work, threads: int) -> Run:
    """Make the sums ready, exact ones: the proof says that no accumulator overflows."""
    fmt = work.fixed.input_format
    return walk(work.fixed, lambda x: _cast(x, fmt).val, _sum)


def _sum(layer: Dense | Conv2D, node: FixedNode, source: QFormat) -> Rows:
    (weights,) = node.weight_formats
    weight = _raw(matrix(layer), weights.word, weights.frac)
    bias = _raw(layer.bias, BIAS, source.frac + weights.frac)

    def rows(x: Array) -> Array:
        exact = np.dot(_raw(x, 16, source.frac), weight) + bias
        raw: Array = _cast(exact, node.output_format).val
        return raw

    return rows


def _raw(raw: Array, word: int, frac: int) -> Fxp:
    return Fxp(raw, signed=True, n_word=word, n_frac=frac, raw=True)


def _cast(values: Floats | Fxp, fmt: QFormat) -> Fxp:
    """Cast with ties to even, which fxpmath calls "around"."""
    return Fxp(
        values,
        signed=fmt.signed,
        n_word=fmt.word,
        n_frac=fmt.frac,
        rounding="around",
        overflow="saturate",
    )
