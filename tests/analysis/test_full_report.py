"""The full report says what a comparison and an explanation say, and counts confusions."""

import pickle
from functools import cache

import msgspec
import numpy as np
import pytest

import fxpnn
from fxpnn import QFormat, Settings
from fxpnn.analysis.comparison import compare
from fxpnn.analysis.full_report import MATRIX, PICTURES, FullReport, _softmax, full_report
from fxpnn.analysis.intervals import paired_loss, wilson
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.graph import Network
from fxpnn.network.layers import Array, Dense, Flatten
from fxpnn.reference import classify
from tests.support.cli_runner import tiny

IMAGES = 300


@cache
def case() -> tuple[Network, FixedNetwork, Array, Array]:
    """Give a network of short outputs, and images of which it has some right."""
    network, x = tiny(), fxpnn.load_data("mnist").x[:IMAGES]
    y = classify(network, x)
    y[::3] = (y[::3] + 1) % 10
    return network, fxpnn.quantize(network, x, Settings(output=QFormat(6, 5))), x, y


@cache
def found() -> FullReport:
    """Report on it."""
    return full_report(*case())


def test_it_joins_comparison_and_explanation() -> None:
    """Value by value; all but the time."""
    network, fixed, x, y = case()
    compared, explained = compare(network, fixed, x, y), fxpnn.explain(network, fixed, x, y)
    for name in ("accuracy", "layers", "outputs", "softmax", "images", "scaling"):
        assert getattr(found(), name) == getattr(compared, name), name
    for name in ("given", "ideal", "ranking", "tried", "first_losses"):
        assert getattr(found(), name) == getattr(explained, name), name
    assert found().explained == explained.layers
    assert [one.flip for one in found().flipped] == [*explained.flipped[:PICTURES]]
    assert len(found().values) == len(found().layers)
    assert found().totals == fxpnn.inspect(fixed).totals


def test_intervals_are_of_the_counts() -> None:
    """The loss is that of images which only one network has right."""
    network, fixed, x, y = case()
    real, given = classify(network, x) == y, fxpnn.infer(fixed, x).predictions == y
    assert 0 < (given & ~real).sum() < (real & ~given).sum()
    assert found().reference_interval == wilson(int(real.sum()), IMAGES)
    assert found().fixed_interval == wilson(int(given.sum()), IMAGES)
    lost, gained = int((real & ~given).sum()), int((given & ~real).sum())
    assert found().loss_interval == paired_loss(lost, gained, IMAGES)


def test_confusions_are_counted() -> None:
    """One for one, of both networks."""
    network, fixed, x, y = case()
    confusion = found().confusion
    assert confusion is not None
    for cells, classes in (
        (confusion.reference, classify(network, x)),
        (confusion.fixed, fxpnn.infer(fixed, x).predictions),
    ):
        counted = np.zeros((10, 10), int)
        np.add.at(counted, (y, classes), 1)
        assert cells == tuple(map(tuple, counted.tolist()))


def test_flipped_images_have_both_shares() -> None:
    """The integers' own probabilities, and the float network's softmax, of every class."""
    network, fixed, x, _ = case()
    run = fxpnn.infer(fixed, x)
    assert run.probabilities is not None
    assert len(found().flipped) == PICTURES
    for one in found().flipped:
        floats = fxpnn.forward(network, network.scaling.apply(x[one.flip.index][None], np.float32))
        assert [share.label for share in one.shares] == [*range(10)]
        shares = [share.fixed for share in one.shares]
        assert shares == run.probabilities[one.flip.index].tolist()
        assert [share.reference for share in one.shares] == pytest.approx(
            floats["softmax"][0].tolist(), abs=1e-6
        )
        assert np.argmax(shares) == one.flip.fixed or shares.count(max(shares)) > 1


def test_the_same_on_any_number_of_threads() -> None:
    """To the byte of its JSON; and it pickles."""
    again = full_report(*case(), threads=1)
    assert msgspec.json.encode(again) == msgspec.json.encode(found())
    assert pickle.loads(pickle.dumps(again)) == found()


def test_without_labels_and_without_classes() -> None:
    """Flips need no labels; a network of no classes has neither."""
    network, fixed, x, _ = case()
    unlabelled = full_report(network, fixed, x)
    assert unlabelled.accuracy == replace_accuracy(found())
    for name in ("reference_interval", "fixed_interval", "loss_interval", "confusion"):
        assert getattr(unlabelled, name) is None
    assert unlabelled.flipped[0].flip.label is None

    layers = {"flatten": Flatten(), "sum": Dense(np.ones((1, 784)), np.zeros(1))}
    network = fxpnn.chain("sum", (1, 28, 28), layers)
    plain = full_report(network, fxpnn.quantize(network, x), x)
    assert plain.accuracy == type(plain.accuracy)()
    assert (plain.flipped, plain.confusion) == ((), None)


def replace_accuracy(report: FullReport) -> object:
    """Return what is known of accuracy without labels."""
    accuracy = report.accuracy
    return type(accuracy)(flips=accuracy.flips)


def test_many_classes_have_no_matrix_and_few_shares() -> None:
    """Of an image, the ten classes that either network gives most, in order."""
    network, x = tiny(MATRIX + 8), case()[2]
    fixed = fxpnn.quantize(network, x, Settings(output=QFormat(6, 5)))
    wide = full_report(network, fixed, x, classify(network, x))
    assert wide.confusion is None
    assert wide.flipped
    for one in wide.flipped:
        labels = [share.label for share in one.shares]
        assert len(labels) == 10
        assert labels == sorted(labels)
        assert {one.flip.reference, one.flip.fixed} <= {*labels}


def test_labels_that_are_no_class_have_no_row() -> None:
    """They are wrong for both, and counted as images."""
    network, fixed, x, y = case()
    odd = np.where(np.arange(len(y)) < 10, 77, y)
    confusion = full_report(network, fixed, x, odd).confusion
    assert confusion is not None
    assert sum(map(sum, confusion.fixed)) == IMAGES - 10


def test_logits_that_are_not_finite_have_no_share() -> None:
    """A page can only draw numbers."""
    logits = np.array([[np.inf, 0.0], [np.nan, 1.0], [0.0, 0.0]], np.float32)
    assert _softmax(logits).tolist() == [[0.0, 0.0], [0.0, 0.0], [0.5, 0.5]]
