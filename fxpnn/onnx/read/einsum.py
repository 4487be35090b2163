"""Read Einsum: axes of one tensor in another order, or the product of two, as of matrices.

Letters that both tensors and the result have are leading axes of the matrices, those that only one
of them shares with the result are its rows, or columns, and those that both have and the result
lacks are summed. Where several letters are one axis of a matrix, they are joined, and parted again.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from fxpnn.errors import ModelError
from fxpnn.network.layers import Shape
from fxpnn.onnx.graph.normal import SHOWN, Op
from fxpnn.onnx.graph.proto import one_line
from fxpnn.onnx.read.matmul import multiplied
from fxpnn.onnx.read.relabel import permuted, reshaped, turned
from fxpnn.onnx.read.trace import Handler, Result, Trace
from fxpnn.onnx.read.value import Value

Letters: TypeAlias = tuple[str, ...]
"""The name of each axis of a tensor; those of an ellipsis are counted from the last one."""

ELLIPSIS = "..."


def _einsum(trace: Trace, op: Op) -> Value:
    tensors = [trace.operand(op, index, any_axis=True) for index in range(len(op.inputs))]
    shapes = [x.full(trace.batch) if isinstance(x, Value) else x.shape for x in tensors]
    named, made = _letters(op.get("equation", ""), [len(shape) for shape in shapes])
    sizes: dict[str, int] = {}
    for letters, shape in zip(named, shapes, strict=True):
        for letter, size in zip(letters, shape, strict=True):
            if sizes.setdefault(letter, size) != size:
                told = " and ".join(map(trace.spelled, shapes))
                raise ModelError(f"its axes {letter} must be of one size, not of {told}")
    if len(tensors) == 1:
        (x,), (letters,) = tensors, named
        if not isinstance(x, Value):
            raise ModelError("input 1 must depend on the network's input")
        if {*made} != {*letters}:
            raise ModelError("must keep all axes of one tensor: ReduceSum sums some")
        return permuted(trace, op, x, _order(letters, made))
    if len(tensors) > 2:
        raise ModelError(f"must multiply two tensors, not {len(tensors)}: give each two a node")
    return _Product(trace, op, sizes).of(tensors, named, made)


class _Product:
    """The product of two tensors whose axes have letters, each of one size."""

    def __init__(self, trace: Trace, op: Op, sizes: Mapping[str, int]) -> None:
        self._trace, self._op, self._sizes = trace, op, sizes

    def of(self, tensors: Sequence[Result], named: Sequence[Letters], made: Letters) -> Value:
        """Multiply two tensors, one maybe a constant, to one with the letters ``made``."""
        (a, b), (x, y) = named, tensors
        alone = [letter for letter in (*a, *b) if (letter in a) + (letter in b) == 1]
        if unused := [letter for letter in alone if letter not in made]:
            raise ModelError(f"must sum axes that both tensors have: sum {unused[0]} before it")
        if not isinstance(x, Value):
            (a, x), (b, y) = (b, y), (a, x)
        lead = [letter for letter in a if letter in b and letter in made]
        summed = [letter for letter in a if letter in b and letter not in made]
        rows, columns = ([letter for letter in one if letter in alone] for one in (a, b))
        if not isinstance(y, Value) and isinstance(x, Value):
            lead, rows = self._by_constant(a, x, lead, rows)
        shared = [[letter] if letter in b else [] for letter in lead]
        left = self._laid(x, a, [*([letter] for letter in lead), rows, summed], ".a")
        right = self._laid(y, b, [*shared, summed, columns], ".b")
        product = multiplied(self._trace, self._op, left, right)
        order = (*lead, *rows, *columns)
        product = self._shaped(product, [[letter] for letter in order], ".parted")
        return turned(self._trace, self._op, product, _order(order, made), ".turned")

    def _by_constant(
        self, letters: Letters, x: Value, lead: list[str], rows: list[str]
    ) -> tuple[list[str], list[str]]:
        """Let all axes but one of rows lead: a constant has one matrix for all their places.

        That one is not the images', where there are matrices for some axis.
        """
        row = [letter for letter in rows if not lead or letter != letters[x.axis]][-1:]
        return [letter for letter in letters if letter in {*lead, *rows} - {*row}], row

    def _laid(self, x: Result, letters: Letters, axes: list[list[str]], part: str) -> Result:
        """Order and join axes of a tensor; one that is joined of none has size 1."""
        order = _order(letters, [letter for joined in axes for letter in joined])
        if isinstance(x, Value):
            return self._shaped(
                turned(self._trace, self._op, x, order, part), axes, part + ".joined"
            )
        self._trace.spend(x.size)
        return x.transpose(order).reshape(self._shape(axes))

    def _shaped(self, x: Value, axes: list[list[str]], part: str) -> Value:
        full = self._shape(axes)
        if x.full(self._trace.batch) == full:
            return x
        return reshaped(self._trace, self._op, x, full, part=part)

    def _shape(self, axes: list[list[str]]) -> Shape:
        return tuple(math.prod(self._sizes[letter] for letter in joined) for joined in axes)


def _order(letters: Letters, wanted: Iterable[str]) -> Shape:
    return tuple(letters.index(letter) for letter in wanted)


def _letters(equation: str, ranks: Sequence[int]) -> tuple[list[Letters], Letters]:
    """Return the names of the axes of each tensor, and of the result, as numpy.einsum has them."""
    read, arrow, made = "".join(equation.split()).partition("->")
    terms, told = read.split(","), one_line(equation, SHOWN)
    if len(terms) != len(ranks):
        raise ModelError(f"equation must have a term for each of {len(ranks)} inputs: {told}")
    named = [_term(term, rank) for term, rank in zip(terms, ranks, strict=True)]
    more = max(sum(letter.startswith(ELLIPSIS) for letter in letters) for letters in named)
    if not arrow:
        once = sorted({letter for letter in read if letter.isalpha() and read.count(letter) == 1})
        made = ELLIPSIS * (ELLIPSIS in read) + "".join(once)
    result = _term(made, len(made.replace(ELLIPSIS, "")) + more * (ELLIPSIS in made))
    known = {letter for letters in named for letter in letters}
    for letters in (*named, result):
        if len({*letters}) < len(letters) or not known.issuperset(letters):
            raise ModelError(f"equation must name each axis once, of axes there are: {told}")
    return named, result


def _term(term: str, rank: int) -> Letters:
    """Return the names of the axes of one tensor."""
    before, dots, behind = term.partition(ELLIPSIS)
    named, more = before + behind, rank - len(before) - len(behind)
    if more < 0 or (more and not dots) or not (named.isalpha() or not named):
        told = one_line(term, SHOWN)
        raise ModelError(f"equation must have a letter for each of {rank} axes, not {told!r}")
    return (*before, *(f"{ELLIPSIS}{place - more}" for place in range(more)), *behind)


HANDLERS: Mapping[str, Handler] = {"Einsum": _einsum}
