"""Run a network by apytypes, which has threads of its own."""

import numpy as np
from apytypes import APyFixedArray, OverflowMode, QuantizationMode

from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.fixed import FixedNode
from fxpnn.network.layers import Array, Conv2D, Dense
from tests.benchmarks.peers.walk import BIAS, Rows, matrix, walk
from tests.benchmarks.work import Floats, Run, Work


def prepare(work: Work, threads: int) -> Run:
    """Make the sums ready, exact ones: the proof says that no accumulator overflows."""
    fmt = work.fixed.input_format

    def enter(x: Floats) -> Array:
        return _words(APyFixedArray.from_array(x, bits=fmt.word + 1, frac_bits=fmt.frac))

    return walk(work.fixed, enter, _sum)


def _sum(layer: Dense | Conv2D, node: FixedNode, source: QFormat) -> Rows:
    (weights,), target = node.weight_formats, node.output_format
    weight = APyFixedArray(matrix(layer), bits=weights.word, frac_bits=weights.frac)
    bias = APyFixedArray(layer.bias.copy(), bits=BIAS, frac_bits=source.frac + weights.frac)

    def rows(x: Array) -> Array:
        exact = APyFixedArray(x, bits=16, frac_bits=source.frac) @ weight + bias
        y = exact.cast(
            bits=target.word,
            frac_bits=target.frac,
            quantization=QuantizationMode.TIES_EVEN,
            overflow=OverflowMode.SAT,
        )
        return _words(y)

    return rows


def _words(values: APyFixedArray) -> Array:
    words: Array = values.to_bits(numpy=True).view(np.int16)
    return words
