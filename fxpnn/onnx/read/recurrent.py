"""Read recurrent operators, unrolled: each step of a sequence becomes layers of its own.

What the inputs add to the gates is one layer for all steps; what the state adds is a dense layer of
each step, whose weights all steps share. Layers that are one layer of the loop have the same
formats, and are known by its name.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from fxpnn.errors import ModelError
from fxpnn.network import layers
from fxpnn.network.budget import NODES
from fxpnn.network.layers import Concat, HardSigmoid, Layer, Reshape, Shape, Slice
from fxpnn.onnx.graph.normal import Op
from fxpnn.onnx.read.cells import KINDS, Kind, Loop, State
from fxpnn.onnx.read.linear import floats_of
from fxpnn.onnx.read.matmul import rows_by
from fxpnn.onnx.read.trace import Handler, Result, Trace, Value

ACTIVATIONS: Mapping[str, Callable[[float | None, float | None], Layer]] = {
    "relu": lambda alpha, beta: layers.Relu(),
    "tanh": lambda alpha, beta: layers.Tanh(),
    "sigmoid": lambda alpha, beta: layers.Sigmoid(),
    "softsign": lambda alpha, beta: layers.Softsign(),
    "softplus": lambda alpha, beta: layers.Softplus(),
    "leakyrelu": lambda alpha, beta: layers.LeakyRelu(_or(alpha, 0.01)),
    "hardsigmoid": lambda alpha, beta: HardSigmoid(_or(alpha, 0.2), _or(beta, 0.5)),
}
"""The layers of activations, of which ONNX spells the names in any case."""
PARAMETERS: Mapping[str, int] = {"leakyrelu": 1, "hardsigmoid": 2}
"""How many of ``activation_alpha`` and ``activation_beta`` an activation takes, if any."""
DIRECTIONS: Mapping[str, tuple[str, ...]] = {
    "forward": ("",),
    "reverse": ("",),
    "bidirectional": ("", ".reverse"),
}
"""What stands in the names of layers for each direction of a loop."""
REFUSED = {"clip": None, "input_forget": 0}
"""Attributes that change a cell to what fxpnn has not, unless they are left out or this."""
PEEPHOLES = 7
"""The input of a cell whose gates look at its state."""
OUTPUTS = (".Y", ".Y_h", ".Y_c")
"""The parts of names of an operator's outputs."""


def _or(value: float | None, default: float) -> float:
    return default if value is None else value


def _handler(kind: Kind) -> Handler:
    def handler(trace: Trace, op: Op) -> tuple[Value | None, ...]:
        """Give all hidden states, the last one, and the last cell's, where they are read."""
        layout = int(op.flag("layout"))
        x = _of_steps(trace, trace.pending(op, any_axis=True), layout)
        if len(x.shape) != 2 or x.axis != 1 - layout or x.outer:
            raise ModelError(
                f"must read one sequence of vectors for each image, these along axis {1 - layout}"
            )
        _check(trace, op, x)
        loops, x = _loops(trace, op, kind), replace(x, axis=0)
        initial = [_initial(trace, op, 5 + i, loops) for i in range(kind.states)]
        backward = op.get("direction", "forward") == "reverse"
        runs = []
        for i, loop in enumerate(loops):
            held = tuple(each[i] for each in initial)
            runs.append(_run(kind, loop, x, held, reverse=backward or i > 0))
        return _results(trace, op, runs, layout)

    return handler


def _check(trace: Trace, op: Op, x: Value) -> None:
    """Raise ``ModelError`` where an operator has what fxpnn has not."""
    for name, usual in REFUSED.items():
        if op.get(name, usual) != usual:
            raise ModelError(f"{name} must not be used, nor be {op.get(name)}")
    if op.has(PEEPHOLES):
        raise ModelError("peepholes (input P) must not be used")
    if op.has(4) and (trace.constant(op, 4) != _steps(x)).any():
        raise ModelError(f"sequence_lens must be the whole {_steps(x)} for all images")


def _of_steps(trace: Trace, x: Value, layout: int) -> Value:
    """Return a value whose images lie where a layout has them; of a single one any axis will do."""
    axis, full = 1 - layout, x.full(1)
    if trace.batch == 1 == full[axis] and len(full) == 3:
        return trace.relabelled(x, (*full[:axis], *full[axis + 1 :]), axis, 0)
    return trace.rows(x)


def _steps(x: Value) -> int:
    """Count the steps of a sequence."""
    return x.shape[0]


def _loops(trace: Trace, op: Op, kind: Kind) -> list[Loop]:
    """Return the loop of each direction."""
    direction = op.get("direction", "forward")
    if direction not in DIRECTIONS:
        raise ModelError(f"direction must be one of {', '.join(DIRECTIONS)}, not {direction}")
    parts = DIRECTIONS[direction]
    weight, state = (floats_of(trace.constant(op, i)) for i in (1, 2))
    rows = state.shape[1] if state.ndim == 3 else 0
    size = rows // kind.gates
    if not weight.ndim == state.ndim == 3 or not (
        weight.shape[:2] == state.shape[:2] == (len(parts), kind.gates * size)
        and state.shape[2] == size == op.get("hidden_size", size)
    ):
        raise ModelError(
            f"W and R must be ({len(parts)}, {kind.gates} * hidden_size, features), R's features "
            f"hidden_size, not {weight.shape} and {state.shape}"
        )
    trace.spend(4 * len(parts) * rows)
    biases = np.zeros((len(parts), 2 * rows))
    if op.has(3):
        given = floats_of(trace.constant(op, 3))
        if given.shape != biases.shape:
            raise ModelError(f"B must be {biases.shape}, not {given.shape}")
        biases = given.astype(np.float64)
    made = _activations(op, kind.activations * len(parts))
    each = len(kind.activations)
    return [
        Loop(trace, op, part, made[i * each : (i + 1) * each], weight[i], state[i], *halves)
        for i, part in enumerate(parts)
        for halves in [np.split(biases[i], 2)]
    ]


def _activations(op: Op, usual: Sequence[str]) -> tuple[Layer, ...]:
    """Return the layers of all activations; those that take parameters find theirs in order."""
    names = [str(name).lower() for name in op.get("activations") or usual]
    if len(names) != len(usual) or not ACTIVATIONS.keys() >= {*names}:
        raise ModelError(
            f"activations must be {len(usual)} of {', '.join(ACTIVATIONS)}, not {', '.join(names)}"
        )
    alphas, betas = ([*op.get(name, [])] for name in ("activation_alpha", "activation_beta"))
    made = []
    for name in names:
        takes = PARAMETERS.get(name, 0)
        alpha = alphas.pop(0) if takes > 0 and alphas else None
        beta = betas.pop(0) if takes > 1 and betas else None
        made.append(ACTIVATIONS[name](alpha, beta))
    return tuple(made)


def _initial(trace: Trace, op: Op, index: int, loops: Sequence[Loop]) -> list[Result]:
    """Return the state of each direction before the first step, the same for all images."""
    layout, hidden = int(op.flag("layout")), loops[0].hidden
    if not op.has(index):
        return [np.zeros(hidden) for _ in loops]
    given = trace.operand(op, index, any_axis=True)
    wanted = (len(loops), hidden)
    if isinstance(given, Value):
        given = _of_steps(trace, trace.settle(given), layout)
        if given.axis != 1 - layout or given.outer or given.shape != wanted:
            raise ModelError(f"its initial state must be {wanted} for each image")
        given = replace(given, axis=0)
        flat = trace.emit(op, Reshape((len(loops) * hidden,)), given, part=".start")
        cuts = [Slice(0, i * hidden, (i + 1) * hidden) for i in range(len(loops))]
        return [trace.emit(op, cut, flat, part=".start") for cut in cuts]
    states = given if layout == 0 or given.ndim != 3 else given.swapaxes(0, 1)
    if states.ndim != 3 or (len(states), states.shape[2]) != wanted or not states.shape[1]:
        raise ModelError(f"its initial state must be {wanted} for each image, not {given.shape}")
    if (states != states[:, :1]).any():
        raise ModelError("its initial state must be the same for all images")
    return [*states[:, 0].astype(np.float64)]


def _run(
    kind: Kind, loop: Loop, x: Value, state: State, *, reverse: bool
) -> tuple[list[Value], tuple[Value, ...]]:
    """Unroll a loop; return all its hidden states, in the sequence's order, and its last state."""
    bias, cell = kind.make(loop)
    trace, op, rows = loop.trace, loop.named("input"), len(loop.input)
    if x.shape[1] != loop.input.shape[1]:
        raise ModelError(f"must read vectors of {loop.input.shape[1]} values, not {x.shape[1]}")
    y = trace.transform(op, rows_by(trace, op, x, loop.input, -1), np.ones(1), bias[None, :])
    flat = trace.emit(op, Reshape((_steps(x) * rows,)), trace.settle(y), part=".flat")
    hidden, last = dict[int, Value](), tuple[Value, ...]()
    steps = range(_steps(x))
    for step in reversed(steps) if reverse else steps:

        def gates(name: str, first: int, count: int, at: int = step) -> Value:
            return loop.part_of(at, name, flat, at * (rows // loop.hidden) + first, count)

        state = last = cell(step, gates, state)
        hidden[step] = last[0]
        if len(trace.nodes) > NODES:
            raise ModelError(
                f"its {_steps(x)} steps must be at most {NODES} layers in all, as all of a network"
            )
    return [hidden[step] for step in steps], last


def _results(
    trace: Trace,
    op: Op,
    runs: Sequence[tuple[list[Value], tuple[Value, ...]]],
    layout: int,
) -> tuple[Value | None, ...]:
    """Return the outputs: all hidden states, ``(steps, directions, hidden)``, and the last ones."""
    size = runs[0][0][0].shape[0]
    every = [
        value for values in zip(*(hidden for hidden, _ in runs), strict=True) for value in values
    ]
    lasts = zip(*(state for _, state in runs), strict=True)
    made: list[Value | None] = []
    for place, (values, lead) in enumerate(
        [(every, (len(every) // len(runs), len(runs))), *((last, (len(runs),)) for last in lasts)]
    ):
        if place >= len(op.outputs) or not trace.reads(op.outputs[place]):
            made.append(None)
            continue
        part = OUTPUTS[place]
        y = values[0]
        if len(values) > 1:
            y = trace.emit(op, Concat(), *values, part=f"{part}.all")
        shape: Shape = (*lead, size)
        y = trace.emit(op, Reshape(shape), y, part=part)
        made.append(replace(y, axis=0 if layout else len(lead)))
    return tuple(made)


HANDLERS: Mapping[str, Handler] = {name: _handler(kind) for name, kind in KINDS.items()}
