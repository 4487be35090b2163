"""A program that adds a layer of its own: ``|x| * x``, by the hooks that a user has.

``tests/network/test_new_layer.py`` runs it in a process of its own: a new kind of layer would be
seen by every other test.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

import fxpnn
from fxpnn import golden, reference
from fxpnn.fixedpoint.casting import Raw
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.golden import Unit
from fxpnn.network import lookup
from fxpnn.network.fixed import FixedNode
from fxpnn.network.graph import chain
from fxpnn.network.layers import Array, Dense, Layer, Number, Range
from fxpnn.network.traits import Traits
from fxpnn.proofs.bounds import prove
from fxpnn.quantization.dequantizer import dequantize


@dataclass(frozen=True, eq=False)
class SignedSquare(Layer):
    """``abs(x) * x``, but 0 nearer to 0 than ``threshold``."""

    traits: ClassVar[Traits] = Traits(limits=("threshold",), input_fracs=(-16, 30))

    threshold: Number = 0.25

    def range(self, *ranges: Range) -> Range:
        """Return the squares of the ends."""
        low, high = ranges[0]
        return abs(low) * low, abs(high) * high


@reference.compute.register
def _floats(layer: SignedSquare, x: Array) -> Array:
    y: Array = np.where(np.abs(x) < layer.threshold, 0, np.abs(x) * x)
    return y


@golden.activate.register
def _integers(layer: SignedSquare, unit: Unit, x: int) -> int:
    return unit.cast(0 if abs(x) < layer.threshold else abs(x) * x, 2 * unit.frac)


@lookup.exact.register
def _words(layer: SignedSquare, node: FixedNode, x: Raw, source: QFormat) -> lookup.Exact:
    values = np.where(np.abs(x) < layer.threshold, 0, np.abs(x) * x)
    return lookup.Exact(values, 2 * source.frac)


def main(folder: Path) -> None:
    """Quantize, prove and run a network with the layer; save and load it."""
    rng = np.random.default_rng(1)
    dense = Dense(rng.normal(size=(5, 4)), rng.normal(size=5))
    network = chain("new", (4,), {"dense": dense, "square": SignedSquare()})
    x = rng.normal(size=(40, 4))
    for method in (fxpnn.Method.MINMAX, fxpnn.Method.PROVED):
        entry = {"input": fxpnn.Settings(output=QFormat(16, 12))}
        fixed = fxpnn.quantize(network, x, fxpnn.Plan(fxpnn.Settings(method=method), entry))
        report = fxpnn.compare(network, fixed, x)
        assert report.layers[-1].op == "SignedSquare"
        fixed.save(folder / "new.fxp")
        check(fxpnn.load(folder / "new.fxp"), x)
    assert not prove(fixed)["square"].saturates  # proved, as chosen last
    layer = dequantize(fixed)["square"].layer
    assert isinstance(layer, SignedSquare)
    assert layer.threshold == 0.25
    coarse = fxpnn.Plan(layers={"square": fxpnn.Settings(output=QFormat(6, 4))})
    fixed = fxpnn.quantize(network, x, coarse)
    assert prove(fixed)["square"].saturates
    assert check(fixed, x) > 0


def check(fixed: fxpnn.FixedNetwork, x: Array) -> int:
    """Hold engine and proof against the golden model; return how many outputs saturated."""
    raw = fxpnn.from_float(x, fixed.input_format).astype(np.int16)
    run, wanted = fxpnn.infer(fixed, raw), golden.run(fixed, raw)
    assert np.array_equal(run.raw, wanted.raw["square"])
    assert run.layers["square"] == wanted.counts["square"]
    low, high = prove(fixed)["square"].output
    assert (low <= run.raw).all()
    assert (run.raw <= high).all()
    return run.layers["square"].saturations


if __name__ == "__main__":
    import sys

    main(Path(sys.argv[1]))
