"""Names of exports: what C, C++, Verilog and file systems all take for a name of their own."""

import re

from fxpnn.errors import FormatError

LONGEST = 40
"""The most letters of a name: with what is put behind it, C99 and every file system take it."""

_NAME = re.compile(rf"[A-Za-z]\w{{0,{LONGEST - 1}}}", re.ASCII)

_C = """
alignas alignof and and_eq asm atomic_cancel atomic_commit atomic_noexcept auto bitand bitor bool
break case catch char char8_t char16_t char32_t class co_await co_return co_yield compl concept
const const_cast consteval constexpr constinit continue decltype default delete do double
dynamic_cast else enum explicit export extern false float for friend goto if inline int long
mutable namespace new noexcept not not_eq nullptr operator or or_eq private protected public
reflexpr register reinterpret_cast requires restrict return short signed sizeof static
static_assert static_cast struct switch synchronized template this thread_local throw true try
typedef typeid typename typeof union unsigned using virtual void volatile wchar_t while xor xor_eq
"""
"""The keywords of C11 and C++20."""

_VERILOG = """
always assign automatic begin buf bufif0 bufif1 casex casez cell cmos config deassign defparam
design disable edge end endcase endconfig endfunction endgenerate endmodule endprimitive
endspecify endtable endtask event force forever fork function generate genvar highz0 highz1 ifnone
incdir include initial inout input instance integer join large liblist library localparam
macromodule medium module nand negedge nmos nor noshowcancelled notif0 notif1 output parameter
pmos posedge primitive pull0 pull1 pulldown pullup pulsestyle_ondetect pulsestyle_onevent rcmos
real realtime reg release repeat rnmos rpmos rtran rtranif0 rtranif1 scalared showcancelled small
specify specparam strong0 strong1 supply0 supply1 table task time tran tranif0 tranif1 tri tri0
tri1 triand trior trireg unsigned use uwire vectored wait wand weak0 weak1 wire wor xnor
"""
"""Those of Verilog, IEEE 1364-2005."""

_SYSTEMVERILOG = """
accept_on alias always_comb always_ff always_latch assert assume before bind bins binsof bit byte
chandle checker clocking constraint context cover covergroup coverpoint cross dist endchecker
endclass endclocking endgroup endinterface endpackage endprogram endproperty endsequence
eventually expect extends final first_match foreach forkjoin global iff ignore_bins illegal_bins
implements implies import inside interconnect interface intersect join_any join_none let local
logic longint matches modport nettype nexttime null package packed priority program property pure
rand randc randcase randsequence ref reject_on restrict s_always s_eventually s_nexttime s_until
s_until_with sequence shortint shortreal soft solve string strong super sync_accept_on
sync_reject_on tagged throughout timeprecision timeunit type unique unique0 until until_with
untyped var virtual wait_order weak wildcard with within
"""
"""Those of SystemVerilog, IEEE 1800-2017, as which Verilator reads files unless told otherwise."""

KEYWORDS = frozenset(f"{_C} {_VERILOG} {_SYSTEMVERILOG}".split())
"""The words that C, C++ or Verilog keep for themselves."""

HEADERS = frozenset(["assert", "limits", "math", "stddef", "stdint", "stdio", "stdlib", "string"])
"""Headers of C, in whose place a compiler that looks among our files would find ours."""


def check_name(name: str) -> str:
    """Return the name of an export where it can be one.

    Raises:
        FormatError: C, C++ or Verilog do not take it, it is longer than 40, or ours already.
    """
    if not _NAME.fullmatch(name):
        raise FormatError(
            f"name must be a letter and up to {LONGEST - 1} letters, digits and _ behind it, "
            f"not {name!r}"
        )
    if name in KEYWORDS:
        raise FormatError(f"name must be no keyword of C, C++ or Verilog, not {name!r}")
    if name.lower() in HEADERS:
        raise FormatError(f"name must be no header of C, not {name!r}")
    if "__" in name or name.lower().startswith("fx_"):
        raise FormatError(
            "name must not begin with fx_, as modules of the core do, nor have __, which C++ keeps "
            f"for itself, not {name!r}"
        )
    return name


def name_of(text: str) -> str:
    """Make the name of an export from that of a network, which may be anything.

    >>> name_of("mlp-784-100-10"), name_of("2-3-1"), name_of("reg"), name_of("")
    ('mlp_784_100_10', 'net_2_3_1', 'net_reg', 'net')
    """
    kept = re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")
    for name in (kept, f"net_{kept}", "net"):
        try:
            return check_name(name[:LONGEST].rstrip("_"))
        except FormatError:
            continue
    raise AssertionError("net is a name")
