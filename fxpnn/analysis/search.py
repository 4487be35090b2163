"""Search for small words: weights, outputs and accumulators of each layer under a limit of loss.

Greedy: from the smallest word that all layers can share, the bit is removed whose removal flips
fewest images for the cost that it saves, again and again, as long as the loss holds. It is decided
on one half of the images, and told of the other: what was chosen among many on the same images
looks better there than it is.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import NamedTuple

from fxpnn.analysis.cost import Cost
from fxpnn.analysis.explanation import Effect
from fxpnn.analysis.halves import loss_of, standard_error
from fxpnn.analysis.judging import Target, judge_all
from fxpnn.analysis.points import Point, Words
from fxpnn.engine.inference import Engine
from fxpnn.errors import DataError
from fxpnn.fixedpoint.qformat import NARROWEST, Accumulator
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.graph import Network
from fxpnn.proofs.bounds import prove
from fxpnn.quantization.choices import entered
from fxpnn.quantization.observation import Observation
from fxpnn.quantization.quantizer import quantize
from fxpnn.quantization.settings import ALL, Plan, Settings

SHORTEST = 2
"""The shortest word of a tensor."""
CHECKSUM = 16
"""Hexadecimal digits of the checksum of a search."""


@dataclass(frozen=True)
class Task:
    """What is searched: a network, how it is quantized, what is allowed, and what it costs.

    ``settings`` hold for all layers; a ``weight_word`` or ``output_word`` that is given there is
    not searched, and ``word`` is the longest that is tried. ``margin`` standard errors are added to
    a loss before it is judged.
    """

    network: Network
    observed: Observation
    settings: Settings
    max_loss: float
    cost: Cost
    margin: float = 0.0

    def searched(self) -> Iterator[str]:
        """Name the kinds of words that are searched: those that the cost depends on."""
        names, both = {*self.cost.factors}, {"multipliers", "accumulators"}
        if self.settings.weight_word is None and names & {"weights", *both}:
            yield "weights"
        if self.settings.output_word is None and names & {"activations", *both}:
            yield "outputs"

    def start(self, words: Mapping[str, int]) -> Words:
        """Return the words where all layers share those of each kind."""
        network = entered(self.network, self.observed.floats, Plan(self.settings))
        heeding = {node.name: node.layer.traits for node in network.nodes}
        return Words(
            {name: words["weights"] for name, traits in heeding.items() if traits.weighted},
            {
                name: words["outputs"]
                for name, traits in heeding.items()
                if "output_word" in traits.heeds
            },
        )

    def wide(self) -> FixedNetwork:
        """Quantize with words of 16 bits, and proved accumulators: what costs are compared with."""
        return proved(quantize(self.network, self.observed, Settings()))

    def fixed(self, words: Words) -> FixedNetwork:
        """Quantize by these words; accumulators have the bits that are proved to suffice."""
        layers, keys = {}, {}
        for name in {**words.weights, **words.outputs}:
            layers[name] = replace(
                self.settings,
                weight_word=words.weights.get(name, self.settings.weight_word),
                output_word=words.outputs.get(name, self.settings.output_word),
            )
            keys[name] = frozenset[str]()
        keys[ALL] = frozenset()
        defaults = replace(self.settings, weight_word=None, output_word=None)
        fixed = quantize(self.network, self.observed, Plan(defaults, layers, keys))
        return proved(fixed)


def proved(fixed: FixedNetwork) -> FixedNetwork:
    """Give each accumulator that can have any word the fewest bits that are proved to suffice."""
    bits = {name: proof.bits for name, proof in prove(fixed).items()}
    words = {
        name: held.word
        for name, register in narrowable(fixed).items()
        if (held := register.holding(bits[name] or 0)) is not None
    }
    return with_registers(fixed, words)


def narrowable(fixed: FixedNetwork) -> dict[str, Accumulator]:
    """Give the accumulators whose word may be chosen: those without a fraction of their own."""
    registers = {node.name: node.accumulator for node in fixed.nodes if node.accumulator}
    return {name: register for name, register in registers.items() if register.frac is None}


def with_registers(fixed: FixedNetwork, words: Mapping[str, int]) -> FixedNetwork:
    """Return the network with accumulators of other words, which saturate."""
    made = {name: Accumulator(word) for name, word in words.items()}
    nodes = (
        replace(node, accumulator=made.get(node.name, node.accumulator)) for node in fixed.nodes
    )
    return replace(fixed, nodes=tuple(nodes))


class UnreachedError(DataError):
    """No words lose as little as is allowed."""


class Found(NamedTuple):
    """The end of a search: the best point and its network, and every point in order."""

    best: Point
    fixed: FixedNetwork
    points: tuple[Point, ...]


class Reported(NamedTuple):
    """A point, its network, and what that reaches on images that did not decide.

    ``stepped_back`` says that they did: the point was chosen because it holds there too.
    """

    best: Point
    fixed: FixedNetwork
    effect: Effect
    stepped_back: bool


class Search:
    """A search under way; it begins anew with what is ``known`` and comes to the same end.

    ``tell`` is called with each new point, in an order that does not depend on the executor.
    """

    def __init__(
        self,
        task: Task,
        deciding: Target,
        threads: int | None = None,
        executor: Executor | None = None,
        known: Sequence[Point] = (),
        tell: Callable[[Point], None] | None = None,
    ) -> None:
        self.task, self.deciding = task, deciding
        self.threads, self.executor = threads, executor
        self.tell = tell
        self.known = {point.words.key(): point for point in known}
        self.points: dict[str, Point] = {}

    def run(self) -> Found:
        """Search.

        Raises:
            UnreachedError: no words hold the loss; the message says what the best found loses.
        """
        longest, settings = self.task.settings.word, self.task.settings
        words = {
            "weights": settings.weight_word or longest,
            "outputs": settings.output_word or longest,
        }
        best: Point | None = None
        for kind in self.task.searched():
            start = best.words if best else self.task.start(words)
            best = self._descend(self._shared(start, kind), kind)
        if best is None:
            (best,) = self._judged([self.task.start(words)])
            self._check(best)
        return Found(best, self.task.fixed(best.words), tuple(self.points.values()))

    def reported(self, found: Found, reporting: Target, step_back: bool) -> Reported:
        """Judge the best point by images that decided nothing.

        With ``step_back`` the cheapest point is taken that holds there too: then they did decide.
        """
        (effect,) = judge_all(reporting, [found.fixed], self.threads, self.executor)
        first = Reported(found.best, found.fixed, effect, False)
        images, limit = len(reporting.x), self.task.max_loss
        if not step_back or loss_of(effect, images) <= limit:
            return first
        for point in sorted(filter(self.holds, found.points), key=lambda p: p.cost):
            fixed = self.task.fixed(point.words)
            (effect,) = judge_all(reporting, [fixed], self.threads, self.executor)
            if loss_of(effect, images) <= limit:
                return Reported(point, fixed, effect, True)
        return first

    def holds(self, point: Point) -> bool:
        """Tell whether a point's loss is within the limit."""
        images, effect = len(self.deciding.x), point.effect
        spare = self.task.margin * standard_error(effect, images)
        return loss_of(effect, images) + spare <= self.task.max_loss

    def _check(self, point: Point) -> None:
        if not self.holds(point):
            least = loss_of(point.effect, len(self.deciding.x))
            raise UnreachedError(
                f"no words of {SHORTEST} to {self.task.settings.word} bits hold a loss of "
                f"{self.task.max_loss:g}; the best found loses {least:.4g}"
            )

    def _shared(self, start: Words, kind: str) -> Point:
        """Return the point of the shortest word that all layers can share; all are tried."""
        made = [
            start.with_words(kind, dict.fromkeys(start.of(kind), word))
            for word in range(self.task.settings.word, SHORTEST - 1, -1)
        ]
        points = self._judged(made)
        self._check(min(points, key=lambda p: loss_of(p.effect, len(self.deciding.x))))
        return [point for point in points if self.holds(point)][-1]

    def _descend(self, point: Point, kind: str) -> Point:
        """Remove bits of single layers, as long as some removal holds."""
        while True:
            words = point.words.of(kind)
            made = [
                point.words.with_words(kind, {name: word - 1})
                for name, word in words.items()
                if word > SHORTEST
            ]
            able = [p for p in self._judged(made) if self.holds(p) and p.cost < point.cost]
            if not able:
                return point
            here = point
            point = min(able, key=lambda p: _price(here, p))

    def _judged(self, made: Sequence[Words]) -> list[Point]:
        """Judge words that are new; what was told before is not run again."""
        pending = [words for words in made if words.key() not in self.known]
        networks = [self.task.fixed(words) for words in pending]
        effects = judge_all(self.deciding, networks, self.threads, self.executor)
        for words, fixed, effect in zip(pending, networks, effects, strict=True):
            self.known[words.key()] = Point(words, self.task.cost.of(fixed), effect)
        found = [self.known[words.key()] for words in made]
        for point in found:
            if point.words.key() not in self.points:
                self.points[point.words.key()] = point
                if self.tell is not None:
                    self.tell(point)
        return found


def _price(here: Point, there: Point) -> tuple[float, float]:
    """Return how many flips a step costs for each bit that it saves; of equals, the larger step."""
    saved = here.cost - there.cost
    flips = (there.effect.flips or 0) - (here.effect.flips or 0)
    return flips / saved, -saved


def observed_registers(fixed: FixedNetwork, target: Target, threads: int | None) -> dict[str, int]:
    """Return the narrowest accumulators that overflow for none of the images: seen, not proved."""
    words = {name: register.word for name, register in narrowable(fixed).items()}
    open_ = {name for name, word in words.items() if word > NARROWEST}
    while open_:
        tried = {**words, **{name: words[name] - 1 for name in open_}}
        counts = Engine(with_registers(fixed, tried)).run(target.x, threads).layers
        # An overflow may be that of an earlier layer's: the first one alone is sure.
        failed = [name for name in tried if name in open_ and counts[name].accumulator_overflows]
        if failed:
            open_.discard(failed[0])
            continue
        words = tried
        open_ = {name for name in open_ if words[name] > NARROWEST}
    return words


def identity(task: Task, *others: object) -> str:
    """Return the checksum of all that decides what a search finds.

    ``others`` say which model, data and version it is.
    """
    network = task.network.image_shape, task.network.scaling  # where options say them
    said = (network, repr(task.settings), task.max_loss, task.cost.text, task.margin, others)
    return hashlib.sha256(repr(said).encode()).hexdigest()[:CHECKSUM]
