"""Why operators cannot become layers, told once for each kind."""

from collections.abc import Iterable

from fxpnn.errors import ModelError
from fxpnn.onnx.graph.normal import Op

UNKNOWN = "is not supported"

ROOM = 320
"""The characters that a refusal may take before it leaves out nodes, opsets and reasons."""


class RefusalError(ModelError):
    """An operator that cannot become a layer; ``op`` is the one to blame."""

    def __init__(self, op: Op, reason: str) -> None:
        super().__init__(f"{op}: {reason}")
        self.op, self.reason = op, reason


def summary(refusals: Iterable[RefusalError]) -> str:
    """Return one line that names each kind once, with how many nodes and the first one's reason.

    Where that is long, kinds that are not supported are only counted, then the others too.
    """
    kinds: dict[str, list[RefusalError]] = {}
    for refusal in refusals:
        kinds.setdefault(refusal.op.kind, []).append(refusal)
    unknown = [group for group in kinds.values() if _is_unknown(group)]
    others = [group for group in kinds.values() if not _is_unknown(group)]
    counted = [f"not supported: {_counted(unknown)}"] if unknown else []
    forms = (
        [_told(group) for group in kinds.values()],
        [*counted, *map(_told, others)],
        [*counted, *([f"not supported in this form: {_counted(others)}"] if others else [])],
    )
    lines = ["; ".join(form) for form in forms]
    return next((line for line in lines if len(line) <= ROOM), lines[-1])


def _is_unknown(group: list[RefusalError]) -> bool:
    return any(refusal.reason == UNKNOWN for refusal in group)


def _told(group: list[RefusalError]) -> str:
    first = group[0]
    if len(group) == 1:
        return str(first)
    op = first.op
    return f"{op.kind} ({len(group)} nodes, first {op.name}, opset {op.opset}): {first.reason}"


def _counted(groups: list[list[RefusalError]]) -> str:
    return ", ".join(f"{len(group)} {group[0].op.kind}" for group in groups)
