// The array: MACS units share each word x, and sum for as many output channels of one position.
//
// The flags and the biases come a cycle after x and the weights. When sums are complete they move to
// a chain of registers, each with the shift of its channel, and leave it one a cycle, that of unit 0
// first, while the next are summed. A word that wraps does so as it leaves, and `overflow` tells
// where its exact sum did not fit.
module fx_array #(
    parameter MACS = 4,
    parameter ACC = 48,
    parameter BIAS = 48,
    parameter CLAMP = 1,
    parameter WIDE = 62
) (
    input                         aclk,
    input                         aresetn,
    input  signed [15:0]          x,
    input         [MACS*16-1:0]   weights,
    input                         add,
    input                         first,
    input                         last,
    input         [MACS*(8+BIAS)-1:0] biases,  // each {shift, whether it was clamped, bias}
    input         [7:0]           results,     // how many units have a channel, less 1
    input         [5:0]           word,        // of the accumulator
    input                         wraps,
    output                        valid,
    output signed [WIDE-1:0]      value,
    output signed [6:0]           shift,
    output                        overflow,
    output reg    [9:0]           clamped      // how often units clamped in this cycle
);
    // The accumulator's low bits, and its limit; an exact sum that wraps later has all bits.
    wire [ACC-1:0]    ones = {ACC{1'b1}};
    wire [ACC-1:0]    low = ~(ones << word);
    wire [ACC-1:0]    limit = (wraps ? ones : low) >> 1;
    wire [2*MACS-1:0] clamps;
    reg  [8:0]        left;  // sums that have not left the chain
    wire              load = add && last;
    integer           i;
    always @* begin
        clamped = 10'd0;
        if (|clamps)
            for (i = 0; i < 2 * MACS; i = i + 1) clamped = clamped + {9'd0, clamps[i]};
    end

    genvar u;
    generate
        for (u = 0; u < MACS; u = u + 1) begin : unit
            wire signed [ACC-1:0] sum;
            reg  signed [ACC-1:0] result;
            reg  signed [6:0]     moved;
            fx_mac #(.ACC(ACC), .BIAS(BIAS), .CLAMP(CLAMP)) mac (
                .aclk(aclk), .x(x), .weight(weights[u*16 +: 16]), .add(add), .first(first),
                .bias(biases[u*(8+BIAS) +: BIAS]), .bias_clamped(biases[u*(8+BIAS)+BIAS]),
                .limit(limit), .sum(sum), .clamped(clamps[2*u +: 2])
            );
            if (u + 1 < MACS) begin : follows
                always @(posedge aclk)
                    if (load) {result, moved} <= {sum, biases[u*(8+BIAS)+BIAS+1 +: 7]};
                    else if (valid) {result, moved} <= {unit[u+1].result, unit[u+1].moved};
            end else begin : ends
                always @(posedge aclk)
                    if (load) {result, moved} <= {sum, biases[u*(8+BIAS)+BIAS+1 +: 7]};
            end
        end
    endgenerate

    always @(posedge aclk)
        if (!aresetn) left <= 9'd0;
        else if (load) left <= {1'b0, results} + 9'd1;
        else if (valid) left <= left - 9'd1;

    // A sum that wraps keeps its low bits; the others become copies of the highest of these.
    wire [ACC-1:0] exact = unit[0].result;
    wire           sign = |(exact & low & ~(low >> 1));
    wire [ACC-1:0] wrapped = CLAMP == 0 || !wraps ? exact : sign ? exact | ~low : exact & low;

    assign valid = left != 9'd0;
    assign value = {{(WIDE - ACC) {wrapped[ACC-1]}}, wrapped};
    assign shift = unit[0].moved;
    assign overflow = valid && wrapped != exact;
endmodule
