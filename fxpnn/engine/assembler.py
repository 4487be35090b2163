"""The assembler: a fixed network becomes a program for the interpreter.

Flatten, reshape and transpose cost nothing: a tensor knows at which word each value of its shape
lies, and a dense layer reads its words wherever they lie. ReLU and max pooling become part of the
sum before them.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fxpnn.engine import workspace_plan
from fxpnn.engine.program import (
    BOOL,
    INT16,
    INT32,
    INT64,
    Constants,
    Fields,
    Places,
    Program,
    Tensor,
    standard_places,
)
from fxpnn.engine.sums import Known, arithmetic, conv_rows, covers, dense_rows, too_many_parts
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.kernels.layout import instructions, packing
from fxpnn.kernels.layout.instructions import INSTRUCTION, Code, target
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import (
    Add,
    AvgPool2D,
    Concat,
    Conv2D,
    Dense,
    Flatten,
    L2Pool2D,
    MaxPool2D,
    Mul,
    Pad,
    PRelu,
    Relu,
    Reshape,
    Shape,
    Softmax,
    Transpose,
    Window,
)
from fxpnn.network.lookup import response

NO_FLOOR = -(1 << 15)
GROUP_ROWS = 1920
"""Images whose rows are not more together are summed like one: each has its price."""
TILES = (40, 8, 1)
"""Multiples of the rows of a tile, which are 8, 5 or 2 by the machine."""


def assemble(
    fixed: FixedNetwork,
    sums: Mapping[str, Known],
    keep: Collection[str],
    images: int,
    words: int | None = None,
    plainly: bool = False,
) -> Program:
    """Assemble a program.

    Args:
        fixed: the network.
        sums: what is known of the sums of each layer that has an accumulator.
        keep: the tensors to be found in the workspace; others may vanish in what follows them.
        images: the most images of a block.
        words: the most words of a workspace that holds more than one image.
        plainly: compute sums by the plain loops.
    """
    program = _Assembler(fixed, sums, frozenset(keep) | {*fixed.outputs}, plainly)
    return program.program(images, words)


def _whole_tiles(images: int) -> int:
    """Round a number of images down, so that rows that are images fill the vector code's tiles."""
    rows = next(rows for rows in TILES if images >= rows)
    return images - images % rows


def _is_mean(window: Window) -> bool:
    """Say whether every window lies inside the map and holds a power of two of values."""
    count = math.prod(window.kernel)
    spare = not (any(window.padding) or window.ceil_mode)
    return spare and 2 <= count < 1 << 15 and count & (count - 1) == 0


def _taps(window: Window, made: Shape, share: int) -> Places | None:
    """Return where each window finds its pixels, or None where one has none on its map."""
    shape = (window.kernel, window.stride, window.padding[:2], window.dilation)
    pooled = window.output(made[1], made[2])
    return packing.pool_windows(shape, (made[1], made[2]), pooled, share, made[0])


@dataclass
class _Assembler:
    fixed: FixedNetwork
    sums: Mapping[str, Known]
    keep: frozenset[str]
    plainly: bool
    constants: Constants = field(default_factory=Constants)
    code: list[Fields] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    methods: dict[str, str] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)
    starts: list[tuple[Places, bool]] = field(default_factory=list)

    def program(self, images: int, words: int | None) -> Program:
        """Walk the nodes in order; those that vanished in a sum are done already."""
        self.numbers = {node.name: i for i, node in enumerate(self.fixed.nodes)}
        self.tensors[INPUT] = self._fresh(standard_places(self.fixed.input_shape))
        for node in self.fixed.nodes:
            if node.name not in self.tensors:
                self._node(node)
        kept = {n: t for n, t in self.tensors.items() if n in self.keep or n == INPUT}
        plan = workspace_plan.plan(
            self.sizes, self._uses(), {tensor.base for tensor in kept.values()}
        )
        if words is not None:
            images = _whole_tiles(max(1, min(images, words // plan.words)))
        begins = [begin * images for begin in plan.begins]
        code = self._code(begins, images)
        kept = {name: tensor._replace(base=begins[tensor.base]) for name, tensor in kept.items()}
        size = plan.words * images + 1  # one word more: sums read words in pairs
        pools, nodes = self.constants.pools(), tuple(self.numbers)
        return Program(code, pools, images, size, kept, nodes, self.methods)

    def _uses(self) -> list[workspace_plan.Use]:
        return [
            workspace_plan.Use(
                tuple(fields[end] for end in ("x", "other") if end in fields),
                fields["y"],
                fields["op"] == instructions.LOOK_UP,
            )
            for fields in self.code
        ]

    def _code(self, begins: Sequence[int], images: int) -> Code:
        """Write the instructions, now that it is known where tensors begin."""
        code = np.zeros(len(self.code), INSTRUCTION)
        for row, fields in zip(code, self.code, strict=True):
            for name, value in fields.items():
                row[name] = begins[value] if name in ("x", "y", "other") else value
            if "starts" in fields:
                starts, alone = self.starts[fields["starts"]]
                group = 1 if alone else max(1, min(images, GROUP_ROWS // starts.size))
                rows = np.arange(group)[:, None] * fields["x_words"] + starts
                row["starts"], row["group"] = self.constants.put(INT64, rows), group
        return code

    def _fresh(self, places: Places) -> Tensor:
        """Return a new tensor; its number stands for its place until all are known."""
        self.sizes.append(places.size)
        return Tensor(len(self.sizes) - 1, places.size, places)

    def _emit(self, op: int, node: FixedNode, x: Tensor, y: Tensor, **fields: int) -> None:
        cast = target(node.requantize)._asdict()
        ends = {"x": x.base, "x_words": x.words, "y": y.base, "y_words": y.words}
        common = {"op": op, "node": self.numbers[node.name], "least": NO_FLOOR}
        made = {**common, **ends, **cast, **fields}
        wanted = {*instructions.COMMON, *instructions.FIELDS_OF[op]}
        assert made.keys() == wanted, f"{node.op} must set {sorted(made.keys() ^ wanted)} or none"
        self.code.append(made)

    def _node(self, node: FixedNode) -> None:
        layer, x = node.layer, self.tensors[node.inputs[0]]
        formats = [self.fixed.formats[name] for name in node.inputs]
        shape = self.fixed.shapes[node.name]
        match layer:
            case Dense() | Conv2D():
                y = self._sum(node, layer, x, formats[0])
            case Flatten() | Reshape():
                y = Tensor(x.base, x.words, x.places.reshape(shape))
            case Transpose():
                y = Tensor(x.base, x.words, x.places.transpose(layer.order))
            case MaxPool2D() | AvgPool2D() | L2Pool2D():
                y = self._pool(node, layer, x, shape)
            case Softmax():
                y = self._softmax(node, layer, x, formats[0])
            case PRelu():
                y = self._slope(node, layer, x, formats[0])
            case Add():
                y = self._add(node, x, self.tensors[node.inputs[1]], formats)
            case Mul():
                y = self._multiply(node, x, self.tensors[node.inputs[1]], formats)
            case Concat():
                y = self._concat(node, layer, formats, shape)
            case Pad():
                y = self._pad(node, layer, x, shape)
            case _:
                y = self._look_up(node, x, formats[0])
        self.tensors[node.name] = y

    def _sum(self, node: FixedNode, layer: Dense | Conv2D, x: Tensor, fmt: QFormat) -> Tensor:
        known = self.sums[node.name]
        if isinstance(layer, Dense) or covers(layer, x):
            rows = dense_rows(layer, x, known.inputs)
        else:
            x = self._standard(node, x)
            rows = conv_rows(layer, x, known.inputs)
        plainly = self.plainly or too_many_parts(node, rows, known)
        pools = not covers(layer, x) and not plainly
        last, least, taps = self._followers(node, rows.share if pools else None)
        fields, self.methods[node.name] = arithmetic(
            node, rows, known, fmt, self.constants, plainly
        )
        if taps is not None:
            fields |= {**self._windows(taps), "outputs": len(layer.weight)}
        fields["starts"] = len(self.starts)
        self.starts.append((rows.starts, taps is not None or "total" in fields))
        y = self._fresh(standard_places(self.fixed.shapes[last.name]))
        op = fields.pop("op")
        absent = dict.fromkeys(instructions.ABSENT, 0)  # unless the layer has them
        self._emit(op, node, x, y, **absent | fields, least=least)
        while last is not node:
            self.tensors[last.name] = y
            last = self.fixed[last.inputs[0]]
        return y

    def _followers(
        self, node: FixedNode, share: int | None
    ) -> tuple[FixedNode, int, Places | None]:
        """Return the last node that becomes part of a sum, the floor, and a pool's windows.

        A pool becomes part only of rows that make ``share`` pixels, not None, and only if each of
        its windows has a pixel on the map: the loops know no least word to give instead.
        """
        last, least, taps = node, NO_FLOOR, None
        while last.name not in self.keep:
            readers = [n for n in self.fixed.nodes for name in n.inputs if name == last.name]
            if len(readers) != 1:
                break
            layer = readers[0].layer
            if isinstance(layer, Relu):
                least = 0
            elif isinstance(layer, MaxPool2D) and share is not None and taps is None:
                taps = _taps(layer.window, self.fixed.shapes[last.name], share)
                if taps is None:
                    break
            else:
                break
            last = readers[0]
        return last, least, taps

    def _windows(self, taps: Places) -> Fields:
        """Put where each window finds its pixels."""
        windows = self.constants.put(INT64, taps)
        sizes = {"pooled": taps.shape[0], "taps": taps.shape[1]}
        return {"windows": windows, **sizes}

    def _standard(self, node: FixedNode, x: Tensor) -> Tensor:
        """Return a tensor that lies as a fresh one, moved there if need be."""
        if x.standard:
            return x
        y = self._fresh(standard_places(x.places.shape))
        self._move(node, x, y, y.places)
        return y

    def _move(self, node: FixedNode, x: Tensor, y: Tensor, places: Places) -> None:
        """Copy the values of ``x`` to words of ``y``; the other words of ``y`` stay."""
        sources = np.full(y.words, -1)
        sources[places.reshape(-1)] = x.places.reshape(-1)
        self._emit(instructions.MOVE, node, x, y, offsets=self.constants.put(INT64, sources))

    def _look_up(self, node: FixedNode, x: Tensor, fmt: QFormat) -> Tensor:
        answers = response(node, fmt)
        assert answers is not None, f"no way to run {node.op}"
        y = self._fresh(x.places)
        flags = self.constants.put(BOOL, answers.over) if answers.over.any() else -1
        self._emit(
            instructions.LOOK_UP,
            node,
            x,
            y,
            weights=self.constants.put(INT16, answers.raw),
            flagged=flags,
        )
        return y

    def _slope(self, node: FixedNode, layer: PRelu, x: Tensor, fmt: QFormat) -> Tensor:
        channels = len(layer.slope)
        shifts = node.shift(fmt)
        by_word = np.empty((2, x.words), np.int64)
        for row, values in zip(by_word, (layer.slope, shifts), strict=True):
            row[x.places.reshape(channels, -1)] = values[:, None]
        y = self._fresh(x.places)
        slopes, drops = (self.constants.put(INT64, row) for row in by_word)
        self._emit(instructions.SLOPE, node, x, y, weights=slopes, shifts=drops)
        return y

    def _pool(
        self, node: FixedNode, layer: MaxPool2D | AvgPool2D | L2Pool2D, x: Tensor, shape: Shape
    ) -> Tensor:
        x, window = self._standard(node, x), layer.window
        y = self._fresh(standard_places(shape))
        if isinstance(layer, AvgPool2D) and not self.plainly and _is_mean(window):
            taps = _taps(window, x.places.shape, 1)
            assert taps is not None, "a window that needs no padding lies on its map"
            fields = self._windows(taps // packing.LANES * shape[0])
            self._emit(instructions.MEAN, node, x, y, **fields, channels=shape[0])
            return y
        kind = {
            MaxPool2D: instructions.MAX,
            AvgPool2D: instructions.AVERAGE,
            L2Pool2D: instructions.L2,
        }[type(layer)]
        counted = isinstance(layer, AvgPool2D) and layer.count_padding
        rim = window.padding if counted else (0, 0, 0, 0)
        names = ("kernel", "stride", "origin", "dilation")
        pairs = (window.kernel, window.stride, window.padding[:2], window.dilation)
        fields = {
            f"{n}_{a}": v
            for n, p in zip(names, pairs, strict=True)
            for a, v in zip("hw", p, strict=True)
        }
        fields |= {f"rim_{side}": v for side, v in zip("tlbr", rim, strict=True)}
        channels, height, width = x.places.shape
        fields |= {"channels": channels, "height": height, "width": width}
        fields |= {"pooled_h": shape[1], "pooled_w": shape[2], "low": node.output_format.min}
        self._emit(instructions.POOL, node, x, y, kind=kind, **fields)
        return y

    def _softmax(self, node: FixedNode, layer: Softmax, x: Tensor, fmt: QFormat) -> Tensor:
        classes = x.places.shape[layer.axis]
        vectors = np.moveaxis(x.places, layer.axis, -1).reshape(-1, classes)
        if not (vectors == vectors[:, :1] + np.arange(classes)).all():  # a vector is apart
            places = np.arange(x.words).reshape(vectors.shape)
            swapped = np.moveaxis(x.places, layer.axis, -1).shape
            y = self._fresh(np.moveaxis(places.reshape(swapped), -1, layer.axis))
            self._move(node, x, y, y.places)
            x = y
        assert node.table is not None
        fields = {"weights": self.constants.put(INT32, node.table), "weights_size": node.table.size}
        fields |= {"classes": classes, "shift": fmt.frac + 2}
        op = instructions.SOFTMAX
        if node.softmax_shift is not None:
            op, fields["low"] = instructions.SHIFTED, node.softmax_shift
        y = self._fresh(x.places)
        self._emit(op, node, x, y, **fields)
        return y

    def _add(self, node: FixedNode, a: Tensor, b: Tensor, formats: Sequence[QFormat]) -> Tensor:
        b = self._beside(node, a, b)
        finer = max(fmt.frac for fmt in formats)
        lift, other_lift = (finer - fmt.frac for fmt in formats)
        y = self._fresh(a.places)
        shift = finer - node.output_format.frac
        fields = {"other": b.base, "lift": lift, "other_lift": other_lift, "shift": shift}
        self._emit(instructions.ADD, node, a, y, **fields)
        return y

    def _multiply(
        self, node: FixedNode, a: Tensor, b: Tensor, formats: Sequence[QFormat]
    ) -> Tensor:
        b = self._beside(node, a, b)
        y = self._fresh(a.places)
        shift = sum(fmt.frac for fmt in formats) - node.output_format.frac
        self._emit(instructions.MUL, node, a, y, other=b.base, shift=shift)
        return y

    def _beside(self, node: FixedNode, a: Tensor, b: Tensor) -> Tensor:
        """Return a tensor whose values lie as those of ``a``, moved or repeated if need be."""
        if np.array_equal(a.places, b.places):
            return b
        y = self._fresh(a.places)
        self._move(node, b._replace(places=np.broadcast_to(b.places, a.places.shape)), y, y.places)
        return y

    def _concat(
        self, node: FixedNode, layer: Concat, formats: Sequence[QFormat], shape: Shape
    ) -> Tensor:
        y, first = self._fresh(standard_places(shape)), 0
        for name, fmt in zip(node.inputs, formats, strict=True):
            x = self.tensors[name]
            if fmt != node.output_format:
                x = self._look_up(node, x, fmt)
            joined = y.places.swapaxes(layer.axis, 0)
            size = x.places.shape[layer.axis]
            self._move(node, x, y, joined[first : first + size].swapaxes(layer.axis, 0))
            first += size
        return y

    def _pad(self, node: FixedNode, layer: Pad, x: Tensor, shape: Shape) -> Tensor:
        y = self._fresh(standard_places(shape))
        self._emit(instructions.FILL, node, y, y, low=int(layer.value))
        sides = zip(layer.pads, x.places.shape, strict=True)
        inner = tuple(slice(before, before + size) for (before, _), size in sides)
        self._move(node, x, y, y.places[inner])
        return y
