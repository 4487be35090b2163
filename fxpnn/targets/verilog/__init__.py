"""Verilog: the program, constants and wrapper that make the core of ``targets/rtl`` a network."""
