"""What the processor of this machine has, as LLVM says it."""

from functools import cache

from llvmlite import binding

ADDS_FOURS = "llvm.x86.avx512.vpdpbusd"
"""LLVM's name, less the bits, of an instruction that multiplies bytes and adds four by four."""


@cache
def features() -> str:
    """Name the features, each behind a plus or a minus."""
    try:
        return binding.get_host_cpu_features().flatten()
    except RuntimeError:  # LLVM does not know them on every system
        return ""


def adds_fours(features: str) -> bool:
    """Return whether a processor of these features has ``ADDS_FOURS``, in vectors of 256 bits too.

    Elsewhere sums of 16-bit words are the fastest; sums of bytes are right, too.
    """
    return "+avx512vnni" in features and "+avx512vl" in features
