"""The Verilog of the core: files of the package that every export copies."""
