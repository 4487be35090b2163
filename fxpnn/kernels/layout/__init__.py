"""How weights, rounding rules and instructions lie in memory; plain NumPy."""
