"""What ``explain`` and ``report`` read: a fixed network, its float network, images to judge by."""

from pathlib import Path
from typing import NamedTuple

from fxpnn.analysis.matching import reference_matches
from fxpnn.datasets import Data
from fxpnn.errors import DataError
from fxpnn.network.fixed import FixedNetwork
from fxpnn.network.graph import Network
from fxpnn.network.layers import Array

from .console.terminal import note
from .options import Pixels
from .sources import DataSource, ModelSource, load_fixed, load_float, load_for, shapes_of


class Case(NamedTuple):
    """The networks and images, and where each came from; ``chosen_on`` is for ideal formats."""

    network: Network
    fixed: FixedNetwork
    images: Data
    chosen_on: Array | None
    model: ModelSource
    reference: ModelSource
    data: DataSource
    calibration: DataSource | None


def load(
    model: Path,
    reference: Path,
    data: str,
    labels: Path | None,
    calibration: str | None,
    allow_other_reference: bool,
    limit: int | None,
    pixels: Pixels,
    quiet: bool,
) -> Case:
    """Load what the options name; the float network scales pixels as the fixed one does.

    Raises:
        ModelError: a model cannot be used.
        DataError: data cannot be used, or the reference is not the file that the model came from,
            and none other is allowed.
    """
    fixed, model_source = load_fixed(model, pixels)
    network, reference_source = load_float(reference, shapes_of(fixed))
    network = network.with_scaling(fixed.scaling)
    if reference_matches(network, fixed) is False:
        other = f"{model} was quantized from another file than {reference}"
        if not allow_other_reference:
            raise DataError(f"{other}; --allow-other-reference takes it all the same")
        note(other, quiet)
    images, source = load_for(fixed, data, limit, pixels, labels=labels)
    chosen_on = chosen_source = None
    if calibration is not None:
        chosen, chosen_source = load_for(fixed, calibration, pixels=pixels)
        chosen_on = chosen.x
    return Case(
        network,
        fixed,
        images,
        chosen_on,
        model_source,
        reference_source,
        source,
        chosen_source,
    )
