"""A network as a C program: its layers' functions, their constants, and where its tensors lie."""

from dataclasses import dataclass
from functools import cached_property, singledispatch

from fxpnn.errors import ModelError
from fxpnn.network import layers
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Layer
from fxpnn.targets import dump
from fxpnn.targets.c import matmul, moves, norms, pools, products, softmax, values
from fxpnn.targets.c.place import Constant, Place, Written, bounds
from fxpnn.targets.lowering import Lowering


@singledispatch
def written(layer: Layer, place: Place) -> Written:
    """Write a layer.

    Raises:
        ModelError: there is no C for its kind.
    """
    node = place.step.node
    raise ModelError(f"layer {node.name} ({node.op}): must be of a kind that C is written for")


@written.register
def _dense(layer: layers.Dense, place: Place) -> Written:
    return products.dense(place, layer)


@written.register
def _conv2d(layer: layers.Conv2D, place: Place) -> Written:
    if products.covers(layer, place.step.sources[0].shape):
        return products.dense(place, layer)
    return products.convolution(place, layer)


@written.register
def _max_pool(layer: layers.MaxPool2D, place: Place) -> Written:
    return pools.max_pool(place, layer)


@written.register
def _avg_pool(layer: layers.AvgPool2D, place: Place) -> Written:
    return pools.avg_pool(place, layer)


@written.register
def _l2_pool(layer: layers.L2Pool2D, place: Place) -> Written:
    return pools.l2_pool(place, layer)


@written.register
def _relu(layer: layers.Relu | layers.Clip, place: Place) -> Written:
    return values.relu(place)


@written.register
def _leaky_relu(layer: layers.LeakyRelu, place: Place) -> Written:
    return values.leaky_relu(place, layer)


@written.register
def _prelu(layer: layers.PRelu, place: Place) -> Written:
    return values.prelu(place, layer)


@written.register
def _abs(layer: layers.Abs, place: Place) -> Written:
    return values.absolute(place)


@written.register
def _step(layer: layers.Step, place: Place) -> Written:
    return values.step(place, layer)


@written.register
def _hard_sigmoid(layer: layers.HardSigmoid, place: Place) -> Written:
    return values.hard_sigmoid(place, layer)


@written.register
def _hard_swish(layer: layers.HardSwish, place: Place) -> Written:
    return values.hard_swish(place)


@written.register
def _tabled(
    layer: layers.Sigmoid | layers.Tanh | layers.Silu | layers.Elu | layers.Softplus, place: Place
) -> Written:
    return values.tabled(place, layer)


@written.register
def _curved(
    layer: layers.Gelu | layers.GeluTanh | layers.Mish | layers.Selu, place: Place
) -> Written:
    return values.tabled(place, layer)


@written.register
def _softsign(layer: layers.Softsign, place: Place) -> Written:
    return values.softsign(place)


@written.register
def _softmax(layer: layers.Softmax, place: Place) -> Written:
    return softmax.softmax(place, layer)


@written.register
def _layer_norm(layer: layers.LayerNorm, place: Place) -> Written:
    return norms.layer_norm(place, layer)


@written.register
def _matmul(layer: layers.MatMul, place: Place) -> Written:
    return matmul.product(place, layer)


@written.register
def _add(layer: layers.Add, place: Place) -> Written:
    return values.add(place)


@written.register
def _mul(layer: layers.Mul, place: Place) -> Written:
    return values.mul(place)


@written.register
def _quantize(layer: layers.Quantize, place: Place) -> Written:
    return moves.quantize(place)


@written.register
def _concat(layer: layers.Concat, place: Place) -> Written:
    return moves.concat(place, layer)


@written.register
def _pad(layer: layers.Pad, place: Place) -> Written:
    return moves.pad(place, layer)


@written.register
def _slice(layer: layers.Slice, place: Place) -> Written:
    return moves.cut(place, layer)


@written.register
def _take(layer: layers.Take, place: Place) -> Written:
    return moves.take(place, layer)


@written.register
def _transpose(layer: layers.Transpose, place: Place) -> Written:
    return moves.transpose(place, layer)


@dataclass(frozen=True)
class Program:
    """The steps of a lowering as C functions.

    ``prefix`` begins every name that other files see.
    """

    lowering: Lowering
    prefix: str

    @cached_property
    def places(self) -> tuple[Place, ...]:
        """Give each step its symbol: the name that its files have in a dump."""
        symbols = dump.file_stems(self.lowering.fixed)
        known: dict[tuple[str, bytes], Constant] = {}
        return tuple(
            Place(
                step=step,
                number=number,
                symbol=symbols[step.name],
                prefix=self.prefix,
                bounds=tuple(bounds(self.lowering, source) for source in step.sources),
                known=known,
            )
            for number, step in enumerate(self.lowering.steps)
        )

    @cached_property
    def written(self) -> tuple[Written, ...]:
        """Write each step."""
        return tuple(written(place.step.node.layer, place) for place in self.places)

    @cached_property
    def constants(self) -> tuple[Constant, ...]:
        """Give the constants of all steps, each once: steps that hold the same share it."""
        every = [constant for part in self.written for constant in part.constants]
        return tuple({constant.name: constant for constant in every}.values())

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Name the pointers to which the outputs are written."""
        count = len(self.lowering.outputs)
        return ("output",) if count == 1 else tuple(f"output_{place}" for place in range(count))

    @cached_property
    def scratch(self) -> int:
        """Count the words of memory that the network needs beside its input and outputs."""
        return self.lowering.memory(self._apart).words

    @property
    def _apart(self) -> set[str]:
        return {INPUT, *self.lowering.outputs}

    @cached_property
    def pointers(self) -> dict[str, str]:
        """Say where each tensor lies: the first output of it, or a place in the scratch memory."""
        memory = self.lowering.memory(self._apart)
        found = {name: _at(offset) for name, offset in memory.offsets.items()}
        pairs = zip(self.lowering.outputs, self.outputs, strict=True)
        return found | dict(reversed(list(pairs))) | {INPUT: "input"}


def _at(offset: int) -> str:
    return f"scratch + {offset}" if offset else "scratch"
