"""How products of two tensors are computed: as layers whose weights are packed for each image."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from fxpnn.engine.program import INT64, Constants, Fields, Places
from fxpnn.engine.sums import Known, drops, leaving, method_of, register_of
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.kernels.layout import instructions, packing, rounding
from fxpnn.network.fixed import FixedNode
from fxpnn.network.layers import Shape


class Matrices(NamedTuple):
    """Where matrices lie: each one's first word, and how far apart its rows and columns are."""

    firsts: Places
    down: int
    across: int


def matrices(places: Places) -> Matrices | None:
    """Say where a tensor's matrices lie, ``None`` where their words are not evenly apart.

    >>> matrices(np.arange(6).reshape(1, 3, 2).transpose(0, 2, 1))
    Matrices(firsts=array([0]), down=1, across=2)
    """
    rows, columns = places.shape[-2:]
    firsts = places[..., 0, 0]
    down = int(places.flat[columns]) - int(places.flat[0]) if rows > 1 else 0
    across = int(places.flat[1]) - int(places.flat[0]) if columns > 1 else 1
    even = np.arange(rows)[:, None] * down + np.arange(columns) * across
    found = Matrices(firsts, down, across)
    return found if (places == firsts[..., None, None] + even).all() else None


def sums(
    node: FixedNode,
    sides: tuple[Matrices, Matrices],
    shapes: tuple[Shape, Shape],
    known: Known,
    formats: Sequence[QFormat],
    constants: Constants,
    plainly: bool,
) -> tuple[Fields, str]:
    """Choose how sums are computed and put the constants; also say it in words.

    ``sides`` say where the matrices of both inputs lie, of ``shapes``; ``formats`` are the inputs'.
    The first input's rows are read where they lie; the second input's matrices are packed.
    """
    word, cast = node.accumulator, node.requantize
    assert word is not None
    (a, b), ((*_, rows, k), (*_, n)) = sides, shapes
    method, own = method_of(known, word.overflow), drops(node, known, *formats)
    firsts = np.stack([each.ravel() for each in np.broadcast_arrays(a.firsts, b.firsts)], axis=-1)
    fields: Fields = {
        **dict.fromkeys(instructions.ABSENT, 0),
        "outputs": n,
        "used": n,
        "method": method,
        "word_low": word.min,
        "word_high": word.max,
        "rows": rows,
        "apart": int(known.below_zero),
        "firsts": constants.put(INT64, firsts),
        "matrices": len(firsts),
        "k": k,
        "down": b.down,
        "across": b.across,
    }
    shifts = node.shift(*formats) if own else cast.dropped(node.product_fracs(*formats))
    shifts, bias = np.repeat(shifts, n), np.zeros(n, np.int64)
    # Chunks of products are cut by the words of each image: at worst, each product is one.
    extra = rounding.extra_bits(max(-known.total[0], known.total[1]), k + 1)
    if own or plainly or method == instructions.CLAMPED or extra is None:
        fields |= {**_plain(k, bias, shifts, constants), **dict.fromkeys(instructions.DROPS, 0)}
        if not own:
            return fields, "plain loops"
        dropped = np.repeat(node.dropped(*formats), n)
        fields |= register_of(word, method, dropped, constants)
        return fields, f"stepwise in {word.format}"
    columns, lanes = -(-n // packing.LANES), packing.fill_lanes(bias)
    fields |= {
        **dict.fromkeys((*instructions.DROPS, "offsets", "offsets_size", "cuts", "segments"), 0),
        "sums": instructions.SUM_64,
        "extra": extra,
        "weights_size": columns * k * 2 * packing.LANES,
        "columns": columns,
        "bias": constants.put(INT64, lanes),
        "lanes": lanes.size,
    }
    shifts = packing.fill_lanes(shifts, "edge")
    fields |= leaving(node, known, method, shifts, lanes, extra, constants)
    return fields, "64-bit in chunks by the words" + ", wrapped" * (method == instructions.WRAPPED)


def _plain(k: int, bias: Places, shifts: Places, constants: Constants) -> Fields:
    return {
        "sums": instructions.PLAIN,
        "weights_size": bias.size * k,
        "offsets": constants.put(INT64, np.arange(k)),
        "offsets_size": k,
        **dict.fromkeys(("cuts", "columns", "segments"), 0),
        "bias": constants.put(INT64, bias),
        "shifts": constants.put(INT64, shifts),
        "lanes": bias.size,
    }
