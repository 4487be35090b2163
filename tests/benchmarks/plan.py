"""What is measured, and for how long."""

from dataclasses import dataclass, replace

MLP, LENET_RELU, LENET = "mlp-784-100-10", "lenet5-relu", "lenet5"
NETWORKS = (MLP, LENET_RELU, LENET)


@dataclass(frozen=True)
class Plan:
    """How long to measure: every candidate has ``rounds`` turns of about ``seconds``.

    A network runs on ``images``, a slow peer on as many as take it ``longest`` seconds; the growth
    goes up to ``growth`` images; a layer gets images for ``macs`` multiply-adds.
    """

    rounds: int = 4
    seconds: float = 0.2
    longest: float = 0.25
    images: int = 10_000
    growth: int = 1_000_000
    macs: int = 500_000_000
    quick: bool = False


SHORTER = 4
"""How many turns of what is over soon take the time of one: a machine's mood lasts for seconds."""


def shorter(plan: Plan) -> Plan:
    """Give candidates that are over soon more turns in the same time."""
    return replace(plan, rounds=plan.rounds * SHORTER, seconds=plan.seconds / SHORTER)


QUICK = Plan(rounds=1, seconds=0.0, longest=0.02, images=64, growth=100, macs=1_000_000, quick=True)
"""Tiny work: it shows that everything runs, not how fast."""
