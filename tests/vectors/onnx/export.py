"""Make the models of this folder: networks as PyTorch and scikit-learn export them.

Run by hand, in an environment of its own; the tests need only the files it writes:

    pip install torch==2.13.0 onnx onnxscript scikit-learn==1.9.1 skl2onnx==1.20.0
    python tests/vectors/onnx/export.py

Weights are random, from a seed; batch normalizations have statistics that are not the identity.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
import torch
from skl2onnx import to_onnx
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

FOLDER = Path(__file__).parent


class Mlp(nn.Module):
    """A perceptron that flattens its images by their number."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(64, 24)
        self.output = nn.Linear(24, 10, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return probabilities."""
        x = x.view(x.size(0), -1)
        return torch.softmax(self.output(torch.relu(self.hidden(x))), dim=1)


class LeNet(nn.Module):
    """LeNet-5 with few maps, which normalizes its own input and pads in several ways."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 4, 5, padding=2),
            nn.Tanh(),
            nn.AvgPool2d(2, ceil_mode=True),
            nn.ZeroPad2d((0, 1, 1, 0)),
            nn.Conv2d(4, 8, 5, bias=False),
            nn.PReLU(8),
            nn.MaxPool2d(3, stride=2, padding=1, dilation=1, ceil_mode=True),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Dropout(), nn.Linear(32, 20), nn.SiLU(), nn.Linear(20, 10)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        return self.classifier(self.features((x - 0.1307) / 0.3081))


class Block(nn.Module):
    """A residual block with batch normalization."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            nn.BatchNorm2d(after),
        )
        self.shortcut = (
            nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))
            if stride > 1
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Add the block to its input."""
        return torch.relu(self.body(x) + self.shortcut(x))


def resnet() -> nn.Module:
    """Build a small residual network for colour images."""
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
        Block(6, 6, 1),
        Block(6, 8, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 10),
    )


class MobileNet(nn.Module):
    """Inverted residuals with depthwise convolutions, hard-swish and ReLU6; two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.Hardswish()
        )
        self.body = nn.Sequential(
            nn.Conv2d(8, 16, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU6(),
            nn.Conv2d(16, 16, 5, 1, 2, groups=16, bias=False),
            nn.BatchNorm2d(16),
            nn.Hardswish(),
            nn.Conv2d(16, 8, 1, bias=False),
            nn.BatchNorm2d(8),
        )
        self.gate = nn.Hardsigmoid()
        self.output = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits, and a map of gates."""
        x = self.stem(x)
        x = x + self.body(x)
        gates = self.gate(x)
        both = torch.cat([x, gates], dim=1)
        return self.output(both.mean([2, 3])), gates


class Excite(nn.Module):
    """Multiply each map by a gate that is computed of the means of all maps."""

    def __init__(self, gate: nn.Module) -> None:
        super().__init__()
        self.gate = gate

    def forward(self, x: Tensor) -> Tensor:
        """Let the gate see vectors if it is of dense layers, else maps of one pixel."""
        if isinstance(self.gate[0], nn.Linear):
            return self.gate(x.mean([2, 3]))[:, :, None, None] * x
        return x * self.gate(nn.functional.adaptive_avg_pool2d(x, 1))


class EfficientNet(nn.Module):
    """Squeeze-and-excite in two spellings, SiLU, and a batch normalization before all else."""

    def __init__(self) -> None:
        super().__init__()
        convolutions = nn.Sequential(
            nn.Conv2d(16, 4, 1), nn.SiLU(), nn.Conv2d(4, 16, 1), nn.Sigmoid()
        )
        dense = nn.Sequential(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 8), nn.Hardsigmoid())
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.SiLU()
        )
        self.body = nn.Sequential(
            nn.Conv2d(8, 16, 1, bias=False),
            nn.BatchNorm2d(16),
            nn.SiLU(),
            nn.Conv2d(16, 16, 3, 1, 1, groups=16, bias=False),
            nn.BatchNorm2d(16),
            nn.SiLU(),
            Excite(convolutions),
            nn.Conv2d(16, 8, 1, bias=False),
            nn.BatchNorm2d(8),
        )
        self.tail = nn.Sequential(
            nn.BatchNorm2d(8),
            nn.Hardswish(),
            Excite(dense),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 10),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        x = self.stem(x)
        return self.tail(x + self.body(x))


class Attention(nn.Module):
    """Self-attention of two heads, whose queries, keys and values are one layer's parts."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """Mix tokens, ``(N, tokens, width)``."""
        images, tokens, width = x.shape
        parts = self.qkv(x).chunk(3, dim=-1)
        q, k, v = (
            part.reshape(images, tokens, self.heads, width // self.heads).transpose(1, 2)
            for part in parts
        )
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        return self.output(mixed.transpose(1, 2).reshape(images, tokens, width))


class Transformer(nn.Module):
    """A block of attention and an MLP, both behind layer norms, and classes of the tokens' mean."""

    def __init__(self, width: int = 8, heads: int = 2) -> None:
        super().__init__()
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.classes = nn.Linear(width, 4)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        x = x + self.attention(self.before(x))
        x = x + self.mlp(self.between(x))
        return self.classes(x.mean(dim=1))


class Encoder(nn.Module):
    """PyTorch's own encoder layer, tokens before images, behind a token that stands for a class."""

    def __init__(self, width: int = 8, heads: int = 2) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.layer = nn.TransformerEncoderLayer(width, heads, 2 * width, activation="gelu")
        self.classes = nn.Linear(width, 4)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of ``(N, tokens, width)``."""
        x = torch.cat([self.token.expand(x.size(0), -1, -1), x], dim=1)
        return self.classes(self.layer(x.transpose(0, 1))[0])


class Causal(nn.Module):
    """PyTorch's own encoder layer whose tokens see those before them: a mask of minus infinity."""

    def __init__(self, tokens: int = 6, width: int = 8, heads: int = 2) -> None:
        super().__init__()
        self.mask = nn.Transformer.generate_square_subsequent_mask(tokens)
        self.layer = nn.TransformerEncoderLayer(width, heads, 2 * width, batch_first=True)
        self.classes = nn.Linear(width, 4)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of each of ``(N, tokens, width)``."""
        return self.classes(self.layer(x, src_mask=self.mask, is_causal=True))


class Einsum(nn.Module):
    """Self-attention whose every product, by weights or of two tensors, is an einsum."""

    def __init__(self, width: int = 8, heads: int = 2) -> None:
        super().__init__()
        each = width // heads
        self.parts = nn.Parameter(torch.randn(3, width, heads, each) / width**0.5)
        self.output = nn.Parameter(torch.randn(heads, each, width) / width**0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Mix tokens, ``(N, tokens, width)``, and add them to what came."""
        q, k, v = (torch.einsum("ntw,whe->nthe", x, part) for part in self.parts)
        scores = torch.einsum("nqhe,nkhe->nhqk", q, k) / q.size(-1) ** 0.5
        mixed = torch.einsum("nhqk,nkhe->nqhe", torch.softmax(scores, -1), v)
        return x + torch.einsum("nqhe,hew->nqw", mixed, self.output)


def settle(network: nn.Module) -> nn.Module:
    """Give batch normalizations statistics that are not the identity, and stop training."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return network.eval()


def write(
    name: str,
    network: nn.Module,
    shape: tuple[int, ...],
    opset: int,
    *,
    images: int = 1,
    **how: object,
) -> None:
    """Export a network of a single input; the tracer sees a batch of ``images``."""
    path = FOLDER / f"{name}.onnx"
    example = torch.randn(images, *shape)
    torch.onnx.export(settle(network), (example,), path, opset_version=opset, **how)
    model = onnx.load(path)
    for item in (model.graph, *model.graph.node, *model.graph.value_info, *model.graph.input):
        item.ClearField("metadata_props")  # among them paths of the machine that exported
        item.ClearField("doc_string")
    onnx.save(model, path)


def main() -> None:
    """Write every model."""
    torch.manual_seed(0)
    warnings.simplefilter("ignore")
    traced: Mapping[str, object] = {"dynamo": False, "do_constant_folding": False}
    dynamo: Mapping[str, object] = {"dynamo": True, "external_data": False, "verbose": False}
    open_batch = {"input_names": ["x"], "dynamic_axes": {"x": {0: "N"}}}
    write("torch-mlp-opset9", Mlp(), (1, 8, 8), 9, **traced, **open_batch)
    write("torch-lenet-opset11", LeNet(), (1, 12, 12), 11, **traced)
    write("torch-resnet-opset13", resnet(), (3, 16, 16), 13, **traced, **open_batch)
    write("torch-mobilenet-opset10", MobileNet(), (3, 12, 12), 10, **traced)
    for name, network, shape in (
        ("torch-mlp-dynamo", Mlp(), (1, 8, 8)),
        ("torch-lenet-dynamo", LeNet(), (1, 12, 12)),
        ("torch-resnet-dynamo", resnet(), (3, 16, 16)),
        ("torch-mobilenet-dynamo", MobileNet(), (3, 12, 12)),
    ):
        write(name, network, shape, 20, **dynamo)
    write("torch-efficientnet-opset17", EfficientNet(), (3, 12, 12), 17, **traced, **open_batch)
    write("torch-efficientnet-dynamo", EfficientNet(), (3, 12, 12), 20, **dynamo)
    write("torch-transformer-opset17", Transformer(), (6, 8), 17, **traced, **open_batch)
    write("torch-transformer-dynamo", Transformer(), (6, 8), 20, **dynamo)
    torch.manual_seed(1)
    write("torch-layer-opset17", Encoder(), (5, 8), 17, **traced, **open_batch)
    write("torch-layer-dynamo", Encoder(), (5, 8), 20, **dynamo)
    torch.manual_seed(2)
    write("torch-causal-opset17", Causal(), (6, 8), 17, **traced, **open_batch)
    write("torch-causal-dynamo", Causal(), (6, 8), 20, **dynamo)
    torch.manual_seed(3)
    write("torch-einsum-opset17", Einsum(), (6, 8), 17, **traced, **open_batch)
    write("torch-einsum-dynamo", Einsum(), (6, 8), 20, **dynamo)
    x, y = load_digits(return_X_y=True)
    x = x.astype(np.float32)
    classifier = make_pipeline(
        StandardScaler(), MLPClassifier(hidden_layer_sizes=(16,), random_state=0, max_iter=5)
    )
    regressor = MLPRegressor(
        hidden_layer_sizes=(12,), activation="tanh", random_state=0, max_iter=5
    )
    for name, model, target in (("classifier", classifier, y), ("regressor", regressor, x[:, 20])):
        exported = to_onnx(model.fit(x, target), x[:1], target_opset=17)
        (FOLDER / f"sklearn-{name}.onnx").write_bytes(exported.SerializeToString())


if __name__ == "__main__":
    main()
