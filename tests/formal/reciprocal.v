// What softmax asks of the divider: R = 2**(b + 18) / S, rounded half up, where 2**b <= S < 2**(b + 1).
//
// Stated of R alone: 2 * R * S is at most 2**(b + 19) + S, and 2 * (R + 1) * S is more. S is moved to
// the top of its bits before it is given, which changes 2**b and S alike: S with the first bit set are all there are.
module reciprocal #(
    parameter WIDE = 12
) (
    input             aclk,
    input             start,
    input  [WIDE-1:0] divisor,
    output            holds
);
    localparam N = WIDE + 21;
    wire [18:0] quotient;
    wire [1:0]  behind;
    wire        done;
    fx_divide #(.WIDE(WIDE), .QUOTIENT(19)) divide (
        .aclk(aclk), .aresetn(1'b1), .start(start), .steps(6'd19),
        .first({1'b1, {(WIDE - 1){1'b0}}}), .tail(15'd0), .divisor(divisor),
        .done(done), .quotient(quotient), .behind(behind)
    );
    reg [WIDE-1:0] s;
    always @(posedge aclk) if (start) s <= divisor;

    wire [N-1:0] r = quotient + behind[1];
    wire [N-1:0] product = r * s;
    wire [N-1:0] most = (1 << (WIDE + 18)) + s;
    assign holds = done & 2 * product <= most & 2 * product + 2 * s > most;
endmodule
