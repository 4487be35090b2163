"""The instructions so far, and the tensors that they read and write."""

import math
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from fxpnn.engine import moves
from fxpnn.engine.ends import EVERY_WORD
from fxpnn.engine.matmul import Matrices, matrices
from fxpnn.engine.program import INT64, Constants, Fields, Places, StandardPlaces, Tensor
from fxpnn.kernels.layout import instructions
from fxpnn.kernels.layout.instructions import target
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.layers import Shape


@dataclass
class Emitter:
    """What appends instructions, and moves tensors to where these can read them."""

    fixed: FixedNetwork
    constants: Constants = field(default_factory=Constants, kw_only=True)
    code: list[Fields] = field(default_factory=list, kw_only=True)
    sizes: list[int] = field(default_factory=list, kw_only=True)
    standard: StandardPlaces = field(default_factory=StandardPlaces, kw_only=True)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Number the nodes."""
        return {node.name: i for i, node in enumerate(self.fixed.nodes)}

    def _fresh(self, places: Places) -> Tensor:
        """Return a new tensor; its number stands for its place until all are known."""
        self.sizes.append(places.size)
        return Tensor(len(self.sizes) - 1, places.size, places)

    def _emit(self, op: int, node: FixedNode, x: Tensor, y: Tensor, **fields: int) -> None:
        cast = target(node.requantize)._asdict()
        ends = {"x": x.base, "x_words": x.words, "y": y.base, "y_words": y.words}
        apart = int(node.name in self.fixed.rectified)
        common = {"op": op, "node": self.numbers[node.name], "apart": apart}
        common |= EVERY_WORD._asdict()
        made = {**common, **ends, **cast, **fields}
        wanted = {*instructions.COMMON, *instructions.FIELDS_OF[op]}
        assert made.keys() == wanted, f"{node.op} must set {sorted(made.keys() ^ wanted)} or none"
        self.code.append(made)

    def _standard(self, node: FixedNode, x: Tensor) -> Tensor:
        """Return a tensor that lies as a fresh one, moved there if need be."""
        if x.lies_as(self.standard(x.places.shape)):
            return x
        y = self._fresh(self.standard(x.places.shape))
        self._move(node, x, y, y.places)
        return y

    def _move(self, node: FixedNode, x: Tensor, y: Tensor, places: Places) -> None:
        """Copy the values of ``x`` to words of ``y``; the other words of ``y`` stay."""
        found = moves.runs(x.places, places)
        fields = {"moves": self.constants.put(INT64, found), "moves_size": len(found)}
        self._emit(instructions.MOVE, node, x, y, **fields)

    def _vectors(self, node: FixedNode, x: Tensor, axis: int, *, in_turn: bool = False) -> Tensor:
        """Return a tensor whose vectors along an axis are rows of words, moved if need be.

        ``in_turn`` asks for the rows in the vectors' order, too.
        """
        size = x.places.shape[axis]
        swapped = np.moveaxis(x.places, axis, -1)
        vectors = swapped.reshape(-1, size)
        first = np.arange(len(vectors))[:, None] * size if in_turn else vectors[:, :1]
        if (vectors == first + np.arange(size)).all():
            return x
        places = np.arange(x.words).reshape(swapped.shape)
        y = self._fresh(np.moveaxis(places, -1, axis))
        self._move(node, x, y, y.places)
        return y

    def _in_order(self, node: FixedNode, x: Tensor) -> tuple[Tensor, Matrices]:
        """Return a tensor whose words lie in order, moved there."""
        y = self._fresh(ordered(x.places.shape))
        self._move(node, x, y, y.places)
        found = matrices(y.places)
        assert found is not None
        return y, found


def ordered(shape: Shape) -> Places:
    """Return the places of a tensor whose last axis is the fastest, whatever its rank."""
    return np.arange(math.prod(shape)).reshape(shape)
