"""A refused model names every kind of operator in the way, once, however many nodes there are."""

from tests.support.onnx_models import model, op, refuse


def test_nodes_of_one_kind_are_one_refusal() -> None:
    """Many nodes of a kind are counted, and the first is named."""
    erfs = [op("Erf", f"t{i - 1}" if i else "x", f"t{i}") for i in range(60)]
    refuse(
        model(*erfs, op("Elu", "t59", "y")),
        "Erf (60 nodes, first t0, opset 17): is not supported; "
        "Elu (node y, opset 17): is not supported",
    )


def test_operators_known_for_constants_alone_do_not_hide() -> None:
    """A layer norm written out names Pow and Sqrt too, which only constants may be given to."""
    refuse(
        model(
            op("ReduceMean", "x", "m", axes=[-1]),
            op("Sub", "x m", "d"),
            op("Pow", "d two", "s"),
            op("ReduceMean", "s", "v", axes=[-1]),
            op("Sqrt", "v", "r"),
            op("Div", "d r", "y"),
            weights={"two": 2.0},
            opset=13,
        ),
        "ReduceMean (node m, opset 13): axes must be those of maps or rows, 2 and on, not [-1]; "
        "Pow (node s, opset 13): is not supported; Sqrt (node r, opset 13): is not supported",
    )


def test_constants_behind_a_refused_shape_are_not_blamed() -> None:
    """What is computed from the shape of a refused tensor is a constant: it is not in the way."""
    refuse(
        model(
            op("Erf", "x", "e"),
            op("Shape", "e", "s"),
            op("Cast", "s", "f", to=1),
            op("Sqrt", "f", "r"),
            op("Add", "e r", "y"),
        ),
        "Erf (node e, opset 17): is not supported",
    )


def test_many_kinds_are_counted() -> None:
    """What would take too long a line is told by kinds and numbers."""
    kinds = ("Erf", "Elu", "Selu", "Abs", "Sin", "Cos", "Tan", "Ceil", "Sign", "Round")
    nodes = [op(kind, "x", kind) for kind in (*kinds, "Erf", "Softplus")]
    for i, node in enumerate(nodes):
        node.output[0] = f"t{i}"
    soft = op("Softmax", "x", "z", axis=0)
    joined = " ".join(f"t{i}" for i in range(12))
    listed = "2 Erf, " + ", ".join(f"1 {kind}" for kind in (*kinds[1:], "Softplus"))
    refuse(
        model(*nodes, soft, op("Sum", f"{joined} z", "y")),
        f"not supported: {listed}; Softmax (node z, opset 17): "
        "axis must be one of the 2 axes but the images', not 0",
    )


def test_reasons_give_way_to_kinds() -> None:
    """Where even reasons do not fit, every kind is still there, with its number."""
    long = "n" * 180
    refuse(
        model(
            op("Softmax", "x", "a", long, axis=0),
            op("ReduceMean", "x", "d", f"{long}2", axes=[1]),
            op("Erf", "x", "e", f"{long}3"),
            op("Sum", "a d e", "y"),
        ),
        "not supported: 1 Erf; not supported in this form: 1 Softmax, 1 ReduceMean",
    )
