"""The files of a network in C99: header, program, constants and a test."""

from collections.abc import Iterator

import fxpnn
from fxpnn.network.graph import INPUT
from fxpnn.targets.c import check, helpers
from fxpnn.targets.c.program import Program
from fxpnn.targets.c.text import Lines, comment, function, numbers, shape_text
from fxpnn.targets.identifiers import check_name
from fxpnn.targets.lowering import Lowering
from fxpnn.targets.vectors import Vectors


def write(lowering: Lowering, name: str, vectors: Vectors) -> dict[str, bytes]:
    """Return the files ``NAME.h``, ``NAME.c``, ``NAME_weights.c`` and ``NAME_test.c``.

    ``vectors`` are golden ones, which the test holds.

    Raises:
        FormatError: the name is none for C (``identifiers.check_name``).
        ModelError: there is no C for a layer.
    """
    program = Program(lowering, check_name(name))
    texts = {
        f"{name}.h": _header(program),
        f"{name}.c": _source(program),
        f"{name}_weights.c": _weights(program),
        f"{name}_test.c": [_title(program, "the test"), *check.program_of(program, vectors)],
    }
    return {file: ("\n".join(lines).rstrip() + "\n").encode() for file, lines in texts.items()}


def _title(program: Program, what: str) -> str:
    return comment(f"{program.lowering.fixed.name}: {what}; written by fxpnn {fxpnn.__version__}")


def _header(program: Program) -> Lines:
    name, upper, lowering = program.prefix, program.prefix.upper(), program.lowering
    guard = f"{upper}_H"
    words = {"INPUT": lowering.sizes[INPUT]}
    words |= {
        pointer.upper(): lowering.sizes[tensor]
        for pointer, tensor in zip(program.outputs, lowering.outputs, strict=True)
    }
    lines = [
        _title(program, "the header"),
        f"#ifndef {guard}",
        f"#define {guard}",
        "",
        "#include <stddef.h>",
        "#include <stdint.h>",
        "",
    ]
    for macro, default, note in (
        ("STATIC", 1, "0: the caller gives the scratch memory, and calls may be at the same time"),
        ("COUNT", 0, "1: overflows are counted, for all calls together"),
        ("TRACE", 0, f"1: {name}_trace, which is yours, is called behind each layer"),
    ):
        lines += [f"#ifndef {upper}_{macro}", f"#define {upper}_{macro} {default} {comment(note)}"]
        lines += ["#endif"]
    lines.append("")
    lines += [f"#define {upper}_{what}_WORDS {count}" for what, count in words.items()]
    lines += [
        f"#define {upper}_SCRATCH_WORDS {program.scratch}",
        f"#define {upper}_LAYERS {len(program.places)}",
        "",
        *(comment(f"{place.number}: {place.said}") for place in program.places),
        "",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
        comment(_formats(program)),
        *_prototype(program, ";"),
        "",
        f"#if {upper}_COUNT",
        comment("Adds that an accumulator clamped (or sums that it wrapped), words out of range,"),
        comment("and words that an unsigned format clamped at 0 where a ReLU would have done so."),
        f"typedef struct {{ uint64_t clamps, saturations, below_zero; }} {name}_counts;",
        f"extern {name}_counts {name}_count[{_rows(program)}];",
        "#endif",
        f"#if {upper}_TRACE",
        f"void {name}_trace(size_t layer, const int16_t *words, size_t count);",
        "#endif",
        "",
        *(f"extern {constant.declared};" for constant in program.constants),
        "",
        "#ifdef __cplusplus",
        "}",
        "#endif",
        "",
        "#endif",
    ]
    return lines


def _rows(program: Program) -> str:
    """Count the rows of counts; a network that only relabels has no layer, but C no empty array."""
    return f"{program.prefix.upper()}_LAYERS" if program.places else "1"


def _formats(program: Program) -> str:
    """Say what the words of the input and of the outputs mean."""
    lowering = program.lowering
    parts = [f"{shape_text(it.shape)} of {it.format}" for it in lowering.fixed.inputs]
    if lowering.fixed.further:
        named = zip(lowering.fixed.inputs, parts, strict=True)
        parts = [f"{it.name}: {part}" for it, part in named]
    said = [f"input is {' and behind it '.join(parts)}"]
    for pointer, name in zip(program.outputs, lowering.fixed.outputs, strict=True):
        fixed = lowering.fixed
        said.append(f"{pointer} is {shape_text(fixed.shapes[name])} of {fixed.formats[name]}")
    return f"{', '.join(said)}; they must not overlap"


def _prototype(program: Program, end: str) -> Lines:
    pointers = ", ".join(f"int16_t *{output}" for output in program.outputs)
    head = f"void {program.prefix}_infer(const int16_t *input, {pointers}"
    return [
        f"#if {program.prefix.upper()}_STATIC",
        f"{head}){end}",
        "#else",
        f"{head}, int16_t *scratch){end}",
        "#endif",
    ]


def _source(program: Program) -> Lines:
    name, upper = program.prefix, program.prefix.upper()
    layers = [line for part in program.written for line in part.code]
    infer = _infer(program)
    text = "\n".join([*layers, *infer])
    lines = [_title(program, "the program"), f'#include "{name}.h"', ""]
    if "COUNT(" in text:
        counted = f"({name}_count[layer].what += (when) ? 1u : 0u)"
        lines += _switch(f"{upper}_COUNT", "COUNT(layer, what, when)", counted)
    traced = f"{name}_trace(layer, words, count)"
    lines += _switch(f"{upper}_TRACE", "TRACE(layer, words, count)", traced)
    lines += [f"#if {upper}_COUNT", f"{name}_counts {name}_count[{_rows(program)}];", "#endif", ""]
    lines += [helpers.NO_CALLS, *helpers.used(text), *layers]
    return [*lines, *infer, helpers.NO_CALLS_END]


def _switch(switch: str, macro: str, meaning: str) -> Lines:
    """Define a macro that does nothing where its switch is off."""
    off = f"#define {macro} ((void)0)"
    return [f"#if {switch}", f"#define {macro} {meaning}", "#else", off, "#endif", ""]


def _infer(program: Program) -> Lines:
    """Write the function that runs all layers, and what it does for a static memory."""
    upper, head = program.prefix.upper(), _prototype(program, "")
    memory, unused = list[str](), list[str]()
    if program.scratch:
        memory = [f"static int16_t scratch[{upper}_SCRATCH_WORDS];"]
    else:
        unused = [f"#if !{upper}_STATIC", "(void)scratch;", "#endif"]
    lines = [f"#if {upper}_STATIC", *memory, "#endif", ""] if memory else []
    return [*lines, *head, *function("", [*unused, *_calls(program)])[1:]]


def _calls(program: Program) -> Iterator[str]:
    pointers = program.pointers
    for place in program.places:
        step = place.step
        reads = "".join(f"{pointers[source.tensor]}, " for source in step.sources)
        yield f"{place.symbol}({reads}{pointers[step.name]});"
        yield f"TRACE({place.number}, {pointers[step.name]}, {step.size});"
    for pointer, tensor in zip(program.outputs, program.lowering.outputs, strict=True):
        if pointers[tensor] != pointer:
            yield f"copy({pointers[tensor]}, {pointer}, {program.lowering.sizes[tensor]});"


def _weights(program: Program) -> Lines:
    lines = [_title(program, "the constants"), f'#include "{program.prefix}.h"', ""]
    for constant in program.constants:
        lines += [comment(constant.note), f"{constant.declared} = {{"]
        lines += [*numbers(constant.values), "};", ""]
    return lines
