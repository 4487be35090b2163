"""How results are drawn: tables and lines for a terminal, from the values of ``fxpnn.analysis``."""
