"""Own how numpy runs the work: a convolution is one matrix product of patches laid side by side."""

from fxpnn.reference import forward
from tests.benchmarks.work import Run, Work


def prepare(work: Work, threads: int) -> Run:
    """Take the float reference; its BLAS has threads of its own."""
    (output,) = work.network.outputs
    return lambda x: forward(work.network, x)[output]
