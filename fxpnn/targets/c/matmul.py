"""Products of two tensors' matrices: the sums of a dense layer, whose weights are an input."""

from fxpnn.network.layers import MatMul, Shape
from fxpnn.proofs.sums import summed
from fxpnn.targets.c.place import Place, Written
from fxpnn.targets.c.products import divisions
from fxpnn.targets.c.sums import sums
from fxpnn.targets.c.text import Lines, block, index, loop, nest, strides


def product(place: Place, layer: MatMul) -> Written:
    """Write a loop over the matrices, and over the rows and columns of each."""
    one, other = (source.shape for source in place.step.sources)
    *_, rows, k = one
    columns, leading = other[-1], place.step.shape[:-2]
    _, terms = summed(layer, *place.bounds)
    found = sums(place, terms, divisions(k))
    i, j = ("row" if rows > 1 else "0"), ("column" if columns > 1 else "0")

    def body(y: str, x0: str, x1: str) -> Lines:
        def at(offset: str, *terms: tuple[str, int]) -> str:
            inner = index(*terms)
            return inner if offset == "0" else offset if inner == "0" else f"{offset} + {inner}"

        a, b = at(x0, (i, k), ("k", 1)), at(x1, ("k", columns), (j, 1))
        term = f"(int32_t)x0[{a}] * x1[{b}]"
        lines = [f"{found.word} sum = {found.start('0')};"]
        if found.part:
            end = f"part + {found.part}"
            if k % found.part:
                end = f"{k} - part < {found.part} ? {k} : {end}"
            some = block("for (size_t k = part; k < end; k++)", [f"some += {term};"])
            inner = ["int32_t some = 0;", f"const size_t end = {end};", *some, "sum += some;"]
            lines += loop("part", k, inner, found.part)
        else:
            lines += loop("k", k, [found.add("sum", term, "0")])
        lines.append(f"y[{at(y, (i, columns), (j, 1))}] = {found.cast.of('sum')};")
        return loop(i, rows, loop(j, columns, lines))

    pitches = [_pitches(shape, leading) for shape in (place.step.shape, one, other)]
    declared = [f"const {c.ctype} *{c.what} = {c.name};" for c in found.constants]
    code = place.function([*declared, *nest(leading, pitches, body)])
    return Written([*found.functions, *code], found.constants)


def _pitches(shape: Shape, leading: Shape) -> list[int]:
    """Say how far apart matrices lie along each leading axis; 0 where one repeats."""
    along = zip(shape, strides(shape), leading, strict=False)
    return [pitch if size == whole else 0 for size, pitch, whole in along]
