"""The assembler: a fixed network becomes a program for the interpreter.

Flatten, reshape and transpose cost nothing: a tensor knows at which word each value of its shape
lies, and a dense layer reads its words wherever they lie. ReLU and max pooling become part of the
sum before them.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fxpnn.engine import depthwise, matmul, norms, pairs, pools
from fxpnn.engine.emitter import Emitter, ordered
from fxpnn.engine.ends import EVERY_WORD, Ends
from fxpnn.engine.program import (
    BOOL,
    INT16,
    INT32,
    INT64,
    Fields,
    Kept,
    Places,
    Program,
    Tensor,
    whole_tiles,
)
from fxpnn.engine.sums import (
    Known,
    arithmetic,
    conv_rows,
    covers,
    dense_rows,
    in_words,
    only_plainly,
)
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.kernels.layout import instructions
from fxpnn.kernels.layout.depthwise import WIDE
from fxpnn.kernels.layout.instructions import INSTRUCTION, Code
from fxpnn.network import layers, memory_plan
from fxpnn.network.fixed import FixedNetwork, FixedNode
from fxpnn.network.layers import Shape
from fxpnn.network.lookup import response

GROUP_ROWS = 1920
"""Images whose rows are not more together are summed like one: each has its price."""


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


@dataclass
class _Assembler(Emitter):
    sums: Mapping[str, Known]
    keep: frozenset[str]
    plainly: bool
    tensors: dict[str, Tensor] = field(default_factory=dict)
    methods: dict[str, str] = field(default_factory=dict)
    starts: list[tuple[Places, bool]] = field(default_factory=list)

    def program(self, images: int, words: int | None) -> Program:
        """Walk the nodes in order; those that vanished in a sum are done already."""
        self.constants.allow(self.fixed)
        self.readers: dict[str, list[FixedNode]] = {}
        for node in self.fixed.nodes:
            for name in node.inputs:
                self.readers.setdefault(name, []).append(node)
        entering = {it.name: self._fresh(self.standard(it.shape)) for it in self.fixed.inputs}
        self.tensors |= entering
        last = {name: node.name for node in self.fixed.nodes for name in node.inputs}
        kept = {name: Kept.of(x) for name, x in entering.items() if name not in last}
        for node in self.fixed.nodes:
            if node.name not in self.tensors:
                self._node(node)
            for name in {node.name, *node.inputs}:
                if last.get(name, name) == node.name:
                    done = self.tensors.pop(name)  # the places of all would take much memory
                    if name in self.keep or name in entering:
                        kept[name] = Kept.of(done)
        plan = memory_plan.plan(self.sizes, self._uses(), {tensor.base for tensor in kept.values()})
        if words is not None:
            images = whole_tiles(max(1, min(images, words // plan.words)))
        begins = [begin * images for begin in plan.begins]
        code = self._code(begins, images)
        kept = {name: tensor._replace(base=begins[tensor.base]) for name, tensor in kept.items()}
        size = plan.words * images + WIDE  # vectors read words behind those they use
        pools, nodes = self.constants.pools(), tuple(self.numbers)
        inputs = self.fixed.inputs
        return Program(code, pools, images, size, inputs, kept, nodes, self.methods)

    def _uses(self) -> list[memory_plan.Use]:
        return [
            memory_plan.Use(
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
            if "group" in fields:
                starts, alone = self.starts[fields["starts"]]
                group = 1 if alone else max(1, min(images, GROUP_ROWS // starts.size))
                rows = np.arange(group)[:, None] * (fields["total"] or fields["x_words"]) + starts
                row["starts"], row["group"] = self.constants.put(INT64, rows), group
        return code

    def _node(self, node: FixedNode) -> None:
        layer, x = node.layer, self.tensors[node.inputs[0]]
        formats = [self.fixed.formats[name] for name in node.inputs]
        shape = self.fixed.shapes[node.name]
        match layer:
            case layers.Dense() | layers.Conv2D():
                y = self._sum(node, layer, x, formats[0])
            case layers.Flatten() | layers.Reshape():
                y = Tensor(x.base, x.words, x.places.reshape(shape))
            case layers.Transpose():
                y = Tensor(x.base, x.words, x.places.transpose(layer.order))
            case layers.MaxPool2D() | layers.AvgPool2D() | layers.L2Pool2D():
                y = self._pool(node, x, formats[0], shape)
            case layers.Softmax():
                y = self._softmax(node, layer, x, formats[0])
            case layers.LayerNorm():
                y = self._norm(node, layer, x, formats[0])
            case layers.PRelu():
                y = self._slope(node, layer, x, formats[0])
            case layers.MatMul():
                y = self._matmul(node, x, self.tensors[node.inputs[1]], formats)
            case layers.Add():
                y = self._pair(instructions.ADD, node, x, self.tensors[node.inputs[1]], formats)
            case layers.Mul():
                y = self._pair(instructions.MUL, node, x, self.tensors[node.inputs[1]], formats)
            case layers.Concat():
                y = self._concat(node, layer, formats, shape)
            case layers.Pad():
                y = self._pad(node, layer, x, shape)
            case layers.Slice():
                y = self._chosen(node, x, x.places[layer.places(x.places.ndim)])
            case layers.Take():
                y = self._chosen(node, x, x.places.take(layer.places, layer.axis))
            case _:
                y = self._look_up(node, x, formats[0])
        self.tensors[node.name] = y

    def _sum(
        self, node: FixedNode, layer: layers.Dense | layers.Conv2D, x: Tensor, fmt: QFormat
    ) -> Tensor:
        known = self.sums[node.name]
        apart = None if self.plainly else depthwise.fields(node, x, known, fmt, self.constants)
        if apart is not None:
            return self._depthwise(node, x, apart)
        if isinstance(layer, layers.Dense) or covers(layer, x):
            rows = dense_rows(layer, x, known.inputs)
        else:
            x = self._standard(node, x)
            rows = conv_rows(layer, x, known.inputs)
        plainly = self.plainly or only_plainly(node, rows, known, fmt)
        share = None if covers(layer, x) or plainly else rows.share
        last, ends, taps = self._followers(node, share)
        fields, self.methods[node.name] = arithmetic(
            node, rows, known, fmt, self.constants, plainly
        )
        if taps is not None:
            fields |= {**self._windows(taps), "outputs": len(layer.weight)}
        fields["starts"] = len(self.starts)
        alone = "total" in fields and fields["op"] != instructions.SUM_8
        self.starts.append((rows.starts, taps is not None or alone))
        y = self._fresh(self.standard(self.fixed.shapes[last.name]))
        op = fields.pop("op")
        absent = dict.fromkeys(instructions.ABSENT, 0)  # unless the layer has them
        self._emit(op, node, x, y, **absent | fields, **ends._asdict())
        return self._stand_for(y, node, last)

    def _depthwise(self, node: FixedNode, x: Tensor, fields: Fields) -> Tensor:
        x = self._standard(node, x)
        last, ends, _ = self._followers(node)
        self.methods[node.name] = in_words(bool(fields["near"]), fields["segments"])
        y = self._fresh(self.standard(self.fixed.shapes[last.name]))
        self._emit(instructions.DEPTHWISE, node, x, y, **fields, **ends._asdict())
        return self._stand_for(y, node, last)

    def _stand_for(self, y: Tensor, node: FixedNode, last: FixedNode) -> Tensor:
        """Return a node's tensor, which is that of all up to the last that became part of it."""
        while last is not node:
            self.tensors[last.name] = y
            last = self.fixed[last.inputs[0]]
        return y

    def _followers(
        self, node: FixedNode, share: int | None = None
    ) -> tuple[FixedNode, Ends, Places | None]:
        """Return the last node that becomes part of a cast, its ends, and a pool's windows.

        A pool becomes part only of rows that make ``share`` pixels, not None, and only if each of
        its windows has a pixel on the map: the loops know no least word to give instead.
        """
        # Sums that are counted apart below 0 are cast as signed ones, and raised to 0.
        last, ends, taps = node, EVERY_WORD._replace(least=node.output_format.min), None
        while last.name not in self.keep:
            readers = self.readers.get(last.name, [])
            if len(readers) != 1:
                break
            layer = readers[0].layer
            if not layer.traits.absorbed:
                break
            if isinstance(layer, layers.MaxPool2D):
                if share is None or taps is not None:
                    break
                taps = pools.taps(layer.window, self.fixed.shapes[last.name], share)
                if taps is None:
                    break
            else:
                ends = ends.within(*layer.ends())
            last = readers[0]
        return last, ends, taps

    def _windows(self, taps: Places) -> Fields:
        """Put where each window finds its pixels."""
        sizes = dict(zip(("pooled", "taps"), taps.shape, strict=True))
        return {"windows": self.constants.put(INT64, taps), **sizes}

    def _look_up(self, node: FixedNode, x: Tensor, fmt: QFormat) -> Tensor:
        answers = response(node, fmt)
        assert answers is not None, f"no way to run {node.op}"
        y = self._fresh(x.places)
        apart = node.name in self.fixed.rectified
        over = answers.over if apart else answers.over | answers.below
        fields = {"weights": self.constants.put(INT16, answers.raw)}
        for name, flags in (("flagged", over), ("fallen", answers.below & apart)):
            fields[name] = self.constants.put(BOOL, flags) if flags.any() else -1
        self._emit(instructions.LOOK_UP, node, x, y, **fields)
        return y

    def _slope(self, node: FixedNode, layer: layers.PRelu, x: Tensor, fmt: QFormat) -> Tensor:
        channels = len(layer.slope)
        shifts = node.shift(fmt)
        by_word = np.empty((2, x.words), np.int64)
        for row, values in zip(by_word, (layer.slope, shifts), strict=True):
            row[x.places.reshape(channels, -1)] = values[:, None]
        y = self._fresh(x.places)
        slopes, drops = (self.constants.put(INT64, row) for row in by_word)
        self._emit(instructions.SLOPE, node, x, y, weights=slopes, shifts=drops)
        return y

    def _pool(self, node: FixedNode, x: Tensor, fmt: QFormat, shape: Shape) -> Tensor:
        x = self._standard(node, x)
        y = self._fresh(self.standard(shape))
        words = None if self.plainly else pools.mean_windows(node, x.places.shape, fmt)
        if words is not None:
            fields = self._windows(words)
            self._emit(instructions.MEAN, node, x, y, **fields, channels=shape[0])
        else:
            fields = pools.pool(node, x.places.shape, shape, fmt)
            self._emit(instructions.POOL, node, x, y, **fields)
        return y

    def _softmax(self, node: FixedNode, layer: layers.Softmax, x: Tensor, fmt: QFormat) -> Tensor:
        classes, spans = x.places.shape[layer.axis], [(0, x.places.shape[layer.axis])]
        if isinstance(layer, layers.MaskedSoftmax):
            spans = [*layer.spans]
        x = self._vectors(node, x, layer.axis, in_turn=len(spans) > 1)
        assert node.table is not None
        fields = {"weights": self.constants.put(INT32, node.table), "weights_size": node.table.size}
        fields |= {"classes": classes, "shift": fmt.frac + 2, "spans_size": len(spans)}
        fields["spans"] = self.constants.put(INT64, np.array(spans, np.int64))
        op = instructions.SOFTMAX
        if node.softmax_shift is not None:
            op, fields["low"] = instructions.SHIFTED, node.softmax_shift
        y = self._fresh(x.places)
        self._emit(op, node, x, y, **fields)
        return y

    def _norm(self, node: FixedNode, layer: layers.LayerNorm, x: Tensor, fmt: QFormat) -> Tensor:
        x = self._vectors(node, x, -1)
        y = self._fresh(x.places)
        features = self.constants.put(INT64, norms.features(node, layer, fmt))
        fields = {"weights": features, "classes": len(layer.gamma), "epsilon": int(layer.epsilon)}
        self._emit(instructions.NORM, node, x, y, **fields)
        return y

    def _pair(
        self, op: int, node: FixedNode, a: Tensor, b: Tensor, formats: Sequence[QFormat]
    ) -> Tensor:
        if not a.lies_as(b.places):
            b = self._beside(node, a, b)
        y = self._fresh(a.places)
        fields = pairs.pair(op, formats, node.output_format)
        if self.plainly:
            fields["short"] = 0
        last, ends, _ = self._followers(node)
        fields |= {"other": b.base, "other_words": b.words, **ends._asdict()}
        self._emit(op, node, a, y, **fields)
        return self._stand_for(y, node, last)

    def _matmul(self, node: FixedNode, a: Tensor, b: Tensor, formats: Sequence[QFormat]) -> Tensor:
        """Multiply matrices: rows of ``a`` where they lie, if their words are neighbours."""
        rows, columns = matmul.matrices(a.places), matmul.matrices(b.places)
        if rows is None or rows.across != 1:
            a, rows = self._in_order(node, a)
        if columns is None:
            b, columns = self._in_order(node, b)
        sides, shapes = (rows, columns), (a.places.shape, b.places.shape)
        known = self.sums[node.name]
        fields, self.methods[node.name] = matmul.sums(
            node, sides, shapes, known, formats, self.constants, self.plainly
        )
        last, ends, _ = self._followers(node)
        fields["starts"] = len(self.starts)
        self.starts.append((np.arange(a.places.shape[-2]) * rows.down, True))
        y = self._fresh(ordered(self.fixed.shapes[last.name]))
        fields |= {"other": b.base, "other_words": b.words, **ends._asdict()}
        self._emit(instructions.MATMUL, node, a, y, **fields)
        return self._stand_for(y, node, last)

    def _beside(self, node: FixedNode, a: Tensor, b: Tensor) -> Tensor:
        """Return a tensor whose words meet those of ``a`` in order, moved and repeated if need be.

        One that repeats as a whole stays where it is.
        """
        order = pairs.order_beside(a, b)
        if pairs.repeats(order, b.words):
            return b
        y = self._fresh(a.places)
        self._move(node, b._replace(places=np.broadcast_to(b.places, a.places.shape)), y, y.places)
        return y

    def _concat(
        self, node: FixedNode, layer: layers.Concat, formats: Sequence[QFormat], shape: Shape
    ) -> Tensor:
        y, first = self._fresh(self.standard(shape)), 0
        for x, fmt in zip((self.tensors[n] for n in node.inputs), formats, strict=True):
            if fmt != node.output_format:
                x = self._look_up(node, x, fmt)
            joined = y.places.swapaxes(layer.axis, 0)
            size = x.places.shape[layer.axis]
            self._move(node, x, y, joined[first : first + size].swapaxes(layer.axis, 0))
            first += size
        return y

    def _pad(self, node: FixedNode, layer: layers.Pad, x: Tensor, shape: Shape) -> Tensor:
        y = self._fresh(self.standard(shape))
        self._emit(instructions.FILL, node, y, y, low=int(layer.value))
        self._move(node, x, y, y.places[layer.places(x.places.shape)])
        return y

    def _chosen(self, node: FixedNode, x: Tensor, places: Places) -> Tensor:
        """Copy the values that lie at some places, each as often as its place is named."""
        y = self._fresh(self.standard(places.shape))
        self._move(node, x._replace(places=places), y, y.places)
        return y
