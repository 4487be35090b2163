"""Hypothesis strategies: numbers on ties and limits, and small networks."""

from tests.support.strategies.networks import (
    NetworkCase,
    dense_at_limit,
    fixed_networks,
    repeated_factors,
)
from tests.support.strategies.numbers import (
    Accumulation,
    Cast,
    accumulations,
    accumulators,
    casts,
    formats,
    near_ties,
    overflows,
    raw_arrays,
    raw_values,
    roundings,
    tensor_formats,
)

__all__ = [
    "Accumulation",
    "Cast",
    "NetworkCase",
    "accumulations",
    "accumulators",
    "casts",
    "dense_at_limit",
    "fixed_networks",
    "formats",
    "near_ties",
    "overflows",
    "raw_arrays",
    "raw_values",
    "repeated_factors",
    "roundings",
    "tensor_formats",
]
