"""What a user holds travels between processes, is copied, and prints in a few words."""

import copy
import multiprocessing
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import fxpnn
from fxpnn.engine.inference import ENGINE, prepared
from fxpnn.network.layers import Dense, Relu, Softmax

X = np.linspace(-1, 1, 20, dtype=np.float32).reshape(5, 4)


def small() -> tuple[fxpnn.Network, fxpnn.FixedNetwork]:
    """Build a 4-6-3 network and its integers."""
    rng = np.random.default_rng(3)
    layers = {
        "hidden": Dense(rng.normal(size=(6, 4)), rng.normal(size=6)),
        "relu": Relu(),
        "output": Dense(rng.normal(size=(3, 6)), rng.normal(size=3)),
        "softmax": Softmax(),
    }
    network = fxpnn.chain("small", (4,), layers)
    return network, fxpnn.quantize(network, X)


def words(fixed: fxpnn.FixedNetwork) -> list[int]:
    """Return the words that a network gives, in a process that may be another."""
    found: list[int] = fxpnn.infer(fixed, X).raw.tolist()
    return found


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda v: pickle.loads(pickle.dumps(v))]
)
def test_values_are_copied_and_pickled(again: Callable[[Any], Any]) -> None:
    """A network, its integers, an engine, a run and a report come back the same."""
    network, fixed = small()
    engine, run = fxpnn.Engine(fixed), fxpnn.infer(fixed, X)
    report = fxpnn.compare(network, fixed, X)
    assert (
        fxpnn.forward(again(network), X)["softmax"] == fxpnn.forward(network, X)["softmax"]
    ).all()
    assert words(again(fixed)) == run.raw.tolist()
    assert (again(engine)(X) == run.raw).all()
    other = again(run)
    assert (other.raw == run.raw).all()
    assert (other.predictions, dict(other.layers)) == (pytest.approx(run.predictions), run.layers)
    assert again(report) == report


def test_copies_stay_frozen() -> None:
    """Arrays and mappings of a copy are read-only as those of the value are."""
    network, fixed = small()
    value: Any
    for value in (copy.deepcopy(network), copy.deepcopy(fixed)):
        assert not value["hidden"].layer.weight.flags.writeable
        with pytest.raises(TypeError, match=r"^'mappingproxy' object does not support item"):
            value.shapes["x"] = (1,)


def test_a_spawned_process_computes_the_same() -> None:
    """A network that travels to a new process gives the same words there."""
    _, fixed = small()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(words, (fixed,)) == words(fixed)


def test_a_network_is_prepared_once() -> None:
    """Its engine is kept with it, whoever asks; a copy or a changed network has its own."""
    _, fixed = small()
    with ThreadPoolExecutor(4) as pool:
        engines = list(pool.map(prepared, [fixed] * 8))
    assert len(set(map(id, engines))) == 1
    assert prepared(fixed) is engines[0]
    for other in (replace(fixed, name="other"), copy.deepcopy(fixed)):
        assert ENGINE not in vars(other)
        assert prepared(other).fixed is other


def test_values_print_in_a_few_words() -> None:
    """No array and no address is printed, and a report says what was lost."""
    network, fixed = small()
    report = fxpnn.compare(network, fixed, X)
    engine, run = fxpnn.Engine(fixed), fxpnn.infer(fixed, X)
    values: tuple[Any, ...] = (network, fixed, fixed["hidden"], engine, run, report)
    for value in values:
        text = repr(value)
        assert len(text) < 1000, text
        assert " at 0x" not in text
        assert "\n" not in text
    assert repr(fixed["hidden"].layer) == "Dense(weight=int16[6, 4], bias=int64[6])"
    assert repr(report).startswith("Report(5 layers, accuracy float None, fixed None, loss None")


def test_a_report_is_a_table() -> None:
    """There is one dict for each layer, the input first."""
    network, fixed = small()
    rows = fxpnn.compare(network, fixed, X).to_dicts()
    assert [row["name"] for row in rows] == ["input", "hidden", "relu", "output", "softmax"]
    assert all(row.keys() == rows[0].keys() for row in rows)


@pytest.mark.parametrize("kind", [list, lambda x: x.astype(np.longdouble), lambda x: np.float32(1)])
def test_other_images_are_refused_everywhere(kind: Callable[[Any], Any]) -> None:
    """A list, long doubles and a scalar end in the package's own error, wherever they are given."""
    network, fixed = small()
    x = kind(X)
    engine = fxpnn.Engine(fixed)
    for action in (
        lambda: fxpnn.infer(fixed, x),
        lambda: engine(x),
        lambda: engine.run(x),
        lambda: fxpnn.compare(network, fixed, x),
        lambda: fxpnn.quantize(network, x),
    ):
        with pytest.raises(fxpnn.DataError, match=r"^images must be .*$"):
            action()


def test_labels_are_an_array() -> None:
    """A list of labels is refused in a line that says so."""
    network, fixed = small()
    message = r"^labels must be an array \(5,\), one per image, not a list$"
    with pytest.raises(fxpnn.DataError, match=message):
        fxpnn.compare(network, fixed, X, [0] * 5)  # type: ignore[arg-type] # what a user may pass
