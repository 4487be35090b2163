"""The C on a Cortex-M4 that QEMU simulates: every word, its instructions, its bytes."""

from pathlib import Path

import pytest

from fxpnn.network.layers import products
from fxpnn.targets.simulation import c, cortex_m, tools
from tests.support.tools import needs
from tests.targets.test_c_models import MODELS, golden

pytestmark = needs("arm-none-eabi-gcc", "qemu-system-arm")

PER_PRODUCT = {"mlp": 2.9, "lenet_relu": 4.8, "lenet": 6.2}
"""Instructions a product that none may exceed: those of gcc 12 at -O2, and a little."""
BYTES = {"mlp": (1_000, 220), "lenet_relu": (2_600, 11_760), "lenet": (4_000, 11_760)}
"""Bytes of code at -Os, and of scratch memory, that none may exceed."""


@pytest.mark.parametrize("name", MODELS)
def test_twenty_images(name: str, tmp_path: Path) -> None:
    """Every word and count is the engine's, and instructions (no cycles) are as few as they are."""
    lowering, wanted = golden(name, 20)
    found = cortex_m.simulate(lowering, name, wanted, tmp_path)
    assert found.differs is None
    assert found.counts == wanted.counts
    multiplied = sum(
        products(step.node.layer, step.shape, step.sources[0].shape) for step in lowering.steps
    )
    assert found.instructions is not None
    assert found.instructions / (20 * multiplied) <= PER_PRODUCT[name]


@needs("arm-none-eabi-size", "arm-none-eabi-nm")
@pytest.mark.parametrize("name", MODELS)
def test_code_is_small_and_calls_no_library(name: str, tmp_path: Path) -> None:
    """So many bytes at -Os; a Cortex-M4 needs no helper, an M0 those for 64 bits and divisions."""
    lowering, wanted = golden(name, 2)
    c.write_sources(lowering, name, wanted, tmp_path)
    log = tmp_path / "log"

    def compiled(core: str) -> set[str]:
        command = ["arm-none-eabi-gcc", "-std=c99", "-Os", "-ffreestanding", "-mthumb"]
        more = [f"-mcpu={core}", "-c", f"{name}.c", "-o", "it.o"]
        tools.run([*command, *more], tmp_path, log)
        asked = tools.run(["arm-none-eabi-nm", "-u", "it.o"], tmp_path, log).split()
        return {it for it in asked if not it.startswith(f"{name}_layer_")} - {"U"}

    assert all(it.startswith("__aeabi_") for it in compiled("cortex-m0"))
    assert compiled("cortex-m4") == set()
    text, data, bss = tools.run(["arm-none-eabi-size", "it.o"], tmp_path, log).split()[6:9]
    assert int(text) <= BYTES[name][0]
    assert (int(data), int(bss)) == (0, BYTES[name][1])
