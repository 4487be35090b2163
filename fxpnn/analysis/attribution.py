"""Attribution: which layer loses accuracy, which part of it, and what would help.

All in true integers: networks are run in which layers, or parts of them, are replaced by ideal
ones. A layer's own SQNR does not tell: noise passes on, and what it does to a class differs.
"""

import math
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

import numpy as np

from fxpnn.analysis.explanation import (
    Effect,
    Explanation,
    FlippedImage,
    LayerExplanation,
    Parts,
    Ranked,
    Tried,
)
from fxpnn.analysis.firsts import first_losses
from fxpnn.analysis.judging import Target, judge_all, own_errors, target_of
from fxpnn.analysis.matching import reference_of
from fxpnn.analysis.proposals import PARTS, Option, change_of, options
from fxpnn.engine.inference import Run, prepared
from fxpnn.errors import FxpnnError
from fxpnn.fixedpoint.qformat import TENSOR_BITS, Accumulator, Overflow, QFormat
from fxpnn.fixedpoint.requantize import Shift
from fxpnn.network.fixed import Counts, FixedNetwork
from fxpnn.network.graph import Network
from fxpnn.network.images import logits_of
from fxpnn.network.layers import Array
from fxpnn.network.rounded import WeightRounding
from fxpnn.network.rows import Images, as_rows
from fxpnn.network.traits import Output
from fxpnn.quantization.changes import Change, changed
from fxpnn.quantization.moments import products
from fxpnn.quantization.quantizer import observe, quantize
from fxpnn.quantization.settings import Plan, Settings

ROOMY = Accumulator()
"""The accumulator of what is called ideal; its words have 16 bits."""
NEAR, NEAR_DB = 0.0005, 1.0
"""A change is as good as another that makes fewer flips by so small a share of the images or, where
there are no classes, has an SQNR that is higher by so little."""
AUDIBLE_DB = 0.1
"""What a repair must gain to be ranked, where it removes no flip."""
CALIBRATED = 1000
"""So many images are enough to choose formats on."""
MOMENTS = 1 << 22
"""The most second moments of a layer's inputs for which weights are rounded with feedback."""
RANKED = 10
"""The most layers that are ranked."""

Changes: TypeAlias = Mapping[str, Change]
Progress: TypeAlias = Callable[[int], None]


def passes(fixed: FixedNetwork) -> int:
    """Return about how many times ``explain`` runs the images."""
    owners = sum(node.layer.traits.chosen or node.layer.traits.sums for node in fixed.nodes)
    return 6 * (owners + 1) + 12


class Step(NamedTuple):
    """A change that was applied to a layer."""

    name: str
    change: Tried


@dataclass(frozen=True)
class Repair:
    """The explanation of a network, the network as changed step by step, and what that reaches."""

    explanation: Explanation
    fixed: FixedNetwork
    steps: tuple[Step, ...]
    effect: Effect
    reached: bool


@dataclass
class _Judge:
    """Runs variants of one fixed network; one that cannot be has no effect, and none runs twice."""

    network: Network
    fixed: FixedNetwork
    target: Target
    calibration: Array
    threads: int | None
    executor: Executor | None = None
    progress: Progress | None = None

    def __post_init__(self) -> None:
        self.known: dict[frozenset[tuple[str, Change]], Effect | None] = {}

    def effects(self, variants: list[Changes]) -> list[Effect | None]:
        """Return what each variant reaches."""
        keys = [frozenset((n, c) for n, c in made.items() if c != Change()) for made in variants]
        pending: dict[frozenset[tuple[str, Change]], FixedNetwork] = {}
        for key, made in zip(keys, variants, strict=True):
            if key not in self.known and key not in pending:
                try:
                    pending[key] = changed(self.network, self.fixed, made)
                except FxpnnError:  # a layer cannot have this format
                    self.known[key] = None
        networks = [*pending.values()]
        found = judge_all(self.target, networks, self.threads, self.executor, self.progress)
        self.known.update(zip(pending, found, strict=True))
        return [self.known[key] for key in keys]


def explain(
    network: Network,
    fixed: FixedNetwork,
    x: Images,
    y: Array | None = None,
    calibration: Images | None = None,
    threads: int | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Explanation:
    """Say where a fixed network loses what it loses against its float network, and what helps.

    Args:
        network: the float network it came from.
        fixed: the network of integers.
        x: images, as ``infer`` takes them.
        y: labels ``(N,)``, or ``None``: then flips and SQNR count.
        calibration: images on which ideal formats are chosen, by default the first 1,000 of ``x``.
        threads: how many run one network, by default one per core.
        executor: runs networks side by side, where given: each on one thread of its workers.
        progress: called with the number of images done since the last call.

    Raises:
        DataError: the images or labels do not fit.
        ModelError: the reference has other layers than the fixed network.
    """
    network, x = reference_of(network, fixed), as_rows(fixed, x)
    target = target_of(network, fixed, x, y, threads)
    calibration = x[:CALIBRATED] if calibration is None else as_rows(fixed, calibration)
    judge = _Judge(network, fixed, target, calibration, threads, executor, progress)
    ideal = _ideal(network, fixed, calibration)
    (given,) = judge.effects([{}])
    (best,) = judge.effects([ideal])
    assert given is not None
    run = prepared(fixed).run(x, threads)
    lost = given.flips != 0 if given.flips is not None else given.sqnr_db != math.inf
    layers = _layers(judge, ideal, run.layers, own_errors(network, fixed, x, threads))
    ranking, tried = _ranking(judge, ideal, given) if lost else ((), ())
    return Explanation(
        target.accuracy,
        len(x),
        given,
        best or given,
        layers,
        ranking,
        tried,
        first_losses(fixed, x, run.layers),
        _flipped(target, run, fixed.formats[logits_of(fixed)]),
    )


def repair(
    network: Network,
    fixed: FixedNetwork,
    x: Images,
    y: Array,
    max_loss: float,
    calibration: Images | None = None,
    threads: int | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
) -> Repair:
    """Apply the first proposal again and again, until no more accuracy is lost than ``max_loss``.

    It ends earlier where a proposal does not help any more. The other arguments, and what is
    raised, are those of ``explain``.
    """
    network, steps = reference_of(network, fixed), list[Step]()
    x = as_rows(fixed, x)
    calibration = None if calibration is None else as_rows(fixed, calibration)
    while True:
        found = explain(network, fixed, x, y, calibration, threads, executor, progress)
        if not steps:
            first = found
        proposal = found.ranking[0].proposal if found.ranking else None
        reached = found.loss is not None and found.loss <= max_loss
        if reached or proposal is None or _gain(found.given, proposal.effect) <= (0, 0.0):
            return Repair(first, fixed, tuple(steps), found.given, reached)
        name = found.ranking[0].name
        calibrated = x[:CALIBRATED] if calibration is None else calibration
        change = _change(network, fixed, calibrated, name, proposal)
        assert change is not None
        fixed = changed(network, fixed, {name: change})
        steps.append(Step(name, proposal))


def _change(
    network: Network, fixed: FixedNetwork, calibration: Array, name: str, option: Option | Tried
) -> Change | None:
    """Return the change that an option means, ``None`` where a layer is too large for it."""
    if option.setting != "weight_rounding":
        return change_of(fixed, name, option)
    if products(network[name].layer) > MOMENTS:
        return None
    plan = Plan(layers={name: Settings(weight_rounding=WeightRounding.FEEDBACK)})
    return change_of(fixed, name, option, observe(network, calibration, plan).moments[name])


def _ideal(network: Network, fixed: FixedNetwork, calibration: Array) -> dict[str, Change]:
    """Return what makes each layer ideal: formats of 16 bits chosen anew, sums in 48."""
    best = quantize(network, calibration, Settings(word=TENSOR_BITS))
    found = {}
    for node in best.nodes:
        given = fixed[node.name]
        traits = node.layer.traits
        follows = traits.output is Output.KEPT or (
            traits.output is Output.INHERITED
            and given.output_format == fixed.formats[given.inputs[0]]
        )
        change = Change(
            node.weight_formats or None,
            None if follows or traits.format is not None else node.requantize,
            None if given.accumulator is None else _roomy(given.accumulator),
        )
        if change != Change():
            found[node.name] = change
    return {**{it.name: Change(output=Shift(it.format)) for it in best.inputs}, **found}


def _roomy(register: Accumulator) -> Accumulator:
    """Return an accumulator of 48 bits, or the given one where that has more."""
    wider = register.frac is None and register.word > ROOMY.word
    return replace(register, overflow=Overflow.SATURATE) if wider else ROOMY


def _part(change: Change, part: str) -> Change:
    """Keep one part of a repair."""
    return {
        "weights": Change(weight=change.weight),
        "output": Change(output=change.output),
        "accumulator": Change(accumulator=change.accumulator),
    }[part]


def _layers(
    judge: _Judge,
    ideal: Changes,
    counts: Mapping[str, Counts],
    own: Mapping[str, float | None],
) -> tuple[LayerExplanation, ...]:
    """Judge every layer alone, as it is and repaired, its parts, and all layers up to it."""
    names, told = [*ideal], []
    for place, name in enumerate(names):
        others = {other: change for other, change in ideal.items() if other != name}
        later = {other: ideal[other] for other in names[place + 1 :]}
        parts = [{name: _part(ideal[name], part)} for part in PARTS]
        effects = judge.effects([others, later, {name: ideal[name]}, *parts])
        alone, prefix, repaired, *each = effects
        has = [any(made != Change() for made in one.values()) for one in parts]
        node = judge.fixed.node(name)
        told.append(
            LayerExplanation(
                name,
                node.op if node else "Input",
                alone,
                prefix,
                repaired,
                Parts(
                    *(effect if there else None for effect, there in zip(each, has, strict=True))
                ),
                own[name],
                node.losses.clipped_weights if node else 0,
                counts[name].saturations,
                counts[name].accumulator_overflows,
            )
        )
    return tuple(told)


def _gain(given: Effect, effect: Effect | None) -> tuple[int, float]:
    """Return how many flips vanish, and how many dB of SQNR come, with an effect."""
    if effect is None:
        return -(1 << 62), -math.inf
    flips = 0 if given.flips is None or effect.flips is None else given.flips - effect.flips
    before, after = given.sqnr_db, effect.sqnr_db
    if before is None or after is None or before == after:
        return flips, 0.0
    return flips, after - before


def _ranking(
    judge: _Judge, ideal: Changes, given: Effect
) -> tuple[tuple[Ranked, ...], tuple[Tried, ...]]:
    """Rank layers by what their repair buys; try changes of each, of the first those of all parts.

    What one layer loses can hide what another does: each is judged with those before it repaired.
    """
    ranking: list[Ranked] = []
    first: list[Tried] = []
    repaired: dict[str, Change] = {}
    while len(ranking) < RANKED and given.flips != 0:
        left = [name for name in ideal if name not in repaired]
        effects = judge.effects([{**repaired, name: ideal[name]} for name in left])
        gains = {name: (_gain(given, e), e) for name, e in zip(left, effects, strict=True) if e}
        name = max(gains, key=lambda n: gains[n][0], default="")
        if not name or gains[name][0] < (0, AUDIBLE_DB):
            break
        (flips, decibels), best = gains[name]
        parts = judge.effects([{**repaired, name: _part(ideal[name], part)} for part in PARTS])
        part = max(zip(PARTS, parts, strict=True), key=lambda pair: _gain(given, pair[1]))[0]
        tried = _tried(judge, repaired, ideal[name], name, part if ranking else None)
        first = first or tried
        proposal = _cheapest([t for t in tried if t.part == part], given, len(judge.target.x))
        removed = None if given.flips is None else flips
        ranking.append(Ranked(name, part, removed, decibels, proposal))
        repaired[name], given = ideal[name], best
    return tuple(ranking), tuple(first)


def _tried(
    judge: _Judge, repaired: Changes, ideal: Change, name: str, part: str | None
) -> list[Tried]:
    """Run changes of a layer, of all its parts or one; those that cannot be are left out."""
    given = judge.network, judge.fixed, judge.calibration
    made = [
        (option, change)
        for option in options(judge.network, judge.fixed, name, ideal)
        if part in (None, option.part) and (change := _change(*given, name, option))
    ]
    effects = judge.effects([{**repaired, name: change} for _, change in made])
    return [
        Tried(option.part, option.setting, option.value, option.bits, effect)
        for (option, _), effect in zip(made, effects, strict=True)
        if effect is not None
    ]


def _cheapest(tried: list[Tried], given: Effect, images: int) -> Tried | None:
    """Return the change of fewest bits among those that help about as much as the best."""
    if not tried:
        return None
    best = min(tried, key=_badness).effect
    helping = [t for t in tried if _gain(given, t.effect) > (0, 0.0)] or tried
    near = [t for t in helping if _is_near(t.effect, best, images)]
    return min(near, key=lambda t: (t.bits, isinstance(t.value, tuple), *_badness(t)))


def _badness(tried: Tried) -> tuple[float, float]:
    return tried.effect.flips or 0, -(tried.effect.sqnr_db or 0.0)


def _is_near(effect: Effect, best: Effect, images: int) -> bool:
    if effect.flips is None or best.flips is None:
        return (effect.sqnr_db or 0.0) >= (best.sqnr_db or 0.0) - NEAR_DB
    return effect.flips <= best.flips + NEAR * images


def _flipped(target: Target, run: Run, fmt: QFormat) -> tuple[FlippedImage, ...]:
    """List the images whose prediction changed, the smallest margin of the float network first."""
    if target.classes is None:
        return ()
    places = np.flatnonzero(target.classes != run.predictions)
    fixed = run.logits.reshape(len(target.x), -1)[places] * fmt.lsb
    margins = zip(_margins(target.logits[places]), _margins(fixed), strict=True)
    found = [
        FlippedImage(
            int(i),
            None if target.y is None else int(target.y[i]),
            int(target.classes[i]),
            int(run.predictions[i]),
            *pair,
        )
        for i, pair in zip(places, margins, strict=True)
    ]
    return tuple(sorted(found, key=lambda flip: flip.reference_margin))


def _margins(logits: Array) -> list[float]:
    """Return by how much the largest logit of each image leads the second."""
    if not len(logits):
        return []
    two = np.partition(logits, -2, axis=1)[:, -2:]
    return [float(margin) for margin in two[:, 1].astype(np.float64) - two[:, 0]]
