"""Accuracy against the word that all layers share."""

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import replace

import msgspec

from fxpnn.analysis.cost import Cost
from fxpnn.analysis.explanation import Effect
from fxpnn.analysis.judging import Target, judge_all
from fxpnn.network.graph import Network
from fxpnn.quantization.observation import Observation
from fxpnn.quantization.quantizer import quantize
from fxpnn.quantization.settings import Settings


class WordPoint(msgspec.Struct, frozen=True):
    """A word, what its network costs and reaches; ``best`` if no other is cheaper and as good."""

    word: int
    cost: float
    effect: Effect
    best: bool = False


def sweep(
    network: Network,
    observed: Observation,
    settings: Settings,
    words: Sequence[int],
    target: Target,
    cost: Cost,
    threads: int | None = None,
    executor: Executor | None = None,
    progress: Callable[[int], None] | None = None,
) -> tuple[WordPoint, ...]:
    """Quantize by each word and run it; ``settings`` say all else.

    Raises:
        FormatError, ModelError: a setting has no effect, or a parameter does not fit.
    """
    networks = [quantize(network, observed, replace(settings, word=word)) for word in words]
    effects = judge_all(target, networks, threads, executor, progress)
    points = [
        WordPoint(word, cost.of(fixed), effect)
        for word, fixed, effect in zip(words, networks, effects, strict=True)
    ]
    return tuple(msgspec.structs.replace(p, best=_is_best(p, points)) for p in points)


def _is_best(point: WordPoint, points: Sequence[WordPoint]) -> bool:
    """Tell whether a point lies on the front of cost and accuracy, of equals the cheapest."""
    mine = _badness(point.effect)
    return not any(
        (other.cost < point.cost and _badness(other.effect) <= mine)
        or (other.cost == point.cost and _badness(other.effect) < mine)
        for other in points
    )


def _badness(effect: Effect) -> float:
    """Return what is to be small: errors, else flips, else the negative SQNR."""
    if effect.accuracy is not None:
        return -effect.accuracy
    return -(effect.sqnr_db or 0.0) if effect.flips is None else effect.flips
