"""What a number is: formats, the one-step cast, exact integer arithmetic, intervals.

``qformat`` defines formats and modes, ``casting`` casts arrays, ``integers`` does the same
on single Python integers. A stored integer ``raw`` with f fraction bits means ``raw * 2**-f``.
"""
