// Sigmoid, tanh, SiLU, ELU and softplus: a table of a function of |x|, straight lines between its
// entries, and what x itself adds. One value a cycle, whatever it is; `given` 6 cycles behind `valid`.
//
// The position in the table is |x| * 2**position_shift (16 + steps - Fx, kept within -16..27: what
// lies beyond gives nothing new), with 16 bits behind the number of a segment. A word of the ROM holds
// entry i in its upper 22 bits and entry i + 1 less entry i in its lower 18, both signed; the last,
// number `segments`, holds the difference 0 and stands for all beyond it. The ROM answers a cycle
// after it is asked. (The difference has 18 bits, no more, that one 18 x 18 multiplier does: the
// package's own tables need 13.)
//
// With g the line's value at F = 34 and r = max(0, x), F = max(Fx, 34) where both are aligned:
//   kind 0 sigmoid     x < 0 ? 1 - g : g       kind 3 ELU         x < 0 ? -g : r
//   kind 1 tanh        x < 0 ? -g : g          kind 4 softplus    r + g
//   kind 2 SiLU        r - g
// `relu_shift` is F - Fx, `g_shift` F - 34; one of them is 0.
module fx_table #(
    parameter ADDRESS = 12
) (
    input                     aclk,
    input                     aresetn,
    input                     valid,
    input  signed [15:0]      x,
    input         [2:0]       kind,
    input  signed [5:0]       position_shift,
    input       [ADDRESS-1:0] segments,
    input       [ADDRESS-1:0] base,
    input         [5:0]       relu_shift,
    input         [4:0]       g_shift,
    output      [ADDRESS-1:0] table_address,
    input         [39:0]      table_word,
    output                    given,
    output reg signed [61:0]  value
);
    localparam SIGMOID = 3'd0, TANH = 3'd1, SILU = 3'd2, ELU = 3'd3;
    localparam CYCLES = 6;

    reg [CYCLES-1:0] filled;
    always @(posedge aclk) filled <= aresetn ? {filled[CYCLES-2:0], valid} : {CYCLES{1'b0}};
    assign given = filled[CYCLES-1];

    // 1: the position, shifted down from as far up as it may be. x travels along.
    wire        [15:0]  magnitude = x[15] ? -x : x;
    wire        [5:0]   down = 6'd27 - position_shift;
    wire        [42:0]  position = {magnitude, 27'd0} >> down;
    reg   [ADDRESS-1:0] segment;
    reg         [15:0]  fraction_1, fraction_2;
    reg  signed [15:0]  x_1, x_2, x_3, x_4;

    // 2: the ROM reads. 3: its difference times the fraction; a product of 18 x 17 bits.
    assign table_address = base + segment;
    reg  signed [21:0] entry;
    reg  signed [34:0] product;

    // 4: the point on the line. ELU has none where x is not negative.
    reg  signed [38:0] line;

    // 5: what stands beside it, which for a sigmoid below 0 is 1; one of both is shifted.
    wire        [34:0] relu = x_4[15] ? 35'd0 : {20'd0, x_4[14:0]};
    wire        [34:0] beside = kind == SIGMOID ? {x_4[15], 34'd0} : kind == TANH ? 35'd0 : relu;
    wire signed [38:0] aside = {4'd0, beside};
    wire               swap = g_shift != 5'd0;
    wire        [5:0]  up = swap ? {1'b0, g_shift} : relu_shift;
    wire signed [38:0] moved = swap ? line : aside;
    reg  signed [61:0] shifted, other;
    reg                minus;

    // 6: both together.
    wire signed [61:0] from = swap ? other : shifted;
    wire signed [61:0] g = swap ? shifted : other;

    always @(posedge aclk) begin
        segment <= position[42:16] < {{(27 - ADDRESS){1'b0}}, segments} ?
            position[ADDRESS+15:16] : segments;
        fraction_1 <= position[15:0];
        fraction_2 <= fraction_1;
        {x_4, x_3, x_2, x_1} <= {x_3, x_2, x_1, x};
        entry <= table_word[39:18];
        product <= $signed(table_word[17:0]) * $signed({1'b0, fraction_2});
        line <= kind == ELU & ~x_3[15] ? 39'sd0 : {entry[21], entry, 16'd0} + {{4{product[34]}}, product};
        shifted <= {{23{moved[38]}}, moved} << up;
        other <= swap ? {{23{aside[38]}}, aside} : {{23{line[38]}}, line};
        minus <= kind == SILU | kind == ELU | (kind == SIGMOID | kind == TANH) & x_4[15];
        value <= minus ? from - g : from + g;
    end
endmodule
