"""Make the models of this folder that resize, spread, normalise and join.

Run by hand, in the environment of ``export.py``; the tests need only the files it writes:

    python tests/vectors/onnx/export_operators.py

Each network of PyTorch is exported in both of its ways: traced, at the opset in the file's name,
where younger operators are written out, and by ``dynamo``. Weights are random, from a seed. Of
scikit-learn are estimators whose results are joined.
"""

import warnings

import numpy as np
import torch
from export import FOLDER, write
from skl2onnx import to_onnx
from sklearn.datasets import load_digits
from sklearn.ensemble import StackingRegressor, VotingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neural_network import MLPClassifier, MLPRegressor
from torch import Tensor, nn


class Decoder(nn.Module):
    """Small maps become larger ones in four ways: a generator of images, with a code of 4 maps."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(4, 8, 3, padding=1),
            nn.GELU(),
            nn.ConvTranspose2d(8, 6, 4, stride=2, padding=1),
            nn.SELU(),
            nn.Upsample(scale_factor=2, mode="nearest"),
            nn.Conv2d(6, 4, 3, padding=1, bias=False),
            nn.Mish(),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
            nn.Conv2d(4, 12, 3, padding=1),
            nn.PixelShuffle(2),
            nn.Hardtanh(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return images of three colours, each pixel between -1 and 1."""
        return self.body(x)


class Encoder(nn.Module):
    """Images become vectors: pixels to channels, sums and maxima over maps, a repeated mean."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.PixelUnshuffle(2), nn.Conv2d(4, 8, 3, padding=1), nn.Softsign()
        )
        self.shared = nn.Conv2d(8, 8, 1)
        self.output = nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        x = self.stem(x)
        mean = x.mean([2, 3], keepdim=True)
        x = self.shared(x + mean.expand(-1, -1, 6, 6)) + mean.repeat(1, 1, 6, 6)
        largest = nn.functional.adaptive_max_pool2d(x, 1).flatten(1)
        joined = [largest, x.sum([2, 3]), x.amax(3).mean(2), x.sum(3).amax(2)]
        return self.output(torch.cat(joined, 1))


class Mixer(nn.Module):
    """Rows of 16 features, normalised, then mixed along both axes; GELU by Tanh and by Erf."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(16), nn.LayerNorm(16)
        self.rows = nn.Sequential(
            nn.Conv1d(6, 10, 1), nn.GELU(approximate="tanh"), nn.Conv1d(10, 6, 1)
        )
        self.features = nn.Sequential(
            nn.Conv1d(6, 8, 4, stride=2, padding=1), nn.GELU(), nn.ConvTranspose1d(8, 6, 2, 2)
        )
        self.last = nn.LayerNorm((6, 16), elementwise_affine=False)
        self.output = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        x = x + self.rows(self.first(x))
        x = x + self.features(self.second(x))
        return self.output(self.last(x).mean(1))


class Grouped(nn.Module):
    """Maps normalised by groups, which PyTorch spells out by instances, and by instances."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1, bias=False),
            nn.GroupNorm(2, 8),
            nn.ReLU(),
            nn.Conv2d(8, 6, 3, stride=2, bias=False),
            nn.InstanceNorm2d(6, affine=True),
            nn.LeakyReLU(0.1),
        )
        self.output = nn.Linear(6, 5)
        for module in self.body:
            if isinstance(module, nn.GroupNorm | nn.InstanceNorm2d):
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.uniform_(module.bias, -0.5, 0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        return self.output(self.body(x).amax([2, 3]))


def estimators() -> dict[str, StackingRegressor | VotingClassifier]:
    """Fit a line through what two estimators say, and let two classifiers vote."""
    x, y = load_digits(return_X_y=True)
    x = x.astype(np.float32)
    hidden = {"hidden_layer_sizes": (6,), "max_iter": 5, "random_state": 0}
    stacked = [("net", MLPRegressor(**hidden)), ("line", LinearRegression())]
    voting = [("net", MLPClassifier(**hidden)), ("logistic", LogisticRegression(max_iter=5))]
    voter = VotingClassifier(voting, voting="soft", flatten_transform=False)
    return {
        "stacking": StackingRegressor(stacked, LinearRegression()).fit(x, x[:, 20]),
        "voting": voter.fit(x, y),
    }


def main() -> None:
    """Write every model."""
    torch.manual_seed(0)
    warnings.simplefilter("ignore")
    for name, network, shape, opset in (
        ("decoder", Decoder(), (4, 3, 3), 13),
        ("encoder", Encoder(), (1, 12, 12), 13),
        ("mixer", Mixer(), (6, 16), 16),
        ("grouped", Grouped(), (3, 9, 9), 17),
    ):
        write(f"torch-{name}-opset{opset}", network, shape, opset, dynamo=False)
        dynamo = {"dynamo": True, "external_data": False, "verbose": False}
        write(f"torch-{name}-dynamo", network, shape, 20, **dynamo)
    for name, model in estimators().items():
        exported = to_onnx(model, np.zeros((1, 64), np.float32), target_opset=17)
        (FOLDER / f"sklearn-{name}.onnx").write_bytes(exported.SerializeToString())


if __name__ == "__main__":
    main()
