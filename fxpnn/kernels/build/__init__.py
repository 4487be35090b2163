"""The only door to the inside of Numba and LLVM."""
