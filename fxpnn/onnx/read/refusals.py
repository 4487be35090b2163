"""Why operators cannot become layers, told once for each kind."""

from collections.abc import Iterable

from fxpnn.errors import ModelError
from fxpnn.onnx.graph.normal import Op

UNKNOWN = "is not supported"

DYNAMIC = (
    *("DynamicQuantizeLinear", "MatMulInteger", "ConvInteger", "DynamicQuantizeMatMul"),
    *("MatMulIntegerToFloat", "DynamicQuantizeLSTM"),
)
"""Operators of dynamic quantization, ONNX's own and those of ONNX Runtime."""
STATICALLY = (
    "words must be the same for all images, not chosen for each (dynamic quantization); quantize "
    "the float model statically, as fxpnn quantize does"
)
LOOPS = ("Loop", "Scan")
UNROLLED = "loops must be LSTM, GRU or RNN, or be exported unrolled (Keras: unroll=True)"
LINEAR = ("QuantizeLinear", "DequantizeLinear")
FREE = ("scale must be a power of two", "zero point must be 0")
"""How the reasons begin why words of other scales are no format."""
BY_POWERS = (
    "quantize the float model (fxpnn quantize), or let the other tool choose scales that are "
    "powers of two and zero points of 0 (Brevitas: Int8ActPerTensorFixedPoint, QKeras: "
    "alpha='auto_po2')"
)

ROOM = 320
"""The characters that a refusal may take before it leaves out nodes, opsets and reasons."""


class RefusalError(ModelError):
    """An operator that cannot become a layer; ``op`` is the one to blame."""

    def __init__(self, op: Op, reason: str) -> None:
        super().__init__(f"{op}: {reason}")
        self.op, self.reason = op, reason


def summary(refusals: Iterable[RefusalError]) -> str:
    """Return one line that names each kind once, with how many nodes and the first one's reason.

    Where that is long, kinds that are not supported are only counted, then the others too. What
    other tools quantize in ways that are not read, and loops, come first, as one, with what to do.
    """
    rest = list(refusals)
    dynamic = [refusal for refusal in rest if _bare(refusal) in DYNAMIC]
    free = _of_free_scales(rest)
    loops = [refusal for refusal in rest if _bare(refusal) in LOOPS]
    families = ((dynamic, STATICALLY), (free, BY_POWERS), (loops, UNROLLED))
    told = [_remedied(group, remedy) for group, remedy in families if group]
    left = [refusal for refusal in rest if refusal not in {*dynamic, *free, *loops}]
    return "; ".join([*told, *([_by_kinds(left)] if left else [])])


def _of_free_scales(refusals: list[RefusalError]) -> list[RefusalError]:
    """Return the refusals of words whose scales are no powers of two; one alone tells itself."""
    linear = [refusal for refusal in refusals if _bare(refusal) in LINEAR]
    words = [r for r in refusals if _bare(r).startswith("QLinear") or _bare(r) == "QGemm"]
    odd = [refusal for refusal in linear if refusal.reason.startswith(FREE)]
    return [*linear, *words] if words or len(odd) > 1 else []


def _bare(refusal: RefusalError) -> str:
    """Return an operator's kind without its domain."""
    return refusal.op.kind.rpartition(".")[2]


def _remedied(group: list[RefusalError], remedy: str) -> str:
    kinds: dict[str, list[RefusalError]] = {}
    for refusal in group:
        kinds.setdefault(refusal.op.kind, []).append(refusal)
    reasons = (r.reason for r in group if r.reason.startswith(FREE))
    why = next((f"{reason}; " for reason in reasons), "")
    return f"{_counted(list(kinds.values()))} (first {group[0].op.shown}): {why}{remedy}"


def _by_kinds(refusals: list[RefusalError]) -> str:
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
    return f"{op.kind} ({len(group)} nodes, first {op.shown}, opset {op.opset}): {first.reason}"


def _counted(groups: list[list[RefusalError]]) -> str:
    return ", ".join(f"{len(group)} {group[0].op.kind}" for group in groups)
