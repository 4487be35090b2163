"""The figures that fxpnn has to reach, and those it aims at."""

from tests.benchmarks.figures import Goal
from tests.benchmarks.peers import REFERENCE
from tests.benchmarks.plan import LENET, LENET_RELU, MLP, NETWORKS

FASTER_THAN_FLOAT = Goal(1.0)
FLOATS = ("numpy float32", REFERENCE, "PyTorch float32", "ONNX Runtime float32")
ONE_THREAD = {
    ("numpy float32", MLP): Goal(1.6, 2.2),
    ("numpy float32", LENET_RELU): Goal(13, 18),
    ("numpy float32", LENET): Goal(9, 12),
    **{(REFERENCE, network): FASTER_THAN_FLOAT for network in NETWORKS},
    ("PyTorch float32", MLP): Goal(1.9, 2.5),
    ("PyTorch float32", LENET_RELU): Goal(8, 12),
    ("PyTorch float32", LENET): Goal(7, 9),
    ("ONNX Runtime float32", MLP): Goal(1.4, 1.8),
    ("ONNX Runtime float32", LENET_RELU): Goal(2.3, 3.2),
    ("ONNX Runtime float32", LENET): Goal(2.3, 3.2),
    ("ONNX Runtime int8", MLP): Goal(0.55, 0.75),
    ("ONNX Runtime int8", LENET_RELU): Goal(4.5, 6),
    ("ONNX Runtime int8", LENET): Goal(4, 5.5),
}
"""How many times the CPU seconds of fxpnn a peer takes, on one thread, all images in one call."""

ALL_THREADS = {
    **{(name, network): FASTER_THAN_FLOAT for name in FLOATS for network in NETWORKS},
    ("apytypes", MLP): Goal(15, 22),
    ("apytypes", LENET_RELU): Goal(150, 220),
    ("hls4ml emulation", MLP): Goal(1000, 2000),
    ("hls4ml emulation", LENET_RELU): Goal(1200, 2100),
}
"""How many times the time of fxpnn a peer takes, on all threads, all images in one call."""

ONE_IMAGE = {
    MLP: Goal(8, at_most=True),
    LENET_RELU: Goal(20, at_most=True),
    LENET: Goal(25, at_most=True),
}
"""Microseconds for one image, in process."""

EPOCH = {MLP: Goal(1.0), LENET_RELU: Goal(0.5), LENET: Goal(0.5)}
"""How many times the time of fxpnn PyTorch takes to train."""

KERNELS = {
    "plain 32-bit": Goal(1.8),
    "64-bit, few chunks": Goal(1.5),
    "64-bit, many chunks": Goal(1.5),
    "32 bits, bound holds": Goal(1.4),
    "32 bits, every step": Goal(0.25),
    "24 bits, every step": Goal(0.45),
}
"""The rate of a kernel in counts of numpy's sgemm."""

STEPPED_BY_SCALARS = Goal(8)
"""The rate of the stepwise kernel in counts of a scalar loop's."""

NO_CLIFF = Goal(0.5)
"""The least share of the best rate that any number of images may have."""

SECOND_RUN = {MLP: Goal(0.7, 0.3, at_most=True)}
COMPILING = Goal(10, at_most=True)
HELP = Goal(0.15, at_most=True)
MEMORY = Goal(200, at_most=True)
