"""Run a network by PyTorch, with modules made from its layers."""

from collections import OrderedDict

import torch
from torch import nn

from fxpnn.network.graph import Network
from fxpnn.network.layers import (
    AvgPool2D,
    Conv2D,
    Dense,
    Flatten,
    Layer,
    MaxPool2D,
    Relu,
    Softmax,
    Tanh,
    Window,
)
from tests.benchmarks.work import Floats, Run, Work


def prepare(work: Work, threads: int) -> Run:
    """Make the modules ready."""
    torch.set_num_threads(threads)
    modules = sequential(work.network).eval()

    def run(x: Floats) -> Floats:
        with torch.inference_mode():
            probabilities: Floats = modules(torch.from_numpy(x)).numpy()
        return probabilities

    return run


def sequential(network: Network) -> nn.Sequential:
    """Turn a chain of layers into modules of the same names."""
    return nn.Sequential(OrderedDict((node.name, module(node.layer)) for node in network.nodes))


def module(layer: Layer) -> nn.Module:
    """Turn a layer into a module with weights of its own."""
    match layer:
        case Dense():
            return _filled(nn.Linear(layer.weight.shape[1], layer.weight.shape[0]), layer)
        case Conv2D():
            out, inputs, *kernel = layer.weight.shape
            padding = layer.window.padding[:2]
            return _filled(nn.Conv2d(inputs, out, tuple(kernel), padding=padding), layer)
        case MaxPool2D():
            return nn.MaxPool2d(*_square(layer.window))
        case AvgPool2D():
            return nn.AvgPool2d(*_square(layer.window))
        case Softmax():
            return nn.Softmax(dim=1)
        case _:
            return {Flatten: nn.Flatten, Relu: nn.ReLU, Tanh: nn.Tanh}[type(layer)]()


def _filled(made: nn.Linear | nn.Conv2d, layer: Dense | Conv2D) -> nn.Module:
    values = {"weight": layer.weight, "bias": layer.bias}
    made.load_state_dict({name: torch.tensor(value) for name, value in values.items()})
    return made


def _square(window: Window) -> tuple[int, int]:
    return window.kernel[0], window.stride[0]
