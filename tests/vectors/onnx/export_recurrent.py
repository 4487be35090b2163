"""Make the models of this folder that read sequences by loops, as PyTorch exports them.

Run by hand, in the environment of ``export.py``; the tests need only the files it writes:

    python tests/vectors/onnx/export_recurrent.py

Sequences are six vectors of three features, images first, as many as there are. Weights are random,
from a seed.
"""

import warnings

import torch
from export import write
from torch import Tensor, nn


class Last(nn.Module):
    """An LSTM, of which the last hidden state tells the class."""

    def __init__(self) -> None:
        super().__init__()
        self.loop, self.output = nn.LSTM(3, 5, batch_first=True), nn.Linear(5, 4)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        every, _ = self.loop(x)
        return self.output(every[:, -1])


class Both(nn.Module):
    """A GRU in both directions: what it says of each step, and of the whole."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = nn.GRU(3, 5, batch_first=True, bidirectional=True)
        self.step, self.output = nn.Linear(10, 2), nn.Linear(10, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits of each step, and of the two last states."""
        every, last = self.loop(x)
        return self.step(every), self.output(torch.cat([last[0], last[1]], 1))


def main() -> None:
    """Write every model."""
    torch.manual_seed(0)
    warnings.simplefilter("ignore")
    dynamo = {"dynamo": True, "external_data": False, "verbose": False}
    any_number = {"x": {0: torch.export.Dim.DYNAMIC}}
    for name, network in (("lstm", Last()), ("gru", Both())):
        axes = {"input_names": ["x"], "dynamic_axes": {"x": {0: "N"}}}
        write(f"torch-{name}-opset17", network, (6, 3), 17, images=2, dynamo=False, **axes)
        write(
            f"torch-{name}-dynamo",
            network,
            (6, 3),
            20,
            images=2,
            dynamic_shapes=any_number,
            **dynamo,
        )


if __name__ == "__main__":
    main()
