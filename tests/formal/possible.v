// One of the numbers on either side of value / 2**shift is that number, rounded, whatever the mode.
module possible #(
    parameter WIDE = 62
) (
    input signed [WIDE-1:0] value,
    input        [5:0]      shift,
    input        [2:0]      rounding,
    output                  holds
);
    wire signed [WIDE:0] below = value >>> shift;
    wire signed [WIDE:0] above = below + 1;
    wire                 down, up;
    fx_rounds #(.WIDE(WIDE)) lower (
        .value(value), .shift(shift), .rounding(rounding), .y(below), .holds(down)
    );
    fx_rounds #(.WIDE(WIDE)) upper (
        .value(value), .shift(shift), .rounding(rounding), .y(above), .holds(up)
    );
    assign holds = down ^ up | shift == 0 & down | below << shift == value & down;
endmodule
