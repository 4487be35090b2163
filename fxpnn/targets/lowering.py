"""The lowering: a fixed network as a list of steps and tensors, which every target reads.

A step computes one layer and casts once. ReLUs and clips behind it are its limits (``low`` and
``high``) where nothing else reads what they take; layers that relabel values, such as flatten, cost
nothing: their tensor is that of their input. So each target has fewer things to write than the
network has layers, and all targets have the same. Several inputs arrive as one row, which the first
steps part.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from fxpnn.errors import ModelError
from fxpnn.fixedpoint.interval import full
from fxpnn.fixedpoint.qformat import QFormat
from fxpnn.network import layers, memory_plan
from fxpnn.network.fixed import FixedNetwork, FixedNode, RawArray
from fxpnn.network.inputs import INPUT, FixedInput
from fxpnn.network.layers import Shape
from fxpnn.proofs.bounds import Proof, prove, prove_node

ROW = QFormat(16, 0)
"""The words of several inputs in a row, each as it is: steps give them their formats."""

RELABELS = layers.Flatten, layers.Reshape
"""The layers that move no value."""


@dataclass(frozen=True)
class Source:
    """What a step reads: the tensor that holds it, and its shape and format as the layer sees it.

    ``tensor`` is the name of the step that wrote it, or ``INPUT``: the image, which is a row of all
    words where inputs are several.
    """

    tensor: str
    shape: Shape
    format: QFormat


@dataclass(frozen=True)
class Step:
    """One layer, with the ReLUs and clips that are done with it.

    ``name`` is that of the last of these: the layer whose words the step gives. ``low`` and
    ``high`` are raw limits that it keeps behind its cast, the format's own where no layer sets
    narrower ones. ``rectified`` says that a clamp at 0 is no saturation but ``below_zero``.
    """

    name: str
    node: FixedNode
    joined: tuple[FixedNode, ...]
    sources: tuple[Source, ...]
    shape: Shape
    low: int
    high: int
    rectified: bool
    proof: Proof

    @property
    def format(self) -> QFormat:
        """Give the format of the words."""
        return self.node.output_format

    @property
    def reads(self) -> tuple[QFormat, ...]:
        """Give the formats of the words that it reads."""
        return tuple(source.format for source in self.sources)

    @property
    def limited(self) -> bool:
        """Tell whether limits behind the cast can change a word of the format."""
        return (self.low, self.high) != (self.format.min, self.format.max)

    @property
    def size(self) -> int:
        """Count the words."""
        return math.prod(self.shape)

    def shifts(self) -> RawArray:
        """Give how many bits the cast drops of a sum (negative: adds), for each output channel.

        Only a layer with a weight format has such sums or products.
        """
        return self.node.shift(*self.reads)


@dataclass(frozen=True)
class Lowering:
    """A network as steps; ``stored`` names, for each layer that has one, the tensor of its words.

    A layer that is joined to a later one has none: its words exist nowhere.
    """

    fixed: FixedNetwork
    steps: tuple[Step, ...]
    stored: Mapping[str, str]

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Name the tensors of the network's outputs, in its order."""
        return tuple(self.stored[name] for name in self.fixed.outputs)

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Count the words of each tensor, the input's too."""
        sizes = {INPUT: math.prod(self.fixed.image_shape)}
        return sizes | {step.name: step.size for step in self.steps}

    @cached_property
    def formats(self) -> dict[str, QFormat]:
        """Give the format of each tensor, the input's too."""
        entered = ROW if self.fixed.further else self.fixed.input_format
        return {INPUT: entered} | {step.name: step.format for step in self.steps}

    def memory(self, apart: Collection[str] = ()) -> "Memory":
        """Place the tensors in one memory, each for as long as a step needs it, but for ``apart``.

        The input is there before the first step, outputs stay behind the last one. A step writes
        over what it reads only value by value (the trait ``elementwise``), where nothing reads that
        later. The largest tensors are placed first: small ones then fill the gaps.
        """
        sizes = {name: 0 if name in apart else size for name, size in self.sizes.items()}
        names = sorted(sizes, key=lambda name: -sizes[name])
        number = {name: place for place, name in enumerate(names)}
        needs: list[tuple[tuple[str, ...], str, bool]] = [((INPUT,), INPUT, False)]
        for step in self.steps:
            over = step.node.layer.traits.elementwise
            over = over and not {step.name, step.sources[0].tensor} & {*apart}
            needs.append((tuple(source.tensor for source in step.sources), step.name, over))
        needs.append((self.outputs, self.outputs[0], False))
        uses = [
            memory_plan.Use(tuple(number[name] for name in reads), number[writes], over)
            for reads, writes, over in needs
        ]
        plan = memory_plan.plan([sizes[name] for name in names], uses, ())
        begins = dict(zip(names, plan.begins, strict=True))
        return Memory({name: begins[name] for name in sizes if name not in apart}, plan.words)


@dataclass(frozen=True)
class Memory:
    """Where each tensor begins, and how many words all take together."""

    offsets: Mapping[str, int]
    words: int


def lower(fixed: FixedNetwork, keep: Collection[str] = ()) -> Lowering:
    """Lower a network; the words of layers named in ``keep`` are stored, whatever reads them."""
    proofs, readers = prove(fixed), _readers(fixed)
    asked = {*fixed.outputs, *keep}
    steps = {step.name: step for step in _entering(fixed)}
    stored = {name: name for name in (INPUT, *steps)}
    for node in fixed.nodes:
        tensor = stored[node.inputs[0]]
        if isinstance(node.layer, RELABELS):
            stored[node.name] = tensor
            continue
        same = [name for name, holder in stored.items() if holder == tensor]
        hidden = tensor != INPUT and not asked.intersection(same)
        if limits(node) and hidden and sum(readers[name] for name in same) == len(same):
            steps[node.name] = _joined(steps.pop(tensor), node)
            for name in same:
                del stored[name]
        else:
            steps[node.name] = _step(fixed, node, stored, proofs[node.name])
        stored[node.name] = node.name
    return Lowering(fixed, tuple(steps.values()), stored)


def _entering(fixed: FixedNetwork) -> Iterator[Step]:
    """Give the steps that part a row of several inputs; one input is there as it is read."""
    if not fixed.further:
        return
    if any(it.name == INPUT for it in fixed.inputs):
        raise ModelError(
            f"no input of several must be called {INPUT!r}, as hardware calls the row of all"
        )
    row, start = fixed.image_shape, 0
    for it in fixed.inputs:
        yield _part(it, row, start)
        start += it.size


def _part(it: FixedInput, row: Shape, start: int) -> Step:
    layer, fmt = layers.Slice(0, start, start + it.size), it.format
    node = FixedNode(it.name, layer, (INPUT,), fmt)
    return Step(
        name=it.name,
        node=node,
        joined=(),
        sources=(Source(INPUT, row, fmt),),
        shape=(it.size,),
        low=fmt.min,
        high=fmt.max,
        rectified=False,
        proof=prove_node(node, [full(fmt, row)], [fmt]),
    )


def limits(node: FixedNode) -> tuple[int, int] | None:
    """Give the raw limits of a ReLU or clip, ``None`` for any other layer."""
    fmt = node.output_format
    match node.layer:
        case layers.Relu():
            return max(0, fmt.min), fmt.max
        case layers.Clip(low=low, high=high):
            return int(low), int(high)
    return None


def _readers(fixed: FixedNetwork) -> dict[str, int]:
    """Count how often each layer is read."""
    return Counter(name for node in fixed.nodes for name in node.inputs)


def _joined(step: Step, node: FixedNode) -> Step:
    low, high = limits(node) or (step.low, step.high)
    return replace(
        step,
        name=node.name,
        joined=(*step.joined, node),
        low=min(max(step.low, low), high),
        high=min(max(step.high, low), high),
    )


def _step(fixed: FixedNetwork, node: FixedNode, stored: Mapping[str, str], proof: Proof) -> Step:
    low, high = limits(node) or (node.output_format.min, node.output_format.max)
    sources = tuple(
        Source(stored[name], fixed.shapes[name], fixed.formats[name]) for name in node.inputs
    )
    return Step(
        name=node.name,
        node=node,
        joined=(),
        sources=sources,
        shape=fixed.shapes[node.name],
        low=low,
        high=high,
        rectified=node.name in fixed.rectified,
        proof=proof,
    )
