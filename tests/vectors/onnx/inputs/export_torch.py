"""Make the models of this folder that are PyTorch's: an image, and features that gate its maps.

Run by hand, in the environment of ``export.py``; the tests need only the files it writes:

    python tests/vectors/onnx/inputs/export_torch.py

The network is exported in both ways, traced and by ``dynamo``. Weights are random, from a seed.
"""

import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

FOLDER = Path(__file__).parent


class Gated(nn.Module):
    """Features say how much each map of an image counts."""

    def __init__(self) -> None:
        super().__init__()
        self.maps, self.hidden = nn.Conv2d(1, 4, 3), nn.Linear(3, 8)
        self.gate, self.output = nn.Linear(8, 4), nn.Linear(144, 5)

    def forward(self, image: Tensor, beside: Tensor) -> Tensor:
        """Return logits."""
        gate = torch.sigmoid(self.gate(torch.relu(self.hidden(beside))))
        maps = torch.relu(self.maps(image)) * gate[:, :, None, None]
        return self.output(maps.flatten(1))


def main() -> None:
    """Write both files."""
    torch.manual_seed(0)
    warnings.simplefilter("ignore")
    network, x = Gated().eval(), (torch.rand(2, 1, 8, 8), torch.randn(2, 3))
    named = {"input_names": ["image", "beside"], "output_names": ["y"]}
    axes = {name: {0: "N"} for name in ("image", "beside", "y")}
    file = FOLDER / "torch-gated-opset13.onnx"
    torch.onnx.export(network, x, file, opset_version=13, dynamo=False, dynamic_axes=axes, **named)
    batch = {0: torch.export.Dim("N")}
    dynamo = {"dynamo": True, "external_data": False, "verbose": False}
    file = FOLDER / "torch-gated-dynamo.onnx"
    torch.onnx.export(network, x, file, dynamic_shapes=(batch, batch), **dynamo, **named)


if __name__ == "__main__":
    main()
