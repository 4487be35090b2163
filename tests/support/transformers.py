"""Transformer blocks as exporters write them: layer norm, self-attention and an MLP, residual."""

import math
from typing import Any

import numpy as np
import onnx

from fxpnn.network.layers import Array
from tests.support.onnx_models import model, op


class Block:
    """The nodes and weights of a block so far; weights are drawn by a seed."""

    def __init__(self, tokens: int, width: int, heads: int, seed: int = 0) -> None:
        self.tokens, self.width, self.heads = tokens, width, heads
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, Array] = {}
        self._generator = np.random.default_rng(seed)

    def add(self, kind: str, inputs: str, output: str, **attributes: Any) -> str:
        """Append a node."""
        self.nodes.append(op(kind, inputs, output, **attributes))
        return output

    def linear(self, x: str, name: str, inputs: int, outputs: int) -> str:
        """Append what ``torch.nn.Linear`` becomes on rows: a product and a sum."""
        weight = self._generator.normal(size=(inputs, outputs)) / math.sqrt(inputs)
        self.weights[f"{name}.w"] = weight.astype(np.float32)
        self.weights[f"{name}.b"] = self._generator.normal(0, 0.1, outputs).astype(np.float32)
        self.add("MatMul", f"{x} {name}.w", f"{name}.product")
        return self.add("Add", f"{name}.b {name}.product", name)

    def norm(self, x: str, name: str) -> str:
        """Append a layer norm."""
        self.weights[f"{name}.g"] = self._generator.normal(1, 0.1, self.width).astype(np.float32)
        self.weights[f"{name}.b"] = self._generator.normal(0, 0.1, self.width).astype(np.float32)
        return self.add("LayerNormalization", f"{x} {name}.g {name}.b", name, axis=-1)

    def attention(self, x: str, name: str) -> str:
        """Append self-attention: heads are an axis before the tokens; one head has none."""
        width, heads, lead = self.width, self.heads, int(self.heads > 1)
        qkv = self.linear(x, f"{name}.qkv", width, 3 * width)
        self.weights["third"] = np.full(3, width)
        q, k, v = (f"{name}.{part}" for part in "qkv")
        self.nodes.append(op("Split", f"{qkv} third", f"{q} {k} {v}", axis=2))
        if lead:
            self.weights["heads"] = np.array([0, self.tokens, heads, width // heads])
            self.weights["joined"] = np.array([0, self.tokens, width])
            for part in (q, k, v):
                self.add("Reshape", f"{part} heads", f"{part}.split")
            q = self.add("Transpose", f"{q}.split", f"{q}.heads", perm=[0, 2, 1, 3])
            v = self.add("Transpose", f"{v}.split", f"{v}.heads", perm=[0, 2, 1, 3])
        order = [0, 2, 3, 1] if lead else [0, 2, 1]
        turned = self.add("Transpose", f"{k}.split" if lead else k, f"{k}.turned", perm=order)
        self.weights["root"] = np.array(math.sqrt(width / heads), np.float32)
        self.add("MatMul", f"{q} {turned}", f"{name}.scores")
        self.add("Div", f"{name}.scores root", f"{name}.scaled")
        self.add("Softmax", f"{name}.scaled", f"{name}.weights", axis=-1)
        y = self.add("MatMul", f"{name}.weights {v}", f"{name}.mixed")
        if lead:
            self.add("Transpose", y, f"{name}.back", perm=[0, 2, 1, 3])
            y = self.add("Reshape", f"{name}.back joined", f"{name}.joined")
        return self.linear(y, f"{name}.out", width, width)

    def mlp(self, x: str, name: str) -> str:
        """Append two layers, and a GELU between, written out by Erf."""
        width = self.width
        self.weights |= {n: np.array(v, np.float32) for n, v in CONSTANTS.items()}
        up = self.linear(x, f"{name}.up", width, 2 * width)
        self.add("Div", f"{up} root2", f"{name}.d")
        self.add("Erf", f"{name}.d", f"{name}.e")
        self.add("Add", f"{name}.e one", f"{name}.f")
        self.add("Mul", f"{up} {name}.f", f"{name}.g")
        half = self.add("Mul", f"{name}.g half", f"{name}.h")
        return self.linear(half, f"{name}.down", 2 * width, width)


CONSTANTS = {"root2": math.sqrt(2), "one": 1.0, "half": 0.5}


def transformer(
    tokens: int = 12, width: int = 16, heads: int = 2, blocks: int = 1
) -> onnx.ModelProto:
    """Make blocks ``x + attention(norm(x))``, then ``x + mlp(norm(x))``, of tokens."""
    block, x = Block(tokens, width, heads), "x"
    for number in range(blocks):
        a = block.attention(block.norm(x, f"n{number}"), f"a{number}")
        x = block.add("Add", f"{x} {a}", f"r{number}")
        m = block.mlp(block.norm(x, f"m{number}"), f"l{number}")
        x = block.add("Add", f"{x} {m}", "y" if number == blocks - 1 else f"s{number}")
    return model(*block.nodes, shape=("N", tokens, width), weights=block.weights)


def attention(tokens: int = 12, width: int = 16, heads: int = 1) -> onnx.ModelProto:
    """Make self-attention alone."""
    block = Block(tokens, width, heads)
    block.add("Identity", block.attention("x", "a"), "y")
    return model(*block.nodes, shape=("N", tokens, width), weights=block.weights)
