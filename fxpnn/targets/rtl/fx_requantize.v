// The cast of a sum to a word: one rounding, then one judgement of overflow, then the limits of a
// ReLU or clip. Combinational; sections 2 and 3 of the numeric contract.
//
// `value` is divided by 2**shift (multiplied where `shift` is negative) and rounded:
//   rounding 0 nearest-even, 1 nearest-up, 2 nearest-down, 3 nearest-zero, 4 nearest-away (these
//   differ in where a tie goes), 5 floor, 6 zero.
// A rounded value outside low..high overflows:
//   overflow 0 saturate and 1 saturate-symmetric clamp to low..high, 2 saturate-zero gives 0,
//   3 wrap keeps the low `word` bits, a two's complement number where `signed_word` is set.
// What results is then kept within floor..ceiling, which is no overflow. `below` tells of an overflow
// of a value under 0, `over` of any other.
module fx_requantize #(
    parameter WIDE = 62
) (
    input  signed [WIDE-1:0] value,
    input  signed [6:0]      shift,
    input         [2:0]      rounding,
    input         [1:0]      overflow,
    input         [4:0]      word,
    input                    signed_word,
    input  signed [15:0]     low,
    input  signed [15:0]     high,
    input  signed [15:0]     floor,
    input  signed [15:0]     ceiling,
    output signed [15:0]     result,
    output                   over,
    output                   below
);
    // A shift up by 16 gives what any longer one gives: 0 stays 0, every other value is out of
    // range, and the low 16 bits are 0. So the value starts 16 bits up and only goes down; one more
    // bit, `half`, receives the first bit that is dropped.
    wire [6:0] down = shift < -7'sd16 ? 7'd0 : shift + 7'd16;
    wire       negative = value[WIDE-1];

    // Of the shifted value, 18 bits and half are used. Each stage shifts by K or not: it drops its
    // low K bits, which leave a remainder unless all are 0, or its high K bits, and the result is
    // out of range by far unless all are copies of the sign.
    wire [6:0] lost, cut;
    genvar i;
    generate
        for (i = 6; i >= 0; i = i - 1) begin : stage
            localparam K = 1 << i;
            wire [2*K+17:0] in;
            wire [K+17:0]   out = down[i] ? in[2*K+17:K] : in[K+17:0];
            if (i == 6)
                assign in = {{(129 - WIDE) {negative}}, value, 17'd0};
            else
                assign in = stage[i+1].out;
            assign lost[i] = down[i] & |in[K-1:0];
            assign cut[i] = ~down[i] & in[2*K+17:K+18] != {K{negative}};
        end
    endgenerate

    wire half = stage[0].out[0];  // the first dropped bit: at least half
    wire more = |lost;            // the others: not exactly nothing, or not exactly half
    wire odd = stage[0].out[1];
    wire far = |cut | stage[0].out[18:17] != {2{negative}};   // no 17 bits: 1 more changes nothing

    reg increment;
    always @* begin
        case (rounding)
            3'd0: increment = half & (more | odd);
            3'd1: increment = half;
            3'd2: increment = half & more;
            3'd3: increment = half & (more | negative);
            3'd4: increment = half & (more | ~negative);
            3'd6: increment = negative & (half | more);
            default: increment = 1'b0;
        endcase
    end

    wire signed [17:0] rounded = $signed(stage[0].out[18:1]) + $signed({17'd0, increment});
    wire signed [17:0] lowest = {{2{low[15]}}, low};
    wire signed [17:0] highest = {{2{high[15]}}, high};
    wire               under = far ? negative : rounded < lowest;
    wire               above = far ? ~negative : rounded > highest;

    wire [15:0] kept = ~(16'hffff << word);
    wire        sign = signed_word & |(rounded[15:0] & kept & ~(kept >> 1));
    wire [15:0] wrapped = (rounded[15:0] & kept) | (sign ? ~kept : 16'd0);

    reg signed [15:0] cast;
    always @* begin
        cast = rounded[15:0];
        if (under | above)
            case (overflow)
                2'd2: cast = 16'sd0;
                2'd3: cast = $signed(wrapped);
                default: cast = under ? low : high;
            endcase
    end

    assign result = cast < floor ? floor : cast > ceiling ? ceiling : cast;
    assign below = (under | above) & negative;
    assign over = (under | above) & ~negative;
endmodule
