"""What was lost, where and why, as values that the command line draws.

``comparison.compare`` (also ``fxpnn.compare``) runs a fixed network beside its float reference and
returns a ``Report``: accuracy, and for each layer overflows, saturations and SQNR.
``tracing.trace`` gives every layer's words of one image, and ``divergence.diff`` says where those
of a device differ.
"""
