"""From floats to integers: settings, calibration, the quantizer, and the way back."""
