"""Words of 16 bits without a sign, which a model file may ask for: int16 holds 15 of them.

They are the same words wherever nothing reaches the top bit: no input can (proved), or none of the
calibration data does (observed).
"""

from collections.abc import Iterable, Iterator, Mapping

from fxpnn.errors import FormatError
from fxpnn.fixedpoint.qformat import TENSOR_BITS, QFormat
from fxpnn.network.fixed import FixedNetwork
from fxpnn.proofs.bounds import prove
from fxpnn.quantization.distribution import Distribution


def notes(
    fixed: FixedNetwork, names: Iterable[str], seen: Mapping[str, Distribution]
) -> Iterator[str]:
    """Say of each of these tensors why 15 bits suffice for it.

    Raises:
        FormatError: that is neither proved nor observed.
    """
    proofs = None
    for name in sorted(names):
        proofs = prove(fixed) if proofs is None else proofs
        fmt = fixed.formats[name]
        told = f"{name}: {QFormat(TENSOR_BITS, fmt.frac, signed=False)} is held in 15 bits, {fmt}"
        top = fmt.max * fmt.lsb
        proof = proofs.get(name)
        if proof and (proof.output.limits[1] < fmt.max or not proof.saturates):
            yield f"{told}, which no input exceeds"
        elif name not in seen:
            raise FormatError(
                f"{told}, which larger values may exceed; give calibration data that show whether "
                "any does, or give the output a format of its own"
            )
        elif (high := seen[name].high) <= top:
            yield f"{told}, which no calibration data exceed; what does will saturate"
        else:
            raise FormatError(
                f"{told}, up to {top:g}, and calibration data reach {high:g}; give the output a "
                f"format of its own, such as {QFormat(fmt.word, fmt.frac - 1, signed=False)}"
            )
