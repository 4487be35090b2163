"""Tensors as files for ``$readmemh``: golden vectors, and the words of parameters at their width.

A file is called by its layer's place and name, as those of ``dump``. It begins with a comment, and
every line ends with a newline: Verilator 5.006 drops the last word of a file that does not.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fxpnn.errors import one_line
from fxpnn.network.fixed import FixedNetwork, raw_bias, raw_weights
from fxpnn.network.inputs import INPUT
from fxpnn.network.layers import Array, Shape
from fxpnn.proofs.bounds import signed_bits
from fxpnn.targets import readmemh
from fxpnn.targets.dump import file_stems, op_of
from fxpnn.targets.lowering import Lowering, Step
from fxpnn.targets.vectors import Vectors

HEADER = 200
"""The most letters of a comment: a bench reads it into a register."""


@dataclass(frozen=True, eq=False)
class Parameter:
    """An array of a layer's integers: ``name`` is that of the layer's field, or ``table``.

    Words have ``word`` bits and, unless ``signed`` is false, a sign: as their format says or, where
    none does, the fewest bits that hold all. They are counts of ``2**-frac``; ``fracs`` has one of
    these, or one for each output channel.
    """

    name: str
    words: Array
    word: int
    signed: bool
    fracs: tuple[int, ...]

    @property
    def width(self) -> str:
        """Say how wide words are."""
        return f"{self.word} bits{'' if self.signed else ' without a sign'}"


def write(lowering: Lowering, vectors: Vectors) -> dict[str, bytes]:
    """Spell the golden vectors and all parameters, by the names of files.

    Equal networks and words give equal bytes.
    """
    files, names = golden(lowering, vectors), stems(lowering.fixed)
    for step in lowering.steps:
        for it in parameters(step):
            what = f"{step.node.name}.{it.name}, {step.node.op} {_sizes(it.words.shape)}"
            header = _header(f"{what} of {it.width}")
            files[parameter_file(names, step, it)] = readmemh.spell(it.words, it.word, header)
    return files


def golden(lowering: Lowering, vectors: Vectors) -> dict[str, bytes]:
    """Spell the words of the input and of each tensor that vectors hold, image behind image."""
    fixed, files = lowering.fixed, {}
    names, shapes = stems(fixed), {**fixed.shapes, INPUT: fixed.image_shape}
    formats = {**fixed.formats, INPUT: lowering.formats[INPUT]}
    for name, words in vectors.words.items():
        fmt, op = formats[name], op_of(fixed, name)
        what = f"{name}, {op} {_sizes(shapes[name])}"
        header = _header(f"{what} of {fmt}, {vectors.images} images")
        files[f"{names[name]}.hex"] = readmemh.spell(words, fmt.word, header)
    return files


def stems(fixed: FixedNetwork) -> dict[str, str]:
    """Give what the files of each layer, and of the input, begin with: the names of ``dump``."""
    return {INPUT: INPUT, **file_stems(fixed)}


def parameter_file(names: Mapping[str, str], step: Step, parameter: Parameter) -> str:
    """Name the file of a parameter; ``names`` are those of ``stems``."""
    return f"{names[step.node.name]}.{parameter.name}.hex"


def parameters(step: Step) -> tuple[Parameter, ...]:
    """Give the arrays of integers that a step has: weights, biases, and what it looks up.

    A scalar, such as the slope of a leaky ReLU, is an array of one.
    """
    return tuple(_parameters(step))


def _parameters(step: Step) -> Iterator[Parameter]:
    node, traits = step.node, step.node.layer.traits
    weights = raw_weights(node.layer)
    if weights is not None:
        formats = node.weight_formats
        word, signed = formats[0].word, formats[0].signed
        fracs = once([fmt.frac for fmt in formats])
        yield Parameter(str(traits.weight), weights, word, signed, fracs)
    if traits.bias is not None:
        bias = raw_bias(node.layer)
        scales = once(node.product_fracs(step.sources[0].format).tolist())
        yield Parameter(traits.bias, bias, _narrowest(bias), True, scales)
    if node.table is not None and traits.table is not None:
        yield Parameter("table", node.table, _narrowest(node.table), True, (traits.table.frac,))


def once(numbers: Sequence[int]) -> tuple[int, ...]:
    """Give numbers as they are or, where all are equal, the one that they are."""
    return tuple(numbers[:1] if len({*numbers}) == 1 else numbers)


def _narrowest(words: Array) -> int:
    return signed_bits(int(np.min(words)), int(np.max(words)))


def _sizes(shape: Shape) -> str:
    return "x".join(map(str, shape))


def _header(text: str) -> str:
    """Cut what would be longer than ``HEADER`` where letters that are no ASCII are escaped."""
    line = f"{one_line(text)}, last axis fastest"
    return line.encode("ascii", "backslashreplace").decode()[:HEADER]
