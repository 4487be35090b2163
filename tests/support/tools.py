"""Tests that need a tool of the system are skipped without it, but where CI has all of them.

``pytestmark = needs("verilator", "make")``, or ``@needs("yosys")`` above a test or a class.
"""

import os
import shutil

import pytest

REQUIRED = "FXPNN_REQUIRE_TOOLS"
"""The environment variable that, set to anything, makes a missing tool an error."""

PACKAGES = {
    "arm-none-eabi-gcc": "gcc-arm-none-eabi",
    "arm-none-eabi-nm": "binutils-arm-none-eabi",
    "arm-none-eabi-size": "binutils-arm-none-eabi",
    "clang": "clang",
    "clang++": "clang",
    "g++": "g++",
    "gcc": "gcc",
    "iverilog": "iverilog",
    "make": "make",
    "nm": "binutils",
    "qemu-system-arm": "qemu-system-arm",
    "size": "binutils",
    "verilator": "verilator",
    "vvp": "iverilog",
    "yosys": "yosys",
}
"""The package of Debian that has each tool."""


def needs(*tools: str) -> pytest.MarkDecorator:
    """Return the mark of tests that run these tools; the reason of a skip names the packages.

    Raises:
        LookupError: a tool is missing, and ``FXPNN_REQUIRE_TOOLS`` is set: nothing is collected.
    """
    packages = {tool: PACKAGES[tool] for tool in tools}
    missing = sorted({package for tool, package in packages.items() if shutil.which(tool) is None})
    reason = f"needs Debian's {' '.join(missing)}: apt-get install {' '.join(missing)}"
    if missing and os.environ.get(REQUIRED):
        raise LookupError(f"{REQUIRED} is set, and a test {reason}")
    return pytest.mark.skipif(bool(missing), reason=reason)
