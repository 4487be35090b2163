"""What a device that gives other words may have done: the mistakes that are often made.

Each is tried: only what explains every word of a layer is named.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import permutations, product
from typing import Literal

import msgspec
import numpy as np

from fxpnn.fixedpoint.qformat import Accumulator, Overflow, Product, QFormat, Rounding
from fxpnn.network.fixed import FixedNode, RawArray
from fxpnn.network.layers import Shape

MOST_AXES = 4
"""Orders of so many axes are tried."""


class Cause(msgspec.Struct, frozen=True):
    """A mistake that explains all of a layer's words, and in words what was done."""

    kind: Literal["rounding", "overflow", "accumulator", "order", "bytes", "shift", "sign"]
    text: str

    @property
    def misplaced(self) -> bool:
        """Tell whether the words may be right, and only written down otherwise."""
        return self.kind in ("order", "bytes")


def misspelled(
    wanted: RawArray, found: RawArray, fmt: QFormat, shapes: Iterable[Shape] = ()
) -> Cause | None:
    """Say what turns the words wanted into those found, whatever computed them.

    ``shapes`` are further ones in which the same values may have been looked at.
    """
    for cause, words in _spellings(
        wanted.reshape(-1), found.reshape(-1), fmt, wanted.shape, shapes
    ):
        if np.array_equal(words, found.reshape(-1)):
            return cause
    return None


def _spellings(
    wanted: RawArray, found: RawArray, fmt: QFormat, shape: Shape, shapes: Iterable[Shape]
) -> Iterable[tuple[Cause, RawArray]]:
    for sizes in dict.fromkeys((shape, *shapes)):
        for order in _orders(sizes):
            words = wanted.reshape(sizes).transpose(order).reshape(-1)
            yield Cause("order", _order_text(order)), words
    if fmt.word == 16:
        swapped = wanted.astype(np.int16).byteswap().astype(np.int64)
        yield Cause("bytes", "the bytes of each word are swapped"), swapped
    if wanted.size > 2:
        late = np.concatenate([found[:1], wanted[:-1]])
        yield Cause("shift", "each value stands one place late"), late
        early = np.concatenate([wanted[1:], found[-1:]])
        yield Cause("shift", "each value stands one place early"), early
    yield Cause("sign", "the sign bit is lost"), wanted & (1 << (fmt.word - 1)) - 1
    yield Cause("sign", "the sign is lost"), np.abs(wanted)
    yield Cause("sign", "what is negative became 0"), np.maximum(wanted, 0)
    yield Cause("sign", "the sign is turned"), np.minimum(-wanted, fmt.max)


def _orders(shape: Shape) -> Iterable[tuple[int, ...]]:
    if len(shape) > MOST_AXES or sum(size > 1 for size in shape) < 2:
        return ()
    return list(permutations(range(len(shape))))[1:]


def _order_text(order: tuple[int, ...]) -> str:
    rank = len(order)
    if rank > 2 and order == (*range(1, rank), 0):
        return "the channels stand last"
    if order == (*range(rank - 2), rank - 1, rank - 2):
        return "rows and columns are exchanged"
    return f"the axes stand in the order {', '.join(map(str, order))}"


def miscomputed(
    node: FixedNode, found: RawArray, compute: Callable[[FixedNode], RawArray]
) -> Cause | None:
    """Say which other modes of a node give the words found; ``compute`` runs it on its inputs."""
    for cause, other in _others(node):
        if np.array_equal(compute(other), found):
            return cause
    return None


def _others(node: FixedNode) -> Iterable[tuple[Cause, FixedNode]]:
    """Give nodes of other modes, those that differ in one thing first."""
    if node.layer.traits.casts:
        here = node.rounding, node.overflow
        pairs = [pair for pair in product(Rounding, Overflow) if pair != here]
        for rounding, overflow in sorted(pairs, key=lambda pair: sum(map(_differ, pair, here))):
            told = [
                f"{what} is {mode.value}, not {mine.value}"
                for what, mode, mine in (
                    ("rounding", rounding, node.rounding),
                    ("overflow", overflow, node.overflow),
                )
                if mode != mine
            ]
            kind: Literal["rounding", "overflow"] = (
                "overflow" if rounding == node.rounding else "rounding"
            )
            other = replace(node, rounding=rounding, overflow=overflow)
            yield Cause(kind, " and ".join(told)), other
    for register in _registers(node.accumulator):
        text = f"the accumulator is {register}, not {node.accumulator}"
        yield Cause("accumulator", text), replace(node, accumulator=register)


def _differ(one: object, other: object) -> bool:
    return one != other


def _registers(register: Accumulator | None) -> Iterable[Accumulator]:
    """Give registers of other modes, and one that loses nothing."""
    if register is None:
        return
    overflows = (Overflow.SATURATE, Overflow.WRAP)
    if register.frac is None:
        yield from (replace(register, overflow=overflow) for overflow in overflows)
    else:
        for overflow, rounding, how in product(overflows, Rounding, Product):
            yield replace(register, overflow=overflow, rounding=rounding, product=how)
    yield Accumulator(62)
