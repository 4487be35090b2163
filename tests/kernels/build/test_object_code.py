"""A kernel's two object files, the block that it takes, and the function that they become."""

import numpy as np
import pytest
from llvmlite import binding

from fxpnn.kernels.build import object_code
from fxpnn.kernels.build.object_code import FLOAT, INTEGER, Array

IR = """
declare i32 @inner(i64*, i64)
define i32 @ENTRY(i64* %block, i64 %first) {
  %status = call i32 @inner(i64* %block, i64 %first)
  ret i32 %status
}
"""
INNER = """
define i32 @inner(i64* %block, i64 %first) {
  %given = load i64, i64* %block
  %sum = add i64 %given, %first
  %place = getelementptr i64, i64* %block, i64 1
  store i64 %sum, i64* %place
  %status = trunc i64 %first to i32
  ret i32 %status
}
"""


def compiled(source: str) -> bytes:
    """Make an object file of LLVM's language."""
    machine = object_code.target_machine()
    made: bytes = machine.emit_object(
        binding.parse_assembly(source.replace("ENTRY", object_code.ENTRY))
    )
    return made


@pytest.mark.parametrize("pair", [(b"", b""), (b"loop", b"entry"), (bytes(300), b"")])
def test_joined_object_files_are_split_again(pair: tuple[bytes, bytes]) -> None:
    """Both files come back, whatever they hold."""
    assert object_code.split(object_code.join(pair)) == pair


def test_the_argument_block_holds_all_arguments_but_the_first() -> None:
    """An integer as it is, a float as its bits, an array as its object; then room for results."""
    x = np.arange(3)
    place, results = object_code.block((int, float, Array("i8")), (-5, 0.1, x), FLOAT * 2)
    block = (INTEGER * 5).from_address(place)
    assert list(block) == [-5, int(np.array(0.1).view(np.int64)), id(x), 0, 0]
    results[1] = 2.5
    assert block[4] == np.array(2.5).view(np.int64)


def test_linked_files_are_one_function() -> None:
    """What one file calls stands in the other; 64-bit values pass whole."""
    function, linker = object_code.link((compiled(INNER), compiled(IR)), int)
    place, results = object_code.block((int,), (-(2**62),), INTEGER * 1)
    assert function(place, 2**40 + 7) == 7
    assert list(results) == [2**40 + 7 - 2**62]
    assert linker is not None
