"""The specification one can read: a fixed network run in plain Python integers.

Slow and short on purpose. Every number here is a Python ``int``, which neither rounds nor overflows
unless a line below says so; no float and no fixed-width integer takes part. ``raw @ F`` means
``raw * 2**-F``. The engine agrees with these files in every raw value and every count.
"""

from dataclasses import dataclass

import numpy as np

from fxpnn.errors import DataError
from fxpnn.fixedpoint.casting import as_array
from fxpnn.golden import moves, norms, values
from fxpnn.golden.sums import Unit as Unit
from fxpnn.golden.sums import activate as activate
from fxpnn.golden.sums import compute as compute
from fxpnn.golden.values import SIXTH as SIXTH
from fxpnn.network.fixed import Counts, FixedNetwork, RawArray
from fxpnn.network.inputs import split
from fxpnn.network.rows import Images, as_rows

FORMULAS = (moves, norms, values)
"""The modules whose formulas ``compute`` and ``activate`` choose from, beside that of sums."""


@dataclass(frozen=True)
class GoldenRun:
    """What every node gave, by its name: raw values ``(images, *shape)`` and counts."""

    raw: dict[str, RawArray]
    counts: dict[str, Counts]


def run(fixed: FixedNetwork, raw_images: Images) -> GoldenRun:
    """Run a network on raw inputs ``(images, *input_shape)``, integers of the input's format.

    Those of several inputs are rows, or arrays by name.

    Raises:
        DataError: the images are not integers, have another shape, or do not fit the format.
    """
    images = as_array(as_rows(fixed, raw_images))
    tensors = {name: list(part.astype(object)) for name, part in _checked(fixed, images).items()}
    raw, counts = {}, {}
    for node in fixed.nodes:
        sources = tuple(fixed.formats[name] for name in node.inputs)
        unit = Unit(node, sources, node.name in fixed.rectified)
        each = zip(*(tensors[name] for name in node.inputs), strict=True)
        tensors[node.name] = [compute(node.layer, unit, *inputs) for inputs in each]
        shape = (len(images), *fixed.shapes[node.name])
        raw[node.name] = np.array(tensors[node.name], np.int64).reshape(shape)
        counts[node.name] = Counts(unit.overflows, unit.saturations, unit.below_zero)
    return GoldenRun(raw, counts)


def _checked(fixed: FixedNetwork, images: RawArray) -> dict[str, RawArray]:
    """Return the part of each input."""
    if images.dtype.kind not in "iu" or images.shape[1:] != fixed.image_shape:
        wanted = ", ".join(map(str, ("images", *fixed.image_shape)))
        raise DataError(f"images must be ({wanted}) integers, not {images.dtype} {images.shape}")
    parts = split(fixed.inputs, images)
    for it in fixed.inputs:
        low, high = parts[it.name].min(initial=0), parts[it.name].max(initial=0)
        if low < it.format.min or high > it.format.max:
            where = f" of {it.name}" if fixed.further else ""
            raise DataError(f"images{where} must fit {it.format}, not reach {low}..{high}")
    return parts
