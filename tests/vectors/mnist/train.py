"""Train the models of this folder: small networks of today's kinds, on MNIST.

Run by hand, in the environment of ``tests/vectors/onnx/export.py``; the tests need only the files:

    python tests/vectors/mnist/train.py DIR [mobile|excite|lstm]

DIR holds MNIST's four IDX files, packed by gzip or not. Pixels are divided by 256, as fxpnn divides
them unless it is told otherwise. Nothing is chosen by the test images, whose accuracy is printed.
Another machine adds in another order: its weights differ, its accuracy within noise.
"""

import gzip
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

FOLDER = Path(__file__).parent
BATCH, EPOCHS, RATE, DECAY = 128, 3, 0.01, 1e-4


def norm_conv(
    before: int, after: int, kernel: int, stride: int, groups: int, act: nn.Module | None
) -> list[nn.Module]:
    """Make a convolution, its batch normalization, and an activation if there is one."""
    conv = nn.Conv2d(before, after, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(after), *([act] if act else [])]


class Inverted(nn.Module):
    """MobileNetV2's block: wider by 1 x 1, depthwise 3 x 3, narrower by 1 x 1, and around it."""

    def __init__(self, before: int, wide: int, after: int, stride: int) -> None:
        super().__init__()
        self.around = before == after and stride == 1
        self.body = nn.Sequential(
            *norm_conv(before, wide, 1, 1, 1, nn.ReLU6()),
            *norm_conv(wide, wide, 3, stride, wide, nn.ReLU6()),
            *norm_conv(wide, after, 1, 1, 1, None),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Add the block to its input where both have one shape."""
        return x + self.body(x) if self.around else self.body(x)


class Excited(nn.Module):
    """A residual block whose maps are multiplied by gates computed of their means."""

    def __init__(self, channels: int, squeezed: int, groups: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*norm_conv(channels, channels, 3, 1, groups, nn.SiLU()))
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1),
            nn.SiLU(),
            nn.Conv2d(squeezed, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Add the gated block to its input."""
        y = self.body(x)
        return x + y * self.gate(y)


def mobile() -> nn.Module:
    """Build depthwise-separable inverted residuals, ReLU6, and HardSwish at the end."""
    return nn.Sequential(
        *norm_conv(1, 12, 3, 2, 1, nn.ReLU6()),
        Inverted(12, 36, 16, 2),
        Inverted(16, 48, 16, 1),
        Inverted(16, 64, 24, 2),
        Inverted(24, 96, 24, 1),
        *norm_conv(24, 64, 1, 1, 1, nn.Hardswish()),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


def excite() -> nn.Module:
    """Build squeeze-and-excite blocks with SiLU."""
    return nn.Sequential(
        *norm_conv(1, 16, 3, 2, 1, nn.SiLU()),
        Excited(16, 4, 1),
        *norm_conv(16, 32, 3, 2, 1, nn.SiLU()),
        Excited(32, 8, 32),
        *norm_conv(32, 48, 1, 1, 1, nn.SiLU()),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(48, 10),
    )


class Rows(nn.Module):
    """An image's rows are a sequence; its last state tells the digit."""

    def __init__(self, loop: nn.Module, hidden: int) -> None:
        super().__init__()
        self.loop, self.last = loop, nn.Linear(hidden, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Read rows from the top."""
        every, _ = self.loop(x[:, 0])
        return self.last(every[:, -1])


def lstm() -> nn.Module:
    """Build an LSTM that reads 28 rows of 28 pixels."""
    return Rows(nn.LSTM(28, 40, batch_first=True), 40)


def read(folder: Path, part: str) -> tuple[Tensor, Tensor]:
    """Read images, divided by 256, and labels."""
    found = []
    for kind, header in (("images-idx3-ubyte", 16), ("labels-idx1-ubyte", 8)):
        path = folder / f"{part}-{kind}"
        packed = path.with_name(f"{path.name}.gz")
        content = path.read_bytes() if path.exists() else gzip.decompress(packed.read_bytes())
        found.append(np.frombuffer(content, np.uint8, offset=header))
    images, labels = found
    x = torch.tensor(images.reshape(-1, 1, 28, 28), dtype=torch.float32) / 256
    return x, torch.tensor(labels, dtype=torch.int64)


def train(network: nn.Module, x: Tensor, y: Tensor) -> None:
    """Descend with momentum; the rate rises for a while, then falls to 0 on half a cosine."""
    steps = EPOCHS * (len(x) // BATCH)
    descent = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
    rate = torch.optim.lr_scheduler.OneCycleLR(descent, RATE, steps)
    for _ in range(EPOCHS):
        for chosen in torch.randperm(len(x))[: len(x) // BATCH * BATCH].split(BATCH):
            descent.zero_grad()
            nn.functional.cross_entropy(network(x[chosen]), y[chosen]).backward()
            descent.step()
            rate.step()


def write(name: str, network: nn.Module, **how: object) -> None:
    """Export a network without what tells of the machine."""
    path = FOLDER / f"mnist-{name}.onnx"
    axes = {"input_names": ["x"], "output_names": ["logits"], "dynamic_axes": {"x": {0: "N"}}}
    torch.onnx.export(
        network, (torch.zeros(1, 1, 28, 28),), path, opset_version=17, dynamo=False, **axes, **how
    )
    model = onnx.load(path)
    for item in (model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input):
        item.ClearField("metadata_props")
        item.ClearField("doc_string")
    onnx.save(model, path)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], bool]] = {
    "mobile": (mobile, False),
    "excite": (excite, True),
    "lstm": (lstm, True),
}
"""How each is built, and whether its batch normalizations are folded into convolutions."""


def main(folder: Path, names: Sequence[str]) -> None:
    """Train and write networks."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    (x, y), (test_x, test_y) = read(folder, "train"), read(folder, "t10k")
    for name in names:
        build, fold = NETWORKS[name]
        torch.manual_seed(1)
        network = build()
        train(network, x, y)
        network.eval()
        with torch.no_grad():
            right = (network(test_x).argmax(1) == test_y).float().mean()
        print(f"{name}: {right:.4f}, {sum(p.numel() for p in network.parameters()):,} parameters")
        training = torch.onnx.TrainingMode.EVAL if fold else torch.onnx.TrainingMode.PRESERVE
        write(name, network, do_constant_folding=fold, training=training)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:] or list(NETWORKS))
