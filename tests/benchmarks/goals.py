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
"""CPU seconds of a peer as a multiple of those of fxpnn: one thread, all images in one call."""

ALL_THREADS = {
    **{(name, network): FASTER_THAN_FLOAT for name in FLOATS for network in NETWORKS},
    ("apytypes", MLP): Goal(15, 22),
    ("apytypes", LENET_RELU): Goal(150, 220),
    ("hls4ml emulation", MLP): Goal(1000, 2000),
    ("hls4ml emulation", LENET_RELU): Goal(1200, 2100),
}
"""Time of a peer as a multiple of that of fxpnn: all threads, all images in one call."""

ONE_IMAGE = {
    MLP: Goal(8, at_most=True),
    LENET_RELU: Goal(20, at_most=True),
    LENET: Goal(25, at_most=True),
}
"""Microseconds for one image, in process."""

EPOCH = {MLP: Goal(1.0), LENET_RELU: Goal(0.5), LENET: Goal(0.5)}
"""PyTorch's time to train as a multiple of that of fxpnn."""

KERNELS = {
    "plain 32-bit": Goal(1.8),
    "64-bit, few chunks": Goal(1.5),
    "64-bit, many chunks": Goal(1.5),
    "32 bits, bound holds": Goal(1.4),
    "32 bits, every step": Goal(0.25),
    "24 bits, every step": Goal(0.45),
}
"""The rate of a kernel as a multiple of that of numpy's sgemm."""

STEPPED_BY_SCALARS = Goal(8)
"""The rate of the stepwise kernel as a multiple of that of a scalar loop."""

NO_CLIFF = Goal(0.5)
"""The least share of the best rate that any number of images may have."""

SECOND_RUN = {MLP: Goal(0.7, 0.3, at_most=True)}
COMPILING = Goal(10, at_most=True)
HELP = Goal(0.15, at_most=True)
MEMORY = Goal(200, at_most=True)

FLOAT32, INT8 = "ONNX Runtime float32", "ONNX Runtime int8"
ZOO_SPEED = {
    "mobilenet-v2": Goal(1.3, 2.0),
    "mobilenet-v3-small": Goal(0.6, 1.1),
    "efficientnet-b0": Goal(0.85, 1.4),
    "resnet-18": Goal(1.7, 1.9),
    "densenet-121": Goal(1.4, 1.7),
    "squeezenet": Goal(1.1, 1.5),
    "googlenet": Goal(1.4, 1.8),
    "resnet-8": Goal(1.3, 1.8),
    "ds-cnn": Goal(1.05, 1.5),
    "mobilenet-v1-0.25": Goal(1.3, 1.8),
}
"""CPU seconds of ONNX Runtime in float32 as a multiple of those of fxpnn, on one thread."""
ZOO_SPEED_8 = {"resnet-8": Goal(2.2, 4.5), "ds-cnn": Goal(0.9, 1.3)}
"""The same of its int8 and of our 8-bit words."""
READY = {"resnet-18": Goal(2.5, at_most=True), "mobilenet-v2": Goal(1.6, at_most=True)}
"""CPU seconds of an engine and its first program."""
ZOO_QUANTIZE = {"vgg-11": Goal(60, at_most=True)}
ZOO_INFER = {"densenet-121": Goal(700, at_most=True)}
"""MB at the peak of a process that runs images by the engine."""
OVER_FLOAT32 = {"mobilenet-v2": 2.5, "resnet-50": 2.5}
"""The most that it may be as a multiple of ONNX Runtime's in float32."""
ZOO_COMMAND = dict.fromkeys([*ZOO_SPEED, "resnet-50"], Goal(1000, at_most=True))
"""MB at the peak of a command that quantizes or compares with 64 images."""

EXPORTED_C = {MLP: Goal(30_000), LENET_RELU: Goal(2_000)}
"""Images in a second of the exported C on one core at ``-O2``."""
