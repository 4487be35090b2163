"""Train one of fxpnn's architectures by its recipe in PyTorch."""

from collections.abc import Callable

import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from fxpnn.datasets import Data
from fxpnn.reference import scale
from fxpnn.zoo.architectures import Architecture
from tests.benchmarks.peers.pytorch import sequential


def lesson(known: Architecture, data: Data, threads: int) -> Callable[[], object]:
    """Make one epoch ready: the images are scaled already, the softmax is part of the loss."""
    torch.set_num_threads(threads)
    start = known.network(seed=1)
    x, y = torch.from_numpy(scale(data.x, start.scaling)), torch.from_numpy(data.y)
    recipe = known.recipe
    masks = {name: torch.from_numpy(mask) for name, mask in known.masks.items() if mask.any()}

    def epoch() -> None:
        model = sequential(start)[:-1]
        free = _free(model, known)
        groups = [
            {"params": [v for n, v in free.items() if n.endswith("weight")]},
            {"params": [v for n, v in free.items() if n.endswith("bias")], "weight_decay": 0.0},
        ]
        descent = torch.optim.SGD(
            groups, lr=recipe.rate, momentum=recipe.momentum, weight_decay=recipe.decay
        )
        batches = torch.randperm(len(x)).split(recipe.batch)
        schedule = CosineAnnealingLR(descent, len(batches))
        for chosen in batches:
            descent.zero_grad()
            nn.functional.cross_entropy(model(x[chosen]), y[chosen]).backward()
            for name, mask in masks.items():
                free[name].grad.mul_(mask)
            descent.step()
            schedule.step()

    return epoch


def _free(model: nn.Sequential, known: Architecture) -> dict[str, nn.Parameter]:
    """Name the parameters that learn; those that a mask holds still need no gradient."""
    found = {}
    for name, value in model.named_parameters():
        held = name in known.masks and not known.masks[name].any()
        value.requires_grad_(not held)
        if not held:
            found[name] = value
    return found
