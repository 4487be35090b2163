"""Layer normalisation: each vector by its own mean and variance, exact to the cast."""

import numpy as np

from fxpnn.network.layers import Array, LayerNorm
from fxpnn.network.norms import lifts
from fxpnn.targets.c.casts import cast
from fxpnn.targets.c.place import Constant, Place, Written
from fxpnn.targets.c.summed import fits
from fxpnn.targets.c.text import index, loop

WIDE = -(1 << 61), 1 << 61


def layer_norm(place: Place, layer: LayerNorm) -> Written:
    """Write sums, the root of the variance, and the quotients of each vector.

    The cast drops two bits or more: the last one tells of a rest as well as a rest would.
    """
    step, n = place.step, len(layer.gamma)
    source, fmt, fracs = step.sources[0].format, step.format, step.node.fracs(len(layer.gamma))
    up = lifts(source, fracs, fmt)
    gamma = place.constant("gamma", "int16_t", layer.gamma, "gamma")
    beta = _wide(place, layer.beta << up - source.frac)
    lift = place.constant("up", "int8_t", up, "bits that are added to a quotient")
    found = cast(place, fracs + up - fmt.frac, WIDE, f"Cast a scaled quotient to {fmt}.")
    rows = step.size // n
    o, i = ("o" if rows > 1 else "0"), ("i" if n > 1 else "0")
    at = index((o, n), (i, 1))
    known = len(set(up.tolist())) == 1
    added = str(up[0]) if known else f"up[{i}]"
    body = [
        "int64_t sum = 0, squares = 0;",
        *loop(i, n, [f"const int32_t v = x[{at}];", "sum += v;", "squares += (int64_t)v * v;"]),
        f"uint64_t square = (uint64_t)({n} * squares - sum * sum) + {int(layer.epsilon)}u;",
        "int64_t scale = 1;",
        "while (square >> 60 == 0) {",
        "    square *= 4;",
        "    scale *= 2;",
        "}",
        "const int64_t r = root(square);",
        *loop(
            i,
            n,
            [
                f"const int64_t scaled = ({n} * (int64_t)x[{at}] - sum) * gamma[{i}] * scale;",
                "int64_t whole = scaled / r, rest = scaled % r;",
                "if (rest < 0) {",
                "    rest += r;",
                "    whole--;",
                "}",
                f"rest *= (int64_t)1 << {added};",
                "const int64_t finer = rest / r;",
                f"int64_t exact = whole * ((int64_t)1 << {added}) + finer + beta[{i}];",
                "if (finer * r != rest && exact % 2 == 0) exact++;",
                f"y[{at}] = {found.of('exact', i)};",
            ],
        ),
    ]
    used = (gamma, beta, *(() if known else (lift,)), *found.constants)
    lines = [f"const {c.ctype} *{c.what} = {c.name};" for c in used]
    return Written([*found.code, *place.function([*lines, *loop(o, rows, body)])], used)


def _wide(place: Place, values: Array) -> Constant:
    word = "int32_t" if fits((int(values.min()), int(values.max()))) else "int64_t"
    return place.constant("beta", word, np.asarray(values), "beta, at the scale of what is cast")
