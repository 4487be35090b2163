"""The test of an export: golden vectors in C, and a program that compares all it can."""

import numpy as np

from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Array
from fxpnn.targets.c.program import Program
from fxpnn.targets.c.text import Lines, block, comment, indent, literal, numbers
from fxpnn.targets.vectors import Vectors

PRIME, BASIS = 16777619, 2166136261
"""Those of the hash FNV-1a of 32 bits (Fowler, Noll, Vo), here of words and not of bytes."""


def checksum(words: Array) -> Array:
    """Hash rows of words, int16 ``(images, words)``, to uint32 ``(images,)``."""
    found = np.full(len(words), BASIS, np.uint32)
    for column in words.T:
        found = (found ^ column.astype(np.uint16)) * np.uint32(PRIME)
    return found


def program_of(program: Program, vectors: Vectors) -> Lines:
    """Write ``NAME_test.c``: status 0 where outputs agree; layers and counts, if switched on, too.

    What differs first is printed. Of each layer's words there is a checksum an image.
    """
    name, upper = program.prefix, program.prefix.upper()
    outputs = list(zip(program.outputs, program.lowering.outputs, strict=True))
    lines = [
        f'#include "{name}.h"',
        "#include <stdio.h>",
        "",
        f"enum {{ IMAGES = {vectors.images} }};",
        "",
        *_array("int16_t", "images", vectors.words[INPUT]),
    ]
    for pointer, tensor in outputs:
        lines += _array("int16_t", f"golden_{pointer}", vectors.words[tensor])
    lines += ["static unsigned long image;", "static int failed;", ""]
    if program.places:
        names = ", ".join(literal(place.step.name) for place in program.places)
        lines += [
            f"#if {upper}_TRACE || {upper}_COUNT",
            f"static const char *const names[{upper}_LAYERS] = {{{names}}};",
            "#endif",
            "",
            *_trace(program, vectors),
            *_counts(program, vectors),
        ]
    return [*lines, *_main(program)]


def _array(ctype: str, name: str, values: Array) -> Lines:
    head = f"static const {ctype} {name}[{values.size}] = {{"
    return [head, *numbers(values), "};", ""]


def _trace(program: Program, vectors: Vectors) -> Lines:
    name, upper = program.prefix, program.prefix.upper()
    sums = [checksum(vectors.words[place.step.name]) for place in program.places]
    return [
        f"#if {upper}_TRACE",
        comment("Of each image, a checksum (FNV-1a, of words) of each layer's words."),
        *_array("uint32_t", "checksums", np.stack(sums, axis=1)),
        f"void {name}_trace(size_t layer, const int16_t *words, size_t count)",
        "{",
        f"    uint32_t sum = {BASIS}u;",
        "    for (size_t k = 0; k < count; k++)",
        f"        sum = (sum ^ (uint32_t)(uint16_t)words[k]) * {PRIME}u;",
        f"    if (!failed && sum != checksums[image * {upper}_LAYERS + layer]) {{",
        '        printf("image %lu, layer %s: other words\\n", image, names[layer]);',
        "        failed = 1;",
        "    }",
        "}",
        "#endif",
        "",
    ]


def _counts(program: Program, vectors: Vectors) -> Lines:
    name, upper = program.prefix, program.prefix.upper()
    rows = []
    for place in program.places:
        it = vectors.counts[place.step.name]
        rows.append(f"    {{{it.accumulator_overflows}u, {it.saturations}u, {it.below_zero}u}},")
    differ = " || ".join(
        f"{name}_count[k].{field} != counts[k].{field}"
        for field in ("clamps", "saturations", "below_zero")
    )
    return [
        f"#if {upper}_COUNT",
        f"static const {name}_counts counts[{upper}_LAYERS] = {{",
        *rows,
        "};",
        "",
        "static void check_counts(void)",
        "{",
        *indent(
            block(
                f"for (size_t k = 0; k < {upper}_LAYERS; k++)",
                [
                    f"if (!failed && ({differ})) {{",
                    '    printf("layer %s: other counts\\n", names[k]);',
                    "    failed = 1;",
                    "}",
                ],
            )
        ),
        "}",
        "#endif",
        "",
    ]


def _main(program: Program) -> Lines:
    name, upper, sizes = program.prefix, program.prefix.upper(), program.lowering.sizes
    outputs = list(zip(program.outputs, program.lowering.outputs, strict=True))
    image = f"images + image * {upper}_INPUT_WORDS"
    pointers = ", ".join(program.outputs)
    lines = [f"static int16_t {pointer}[{sizes[tensor]}];" for pointer, tensor in outputs]
    lines += [
        f"#if !{upper}_STATIC",
        f"static int16_t scratch[{upper}_SCRATCH_WORDS + 1];",
        "#endif",
        "for (image = 0; image < IMAGES; image++) {",
        f"#if {upper}_STATIC",
        f"    {name}_infer({image}, {pointers});",
        "#else",
        f"    {name}_infer({image}, {pointers}, scratch);",
        "#endif",
    ]
    for pointer, tensor in outputs:
        size = sizes[tensor]
        got, wanted = f"{pointer}[k]", f"golden_{pointer}[image * {size} + k]"
        said = f'"image %lu, {pointer}[%lu]: got %d, not %d\\n"'
        check = [
            f"if (!failed && {got} != {wanted}) {{",
            f"    printf({said}, image, (unsigned long)k, {got}, {wanted});",
            "    failed = 1;",
            "}",
        ]
        lines += indent(block(f"for (size_t k = 0; k < {size}; k++)", check))
    lines.append("}")
    if program.places:
        lines += [f"#if {upper}_COUNT", "check_counts();", "#endif"]
    lines += [
        f'if (!failed) printf("{name}: %d images, all words as they must be\\n", IMAGES);',
        "return failed;",
    ]
    return ["int main(void)", "{", *indent(lines), "}"]
