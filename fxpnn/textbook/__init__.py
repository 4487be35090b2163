"""The networks and algorithms of the standard lectures, in floats and in 16 bits.

Each module is a lesson: recipes that build its networks, and ``rows`` that compare what they
compute with what the lectures publish. ``LESSONS`` lists the lessons, ``MODELS`` the networks.
"""

from fxpnn.textbook.lesson import Check, Row, Sides, both
from fxpnn.textbook.registry import LESSONS, MODELS, save_models

__all__ = ["LESSONS", "MODELS", "Check", "Row", "Sides", "both", "save_models"]
