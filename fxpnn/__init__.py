"""Know what a neural network computes in 16-bit fixed point, to the bit, before hardware exists."""

__version__ = "0.1.0"
