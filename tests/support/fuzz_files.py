"""Small valid files of every kind, and the ways in which the fuzz test damages them."""

import contextlib
import copy
import gzip
import io
import json
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from google.protobuf.message import Message
from hypothesis import strategies as st
from safetensors.numpy import save

from fxpnn.fixedpoint.qformat import Overflow, Rounding
from fxpnn.network import layers
from fxpnn.network.fxp import dumps
from fxpnn.network.graph import chain
from fxpnn.network.layers import Window
from fxpnn.onnx.write.dialects import Qdq
from fxpnn.onnx.write.quantized import to_quantized_model
from fxpnn.quantization.quantizer import quantize
from tests.datasets.test_images import SIGNATURE, png
from tests.support.fxp_sample import SAMPLE, signed, taken_apart
from tests.support.onnx_models import floats, model, op
from tests.support.qonnx_models import QONNX, fixed_of, quant

MODELS = Path(__file__).parents[1] / "vectors" / "onnx"
WEIGHTS = "weights"
"""The name of a file of zeros beside every damaged one."""


class Seed(NamedTuple):
    """What is damaged, and how a file of some kind is made of it: with the right checksums."""

    kind: str
    content: bytes
    seal: Callable[[bytes], bytes] = bytes


def _archive(method: int) -> Callable[[bytes], bytes]:
    def seal(member: bytes) -> bytes:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method) as archive:
            archive.writestr("x.npy", member)
        return file.getvalue()

    return seal


def _saved(save: Callable[..., None], *arrays: Any, **named: Any) -> bytes:
    file = io.BytesIO()
    save(file, *arrays, **named)
    return file.getvalue()


def _checked(content: bytes) -> bytes:
    """Write the right checksum behind each chunk of a PNG."""
    chunks, at = [SIGNATURE], len(SIGNATURE)
    while at + 8 <= len(content):
        (length,) = struct.unpack(">I", content[at : at + 4])
        body = content[at + 4 : at + 8 + length]
        chunks.append(content[at : at + 4] + body + struct.pack(">I", zlib.crc32(body)))
        at += 12 + length
    return b"".join(chunks)


def _pixels(rows: bytes) -> bytes:
    """Make a PNG of any rows."""
    return png(4, 3, bytes(12)).replace(zlib.compress(bytes(15)), zlib.compress(rows))


def _external() -> bytes:
    """Make a model whose weights lie in a file beside it."""
    made = model(op("Gemm", "x w", "y"))
    weight = made.graph.initializer.add(name="w", dims=[4, 3], data_type=onnx.TensorProto.FLOAT)
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value=WEIGHTS)
    weight.external_data.add(key="length", value="48")
    return bytes(made.SerializeToString())


def _quantized(rounding: str) -> onnx.ModelProto:
    """Make a model whose tensors all have formats."""
    nodes = [
        *quant("x", "qx", 2.0**-8, signed=0),
        *quant("w", "qw", 2.0**-6),
        *quant("b", "qb", 2.0**-14, 16.0),
        op("Gemm", "qx qw qb", "s"),
        *quant("s", "qs", 2.0**-4, rounding_mode=rounding),
        op("Relu", "qs", "y"),
    ]
    return model(*nodes, weights={"w": floats(4, 3), "b": floats(3)}, domains={QONNX: 1})


def _paired() -> bytes:
    """Make a model of QuantizeLinear and DequantizeLinear."""
    made = to_quantized_model(fixed_of(_quantized("ROUND")), Qdq)
    return bytes(made.SerializeToString())


def _many() -> bytes:
    """Quantize a network of most kinds of layers."""
    pool = Window((2, 2))
    kinds: dict[str, layers.Layer] = {
        "pad": layers.Pad(((0, 0), (1, 0), (0, 1)), 0.5),
        "conv": layers.Conv2D(floats(3, 2, 3, 3), floats(3), Window((3, 3), padding=(1,) * 4)),
        "prelu": layers.PRelu(floats(3)),
        "max": layers.MaxPool2D(pool),
        "elu": layers.Elu(),
        "average": layers.AvgPool2D(pool),
        "softplus": layers.Softplus(),
        "l2": layers.L2Pool2D(pool),
        "cut": layers.Slice(1, 0, 3, 2),
        "clip": layers.Clip(0.0, 1.5),
        "turned": layers.Transpose((2, 0, 1)),
        "silu": layers.Silu(),
        "abs": layers.Abs(),
        "hard": layers.HardSwish(),
        "tanh": layers.Tanh(),
        "step": layers.Step(0.25),
        "last": layers.HardSigmoid(),
    }
    return dumps(quantize(chain("many", (2, 6, 6), kinds), floats(8, 2, 6, 6)))


HEADER, TENSORS = taken_apart()
MANY, OF_MANY = taken_apart(_many())
IMAGES = b"\0\0\x08\x03" + struct.pack(">3I", 2, 3, 4) + bytes(24)
X = np.arange(12, dtype=np.float32).reshape(3, 4)
TOML = b"""[defaults]
word = 12
accumulator = "32 saturate"
per_channel = true
[layers.hidden]
weight = "Q1.14"
output = "ap_fixed<16,4,AP_RND,AP_SAT>"
softmax = 0.5
method = "percentile"
"""
HEEDED = re.sub(rb"(?m)^(softmax|method|per_channel) = .*\n", b"", TOML)
"""What a small network heeds all of, so that it is run."""
SEEDS = {
    "onnx": [
        Seed("onnx", _external()),
        *(Seed("onnx", path.read_bytes()) for path in sorted(MODELS.glob("*.onnx"))),
    ],
    "qonnx": [
        Seed("onnx", bytes(_quantized("FLOOR").SerializeToString())),
        Seed("onnx", _paired()),
    ],
    "fxp": [
        Seed("fxp", SAMPLE),
        Seed("fxp", json.dumps(HEADER).encode(), lambda b: signed(b.decode("latin1"), TENSORS)),
        Seed("fxp", json.dumps(MANY).encode(), lambda b: signed(b.decode("latin1"), OF_MANY)),
    ],
    "idx": [
        Seed("data", IMAGES),
        Seed("data", IMAGES, gzip.compress),
        Seed("data", gzip.compress(IMAGES)),
    ],
    "npz": [
        Seed("data", _saved(np.savez_compressed, x=X, y=np.arange(3))),
        Seed("data", _saved(np.save, X), _archive(zipfile.ZIP_STORED)),
        Seed("data", _saved(np.save, X), _archive(zipfile.ZIP_DEFLATED)),
    ],
    "state": [
        Seed("state", save({"fc.weight": X, "fc.bias": np.ones(3, np.float16)})),
        Seed("state", _saved(np.savez, w=X.astype(np.float64), b=np.ones(3))),
        Seed("state", _saved(np.save, X), _archive(zipfile.ZIP_DEFLATED)),
    ],
    "png": [
        Seed("data", png(4, 3, bytes(range(12)))),
        Seed("data", png(2, 3, bytes(range(18)), colour=2), _checked),
        Seed("data", bytes(15), _pixels),
    ],
    "toml": [Seed("toml", TOML), Seed("toml", HEEDED)],
}
"""Valid files by the names of their formats."""

NUMBERS = (-(2**63), -(2**31), -2, -1, 0, 1, 2, 3, 64, 2**15, 2**20, 2**31 - 1, 2**31, 2**62)
integers = st.integers(0, 9) | st.sampled_from(NUMBERS)
WORDS = (b"null", b"true", b"nan", b"1e999", b"[", b"{}", b'""', b'"', b"\n", b"(", b"Q-900.990")
TOKENS = (
    *WORDS,
    *(str(number).encode() for number in NUMBERS),
    *(struct.pack(layout, number & 2**32 - 1) for number in NUMBERS for layout in ("<I", ">I")),
    *(struct.pack("<q", number) for number in NUMBERS),
    *(b"\xff" * 9 + b"\x01", b"9" * 5000, b"[" * 5000, b"\x00" * 16),
)
"""Bytes that mean something extreme in some format."""


@st.composite
def damaged(draw: st.DrawFn, name: str) -> tuple[str, bytes]:
    """Draw a damaged file of a format, and the kind of reader for it."""
    if name == "fxp" and draw(st.integers(0, 2)):
        return name, _forged(draw)
    seed = draw(st.sampled_from(SEEDS[name]))
    if seed.kind == "onnx" and draw(st.integers(0, 3)):
        return seed.kind, _restated(draw, seed.content)
    return seed.kind, seed.seal(_edited(draw, seed.content))


FORGED: Mapping[str, Sequence[Any]] = {
    "rounding": [mode.value for mode in Rounding],
    "overflow": [mode.value for mode in Overflow],
    "output_format": [
        "Q3.12",
        "Q7.8",
        "Q0.15",
        "UQ0.15",
        "Q15.0",
        "Q-4.19",
        "Q1.6",
        "UQ4.4",
        "Q0.1",
    ],
    "weight_formats": [["Q3.12"], ["Q0.15"], ["Q15.0"], ["Q-9.24"], ["Q20.-5"], [], ["UQ1.14"]],
    "accumulator": ["16 saturate", "24 wrap", "62 saturate", "8 saturate", "31 wrap", None],
    "softmax_shift": [0, -4, 32767, -32768, None],
    "op": ["Relu", "Abs", "Quantize", "Sigmoid", "Flatten", "Concat", "Add", "Elu", "Step"],
}
"""What a field of a node may be instead."""


def _forged(draw: st.DrawFn) -> bytes:
    """Change fields of nodes, or numbers in them, to others that may be; sign what that makes."""
    many = draw(st.booleans())
    header, tensors = copy.deepcopy(MANY if many else HEADER), OF_MANY if many else TENSORS
    for _ in range(draw(st.integers(1, 3))):
        node = draw(st.sampled_from(header["nodes"]))
        scalars = [k for k, v in node.get("attributes", {}).items() if isinstance(v, int | float)]
        inside, one = draw(st.booleans()), draw(st.booleans())
        if inside and scalars:
            node["attributes"][draw(st.sampled_from(scalars))] = draw(integers)
        elif one:
            field = draw(st.sampled_from(sorted(FORGED)))
            node[field] = draw(st.sampled_from(FORGED[field]))
        else:
            header["input_format"] = draw(st.sampled_from(FORGED["output_format"]))
            for other in header["nodes"]:  # those that keep it, and some that do not
                other["output_format"] = header["input_format"]
    return signed(json.dumps(header), tensors)


def _edited(draw: st.DrawFn, content: bytes) -> bytes:
    """Replace numbers by others, words by others of the file, slices of any bytes by any others."""
    data = bytearray(content)
    for _ in range(draw(st.integers(1, 3))):
        words = [match.span() for match in re.finditer(rb"[-\w.]+", data)]
        numbers = [(start, end) for start, end in words if data[start:end].isdigit()]
        what = draw(st.sampled_from(["number", "word", "bytes"]))
        if what == "number" and numbers:
            (start, end), piece = draw(st.sampled_from(numbers)), str(draw(integers)).encode()
        elif what == "word" and words:
            (start, end), (a, b) = (draw(st.sampled_from(words)) for _ in range(2))
            piece = bytes(data[a:b])
        else:
            start = draw(st.integers(0, len(data)))
            end = start + draw(st.sampled_from([0, 1, 1, 2, 4, 8, len(data)]))
            piece = draw(st.sampled_from([*TOKENS, b""]) | st.binary(max_size=4))
        data[start:end] = piece
    return bytes(data)


def _restated(draw: st.DrawFn, content: bytes) -> bytes:
    """Change fields of an ONNX message, so that it still is one."""
    model = onnx.ModelProto.FromString(content)
    for _ in range(draw(st.integers(1, 2))):
        places = list(_places(model))
        counts = [place for place in places if place[1].name in ("i", "ints", "dims")] or places
        message, field, index = draw(st.sampled_from(places) | st.sampled_from(counts))
        value = getattr(message, field.name)
        with contextlib.suppress(ValueError, TypeError):  # out of the field's range
            if index is None or isinstance(value, Message):
                message.ClearField(field.name)
            elif index < 0:
                setattr(message, field.name, _other(draw, value))
            elif not isinstance(value[index], Message):
                value[index] = _other(draw, value[index])
            elif draw(st.booleans()):
                value.add().CopyFrom(value[index])
            else:
                value.pop(index)
    return bytes(model.SerializeToString())


def _places(message: Message) -> Iterator[tuple[Message, Any, int | None]]:
    """List every field of a message and of those in it; -1 is the index of a single value."""
    for field, value in message.ListFields():
        single = isinstance(value, str | bytes | int | float | Message)
        for index, item in enumerate([value] if single else value):
            yield message, field, -1 if single else index
            if isinstance(item, Message):
                yield from _places(item)
        yield message, field, None


def _other(draw: st.DrawFn, value: object) -> Any:
    if isinstance(value, float):
        return draw(st.sampled_from([np.nan, np.inf, -1.0, 0.0, 1e38, 1e-45]))
    if isinstance(value, int):
        return draw(integers)
    if isinstance(value, bytes):
        return _edited(draw, value)
    return draw(st.sampled_from(["", "x", "../secret", "/etc/passwd", "Conv", "Relu", "é" * 300]))
