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
    modes,
    near_ties,
    overflows,
    quotients,
    raw_arrays,
    raw_values,
    roundings,
    squares,
    tensor_formats,
)
from tests.support.strategies.products import matrix_products
from tests.support.strategies.rectified import unsigned_before_relus
from tests.support.strategies.registers import dense_in_register
from tests.support.strategies.windows import windows

__all__ = [
    "Accumulation",
    "Cast",
    "NetworkCase",
    "accumulations",
    "accumulators",
    "casts",
    "dense_at_limit",
    "dense_in_register",
    "fixed_networks",
    "formats",
    "matrix_products",
    "modes",
    "near_ties",
    "overflows",
    "quotients",
    "raw_arrays",
    "raw_values",
    "repeated_factors",
    "roundings",
    "squares",
    "tensor_formats",
    "unsigned_before_relus",
    "windows",
]
