"""State dicts become networks: by shapes, by a mapping, and never by running what is in a file."""

import io
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from fxpnn.errors import DataError, FxpnnError, ModelError
from fxpnn.network.layers import Array
from fxpnn.training import parameters
from fxpnn.zoo.architectures import ARCHITECTURES, architecture
from fxpnn.zoo.conversion import Conversion, Origin, convert
from fxpnn.zoo.state_dict import load_state

MLP = "mlp-784-100-10"
LENET = {"c1": "conv1", "c3": "conv2", "c5": "fc1", "f6": "fc2", "output": "fc3"}


def ours(name: str) -> dict[str, Array]:
    """Draw parameters of an architecture, biases too."""
    wanted = parameters(architecture(name).network(3))
    rng = np.random.default_rng(3)
    return {key: rng.normal(size=array.shape).astype(np.float32) for key, array in wanted.items()}


def renamed(state: dict[str, Array], names: dict[str, str], **parts: str) -> dict[str, Array]:
    """Give layers other names, and parameters other last parts."""
    found = {}
    for key, array in state.items():
        layer, part = key.split(".")
        found[f"{names.get(layer, layer)}.{parts.get(part, part)}"] = array
    return found


def assert_same(made: Conversion, state: dict[str, Array]) -> None:
    """Assert that a conversion has exactly these parameters."""
    found = parameters(made.network)
    assert found.keys() == state.keys()
    for name, array in state.items():
        assert np.array_equal(found[name], array), name


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_layer_is_known_by_its_shape(name: str) -> None:
    """Whatever the names, and in whatever order: PyTorch's own, or fxpnn's."""
    state = ours(name)
    assert_same(convert(name, state), state)
    other = dict(reversed(renamed(state, {**LENET, "hidden": "net.0", "output": "net.2"}).items()))
    assert_same(convert(name, other), state)


def test_kernels_of_other_frameworks_are_turned() -> None:
    """Keras has (in, out) and (height, width, in, out); its names end otherwise."""
    state = ours("lenet5-relu")
    theirs = {}
    for key, array in state.items():
        layer, part = key.split(".")
        turned = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T
        theirs[f"{layer}/{'kernel' if part == 'weight' else part}:0"] = turned
    made = convert("lenet5-relu", theirs)
    assert_same(made, state)
    assert made.origins["f6.weight"] == Origin("f6/kernel:0", "transposed")
    assert made.origins["f6.bias"] == Origin("f6/bias:0")


def test_a_convolution_of_its_whole_input_may_be_a_matrix() -> None:
    """LeNet's c5 is often written as a dense layer of 400 inputs; c1 cannot be."""
    state = ours("lenet5")
    flat = {**state, "c5.weight": state["c5.weight"].reshape(120, 400)}
    made = convert("lenet5", flat)
    assert_same(made, state)
    assert made.origins["c5.weight"] == Origin("c5.weight", "reshaped")
    flat = {**state, "c1.weight": state["c1.weight"].reshape(6, 25)}
    with pytest.raises(ModelError, match=r"^c1\.weight must be among the parameters, as "):
        convert("lenet5", flat)


def test_a_bias_may_be_missing() -> None:
    """It is then 0, and has no origin; other floats become float32 where they are smaller."""
    state = ours(MLP)
    half = {name: array.astype(np.float16) for name, array in state.items() if "weight" in name}
    made = convert(MLP, half)
    found = parameters(made.network)
    assert not found["hidden.bias"].any()
    assert sorted(made.origins) == ["hidden.weight", "output.weight"]
    assert found["hidden.weight"].dtype == np.float32
    assert np.array_equal(found["hidden.weight"], half["hidden.weight"])


def test_names_without_a_layer_are_known_by_shape() -> None:
    """``W1`` and ``b1``, as many write them by hand."""
    state = ours(MLP)
    assert_same(
        convert(MLP, dict(zip(["W1", "b1", "W2", "b2"], state.values(), strict=True))), state
    )


def test_a_mapping_goes_before_shapes() -> None:
    """Of two parameters of one shape it says which; by layers, or by whole names."""
    state = ours(MLP)
    twice = {**renamed(state, {"hidden": "a", "output": "o"})}
    swapped = {**twice, "o.weight": state["output.weight"]}
    for mapping in (
        {"a": "hidden", "o": "output"},
        {"a.weight": "hidden.weight", "o.bias": "output.bias"},
    ):
        assert_same(convert(MLP, swapped, mapping), state)


REFUSED: list[tuple[dict[str, Any], dict[str, str], str]] = [
    ({"b.weight": np.ones((100, 784))}, {},
     "hidden.weight could be hidden.weight, b.weight; a mapping must say which"),
    ({"bn.gamma": np.ones(7)}, {},
     "mlp-784-100-10 must have a place for every parameter; it has none for bn.gamma"),
    ({"output.weight": np.ones((9, 100))}, {},
     "output.weight must be among the parameters, as (10, 100); there are hidden.weight "
     "(100, 784), hidden.bias (100,), output.weight (9, 100), output.bias (10,)"),
    ({}, {"hidden": "c1"},
     "the mapping must lead to one of hidden, output, not c1"),
    ({}, {"fc": "hidden"},
     "the mapping must start from one of hidden.weight, hidden.bias, output.weight, output.bias, "
     "or their layers, not fc"),
    ({}, {"hidden.bias": "output.bias"},
     "output.bias must be (10,), or that turned, not (100,) as hidden.bias"),
]  # fmt: skip


@pytest.mark.parametrize(("more", "mapping", "message"), REFUSED, ids=range(len(REFUSED)))
def test_what_does_not_fit_is_refused(
    more: dict[str, Array], mapping: dict[str, str], message: str
) -> None:
    """One line says which parameter, and what there is."""
    state = {**ours(MLP), **more}
    if "b.weight" in more:
        state = renamed(state, {"hidden": "a"})
        message = message.replace("could be hidden.weight", "could be a.weight")
    with pytest.raises(ModelError, match=f"^{re.escape(message)}$"):
        convert(MLP, state, mapping)


def test_parameters_must_be_finite() -> None:
    """The layer and the place are named."""
    state = ours(MLP)
    state["output.bias"] = np.array([0, np.nan, *[0] * 8], np.float32)
    with pytest.raises(
        ModelError, match=r"^layer output \(Dense\): bias\[1\] must be finite, not nan$"
    ):
        convert(MLP, state)


def test_an_architecture_must_be_known() -> None:
    """Its names are told."""
    with pytest.raises(ModelError, match=r"^architecture must be one of .*, not 'vgg'$"):
        convert("vgg", {})


# Files


def npz(state: dict[str, Any]) -> bytes:
    """Pack an archive."""
    file = io.BytesIO()
    np.savez_compressed(file, **state)
    return file.getvalue()


COUNTED = {"fc.weight": np.ones((2, 3), np.float32), "batches": np.array(7)}


@pytest.mark.parametrize("pack", [save, npz], ids=["safetensors", "npz"])
def test_floats_of_both_kinds_of_file_are_read(pack: Any, tmp_path: Path) -> None:
    """By their content, not by the file's name; counters of batches are left out."""
    path = tmp_path / "state"
    path.write_bytes(pack(COUNTED))
    state = load_state(path)
    assert list(state) == ["fc.weight"]
    assert np.array_equal(state["fc.weight"], COUNTED["fc.weight"])


def zipped(*members: tuple[str, bytes]) -> bytes:
    """Pack files."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (zipped(("model/data.pkl", b"\x80\x02.")), DataError,
         "must hold arrays (.npy) alone, not 'model/data.pkl'"),
        (b"\x80\x02}q\x00.", ModelError,
         "must be whole safetensors of float16, float32 or float64, or .npz, not cut, damaged or a "
         "pickle (...)"),
        (save({"n": np.array([1])}), ModelError,
         "must hold parameters, which are floats, not none"),
        (zipped(*((f"{i}.npy", bytes(1 << 26)) for i in range(3))), DataError,
         "must unpack to at most ... bytes, not 201326592"),
    ],
    ids=["zip of pickles", "pickle", "integers", "bomb"],
)  # fmt: skip
def test_files_that_are_no_state(
    content: bytes, error: type[FxpnnError], message: str, tmp_path: Path
) -> None:
    """Each is refused in one line; a pickle is not opened."""
    path = tmp_path / "state.pt"
    path.write_bytes(content)
    pattern = re.escape(f"{path}: {message}").replace(re.escape("..."), ".+")
    with pytest.raises(error, match=f"^{pattern}$"):
        load_state(path)


SEEDS = [save(COUNTED), npz(COUNTED)]


@given(
    seed=st.sampled_from(SEEDS),
    changes=st.lists(st.tuples(st.integers(0, 10**4), st.integers(0, 255)), max_size=4),
    cut=st.integers(0, 40),
)
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_files_end_in_one_line(
    seed: bytes, changes: list[tuple[int, int]], cut: int, tmp_path: Path
) -> None:
    """Changed or cut bytes are a state all the same, or one line that names the file."""
    content = bytearray(seed[: len(seed) - max(cut - 20, 0)])
    for place, byte in changes:
        content[place % len(content)] = byte
    path = tmp_path / "state"
    path.write_bytes(content)
    try:
        state = load_state(path)
    except FxpnnError as error:
        line = str(error)
    else:
        line = f"{path}: {len(state)} arrays"
        assert {array.dtype.kind for array in state.values()} == {"f"}
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
