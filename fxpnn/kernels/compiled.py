"""The kernels that Python calls, by name: compiled once on a machine, kept, called without Numba.

Nothing is checked here: arrays must be contiguous and of the dtypes that are named below.
"""

from fxpnn.kernels.build.kernel import Kernel
from fxpnn.kernels.build.object_code import FLOAT, INTEGER, Array
from fxpnn.kernels.layout.instructions import INSTRUCTION

_WORDS, _QUADS = Array("i2"), Array("i8")
_POOLS = (_WORDS, Array("i4"), _QUADS, Array("?"))
_MACHINE = (int, Array(INSTRUCTION), *_POOLS, _WORDS, Array("i8", 2))
run = Kernel("run", "interpreter.run", _MACHINE, seconds=6)
run_rare = Kernel("run_rare", "interpreter.run_rare", _MACHINE, seconds=1)
run_steps = Kernel("run_steps", "interpreter.run_steps", _MACHINE, seconds=5)
run_depthwise = Kernel("run_depthwise", "interpreter.run_depthwise", _MACHINE, seconds=1)
run_matmul = Kernel("run_matmul", "interpreter.run_matmul", _MACHINE, seconds=4)
run_norms = Kernel("run_norms", "norms.run", _MACHINE, seconds=1)
run_octets = Kernel("run_octets", "interpreter.run_octets", _MACHINE, seconds=2)

_PLACES = (_QUADS, int, _WORDS)
_FLOATS = (float, float, float, *_PLACES)
pixels = Kernel("pixels", "entry.pixels", (Array("u1", 2), Array("i2", 2), Array("?", 2), *_PLACES))
words = Kernel("words", "entry.words", (Array("i2", 2), *_PLACES))
floats = {
    "f": Kernel("floats_32", "entry.floats", (Array("f4", 2), *_FLOATS), INTEGER * 2),
    "d": Kernel("floats_64", "entry.floats", (Array("f8", 2), *_FLOATS), INTEGER * 2),
}
measure = Kernel("measure", "error_statistics.measure", (Array("f4"), _WORDS, float), FLOAT * 5)
measure_channels = Kernel(
    "measure_channels",
    "error_statistics.measure_channels",
    (Array("f4"), _WORDS, float, int, Array("i8", 2)),
)
