"""A device's words are compared with a network's: what is wrong is found, and nothing else."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fxpnn
from fxpnn.analysis.divergence import Divergence, LayerDifference, Mismatch, computed, diff
from fxpnn.analysis.tracing import trace
from fxpnn.errors import DataError
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, QFormat, Rounding
from fxpnn.golden import run
from fxpnn.network.fixed import FixedNetwork, RawArray
from fxpnn.network.layers import Array, AvgPool2D, Conv2D, Dense, Flatten, Relu, Softmax, Window
from tests.support.strategies import NetworkCase, fixed_networks

Words = dict[str, RawArray]


def golden(case: NetworkCase) -> Words:
    """Compute what a right device gives for the first image, the input's words too."""
    raw = run(case.fixed, case.raw[:1]).raw
    return {"input": case.raw[0].astype(np.int64), **{name: x[0] for name, x in raw.items()}}


def states(found: Divergence) -> dict[str, str]:
    """Give each layer's state."""
    return {layer.name: layer.state for layer in found.layers}


@given(fixed_networks(max_images=1), st.booleans())
def test_a_right_device_has_no_difference(case: NetworkCase, with_image: bool) -> None:
    """Whatever the network; the input is judged only where the image is known."""
    image = case.raw[0].astype(np.int16) if with_image else None
    found = diff(case.fixed, golden(case), image)
    assert not found.differing
    assert not found.missing
    assert found.element is None
    first, *others = states(found).values()
    assert first == ("equal" if with_image else "unknown")
    assert set(others) == {"equal"}
    assert all(layer.differing == layer.own_differing == 0 for layer in found.layers[1:])


@given(fixed_networks(max_images=1), st.data())
def test_a_flipped_bit_is_found(case: NetworkCase, data: st.DataObject) -> None:
    """Anywhere, the input included: the layer, the element, both values, and no other layer."""
    right = golden(case)
    name = data.draw(st.sampled_from([*right]))
    place = data.draw(st.integers(0, right[name].size - 1))
    fmt = case.fixed.formats[name]
    wrong = right[name].copy()
    bits = int(wrong.flat[place]) & (1 << fmt.word) - 1
    bits ^= 1 << data.draw(st.integers(0, fmt.word - 1))
    wrong.flat[place] = bits - (1 << fmt.word) if fmt.signed and bits > fmt.max else bits
    found = diff(case.fixed, right | {name: wrong}, case.raw[0].astype(np.int16))
    (layer,) = found.differing
    index = tuple(int(i) for i in np.unravel_index(place, wrong.shape))
    assert layer.name == name
    assert layer.first == Mismatch(index, int(right[name][index]), int(wrong[index]))
    assert layer.differing == 1
    assert {state for other, state in states(found).items() if other != name} == {"equal"}
    if name == "input":
        assert found.element is None
    else:
        assert found.element is not None
        assert (found.element.index, found.element.raw) == (index, layer.first.wanted)


@given(fixed_networks(max_images=1), st.data())
def test_missing_layers_are_computed(case: NetworkCase, data: st.DataObject) -> None:
    """They are skipped and listed; layers behind them are compared all the same."""
    right = golden(case)
    nodes = [*right][1:]
    gone = data.draw(st.sets(st.sampled_from(nodes), max_size=len(nodes) - 1))
    found = diff(case.fixed, {name: x for name, x in right.items() if name not in gone})
    assert found.missing == tuple(name for name in nodes if name in gone)
    others = {state for name, state in states(found).items() if name not in {"input", *gone}}
    assert others == {"equal"}


@given(fixed_networks(max_images=1))
def test_each_layer_is_computed_alone(case: NetworkCase) -> None:
    """Of any words for its inputs, as the golden model does."""
    fixed, right = case.fixed, golden(case)
    for node in fixed.nodes:
        formats = [fixed.formats[name] for name in node.inputs]
        inputs = [right[name] for name in node.inputs]
        made = computed(node, formats, inputs, fixed.shapes[node.name])
        assert made.dtype == np.int64
        assert made.tolist() == right[node.name].tolist()


def lenet() -> tuple[FixedNetwork, Array]:
    """Build a small convolutional network of two maps' input, and raw words for it."""
    rng = np.random.default_rng(4)
    layers = {
        "conv": Conv2D(rng.normal(size=(3, 2, 3, 3)), rng.normal(size=3), Window((3, 3))),
        "relu": Relu(),
        "pool": AvgPool2D(Window((2, 2), (2, 2))),
        "flatten": Flatten(),
        "dense": Dense(rng.normal(size=(10, 18)), rng.normal(size=10)),
        "softmax": Softmax(),
    }
    x = rng.normal(size=(50, 2, 8, 6)).astype(np.float32)
    fixed = fxpnn.quantize(fxpnn.chain("lenet", (2, 8, 6), layers), x)
    return fixed, trace(fixed, x[0])["input"]


FIXED, X = lenet()
RIGHT = {name: words.astype(np.int64) for name, words in trace(FIXED, X).items()}


def causes(words: Words, image: Array | None = X) -> dict[str, str]:
    """Give what explains each layer that differs."""
    return {
        layer.name: layer.cause.text if layer.cause else ""
        for layer in diff(FIXED, words, image).differing
    }


def changed(**modes: Any) -> Words:
    """Compute what a device gives whose layers all have other modes."""
    other = replace(FIXED, nodes=tuple(replace(node, **modes) for node in FIXED.nodes))
    return {name: words.astype(np.int64) for name, words in trace(other, X).items()}


@pytest.mark.parametrize("rounding", [mode for mode in Rounding if "nearest" not in mode.value])
def test_another_rounding_is_recognized(rounding: Rounding) -> None:
    """In each layer that casts, one after the other, though each has words that differ already."""
    text = f"rounding is {rounding.value}, not nearest-even"
    same = "rounding is floor, not nearest-even"  # of what is not negative
    assert causes(changed(rounding=rounding)) == {"conv": text, "pool": same, "dense": text}


@pytest.mark.parametrize(
    ("mine", "others", "text"),
    [
        ({}, {"overflow": Overflow.WRAP}, "overflow is wrap, not saturate"),
        ({}, {"overflow": Overflow.SATURATE_ZERO, "rounding": Rounding.FLOOR},
         "rounding is floor, not nearest-even and overflow is saturate-zero, not saturate"),
        ({"accumulator": "27"}, {"accumulator": "27 wrap"},
         "the accumulator is 27 wrap, not 27 saturate"),
        ({"accumulator": "27"}, {"accumulator": "48"},
         "the accumulator is 62 saturate, not 27 saturate"),
        ({"accumulator": "Q8.7 zero"}, {"accumulator": "Q8.7 zero cast"},
         "the accumulator is Q8.7 zero saturate cast, not Q8.7 zero saturate fused"),
        ({"accumulator": "Q2.5 zero"}, {"accumulator": "Q2.5 floor wrap"},
         "the accumulator is Q2.5 floor wrap fused, not Q2.5 zero saturate fused"),
    ],
)  # fmt: skip
def test_another_overflow_or_accumulator_is_recognized(
    mine: dict[str, Any], others: dict[str, Any], text: str
) -> None:
    """Of a convolution whose output or register is too short."""
    short = FIXED["conv"].output_format if "accumulator" in mine else QFormat(8, 6)

    def network(**fields: Any) -> FixedNetwork:
        register = Accumulator.parse(fields.pop("accumulator", "48"))
        conv = replace(FIXED["conv"], output_format=short, accumulator=register, **fields)
        relu = replace(FIXED["relu"], output_format=short)
        return replace(FIXED, nodes=(conv, relu), outputs=())

    words = trace(network(**{**mine, **others}), X)
    (layer,) = diff(network(**mine), words, X).differing
    assert layer.cause is not None
    assert layer.cause.text == text


@pytest.mark.parametrize(
    ("order", "text"),
    [
        ((1, 2, 0), "the channels stand last"),
        ((0, 2, 1), "rows and columns are exchanged"),
        ((2, 1, 0), "the axes stand in the order 2, 1, 0"),
    ],
)
def test_another_order_is_recognized(order: tuple[int, ...], text: str) -> None:
    """Of all maps, the input's too: what is computed of them is right, and no other layer is named.

    The ReLU is what it makes of words in that order: it follows.
    """

    def turned(words: RawArray) -> RawArray:
        if words.ndim < 3:
            return words
        return np.ascontiguousarray(words.transpose(order)).reshape(words.shape)

    words = {name: turned(array) for name, array in RIGHT.items()}
    found = diff(FIXED, words, X)
    assert {x.name: x.cause and x.cause.text for x in found.differing} == {
        "input": text,
        "conv": text,
        "pool": text,
    }
    assert states(found)["relu"] == "follows"
    words["dense"] = words["dense"] + 1  # a fault behind is not hidden
    assert [layer.name for layer in diff(FIXED, words, X).differing][-1] == "dense"


def test_a_vector_in_the_order_of_maps_is_recognized() -> None:
    """Flatten may have been done with the channels last."""
    flat = RIGHT["pool"].transpose(1, 2, 0).reshape(-1)
    assert causes(RIGHT | {"flatten": flat}) == {"flatten": "the channels stand last"}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda x: x.astype(np.int16).byteswap().astype(np.int64), "the bytes of each word are "
                                                                   "swapped"),
        (lambda x: np.roll(x.reshape(-1), 1), "each value stands one place late"),
        (lambda x: np.roll(x.reshape(-1), -1), "each value stands one place early"),
        (lambda x: x & 0x7FFF, "the sign bit is lost"),
        (np.abs, "the sign is lost"),
        (lambda x: np.maximum(x, 0), "what is negative became 0"),
        (np.negative, "the sign is turned"),
        (lambda x: x ^ 1, ""),
    ],
)  # fmt: skip
def test_another_spelling_is_recognized(change: Callable[[Any], Any], text: str) -> None:
    """Of a layer's words, and of the input's; nothing is said where nothing explains all."""
    for name in ("dense", "conv", "input"):
        words = change(RIGHT[name]).reshape(RIGHT[name].shape)
        assert causes(RIGHT | {name: words}) == {name: text}


def test_what_follows_is_told_from_what_differs() -> None:
    """Words made of wrong words follow; a second fault behind them is named too."""
    faults = {"conv": 4, "dense": 2}
    for names in (("conv",), ("conv", "dense")):
        words = {"input": RIGHT["input"]}
        for node in FIXED.nodes:
            formats, inputs = [FIXED.formats[node.inputs[0]]], [words[node.inputs[0]]]
            made = computed(node, formats, inputs, FIXED.shapes[node.name])
            words[node.name] = made ^ faults[node.name] if node.name in names else made
        found = diff(FIXED, words)
        assert states(found) == {
            "input": "unknown",
            **{n.name: "differs" if n.name in names else "follows" for n in FIXED.nodes},
        }
        assert [layer.own_differing for layer in found.differing] == [72, 10][: len(names)]
        assert found.element is not None
        assert found.element.reads[0].tensor == "input"


def test_without_the_input_layers_are_judged_by_their_own() -> None:
    """Nothing is known of the first, and the next follow; what they make wrong is named."""
    words = {name: RIGHT[name] for name in ("conv", "relu", "pool", "dense")}
    found = diff(FIXED, words)
    assert states(found) == {
        "input": "missing",
        "conv": "unknown",
        "relu": "follows",
        "pool": "follows",
        "flatten": "missing",
        "dense": "follows",
        "softmax": "missing",
    }
    assert all(layer.differing is None for layer in found.layers)
    assert causes(words | {"relu": RIGHT["relu"] | 1}, None) == {"relu": "", "pool": ""}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({}, "words must be those of a layer of lenet and of what it reads"),
        ({"input": RIGHT["input"]}, "words must be those of a layer of lenet and of what it reads"),
        ({"conv": RIGHT["conv"]}, "words must be those of a layer of lenet and of what it reads"),
        ({"convs": RIGHT["conv"]}, "words must be those of layers of lenet, not of 'convs'"),
        ({"dense": np.zeros(9, int)}, "words of dense: must hold 10 integers, not 9 of int64"),
        ({"dense": np.zeros(10)}, "words of dense: must hold 10 integers, not 10 of float64"),
        ({"dense": np.arange(10) + 32760}, "words of dense: [8] must fit Q5.10, not be 32768"),
    ],
)
def test_what_is_refused(words: Words, message: str) -> None:
    """One line says what must be there."""
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        diff(FIXED, words)


def test_images_are_checked() -> None:
    """As ``infer`` does."""
    for image in ([1, 2], X[0]):
        with pytest.raises(DataError, match=r"^images must be .*$"):
            diff(FIXED, RIGHT, image)  # type: ignore[arg-type] # what a user may pass


def test_differences_are_values() -> None:
    """They name what they are about."""
    layer = diff(FIXED, RIGHT).layers[1]
    assert layer == LayerDifference("conv", "Conv2D", str(FIXED.formats["conv"]), 72, "equal", 0, 0)
