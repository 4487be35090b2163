"""How a layer's sums are computed: the layout of its products, and the loops that suffice.

Only a proof licenses sums that are not clamped step by step. Sums that provably fit 32 bits take
one pass; others are cut into chunks that do, added up in 64 bits or, where a sum in range is as
well told by its lowest 32, in these. Those that may have to be clamped are tried on the data, all
products at once and then segment by segment, and stepped where that may overflow.
"""

from typing import NamedTuple

import numpy as np

from fxpnn.engine.program import INT16, INT32, INT64, Constants, Fields, Places, Tensor
from fxpnn.fixedpoint.interval import Interval
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, Product, QFormat
from fxpnn.kernels.build import processor
from fxpnn.kernels.layout import instructions, packing, rounding
from fxpnn.network.fixed import FixedNode
from fxpnn.network.layers import Array, Conv2D, Dense
from fxpnn.proofs.bounds import Proof

FOURS = processor.adds_fours(processor.features())
"""Whether sums of bytes are faster than those of 16-bit words."""


class Known(NamedTuple):
    """What is known of a layer's sums for every input.

    ``proved`` says that no step overflows the accumulator. ``terms`` is the range of the products'
    sum, ``total`` of it with the bias, at every step. ``inputs`` bounds each input value.
    ``below_zero`` says that the cast may clamp at 0 what is counted apart.
    """

    proved: bool
    terms: tuple[int, int]
    total: tuple[int, int]
    inputs: Interval
    below_zero: bool = False


def known_of(proof: Proof, dropped: Places, inputs: Interval) -> Known:
    """Return what is known of the sums of a layer of which this is proved.

    Where the accumulator adds bits to every product (``dropped`` is negative), the sums are what it
    holds without: at most, and 0 with it, without the least that it adds to any output's.
    """
    assert proof.total is not None
    terms, total, added = proof.terms, proof.total, min(-int(dropped.max()), 63)
    if added > 0:
        terms, total = (
            (min(low, 0) >> added, max(high, 0) >> added) for low, high in (terms, total)
        )
    return Known(proof.proved, terms, total, inputs, proof.below_zero)


def drops(node: FixedNode, known: Known, *sources: QFormat) -> bool:
    """Say whether the layer's sums are others than those of all the products' bits.

    They are the same where a register of any fraction keeps all bits and is proved to hold them.
    """
    assert node.accumulator is not None
    own = node.accumulator.frac is not None
    return own and not (known.proved and bool((node.dropped(*sources) <= 0).all()))


class Rows(NamedTuple):
    """A layer as products of rows.

    ``weight`` is int16 ``(share * outputs, k)``, k in the order of summing; ``offsets`` ``(k,)``
    are the words of a row behind its start, which ``starts`` has for one image. A row makes
    ``share`` positions of an image's ``positions``. Words of one feature, ``offsets % features``,
    are bounded together, by ``low`` and ``high`` of ``(features,)``, 0 always between them.
    """

    weight: Array
    offsets: Places
    starts: Places
    share: int
    positions: int
    features: int
    low: Places
    high: Places
    frame: Fields


def dense_rows(layer: Dense | Conv2D, x: Tensor, bounds: Interval) -> Rows:
    """Lay out a dense layer: an image is a row, its words wherever they lie.

    A convolution whose one position covers the whole map is one too.
    """
    low, high = np.zeros((2, x.words), np.int64)
    low[x.places], high[x.places] = np.minimum(bounds.low, 0), np.maximum(bounds.high, 0)
    weight = np.asarray(layer.weight, np.int16).reshape(len(layer.weight), -1)
    starts = np.zeros(1, np.int64)
    return Rows(weight, x.places.reshape(-1), starts, 1, 1, x.words, low, high, {})


def covers(layer: Dense | Conv2D, x: Tensor) -> bool:
    """Say whether the layer multiplies each value of its input once for each output."""
    if isinstance(layer, Dense):
        return True
    whole = layer.weight.shape[1:] == x.places.shape
    return whole and not any(layer.window.padding) and layer.window.dilation == (1, 1)


def conv_rows(layer: Conv2D, x: Tensor, bounds: Interval) -> Rows:
    """Lay out a convolution over a map that lies pixel by pixel; padding is a frame of zeros."""
    channels, height, width = x.places.shape
    top, left, bottom, right = layer.window.padding
    across = left + width + right
    positions = layer.window.output(height, width)
    weight = np.asarray(layer.weight, np.int16)
    rows = packing.convolution(
        weight, layer.groups, layer.window.stride, layer.window.dilation, across, positions
    )
    frame = {}
    if any(layer.window.padding):
        frame = {
            "lines": height,
            "length": width * channels,
            "pitch": across * channels,
            "origin": (top * across + left) * channels,
            "total": (top + height + bottom) * across * channels + 1,  # words are read in pairs
        }
    low, high = np.zeros((2, channels), np.int64)
    low[:] = np.minimum(bounds.once.low.min(axis=(1, 2)), 0)
    high[:] = np.maximum(bounds.once.high.max(axis=(1, 2)), 0)
    count = positions[0] * positions[1]
    return Rows(
        rows.weight, rows.offsets, rows.starts, rows.share, count, channels, low, high, frame
    )


def only_plainly(node: FixedNode, rows: Rows, known: Known, source: QFormat) -> bool:
    """Say whether only plain loops make the layer's sums, or are sure to if they are not clamped.

    So it is where the accumulator drops bits, and with sums of 47 bits of 65,536 products or more,
    for instance.
    """
    assert node.accumulator is not None
    clamped = method_of(known, node.accumulator.overflow) == instructions.CLAMPED
    return drops(node, known, source) or (not clamped and _extra(rows, known) is None)


def arithmetic(
    node: FixedNode,
    rows: Rows,
    known: Known,
    source: QFormat,
    constants: Constants,
    plainly: bool,
) -> tuple[Fields, str]:
    """Choose how sums are computed and put the constants; also say it in words.

    ``source`` is the input's format. ``plainly`` asks for the plain loops.
    """
    layer, word, cast = node.layer, node.accumulator, node.requantize
    assert isinstance(layer, Dense | Conv2D)
    assert word is not None
    method = method_of(known, word.overflow)
    fields = {
        **rows.frame,
        "outputs": len(rows.weight),
        "used": len(rows.weight),
        "method": method,
        "word_low": word.min,
        "word_high": word.max,
        "rows": rows.starts.size,
        "apart": int(known.below_zero),
    }
    bias, own = np.tile(layer.bias, rows.share), drops(node, known, source)
    shifts = node.shift(source) if own else cast.dropped(node.product_fracs(source))
    shifts = np.tile(shifts, rows.share)
    if own:
        dropped = np.tile(node.dropped(source), rows.share)
        fields |= _plain(rows, bias, shifts, constants)
        fields |= register_of(word, method, dropped, constants)
        fields["op"] = fields.pop("sums")
        return fields, f"stepwise in {word.format}"
    if plainly:
        fields |= _plain(rows, bias, shifts, constants)
        return fields, "plain loops"
    shifts = packing.fill_lanes(shifts, "edge")
    if method == instructions.CLAMPED:
        fields |= _clamped(rows, np.clip(bias, word.min, word.max), word.word, constants)
        lost = int((layer.bias != np.clip(layer.bias, word.min, word.max)).sum())
        fields["bias_overflows"] = lost * rows.positions
        text = "stepwise"
    else:
        fields |= _exact(rows, bias, known, constants)
        text = in_words(fields["extra"] > 0, fields["segments"])
        text += ", wrapped" * (method == instructions.WRAPPED)
        lanes, extra = packing.fill_lanes(bias), fields["extra"]
        return fields | leaving(node, known, method, shifts, lanes, extra, constants), text
    fields["shifts"] = constants.put(INT64, shifts)
    return fields, text


def leaving(
    node: FixedNode,
    known: Known,
    method: int,
    shifts: Places,
    bias: Places,
    extra: int,
    constants: Constants,
) -> Fields:
    """Say how sums that need no clamp become words; ``shifts`` and ``bias`` fill whole columns."""
    to = instructions.target(node.requantize)
    to = to.with_sign if known.below_zero else to
    rule = rounding.rule(shifts, to, known.total, extra)
    direct = method != instructions.WRAPPED and rule is not None
    if rule is None or not direct:
        rule = np.zeros(4 * shifts.size, np.int64)
    return {
        "leave": instructions.DIRECT if direct else instructions.STRIPS,
        "near": int(direct and rounding.near(shifts, bias, to)),
        "rule": constants.put(INT32, rule),
        "shifts": constants.put(INT64, shifts),
    }


def in_words(wide: bool, chunks: int) -> str:
    """Say how sums that need no clamp are computed."""
    return f"64-bit in {chunks} chunk{'s'[: chunks > 1]}" if wide else "plain 32-bit"


def method_of(known: Known, overflow: Overflow) -> int:
    """Say how sums meet their word: it holds them, wraps them in the end, or clamps each step."""
    if known.proved:
        return instructions.EXACT
    return instructions.WRAPPED if overflow is Overflow.WRAP else instructions.CLAMPED


def _extra(rows: Rows, known: Known) -> int | None:
    """Return how many bits more than 32 sums need, if so many parts as there may be allow it."""
    if fits(known.terms) and fits(known.total):
        return 0
    parts = len(rows.offsets) + 1  # each product one, at most, and the bias
    return rounding.extra_bits(max(-known.total[0], known.total[1]), parts)


def fits(ends: tuple[int, int]) -> bool:
    """Say whether all between these ends fit 32 bits."""
    return ends[0] >= -(2**31) and ends[1] < 2**31


def _plain(rows: Rows, bias: Array, shifts: Array, constants: Constants) -> Fields:
    return {
        "op": instructions.PLAIN,
        "weights": constants.put(INT16, rows.weight),
        "weights_size": rows.weight.size,
        "offsets": constants.put(INT64, rows.offsets),
        "offsets_size": rows.offsets.size,
        **dict.fromkeys(("cuts", "columns", "segments"), 0),
        "bias": constants.put(INT64, bias),
        "shifts": constants.put(INT64, shifts),
        "lanes": bias.size,
    }


def register_of(word: Accumulator, method: int, dropped: Places, constants: Constants) -> Fields:
    """Give the fields of sums that drop bits, beside those of plain loops."""
    if method == instructions.EXACT and not word.order_free:  # then no step is clamped, or wraps
        wraps = word.overflow is Overflow.WRAP
        method = instructions.WRAPPED if wraps else instructions.CLAMPED
    return {
        "sums": instructions.REGISTER,
        "method": method,
        "drops": constants.put(INT64, dropped),
        "drop_rounding": instructions.rounding_code(word.rounding),
        "casts": int(word.product is Product.CAST),
    }


def _exact(rows: Rows, bias: Array, known: Known, constants: Constants) -> Fields:
    extra = _extra(rows, known)
    assert extra is not None
    lift = _lift(rows) if FOURS and extra == 0 else None
    if lift is not None:
        fields = {"op": instructions.SUM_8, "extra": 0, "lift": lift}
        bias = bias - lift * rows.weight.sum(axis=1, dtype=np.int64)
        packed = packing.pack(rows.weight, rows.offsets, packing.FOUR)
        return fields | _packed(packed, bias.astype(np.int32), INT32, constants)  # modulo 2**32
    if extra == 0:
        packed = packing.pack(rows.weight, rows.offsets)
        return {"op": instructions.SUM_32, "extra": 0} | _packed(packed, bias, INT32, constants)
    kinds = rows.offsets % rows.features
    packed = packing.pack_chunks(rows.weight, rows.offsets, rows.low[kinds], rows.high[kinds])
    return {"op": instructions.SUM_64, "extra": extra} | _packed(packed, bias, INT64, constants)


def _lift(rows: Rows) -> int | None:
    """Return what makes bytes without a sign of all input words if weights have 8 bits, too."""
    low, high = int(rows.low.min()), int(rows.high.max())
    lift = packing.LIFT if low < 0 else 0
    suits = rows.weight.min() >= -128 and rows.weight.max() < 128
    return lift if suits and low + lift >= 0 and high + lift < 256 else None


def _clamped(rows: Rows, bias: Array, bits: int, constants: Constants) -> Fields:
    packed, steps = packing.pack_steps(
        rows.weight, rows.offsets, rows.features, _neighbourhood(rows.offsets)
    )
    narrow = packing.narrow_steps(bits)
    return {
        "op": instructions.CLAMP_32 if narrow else instructions.CLAMP_64,
        **_packed(packed, bias, INT32 if narrow else INT64, constants),
        "fine_weights": constants.put(INT16, steps.weights),
        "fine_weights_size": steps.weights.size,
        "fine_offsets": constants.put(INT64, steps.offsets),
        "fine_offsets_size": steps.offsets.size,
        "fine_cuts": constants.put(INT64, steps.cuts),
        "matrix": constants.put(INT16, steps.matrix),
        "matrix_k": steps.matrix.shape[0],
        "edges": constants.put(INT64, steps.edges),
        "kinds": constants.put(INT64, steps.kinds),
        "features": steps.features,
    }


def _packed(packed: packing.Packed, bias: Array, dtype: str, constants: Constants) -> Fields:
    lanes = packing.fill_lanes(bias)
    return {
        "weights": constants.put(INT16, packed.weights),
        "weights_size": packed.weights.size,
        "offsets": constants.put(INT64, packed.offsets),
        "offsets_size": packed.offsets.size,
        "cuts": constants.put(INT64, packed.cuts),
        "columns": packed.cuts.shape[0],
        "segments": packed.cuts.shape[1] - 1,
        "bias": constants.put(dtype, lanes),
        "lanes": lanes.size,
    }


def _neighbourhood(offsets: Places) -> int:
    """Return how many k hold two words that are neighbours in memory, as most of them lie."""
    order = np.argsort(offsets)
    apart = np.abs(np.diff(order))[np.diff(offsets[order]) == 1]
    return 2 * max(1, int(np.median(apart))) if apart.size else 2
