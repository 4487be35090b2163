"""State dicts: the named parameters that frameworks save, from safetensors or ``.npz``.

Nothing in such a file is executed: a pickle, PyTorch's own format, is refused.
"""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.numpy import load

from fxpnn import files
from fxpnn.datasets.npz import is_zip, read_arrays
from fxpnn.errors import ModelError
from fxpnn.network.layers import Array

MAX_FILE = 1 << 28
"""Bytes; the parameters of the known architectures take less than 1 MiB."""


def load_state(path: Path | str) -> dict[str, Array]:
    """Read the parameters of a file; integers, which count batches, are left out.

    Raises:
        ModelError: the file is neither safetensors nor ``.npz``, damaged, or holds no floats.
        DataError: an ``.npz`` is damaged, or unpacks to too much.
    """
    path = Path(path)
    state = read_arrays(path) if is_zip(path) else _safetensors(path)
    floats = {name: array for name, array in state.items() if array.dtype.kind == "f"}
    if not floats:
        raise ModelError(f"{path}: must hold parameters, which are floats, not none")
    return floats


def _safetensors(path: Path) -> dict[str, Array]:
    content = files.read(path, MAX_FILE, ModelError)
    try:
        state: dict[str, Array] = load(content)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise ModelError(
            f"{path}: must be whole safetensors of float16, float32 or float64, or .npz, not cut, "
            f"damaged or a pickle ({reason})"
        ) from None
    return state
