"""Functions of single values, of two, and those that a table holds."""

import math

import numpy as np

from fxpnn.network import layers, lookup
from fxpnn.network.curves import SELU_FRAC, SELU_SCALE
from fxpnn.network.layers import Layer
from fxpnn.targets.c.casts import Cast, cast, clamped, count, limits
from fxpnn.targets.c.place import Constant, Place, Written
from fxpnn.targets.c.text import Lines, function, nest, strides

WIDE = -(1 << 61), 1 << 61
TABLE_FRAC = lookup.TABLE_FRAC


def each(place: Place, value: str, before: Lines | tuple[()] = ()) -> Lines:
    """Write a layer of single values; ``value`` is made of ``v``, the word in its place."""
    shape = place.step.shape

    def body(where: str) -> Lines:
        return [f"const int32_t v = x[{where}];", *before, f"y[{where}] = {value};"]

    return place.function(nest(shape, [strides(shape)], body, "k"))


def relu(place: Place) -> Written:
    """Write a ReLU or clip that joined no other step."""
    keep = limits(place)
    shape = place.step.shape
    lines = nest(shape, [strides(shape)], lambda k: [f"y[{k}] = {keep.of(f'x[{k}]')};"], "k")
    return Written([*keep.code, *place.function(lines)])


def leaky_relu(place: Place, layer: layers.LeakyRelu) -> Written:
    """Write ``v >= 0 ? v : cast(v * slope)``."""
    low, slope, keep = place.bounds[0].limits[0], int(layer.slope), limits(place)
    ends = sorted((min(low, 0) * slope, 0))
    found = cast(place, place.step.shifts(), (ends[0], ends[1]), f"Cast a product with {slope}.")
    value = f"v >= 0 ? {keep.of('(int16_t)v')} : {found.of(f'v * {slope}')}"
    return Written([*keep.code, *found.code, *each(place, value)])


def prelu(place: Place, layer: layers.PRelu) -> Written:
    """Write the same with a slope for each channel."""
    low, keep, step = min(place.bounds[0].limits[0], 0), limits(place), place.step
    slopes = place.constant("slope", "int16_t", layer.slope, "slopes")
    ends = [low * int(end) for end in (layer.slope.min(), layer.slope.max())]
    found = cast(place, step.shifts(), (min(*ends, 0), max(*ends, 0)), "Cast a product.")
    channels, rest = step.shape[0], math.prod(step.shape[1:])

    def body(where: str, c: str) -> Lines:
        product = found.of(f"v * slope[{c}]", c)
        value = f"v >= 0 ? {keep.of('(int16_t)v')} : {product}"
        return [f"const int32_t v = x[{where}];", f"y[{where}] = {value};"]

    lines = [f"const {c.ctype} *{c.what} = {c.name};" for c in (slopes, *found.constants)]
    lines += nest((channels, rest), [(rest, 1), (1, 0)], body, "ck")
    code = [*keep.code, *found.code, *place.function(lines)]
    return Written(code, (slopes, *found.constants))


def absolute(place: Place) -> Written:
    """Write ``cast(|v|)``: only the least word can overflow."""
    low, high = place.bounds[0].limits
    shift = place.step.sources[0].format.frac - place.step.format.frac
    found = cast(place, shift, (0, max(-low, high)), "Cast a magnitude.")
    return Written([*found.code, *each(place, found.of("v < 0 ? -v : v"))])


def step(place: Place, layer: layers.Step) -> Written:
    """Write ``v >= threshold ? cast(1) : 0``; whether 1 overflows is known."""
    node, bounds = place.step.node, (place.step.low, place.step.high)
    raw, out = node.requantize.raw(1, 0)
    one, zero = (min(max(word, bounds[0]), bounds[1]) for word in (raw, 0))
    rises = f"v >= {int(layer.threshold)}"
    counts = [count(place, "saturations", rises)] if out and not node.clips_one else []
    return Written(each(place, f"{rises} ? {one} : {zero}", counts))


def hard_sigmoid(place: Place, layer: layers.HardSigmoid) -> Written:
    """Write ``cast(clip(v * alpha + beta, 0, 1))``."""
    frac = int(place.step.node.product_fracs(place.step.sources[0].format)[0])
    shift = frac - place.step.format.frac
    found = cast(place, shift, (0, 1 << frac), "Cast a sum that is cut at 0 and 1.")
    total = f"const int64_t sum = (int64_t)v * {int(layer.alpha)} + {int(layer.beta)};"
    value = found.of(f"({found.word}){clamped('sum', 0, 1 << frac)}")
    return Written([*found.code, *each(place, value, [total])])


def hard_swish(place: Place) -> Written:
    """Write ``cast(v * clip(v + 3, 0, 6) / 6)``, a sixth being an integer at F = 18."""
    source = place.step.sources[0].format
    frac = max(source.frac, 0)
    shift = 2 * frac + lookup.SIXTH_FRAC - place.step.format.frac
    found = cast(place, shift, WIDE, f"Cast a product; a sixth is {lookup.SIXTH}.")
    up = frac - source.frac
    lines = [
        f"const int64_t value = (int64_t)v * {1 << up}, more = value + {3 << frac};",
        f"const int64_t gate = {clamped('more', 0, 6 << frac)};",
    ]
    value = found.of(f"value * gate * {lookup.SIXTH}")
    return Written([*found.code, *each(place, value, lines)])


def look_up(place: Place) -> tuple[Lines, Constant, str]:
    """Write the function that follows the layer's table between its entries; give its name."""
    made, table = place.step.node.layer.traits.table, place.table()
    assert made is not None
    name, shift = f"{place.symbol}_look_up", 16 + made.steps - place.step.sources[0].format.frac
    last = f"if (index >= {made.segments}) return (int64_t)table[{made.segments}] * 65536;"
    lines = [f"const int32_t *table = {table.name};"]
    if made.above:
        lines = [f"const int32_t *table = {table.name} + (above ? {made.segments + 1} : 0);"]
    if shift > 16:
        lines += [f"const uint32_t index = a << {min(shift - 16, 11)};", last]
        lines.append("return (int64_t)table[index] * 65536;")
    else:
        moved = f"a << {shift}" if shift > 0 else f"a >> {min(-shift, 31)}"
        lines += [
            f"const uint32_t position = {moved if shift else 'a'}, index = position >> 16;",
            last,
            "const int64_t rise = table[index + 1] - table[index];",
            "return (int64_t)table[index] * 65536 + rise * (int32_t)(position & 65535);",
        ]
    head = f"static int64_t {name}(uint32_t a{', int above' if made.above else ''})"
    note = f"The table's function of a >= 0, at F = {TABLE_FRAC}: straight lines between entries."
    return function(head, lines, note), table, name


LESS_THAN_RELU = layers.Silu, layers.Gelu, layers.GeluTanh, layers.Mish
"""The curves of which a table holds what they lack of ReLU."""
MAGNITUDE = "(uint32_t)(v < 0 ? -v : v)"


def tabled(place: Place, layer: Layer) -> Written:
    """Write a function that a table gives of ``|v|``."""
    source, fmt = place.step.sources[0].format, place.step.format
    code, table, name = look_up(place)
    fine = TABLE_FRAC
    beside = [f"const int64_t g = {name}({MAGNITUDE});"]
    casts: list[Cast] = []
    if isinstance(layer, (*LESS_THAN_RELU, layers.Softplus)):
        fine = max(source.frac, TABLE_FRAC)
        side = ", v > 0" if isinstance(layer, layers.Mish) else ""
        scale = f" * {1 << (fine - TABLE_FRAC)}" if fine > TABLE_FRAC else ""
        beside = [
            f"const int64_t g = {name}({MAGNITUDE}{side}){scale};",
            f"const int64_t relu = (int64_t)(v > 0 ? v : 0) * {1 << (fine - source.frac)};",
        ]
    main = cast(place, fine - fmt.frac, WIDE, f"Cast a value at F = {fine} to {fmt}.")
    casts.append(main)
    match layer:
        case layers.Sigmoid():
            value = main.of(f"v < 0 ? {1 << TABLE_FRAC} - g : g")
        case layers.Tanh():
            value = main.of("v < 0 ? -g : g")
        case layers.Silu() | layers.Gelu() | layers.GeluTanh() | layers.Mish():
            value = main.of("relu - g")
        case layers.Softplus():
            value = main.of("relu + g")
        case _:
            note = f"Cast an input that is not negative to {fmt}."
            gain, frac = (SELU_SCALE, SELU_FRAC) if isinstance(layer, layers.Selu) else (1, 0)
            reach = 0, source.max * gain
            above = cast(place, source.frac + frac - fmt.frac, reach, note, suffix="keep")
            casts.append(above)
            beside = []
            kept = f"({above.word})v * {gain}" if gain > 1 else "v"
            value = f"v >= 0 ? {above.of(kept)} : {main.of(f'-{name}((uint32_t)-v)')}"
    lines = [line for each_cast in casts for line in each_cast.code]
    return Written([*code, *lines, *each(place, value, beside)], (table,))


def softsign(place: Place) -> Written:
    """Write ``cast(v / (1 + |v|))``, the quotient's magnitude cut to 46 fraction bits or fewer."""
    source, fmt = place.step.sources[0].format, place.step.format
    fine, frac = max(source.frac, 0), lookup.SIGN_FRAC + min(source.frac, 0)
    found = cast(place, frac - fmt.frac, WIDE, f"Cast a quotient at F = {frac} to {fmt}.")
    lines = [
        f"const int64_t a = (int64_t)(v < 0 ? -v : v) * {1 << (fine - source.frac)};",
        f"const int64_t quotient = a * {1 << frac} / ({1 << fine} + a);",
    ]
    return Written([*found.code, *each(place, found.of("v < 0 ? -quotient : quotient"), lines)])


def add(place: Place) -> Written:
    """Write ``cast(x0 + x1)``, both aligned to the finer fraction."""
    fracs = [source.format.frac for source in place.step.sources]
    fine = max(fracs)
    scales = [1 << (fine - frac) for frac in fracs]
    ends = [
        [end * scale for end in bounds.limits]
        for bounds, scale in zip(place.bounds, scales, strict=True)
    ]
    reach = ends[0][0] + ends[1][0], ends[0][1] + ends[1][1]
    found = cast(place, fine - place.step.format.frac, reach, f"Cast a sum at F = {fine}.")
    word = "int32_t" if max(-reach[0], reach[1]) < 1 << 31 else "int64_t"
    shape = place.step.shape

    def body(k: str) -> Lines:
        one, other = (
            f"({word})x{side}[{k}] * {scale}" if scale > 1 else f"({word})x{side}[{k}]"
            for side, scale in enumerate(scales)
        )
        return [f"y[{k}] = {found.of(f'{one} + {other}')};"]

    lines = nest(shape, [strides(shape)], body, "k")
    return Written([*found.code, *place.function(lines)])


def mul(place: Place) -> Written:
    """Write ``cast(x0 * x1)``; the second repeats along its axes of size 1."""
    one, other = (source.shape for source in place.step.sources)
    frac = sum(source.format.frac for source in place.step.sources)
    corners = [a * b for a in place.bounds[0].limits for b in place.bounds[1].limits]
    reach = min(corners), max(corners)
    found = cast(place, frac - place.step.format.frac, reach, f"Cast a product at F = {frac}.")
    pitches = np.where(np.array(other) > 1, strides(other), 0).tolist()

    def body(k: str, repeated: str) -> Lines:
        return [f"y[{k}] = {found.of(f'(int32_t)x0[{k}] * x1[{repeated}]')};"]

    lines = nest(one, [strides(one), pitches], body)
    return Written([*found.code, *place.function(lines)])
