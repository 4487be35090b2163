"""What a design is tested with: a bench, golden vectors, and files that make and FuseSoC read."""

from collections.abc import Mapping, Sequence
from importlib import resources

from fxpnn.errors import one_line
from fxpnn.network.fixed import Counts
from fxpnn.network.graph import INPUT
from fxpnn.network.layers import Softmax
from fxpnn.targets import hexfiles, readmemh
from fxpnn.targets.lowering import Lowering
from fxpnn.targets.vectors import Vectors

MODULES = "fx_tb.v", "fx_golden.v", "fx_source.v", "fx_watch.v", "fx_stopwatch.v"
"""The bench: hand-written, the same for every design."""

VECTORS, CLASSES = "vectors.txt", "classes.hex"
_NAME_BYTES = 200
"""The bench keeps no more of a layer's name; the manifest has all of it."""


def write(
    lowering: Lowering,
    name: str,
    vectors: Vectors,
    design: Sequence[str],
    cycles: Mapping[str, int],
    image_cycles: int,
) -> dict[str, bytes]:
    """Write the files that test a design, by their names.

    ``design`` names the design's files: Verilog, ``NAME.v`` among it, and what its memories read;
    ``cycles`` are those that each step is predicted to take, ``image_cycles`` those of an image.
    """
    golden = hexfiles.golden(lowering, vectors) | {CLASSES: _classes(lowering, vectors)}
    verilog = [file for file in design if file.endswith(".v")]
    memories = [*(file for file in design if file.endswith(".hex")), *golden, VECTORS]
    rtl = resources.files("fxpnn.targets.rtl")
    texts = {
        f"{name}_tb.v": _top(lowering, name),
        VECTORS: _vectors(lowering, vectors, cycles, image_cycles),
        "Makefile": _makefile(name, verilog),
        f"{name}.core": _core(name, verilog, memories),
    }
    return (
        {module: rtl.joinpath(module).read_bytes() for module in MODULES}
        | {file: text.encode() for file, text in texts.items()}
        | golden
    )


def _vectors(
    lowering: Lowering, vectors: Vectors, cycles: Mapping[str, int], image_cycles: int
) -> str:
    """List what is compared: the input, every step, every output; ``fx_tb.v`` says the columns."""
    stems, offsets = hexfiles.stems(lowering.fixed), lowering.memory().offsets
    cycles = {INPUT: image_cycles, **cycles}
    patience = 4 * max(cycles.values()) + 1000  # streams that stall take four times as long
    lines = [f"{vectors.images} {patience}"]
    for tensor in (INPUT, *(step.name for step in lowering.steps), *lowering.outputs):
        fmt, counts = lowering.formats[tensor], vectors.counts.get(tensor, Counts())
        columns = (
            offsets[tensor],
            lowering.sizes[tensor],
            1 << (fmt.word - 1) if fmt.signed else 0,
            counts.accumulator_overflows,
            counts.saturations,
            counts.below_zero,
            cycles[tensor],
            f"{stems[tensor]}.hex",
        )
        shown = one_line(tensor).encode()[:_NAME_BYTES].decode("utf-8", "ignore")
        lines.append(f"{' '.join(map(str, columns))} {shown}")
    lines.append(f"0 1 0 0 0 0 0 {CLASSES} the class")
    return "\n".join(lines) + "\n"


def _classes(lowering: Lowering, vectors: Vectors) -> bytes:
    """Spell what the design says of each image: where the last output is largest, the first place.

    Where one softmax gives it, that is where the softmax's input is.
    """
    tensor = lowering.outputs[-1]
    step = next((step for step in lowering.steps if step.name == tensor), None)
    layer = step.node.layer if step is not None else None
    if step and isinstance(layer, Softmax) and step.shape[layer.axis] == step.size:
        tensor = step.sources[0].tensor
    return readmemh.spell(vectors.words[tensor].argmax(axis=1), 16, "class of each image")


_PORTS = (
    *("aclk", "aresetn", "s_axis_tdata", "s_axis_tvalid", "s_axis_tlast", "s_axis_tready"),
    *("m_axis_tdata", "m_axis_tvalid", "m_axis_tlast", "m_axis_tready", "m_axis_tuser"),
    *("error", "step_done", "step_number", "count_step"),
    *("count_clamps", "count_saturations", "count_below_zero"),
)
_WIDTHS = {
    "s_axis_tdata": 16,
    "m_axis_tdata": 16,
    "m_axis_tuser": 16,
    "step_number": 8,
    "count_step": 8,
    "count_clamps": 48,
    "count_saturations": 48,
    "count_below_zero": 48,
}


def _top(lowering: Lowering, name: str) -> str:
    """Connect the design and the bench."""
    wires = "\n".join(
        f"    wire [{_WIDTHS[port] - 1}:0] {port};" if port in _WIDTHS else f"    wire {port};"
        for port in _PORTS
    )
    pins = ",\n".join(f"        .{port}({port})" for port in _PORTS)
    sizes = f".STEPS({len(lowering.steps)}), .OUTPUTS({len(lowering.outputs)})"
    return f"""\
// The bench of {name}; fx_tb.v says what it does.
module {name}_tb;
{wires}

    {name} dut (
{pins}
    );
    fx_tb #({sizes}) bench (
{pins}
    );
endmodule
"""


def _makefile(name: str, design: Sequence[str]) -> str:
    bench = " ".join((f"{name}_tb.v", *MODULES))
    return f"""\
# What can be done with this design; PLUS holds plusargs, as PLUS=+stall=1 (fx_tb.v lists them).
#   make lint        Verilator and Icarus find nothing to warn of
#   make verilator   compile and run the bench; the last line must be PASS
#   make icarus      the same, slower, where signals can be unknown
#   make waves       run the bench; where a word differs, waves.vcd begins at its step
#   make synth       Yosys synthesizes for ECP5 and counts the cells
DESIGN = {" ".join(design)}
BENCH = {bench}
VERILATE = verilator --binary -O3 -Wno-fatal --top-module {name}_tb
PLUS =

.PHONY: lint verilator icarus waves synth clean

lint:
\tverilator --lint-only -Wall --language 1364-2005 --top-module {name} $(wildcard *.vlt) $(DESIGN)
\tiverilog -g2005 -Wall -t null -s {name} $(DESIGN)

verilator: verilated/V{name}_tb
\t./$< $(PLUS) | tee verilator.log
\t@grep -q '^PASS' verilator.log

icarus: {name}_tb.vvp
\tvvp -n $< $(PLUS) | tee icarus.log
\t@grep -q '^PASS' icarus.log

waves: waves/V{name}_tb
\t./$< +vcd=waves.vcd $(PLUS)

synth:
\tyosys -q -p "read_verilog -defer $(DESIGN); synth_ecp5 -top {name}" \\
\t    -p "check -assert; tee -o synth.log stat"
\t@cat synth.log

verilated/V{name}_tb: $(DESIGN) $(BENCH)
\t$(VERILATE) --Mdir verilated $(DESIGN) $(BENCH) > verilated.log 2>&1 \\
\t    || (tail -3 verilated.log; false)

waves/V{name}_tb: $(DESIGN) $(BENCH)
\t$(VERILATE) --trace --Mdir waves $(DESIGN) $(BENCH) > waves.log 2>&1 \\
\t    || (tail -3 waves.log; false)

{name}_tb.vvp: $(DESIGN) $(BENCH)
\tiverilog -g2005 -s {name}_tb -o $@ $(DESIGN) $(BENCH)

clean:
\trm -rf verilated waves *.log *.vcd {name}_tb.vvp
"""


def _core(name: str, design: Sequence[str], memories: Sequence[str]) -> str:
    """Describe the design for FuseSoC (CAPI2); memories are read where a simulation runs."""

    def files(names: Sequence[str]) -> str:
        return "".join(f"      - {it}\n" for it in names)

    return f"""\
CAPI=2:
# fusesoc --cores-root . run --target sim fxpnn::{name}
name: fxpnn::{name}:1.0.0
description: A neural network in fixed point, its words compared with fxpnn's

filesets:
  design:
    files:
{files(design)}    file_type: verilogSource
  bench:
    files:
{files((f"{name}_tb.v", *MODULES))}    file_type: verilogSource
  memories:
    files:
{files([f"{it}: {{copyto: {it}}}" for it in memories])}    file_type: user

targets:
  default: &default
    filesets: [design, memories]
    toplevel: {name}
  lint:
    <<: *default
    default_tool: verilator
    tools:
      verilator:
        mode: lint-only
        verilator_options: [-Wall]
  sim:
    <<: *default
    filesets: [design, memories, bench]
    toplevel: {name}_tb
    default_tool: icarus
    tools:
      icarus:
        iverilog_options: [-g2005]
"""
