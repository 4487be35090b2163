"""What a lesson shows: published numbers beside computed ones, floats beside 16 bits."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property, reduce
from operator import add
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from fxpnn import golden
from fxpnn.engine.inference import infer
from fxpnn.fixedpoint.casting import from_float, to_float
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network.fixed import Counts, FixedNetwork
from fxpnn.network.graph import Network
from fxpnn.network.layers import Array, Dense
from fxpnn.quantization.quantizer import propose
from fxpnn.quantization.settings import Plan, Settings
from fxpnn.reference import forward
from fxpnn.training import parameters, with_parameters

Numbers: TypeAlias = tuple[float, ...]


@dataclass(frozen=True)
class Check:
    """A published result and the computed one: it holds where no number is ``within`` further."""

    what: str
    published: Numbers
    computed: Numbers
    within: float = 0.0

    @property
    def holds(self) -> bool:
        """Tell whether every computed number is the published one; NaN never is."""
        pairs = zip(self.published, self.computed, strict=False)
        same = len(self.published) == len(self.computed)
        return same and all(abs(a - b) <= self.within for a, b in pairs)


def check(what: str, published: npt.ArrayLike, computed: npt.ArrayLike, digits: int = -1) -> Check:
    """Compare with numbers that were published exactly, or rounded to ``digits`` decimals."""
    within = 0.5 * 10.0**-digits if digits >= 0 else 0.0
    return Check(what, numbers(published), numbers(computed), within)


def numbers(values: npt.ArrayLike) -> Numbers:
    """Flatten anything that holds numbers, in order."""
    return tuple(np.asarray(values, dtype=np.float64).reshape(-1).tolist())


@dataclass(frozen=True)
class Row:
    """One line of the textbook: what floats gave, what 16 bits gave, and whether both are right.

    ``lsb`` is the largest difference of any output, in counts of its format; ``saturations``
    counts everything that overflowed anywhere in the network.
    """

    name: str
    floats: Numbers
    fixed: Numbers
    lsb: float
    saturations: int
    checks: tuple[Check, ...]

    @property
    def holds(self) -> bool:
        """Tell whether every published number holds."""
        return all(check.holds for check in self.checks)


@dataclass(frozen=True, eq=False)
class Sides:
    """A network run in float64 and in fixed point: every node's values on both sides.

    ``floats`` holds float64 ``(N, *shape)`` by the node's name, ``raw`` the integers.
    ``disagreements`` counts raw values in which the golden model differs from the engine.
    """

    network: Network
    integers: FixedNetwork
    floats: dict[str, Array]
    raw: dict[str, Array]
    counts: Counts
    disagreements: int

    @cached_property
    def fixed(self) -> dict[str, Array]:
        """Give what the raw values mean, float64."""
        formats = self.integers.formats
        return {name: to_float(raw, formats[name]) for name, raw in self.raw.items()}

    @property
    def output(self) -> str:
        """Name the output."""
        return self.network.outputs[0]

    @property
    def y(self) -> Array:
        """Give the float side's output."""
        return self.floats[self.output]

    @property
    def y_fixed(self) -> Array:
        """Give the fixed side's output as numbers."""
        return self.fixed[self.output]

    @property
    def lsb(self) -> float:
        """Give the largest difference of the outputs, in counts of the output's format."""
        difference = np.abs(self.y - self.y_fixed).max()
        return float(difference / self.integers.formats[self.output].lsb)

    @property
    def saturations(self) -> int:
        """Count all that overflowed: sums in accumulators, and values cast to a format."""
        return self.counts.accumulator_overflows + self.counts.saturations

    @property
    def agreement(self) -> Check:
        """Check that the golden model gives the same raw values."""
        return check("raw values in which the golden model differs", 0, self.disagreements)

    def stored(self, name: str) -> tuple[Array, Array]:
        """Give what the integers of a dense layer mean: its weights in order, and its biases."""
        node = self.integers[name]
        assert isinstance(node.layer, Dense)
        fracs = node.fracs(len(node.layer.bias))
        products = fracs + self.integers.formats[node.inputs[0]].frac
        weight = np.ldexp(node.layer.weight.astype(np.float64), -fracs[:, None])
        return weight.reshape(-1), np.ldexp(node.layer.bias.astype(np.float64), -products)

    def row(
        self,
        name: str,
        checks: Iterable[Check],
        floats: npt.ArrayLike | None = None,
        fixed: npt.ArrayLike | None = None,
    ) -> Row:
        """Make a row; the numbers it shows are the outputs unless others are given."""
        return Row(
            name,
            numbers(self.y if floats is None else floats),
            numbers(self.y_fixed if fixed is None else fixed),
            self.lsb,
            self.saturations,
            (*checks, self.agreement),
        )


def formats(default: str, **outputs: str) -> Plan:
    """Plan one format for all weights and outputs, and another for the outputs of some layers.

    >>> formats("Q7.8", a="Q0.15")["a"].weight
    QFormat(word=16, frac=8, signed=True)
    """
    weight = QFormat.parse(default)
    named = {
        name: Settings(weight=weight, output=QFormat.parse(text)) for name, text in outputs.items()
    }
    return Plan(Settings(weight=weight, output=weight), named)


def _heeded(plan: Plan, network: Network) -> Plan:
    """Leave out the format of weights where no layer has any: it would be refused."""
    if any(node.layer.traits.weight for node in network.nodes):
        return plan
    layers = {name: replace(chosen, weight=None) for name, chosen in plan.layers.items()}
    return Plan(replace(plan.defaults, weight=None), layers)


def both(
    network: Network, x: npt.ArrayLike, plan: Plan | None = None, golden_inputs: int = 16
) -> Sides:
    """Run inputs ``(N, *input_shape)`` on both sides.

    Without a plan the inputs choose the formats; what they tell little of is no news in a lesson,
    and is not logged. The golden model, some 1000 times slower than the engine, runs about
    ``golden_inputs`` of them, evenly spread.
    """
    inputs = np.asarray(x, np.float64)
    fixed = propose(network, None if plan else inputs, plan and _heeded(plan, network)).fixed
    run = infer(fixed, inputs, threads=1, keep=fixed.shapes)
    some = slice(None, None, -(-len(inputs) // golden_inputs))
    expected = golden.run(fixed, from_float(inputs[some], fixed.input_format)).raw
    return Sides(
        network,
        fixed,
        forward(network, inputs, np.float64, keep=network.shapes),
        {name: run.tensors[name] for name in fixed.shapes},
        reduce(add, run.layers.values()),
        sum(int((run.tensors[name][some] != raw).sum()) for name, raw in expected.items()),
    )


def rounded(network: Network, frac: int = 12) -> Network:
    """Round what was learned to multiples of ``2**-frac``.

    Machines differ in the last bits of what they learn; nothing of that is left, and 16-bit words
    hold what is.
    """
    values = parameters(network).items()
    return with_parameters(network, {name: on_grid(value, frac) for name, value in values})


def on_grid(values: npt.ArrayLike, frac: int) -> Array:
    """Round to multiples of ``2**-frac``, float64."""
    return np.ldexp(np.rint(np.ldexp(np.asarray(values, np.float64), frac)), -frac)
