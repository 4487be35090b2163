"""The export: a fixed network in a file for other tools, and what such a file cannot carry."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from fxpnn import files
from fxpnn.network.fixed import FixedNetwork
from fxpnn.onnx.write.dialects import Dialect
from fxpnn.onnx.write.quantized import to_quantized_model
from fxpnn.proofs.bounds import Proof, prove


def export(fixed: FixedNetwork, path: Path | str, kind: type[Dialect]) -> tuple[str, ...]:
    """Write a fixed network as an ONNX file of ``Qonnx`` or ``Qdq``.

    ``fxpnn.onnx.load_quantized`` reads it; ``fxpnn.quantize`` then makes a network of the same
    integers.

    Returns:
        What the file does not carry, in words.

    Raises:
        ModelError: the dialect has not a format, mode or number of the network.
        DataError: the file cannot be written.
    """
    proofs = prove(fixed)
    inert = [name for name, proof in proofs.items() if not proof.saturates]
    model = to_quantized_model(fixed, kind, inert)
    files.write(Path(path), model.SerializeToString(deterministic=True))
    return tuple(_lost(fixed, proofs))


def _lost(fixed: FixedNetwork, proofs: Mapping[str, Proof]) -> Iterable[str]:
    unproved = [node.name for node in fixed.nodes if not proofs[node.name].proved]
    shifted = [node.name for node in fixed.nodes if node.softmax_shift is not None]
    curved = [node.name for node in fixed.nodes if node.layer.traits.approximate]
    if fixed.normalisation is not None:
        yield "the normalisation of its input, which must come normalised"
    if unproved:
        yield f"the accumulators of {', '.join(unproved)}, which may overflow"
    if shifted:
        yield f"the constants that {', '.join(shifted)} subtract"
    if curved:
        yield f"the integer arithmetic of {', '.join(curved)}"
