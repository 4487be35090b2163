"""A .fxp file that lies, rightly signed, is refused in one line before memory is taken."""

import copy
import json
import re
import tracemalloc
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fxpnn import golden
from fxpnn.network.fxp import loads
from fxpnn.network.layers import Array
from tests.support.fxp_sample import (
    Header,
    Tensors,
    forge,
    plain,
    refusal,
    sample,
    signed,
    survivor,
    taken_apart,
)

Change: TypeAlias = Callable[[Header, Tensors], object]
"""Changes a header and its tensors in place."""


def test_the_sha256_is_what_the_format_says() -> None:
    """What another program signs is read, however it spaces its JSON."""
    header, tensors = taken_apart()
    assert plain(loads(signed(json.dumps(header, indent=3), tensors))) == plain(sample())


def head(**changes: object) -> Change:
    """Change fields of the header."""
    return lambda header, tensors: header.update(changes)


def without(*path: str) -> Change:
    """Leave a field of the header, or of the first node, out."""
    return lambda header, tensors: (header if len(path) == 1 else header["nodes"][0]).pop(path[-1])


def node(name: str, /, **changes: object) -> Change:
    """Change fields of a node."""
    return lambda header, tensors: next(
        node for node in header["nodes"] if node["name"] == name
    ).update(changes)


def conv(**window: object) -> Change:
    """Change the window of the convolution."""
    whole = {"kernel": [2, 2], "stride": [1, 1], "padding": [0, 1, 0, 1], "dilation": [1, 1]}
    return node("conv", attributes={"window": {**whole, "ceil_mode": False, **window}, "groups": 1})


def leaky(**attributes: object) -> Change:
    """Change the attributes of the leaky ReLU."""
    return node("leaky", attributes={"slope": 41, **attributes})


def tensor(name: str, array: Array) -> Change:
    """Replace a tensor, or add one."""
    return lambda header, tensors: tensors.update({name: array})


def renamed(old: str, new: str) -> Change:
    """Give a tensor another name."""
    return lambda header, tensors: tensors.update({new: tensors.pop(old)})


CONV = "layer conv (Conv2D):"
DIFFER = "header and tensors must name the same tensors, not differ in"
COUNTABLE = "the input must hold 1 to 2**27 values on its axes, not"
ACCUMULATOR = "an accumulator must stand where products are summed, and only there"
LIES: list[tuple[Change, str]] = [
    (head(input_shape=[2, 3, 2]), "layer rows (Reshape): shape must hold 24 values, not (4, 3)"),
    (head(input_shape=[]), f"{COUNTABLE} ()"),
    (head(input_shape=[2, -2, 2]), f"{COUNTABLE} (2, -2, 2)"),
    (head(input_shape=[2**62]), f"{COUNTABLE} ({2**62},)"),
    (head(input_shape=[2, 2.5]), "Expected `int`, got `float` - at `$.input_shape[1]`"),
    (head(input_format="Q9.9"), "input: Q9.9 takes 19 bits with its sign, not 16; did ..."),
    (head(input_format="16.12"), "a format must look like ..., not '16.12'"),
    (head(outputs=["q"]), "outputs must be names of layers, not 'q'"),
    (head(outputs=["p", "p"]), "outputs must be unique, not p, p"),
    (head(nodes=[]), f"{DIFFER} conv.bias, conv.weight, dense.bias, ..."),
    (head(extra=1), "Object contains unknown field `extra`"),
    (head(name=5), "Expected `str`, got `int` - at `$.name`"),
    (head(scaling={"scale": 0}), "scale, mean and std must be finite, scale and std not 0: ..."),
    (head(scaling={"scale": "1"}), "Expected `float`, got `str` - at `$.scaling.scale`"),
    (head(scaling={"std": [1, 2, 3]}), "std must hold 1 or 2 values, not 3"),
    (without("nodes"), "Object missing required field `nodes`"),
    (without("nodes", "op"), "Object missing required field `op` - at `$.nodes[0]`"),
    (node("conv", op="Conv3D"), "layer conv (Conv3D): this fxpnn has no such layer"),
    (node("conv", op="_Pool2D"), "layer conv (_Pool2D): this fxpnn has no such layer"),
    (node("conv", op="Layer"), "layer conv (Layer): this fxpnn has no such layer"),
    (node("conv", op="Dense"), "layer conv (Dense): must not have groups, window"),
    (node("conv", op=None), "Expected `str`, got `null` - at `$.nodes[0].op`"),
    (node("conv", table=1), "Object contains unknown field `table` - at `$.nodes[0]`"),
    (node("flat", name="rows"), "layer rows (Flatten): names must be unique and not empty"),
    (node("flat", inputs=["row"]), "layer flat (Flatten): inputs must be earlier layers, not row"),
    (node("sum", inputs=["conv"]), "layer sum (Add): must have 2 inputs, not 1"),
    (node("conv", tensors=["weight"]), f"{DIFFER} conv.bias"),
    (tensor("conv.gain", np.zeros(2, np.int8)), f"{DIFFER} conv.gain"),
    (renamed("dense.bias", "dens.bias"), f"{DIFFER} dens.bias, dense.bias"),
    (lambda header, tensors: tensors.pop("p.table"), f"{DIFFER} p.table"),
    (node("dense", shared={"bias": "conv.bias"}), f"{DIFFER} dense.bias"),
    (node("dense", shared={"bias": "bias"}), f"{DIFFER} bias, dense.bias"),
    (
        node("conv", shared={"gain": "conv.bias"}),
        f"{CONV} must not share gain, which it has not",
    ),
    (node("conv", shared=["bias"]), "Expected `object`, got `array` - at `$.nodes[0].shared`"),
    (tensor("conv.bias", np.zeros(2)), "tensor conv.bias must be signed integers, not float64"),
    (tensor("p.table", np.zeros(1, np.uint8)), "tensor p.table must be signed integers, not uint8"),
    (tensor("conv.bias", np.zeros(2, np.int32)), f"{CONV} bias must be int64 of at most 62 bits"),
    (tensor("conv.bias", np.full(2, -(2**63))), f"{CONV} bias must be int64 of at most 62 bits"),
    (tensor("conv.bias", np.zeros(0, np.int64)), f"{CONV} bias must be (2), not (0)"),
    (tensor("conv.weight", np.zeros((2, 8), np.int16)), f"{CONV} weight must be (...), not (2, 8)"),
    (tensor("dense.weight", np.full((3, 12), 32768)), "layer dense (Dense): weight must fit ..."),
    (
        tensor("sig.table", np.zeros(9, np.int32)),
        "layer sig (Sigmoid): table must be 1025 ...",
    ),
    (
        tensor("sig.table", np.full(1025, 2**20 + 1, np.int32)),
        "layer sig (Sigmoid): table entries must be at most ...",
    ),
    (tensor("p.table", np.zeros(257, np.int32)), "layer p (Softmax): table must fall from ..."),
    (node("conv", weight_formats=["Q3.12"] * 3), f"{CONV} weight formats must be 1 or 2, not 3"),
    (node("conv", weight_formats=["Q0.2"]), f"{CONV} weight must fit Q0.2, not reach -8..7"),
    (node("conv", output_format="Q9.9"), f"{CONV} Q9.9 takes 19 bits with its sign, not 16; ..."),
    (node("conv", output_format="Q"), f"{CONV} a format must look like ..., not 'Q'"),
    (node("leaky", output_format="Q7.8"), "layer leaky (LeakyRelu): output must keep the ..."),
    (node("conv", accumulator="63 wrap"), f"{CONV} an accumulator must be 8 to 62 bits, not 63"),
    (
        node("conv", accumulator=48),
        "Expected `str | null`, got `int` - at `$.nodes[0].accumulator`",
    ),
    (node("conv", accumulator="Q31.31"), f"{CONV} an accumulator must be 8 to 62 bits, not 63"),
    (node("conv", accumulator="UQ9.9"), f"{CONV} an accumulator must be signed, not UQ9.9"),
    (
        node("conv", accumulator="Q9999.-9980"),
        f"{CONV} fraction bits must be -1000 to 1000, not -9980",
    ),
    (
        node("conv", accumulator="Q9.14 floor wrap fused cast"),
        f"{CONV} an accumulator must look like '48', '32 wrap', 'ap_fixed<24,10>' or "
        "'Q9.14 floor saturate fused', not 'Q9.14 floor wrap fused cast'",
    ),
    (node("conv", accumulator=None), f"{CONV} {ACCUMULATOR}"),
    (node("sum", accumulator="48 saturate"), f"layer sum (Add): {ACCUMULATOR}"),
    (node("conv", rounding="up"), "Invalid enum value 'up' - at `$.nodes[0].rounding`"),
    (node("p", softmax_shift=2**70), "layer p (Softmax): softmax shift must be a raw value ..."),
    (node("sum", softmax_shift=1), "layer sum (Add): softmax shift must be none where ..."),
    (
        node("conv", losses={"clipped_weights": 17}),
        f"{CONV} clipped weights must be 0 to 16, not 17",
    ),
    (
        node("conv", losses={"vanished_channels": -1}),
        f"{CONV} vanished channels must be 0 to 2, not -1",
    ),
    (
        node("conv", losses={"clipped_biases": 3}),
        f"{CONV} clipped biases must be 0 to 2, not 3",
    ),
    (
        node("p", losses={"clipped_constants": 10**30}),
        "layer p (Softmax): clipped constants must be 0 to 1, not 1000000000000000000000000000000",
    ),
    (
        node("conv", losses={"clipped_weights": "1"}),
        "Expected `int`, got `str` - at `$.nodes[0].losses.clipped_weights`",
    ),
    (conv(kernel=[2, 3]), f"{CONV} kernel must be as the weight's (2, 2), not (2, 3)"),
    (conv(kernel=[2]), f"{CONV} Expected `array` of length 2, got 1 - at `$.window.kernel`"),
    (conv(stride=[0, 1]), f"{CONV} stride must be 2 counts of ..., not (0, 1) - at `$.window`"),
    (conv(stride=[1, 10**30]), f"{CONV} stride must be 2 counts of ... - at `$.window`"),
    (conv(ceil_mode=1), f"{CONV} Expected `bool`, got `int` - at `$.window.ceil_mode`"),
    (conv(ceil_mode=True), f"{CONV} a convolution must not have ceil_mode"),
    (node("conv", attributes={"window": 5}), f"{CONV} Expected `object`, got `int` - ..."),
    (node("conv", attributes={"groups": 1}), f"{CONV} Object missing required field `window`"),
    (node("conv", attributes=[]), "Expected `object`, got `array` - at `$.nodes[0].attributes`"),
    (leaky(slope=0.5), "layer leaky (LeakyRelu): slope must be an integer, not 0.5"),
    (
        leaky(slope=True),
        "layer leaky (LeakyRelu): Expected ..., got `bool` - at `$.slope`",
    ),
    (leaky(slope=10**40), "layer leaky (LeakyRelu): weight must be integers, not object"),
    (leaky(speed=1), "layer leaky (LeakyRelu): must not have speed"),
    (node("dense", attributes={"weight": [[1]]}), "layer dense (Dense): must not have weight"),
    (node("rows", attributes={"target": ["4", 3]}), "layer rows (Reshape): Expected `int`, ..."),
    (node("both", attributes={"axis": 3}), "layer both (Concat): axis must be inside ..., not 3"),
]


@pytest.mark.parametrize(("lie", "message"), LIES, ids=[message for _, message in LIES])
def test_a_lie_is_refused(lie: Change, message: str) -> None:
    """Shapes, dtypes, formats, names, tables and attributes are checked, whoever signed them."""
    header, tensors = taken_apart()
    lie(header, tensors)
    pattern = re.escape(message).replace(re.escape("..."), ".+")
    assert re.match(rf"^{pattern}$", refusal(signed(json.dumps(header), tensors)))


def test_attributes_and_tensors_are_not_exchanged() -> None:
    """What is written as a list where an array belongs, or as a tensor where a number does."""
    header, tensors = taken_apart()
    header["nodes"][7] |= {"attributes": {"weight": [[1]]}, "tensors": ["bias"]}
    del tensors["dense.weight"]
    assert re.match(r"^.*must hold a tensor, not .*$", refusal(signed(json.dumps(header), tensors)))
    header, tensors = taken_apart()
    header["nodes"][1] |= {"attributes": {}, "tensors": ["slope"]}
    tensors["leaky.slope"] = np.array(41)
    line = refusal(signed(json.dumps(header), tensors))
    assert re.match(
        r"^layer leaky \(LeakyRelu\): Expected `int \| float`, got .* `\$\.slope`$", line
    )


@pytest.mark.parametrize("schema", [1, 2])
def test_older_schemas_are_read(schema: int) -> None:
    """A file of the first schema gives the network that one of this schema gives."""
    header, tensors = taken_apart()
    assert plain(loads(signed(json.dumps(header), tensors, schema))) == plain(sample())


@pytest.mark.parametrize(("schema", "means"), [(1, [0, 2]), (2, [0, 1])])
@pytest.mark.parametrize("pool", ["AvgPool2D", "L2Pool2D"])
def test_pools_of_the_first_schema_heed_no_modes(schema: int, means: list[int], pool: str) -> None:
    """What its files say of them had no effect: to nearest even. Now it is rounded down."""
    window = {"kernel": [1, 2], "stride": [1, 2], "padding": [0] * 4, "dilation": [1, 1]}
    header, _ = taken_apart()
    attributes: Header = {"window": {**window, "ceil_mode": False}}
    made = {"name": "p", "op": pool, "inputs": ["input"], "output_format": "Q7.8"}
    header |= {"nodes": [{**made, "attributes": attributes, "rounding": "floor"}]}
    header |= {"outputs": ["p"], "input_shape": [1, 1, 4], "input_format": "Q7.8"}
    header |= {"scaling": {"scale": 1.0}}
    fixed = loads(signed(json.dumps(header), {}, schema))
    x = [[[[1, 0, 3, 0]]]] if pool == "AvgPool2D" else [[[[0, 0, 1, 1]]]]
    expected = means if pool == "AvgPool2D" else [0, 1]
    assert golden.run(fixed, np.array(x)).raw["p"].tolist() == [[[expected]]]


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ('{"schema": 3, "future": []}', "has schema 3; this fxpnn reads schemas 1 to 2"),
        ('{"schema": 0}', "has schema 0; this fxpnn reads schemas 1 to 2"),
        ('{"schema": -1}', "has schema -1; this fxpnn reads schemas 1 to 2"),
        ('{"schema": "1"}', "Expected `int`, got `str` - at `$.schema`"),
        ("{}", "Object missing required field `schema`"),
        ("[]", "Expected `object`, got `array`"),
        ("", "Input data was truncated"),
        ('{"schema": 1, "header": {}}', "Object missing required field `sha256`"),
        ('{"schema": 1, "sha256": "", "header": {}}', "has been altered: its sha256 does not ..."),
        ('{"schema": 1, "sha256": "", "header": {}, "a": 0}', "Object contains unknown field `a`"),
    ],
)
def test_another_schema_is_refused(metadata: str, message: str) -> None:
    """First the schema is looked at, so that a later one may look like anything else."""
    pattern = re.escape(message).replace(re.escape("..."), ".+")
    assert re.match(rf"^{pattern}$", refusal(forge(metadata)))


HEADER_TEXT = json.dumps(taken_apart()[0])
DEEP = "[" * 100_000
BOMBS = {
    "deep": DEEP,
    "deep where any JSON may stand": HEADER_TEXT.replace("41", DEEP),
    "deep beside what is read": HEADER_TEXT.replace("{", f'{{"deep": {DEEP}', 1),
    "a number without end": HEADER_TEXT.replace("41", "4" * 10_000),
    "an exponent without end": HEADER_TEXT.replace("41", "4e" + "4" * 400),
    "half a character": HEADER_TEXT.replace('"leaky"', r'"\ud800"'),
    "a line break": HEADER_TEXT.replace('"Softmax"', r'"Soft\nmax"'),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_one_line(bomb: str) -> None:
    """JSON without end, numbers of too many digits and broken text raise nothing else."""
    assert BOMBS[bomb] != HEADER_TEXT
    refusal(signed(BOMBS[bomb], taken_apart()[1]))
    refusal(forge(BOMBS[bomb]))


def sized(header: bytes, length: int | None = None, behind: bytes = b"") -> bytes:
    """Write bytes of a safetensors file, by default with the right length of its header."""
    return (len(header) if length is None else length).to_bytes(8, "little") + header + behind


def promise(dtype: str, *shape: int) -> bytes:
    """Write a file whose one tensor has a shape, and two bytes."""
    tensor = {"dtype": dtype, "shape": shape, "data_offsets": [0, 2]}
    document = {"__metadata__": {"fxpnn": "{}"}, "a": tensor}
    return sized(json.dumps(document).encode(), behind=b"ab")


EMPTY: dict[str, Any] = {"__metadata__": {"fxpnn": ""}}
BROKEN = {
    "a header of 16 EiB": sized(b"{}", 2**64 - 1),
    "a header of 1 GiB": sized(b"{}", 2**30),
    "a header one byte too long": sized(b"{}", 3),
    "a tensor of 8 GiB": promise("I16", 2**32),
    "a tensor of 2**80 values": promise("I16", 2**40, 2**40),
    "a tensor of 2**64 values": promise("I16", 2**32, 2**32),
    "a tensor of no values": promise("I16", 0),
    "a shape below 0": promise("I16", -1),
    "numbers of 4 bits": promise("F4", 4),
    "numbers that numpy lacks": promise("BF16", 1),
    "numbers that nobody has": promise("I17", 1),
    "no metadata": sized(b"{}"),
    "metadata of another program": sized(b'{"__metadata__": {"format": "pt"}}'),
    "metadata that are no text": sized(b'{"__metadata__": {"fxpnn": {}}}'),
    "a list": sized(b"[]"),
    "no JSON": sized(b"\xff\xfe{}"),
    "a deep header": sized(DEEP.encode()),
    "a deep tensor": sized(json.dumps(EMPTY).encode()[:-1] + b', "a": ' + DEEP.encode()),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_declared_sizes_are_checked_before_memory_is_taken(broken: str) -> None:
    """What the first bytes promise is compared with what is there before memory is taken."""
    tracemalloc.start()
    line = refusal(BROKEN[broken])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert re.match(r"^is no \.fxp file or is damaged \(.+\)$", line)
    assert peak < 1 << 20


TEXTS = ["Q3.12", "Q0.15", "UQ9.9", "48 wrap", "floor", "conv", "input", "Concat", "Relu", "Silu"]
json_values = st.one_of(
    st.sampled_from([None, True, 0.5, 1e300, [], {}, [1], [2, 2], [[1, 1]], {"kernel": [1, 1]}]),
    st.sampled_from(TEXTS),
    st.integers(-3, 70),
    st.integers(),
    st.text(max_size=3),
)


def places(value: Any) -> list[tuple[Any, Any]]:
    """List every place in a JSON value, as a container and the key in it."""
    keys = [*value] if isinstance(value, dict) else [*range(len(value))]
    inner = [value[key] for key in keys if isinstance(value[key], dict | list)]
    return [(value, key) for key in keys] + [place for item in inner for place in places(item)]


@settings(max_examples=300)
@given(st.data())
def test_any_lie_is_refused_or_possible(data: st.DataObject) -> None:
    """Whatever stands anywhere in a header, one line or a network comes of it."""
    header, tensors = taken_apart()
    for _ in range(data.draw(st.integers(1, 2))):
        container, key = data.draw(st.sampled_from(places(header)))
        container[key] = copy.deepcopy(data.draw(json_values))  # the next lie may lie in it
    survivor(signed(json.dumps(header), tensors))


@settings(max_examples=200)
@given(st.data())
def test_any_tensor_is_refused_or_possible(data: st.DataObject) -> None:
    """Whatever dtype, shape and values a tensor has, one line or a network comes of it."""
    header, tensors = taken_apart()
    name = data.draw(st.sampled_from(sorted(tensors)))
    dtype = np.dtype(data.draw(st.sampled_from(["i1", "i2", "i4", "i8", "u2", "f2", "f8", "?"])))
    shape = data.draw(st.sampled_from([tensors[name].shape, (), (2,), (3, 12), (0,), (1,) * 4]))
    word = data.draw(st.binary(min_size=8, max_size=8))
    tensors[name] = np.full(shape, np.frombuffer(word, dtype)[0])
    survivor(signed(json.dumps(header), tensors))
