"""Numba-compiled loops on arrays: they check nothing, the engine above them checks everything."""
