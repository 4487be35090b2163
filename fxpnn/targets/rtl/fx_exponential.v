// exp(-d) for softmax, one a cycle, 5 cycles behind d: `mantissa << up` at F = 30, at most 2**30.
//
//   t = d * log2(e), rounded half up to 16 fraction bits: n integer bits, k 8 bits, f 8 bits
//   m = T[k] - ((T[k] - T[k+1]) * f + 128 >> 8), T[k] = 2**(-k / 256) at F = 20
//   exp(-d) = (m << 10) >> n, 0 where n > 30; so with mantissa = m >> max(0, n - 10), up = max(0, 10 - n)
//
// `exponent` is F + 5 of d, kept within 0..39: from F = -5 on every d but 0 gives 0, from F = 34 on none
// gives less than 1. The table's word, a cycle behind its address, holds T[k] in its upper 22 bits and
// T[k+1] - T[k] in its lower 18.
module fx_exponential #(
    parameter TABLE = 12
) (
    input                  aclk,
    input      [15:0]      d,
    input      [5:0]       exponent,
    input      [TABLE-1:0] base,
    output     [TABLE-1:0] table_address,
    input      [39:0]      table_word,
    output reg [20:0]      mantissa,
    output reg [3:0]       up
);
    // 1: d * 378194, which is round(2**18 * log2(e)) = (3 << 17) - (1 << 14) + (85 << 4) + 2.
    wire [34:0] d_1 = {19'd0, d};
    wire [34:0] d_3 = d_1 + (d_1 << 1);
    wire [34:0] d_5 = d_1 + (d_1 << 2);
    wire [34:0] d_85 = d_5 + (d_5 << 4);
    reg  [34:0] power;

    // 2: t, whose bit 0 here is the first that is dropped. Beyond 21 bits n is more than 30.
    wire [38:0] scaled = {power, 4'd0} >> exponent;
    wire [21:0] t = {1'b0, scaled[21:1]} + {21'd0, scaled[0]};
    reg  [7:0]  k, f_2, f_3;
    reg  [4:0]  n_2, n_3, n_4;
    reg         far_2, far_3, far_4;

    // 3: the table reads. 4: its difference times f.
    assign table_address = base + {{(TABLE - 8){1'b0}}, k};
    reg         [20:0] entry;            // not negative
    wire               unused_sign = table_word[39];
    reg  signed [26:0] product;

    // 5: the product is negative: to add 127 and round down is to subtract what rounds with 128.
    wire signed [18:0] fall;
    wire        [7:0]  unused_rest;
    assign {fall, unused_rest} = product + 27'sd127;
    wire        [20:0] m = entry + {{2{fall[18]}}, fall};
    wire               tiny = n_4 > 5'd10;

    always @(posedge aclk) begin
        power <= (d_3 << 17) - (d_1 << 14) + (d_85 << 4) + (d_1 << 1);
        {n_2, k, f_2} <= t[20:0];
        far_2 <= |scaled[38:22] | t[21] | &t[20:16];
        {n_4, n_3, far_4, far_3, f_3} <= {n_3, n_2, far_3, far_2, f_2};
        entry <= table_word[38:18];
        product <= $signed(table_word[17:0]) * $signed({1'b0, f_3});
        mantissa <= far_4 ? 21'd0 : m >> (tiny ? n_4 - 5'd10 : 5'd0);
        up <= tiny ? 4'd0 : 4'd10 - n_4[3:0];
    end
endmodule
