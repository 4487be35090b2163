"""Run batches through a float network: scaling, memory, blocks, classes."""

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from fxpnn.errors import DataError
from fxpnn.network.graph import Network, Scaling
from fxpnn.network.images import check_images, check_names, logits_of
from fxpnn.network.inputs import split
from fxpnn.network.layers import Array
from fxpnn.network.rows import Images, as_rows
from fxpnn.reference.formulas import compute

BLOCK = 256
"""How many images ``predict`` runs at once: LeNet's largest temporary is then 20 MB."""


def scale(x: Array, scaling: Scaling, dtype: npt.DTypeLike = np.float32) -> Array:
    """Turn uint8 pixels into floats of ``dtype``; floats are scaled already and pass.

    Raises:
        DataError: the array holds neither.
    """
    if x.dtype.kind == "f":
        return x.astype(dtype, copy=False)
    if x.dtype != np.uint8:
        raise DataError(f"images must be uint8 pixels or scaled floats, not {x.dtype}")
    return scaling.apply(x, dtype)


def predict(
    network: Network,
    x: Images,
    *,
    keep: Iterable[str] | None = None,
    dtype: npt.DTypeLike = np.float32,
    block: int = BLOCK,
) -> dict[str, Array]:
    """Scale images and run them in blocks, so that only the kept results grow with their number.

    ``x``, ``(N, *input_shape)``, is as ``scale`` takes it. Give the nodes in ``keep``, by default
    the outputs.

    Raises:
        DataError: the images are none, or not of the network's shape or of a known dtype, or
            ``keep`` names no node.
    """
    names = tuple(network.outputs if keep is None else keep)
    x = as_rows(network, x)
    check_images(network, x)
    starts = range(0, len(x), block)
    parts = [
        forward(network, scale(x[i : i + block], network.scaling, dtype), dtype, names)
        for i in starts
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def classify(network: Network, x: Images, *, block: int = BLOCK) -> npt.NDArray[np.int64]:
    """Predict the class of each image: the first maximum of its logits, ``(N,)``."""
    name = logits_of(network)
    classes: npt.NDArray[np.int64] = predict(network, x, keep=[name], block=block)[name].argmax(-1)
    return classes


def forward(
    network: Network,
    x: Images,
    dtype: npt.DTypeLike = np.float32,
    keep: Iterable[str] | None = None,
) -> dict[str, Array]:
    """Run a batch of scaled floats, ``(N, *input_shape)``, and give the nodes in ``keep``.

    Those of several inputs are arrays by name, or rows (``network.rows``).

    By default these are the outputs; ``network.shapes`` keeps every node and the input.

    Raises:
        DataError: the images are none, or not of the network's shape, or no real numbers, or
            ``keep`` names no node.
    """
    wanted = set(network.outputs if keep is None else keep)
    check_names(network, wanted)
    found = steps(network, as_rows(network, x), dtype)
    return {name: values for name, values in found if name in wanted}


def steps(
    network: Network, x: Array, dtype: npt.DTypeLike = np.float32
) -> Iterator[tuple[str, Array]]:
    """Run a batch as ``forward`` does; give the input and every node, as soon as it is computed.

    A value is freed after the last node that reads it, unless who asked keeps it.
    """
    check_images(network, x)
    last_reader = {name: node.name for node in network.nodes for name in node.inputs}
    entered = network.normalisation
    x = np.asarray(x, dtype) if entered is None else entered.apply(x, dtype)
    values = split(network.inputs, x)
    yield from list(values.items())
    for node in network.nodes:
        output = compute(node.layer, *(values[name] for name in node.inputs))
        values[node.name] = output.astype(dtype, copy=False)
        del output
        yield node.name, values[node.name]
        for name in {node.name, *node.inputs}:
            if last_reader.get(name, name) == node.name:
                del values[name]
