"""From floats to integers: settings, calibration, the quantizer, and the way back.

``quantizer.quantize`` (also ``fxpnn.quantize``) chooses a format for every tensor and rounds the
parameters. ``settings`` holds what a user may choose, for all layers or for each, ``formats_file``
reads and writes it. ``observation`` runs calibration images once and keeps distributions and
moments, of which ``calibration`` makes formats and ``feedback`` words. ``changes`` gives a fixed
network other formats; ``dequantizer`` returns the float network whose parameters are exactly what
the integers mean.
"""
