"""Run a network by fxpnn."""

from fxpnn.engine.inference import Engine
from fxpnn.network.layers import Array
from tests.benchmarks.work import Floats, Run, Work


def prepare(work: Work, threads: int) -> Run:
    """Make the engine ready."""
    engine = Engine(work.fixed)

    def run(x: Floats) -> Array:
        probabilities = engine.run(x, threads).probabilities
        assert probabilities is not None
        return probabilities

    return run


def shortest(work: Work) -> Run:
    """Make the engine ready for a few images at a time; it gives the raw words alone."""
    return Engine(work.fixed)
