// Whether y is value / 2**shift, rounded: how far 2**shift * y lies from the value, which is at most half
// of 2**shift for a rounding to nearest, ties by rule, and less than all of it for the others.
module fx_rounds #(
    parameter WIDE = 62
) (
    input signed [WIDE-1:0] value,
    input        [5:0]      shift,
    input        [2:0]      rounding,
    input signed [WIDE:0]   y,
    output                  holds
);
    localparam N = WIDE + 5;
    wire signed [N-1:0] whole = y;
    wire signed [N-1:0] product = whole <<< shift;
    wire                exact = ((product <<< 2) >>> shift) == whole <<< 2;  // nothing was lost
    wire signed [N-1:0] error = product - value;
    wire signed [N-1:0] unit = {{(N - 1){1'b0}}, 1'b1} << shift;

    wire tie = error + error == unit | error + error == -unit;
    wire nearest = error + error <= unit & error + error >= -unit;
    reg  is_rounded;
    always @*
        case (rounding)
            0: is_rounded = nearest & ~(tie & y[0]);
            1: is_rounded = nearest & ~(tie & error < 0);
            2: is_rounded = nearest & ~(tie & error > 0);
            3: is_rounded = nearest & ~(tie & (value < 0 ? error < 0 : error > 0));
            4: is_rounded = nearest & ~(tie & (value < 0 ? error > 0 : error < 0));
            5: is_rounded = error <= 0 & error > -unit;
            default: is_rounded = value < 0 ? error >= 0 & error < unit : error <= 0 & error > -unit;
        endcase
    assign holds = exact & is_rounded;
endmodule
