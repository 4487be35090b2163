"""Co-simulation: run what was written, and compare every word with the engine."""
