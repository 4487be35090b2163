"""The module of a network: the core with its parameters."""

from dataclasses import asdict

from fxpnn.errors import one_line
from fxpnn.targets.verilog.program import Program

_PORTS = (
    *(("input", 1, "aclk"), ("input", 1, "aresetn"), ("input", 16, "s_axis_tdata")),
    *(("input", 1, "s_axis_tvalid"), ("output", 1, "s_axis_tready")),
    *(("input", 1, "s_axis_tlast"), ("output", 16, "m_axis_tdata")),
    *(("output", 1, "m_axis_tvalid"), ("input", 1, "m_axis_tready")),
    *(("output", 1, "m_axis_tlast"), ("output", 16, "m_axis_tuser"), ("output", 1, "error")),
    *(("input", 8, "count_step"), ("output", 48, "count_clamps")),
    *(("output", 48, "count_saturations"), ("output", 48, "count_below_zero")),
    *(("output", 1, "step_done"), ("output", 8, "step_number")),
)
"""The ports of ``fx_core.v``, in its order: direction, bits, name."""


def wrapper(program: Program, name: str, network: str) -> str:
    """Write the module ``name`` of a network, whose own name stands in a comment."""
    ports = [f"    {way:<6} {_range(bits)}{port}" for way, bits, port in _PORTS]
    values = [f"        .{key.upper()}({value})" for key, value in asdict(program.sizes).items()]
    pins = [f"        .{port}({port})" for _, _, port in _PORTS]
    comma = ",\n"
    return f"""\
// {one_line(network)}, in 16-bit fixed point, made by fxpnn: fx_core.v with its parameters.
// Its memories are read from program.hex, weights.hex, bias.hex and tables.hex, by these names.
module {name} (
{comma.join(ports)}
);
    fx_core #(
{comma.join(values)}
    ) core (
{comma.join(pins)}
    );
endmodule
"""


def _range(bits: int) -> str:
    text = f"[{bits - 1}:0]" if bits > 1 else ""
    return f"{text:<6} "
