// Pools: the largest value of a window, or the average of the values that it counts.
//
// A window is given tap by tap, the first and the last marked; a tap that is not `in_map` lies in the
// padding and is `minimum` to a maximum, 0 to a sum. `counted` says whether an average counts it.
// A maximum is there in the cycle behind its last tap, to be cast with shift 0.
// An average is floor(4 * sum / count * 2**up), its last two bits made to tell all that a rounding
// asks of what is behind the others (0 nothing, 1 less than half, 2 half, 3 more): to be cast with
// shift Fx - Fy + up + 2, where up = max(0, Fy - Fx) is at most 16, and `steps` 16 + up.
// It is valid steps + 3 cycles behind the last tap; last taps are at least steps + 1 cycles apart.
module fx_pool (
    input                    aclk,
    input                    aresetn,
    input                    valid,
    input  signed [15:0]     x,
    input                    in_map,
    input                    counted,
    input                    first,
    input                    last,
    input                    average,
    input  signed [15:0]     minimum,
    input         [5:0]      steps,
    output                   given,
    output signed [61:0]     value
);
    // The maximum.
    reg  signed [15:0] best;
    reg                whole;   // the last tap is in
    wire signed [15:0] seen = in_map ? x : minimum;

    // The sum, of at most 65,535 taps, and its magnitude.
    reg  signed [31:0] sum;
    reg         [15:0] count;
    wire signed [31:0] term = in_map ? {{16{x[15]}}, x} : 32'sd0;
    wire        [31:0] magnitude = sum[31] ? -sum : sum;
    wire        [15:0] taps = count == 16'd0 ? 16'd1 : count;

    always @(posedge aclk) begin
        whole <= aresetn & valid & last;
        if (valid) begin
            best <= first | seen > best ? seen : best;
            sum <= first ? term : sum + term;
            count <= (first ? 16'd0 : count) + {15'd0, counted};
        end
    end

    wire        divided;
    wire [31:0] quotient;
    wire [1:0]  behind;
    fx_divide #(.WIDE(17), .QUOTIENT(32)) divide (
        .aclk(aclk), .aresetn(aresetn), .start(whole & average), .steps(steps),
        .first(magnitude[31:15]), .tail(magnitude[14:0]), .divisor({1'b0, taps}),
        .done(divided), .quotient(quotient), .behind(behind)
    );

    // -(4 * q + 1) lies 3 above 4 * -(q + 1): what is behind a negative quotient turns round itself.
    reg                negative, averaged;
    reg  signed [34:0] mean;
    wire signed [34:0] quarters = {1'b0, quotient, behind};
    always @(posedge aclk) begin
        averaged <= aresetn & divided;
        if (whole)
            negative <= sum[31];
        if (divided)
            mean <= negative ? -quarters : quarters;
    end

    assign given = average ? averaged : whole;
    assign value = average ? {{27{mean[34]}}, mean} : {{46{best[15]}}, best};
endmodule
