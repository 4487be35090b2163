// Sums of products: the array, the ROMs of its weights and biases, and the walk through them.
//
// A tap comes with its marks, its word x a cycle later. Each tap takes the next word of weights, each
// group of units the next of biases; the next position (or, where it `stays`, the next tap) begins with
// the first of both again. Layers that are a sum or product of few words are done by unit 0:
//   passes  x itself where it is not negative, else its product (leaky ReLU, |x|)
//   rises   1 where the sum is not negative, else 0 (step)
//   times   the product of two taps (one tensor times another)
module fx_sums #(
    parameter MACS = 4,
    parameter ACC = 48,
    parameter BIAS = 48,
    parameter CLAMP = 1,
    parameter WIDE = 62,
    parameter WEIGHTS = 1024,
    parameter BIASES = 64
) (
    input                        aclk,
    input                        aresetn,
    input                        start,
    input  [$clog2(WEIGHTS)-1:0] weight_base,
    input  [$clog2(BIASES)-1:0]  bias_base,
    input                        tap,
    input                        first,
    input                        last,
    input                        ends_lanes,
    input                        ends_position,
    input  signed [15:0]         x,
    input  [7:0]                 results,      // of a group, less 1
    input  [7:0]                 results_end,  // of the last group
    input  [5:0]                 word,
    input                        wraps,
    input                        stays,
    input                        passes,
    input                        rises,
    input                        times,
    output                       valid,
    output signed [WIDE-1:0]     value,
    output signed [6:0]          shift,
    output                       overflow,
    output [9:0]                 clamped
);
    // 0: the addresses; that of biases waits for its product.
    reg [$clog2(WEIGHTS)-1:0] weight_address;
    reg [$clog2(BIASES)-1:0]  bias_address, bias_address_1;
    always @(posedge aclk) begin
        bias_address_1 <= bias_address;
        if (start) begin
            weight_address <= weight_base;
            bias_address <= bias_base;
        end else if (tap) begin
            weight_address <= ends_position || stays ? weight_base : weight_address + 1'b1;
            if (last) bias_address <= ends_position || stays ? bias_base : bias_address + 1'b1;
        end
    end

    // 1: the weights. 2: the biases, and the product is added.
    reg tap_1, first_1, last_1, ends_1, tap_2, first_2, last_2, ends_2;
    always @(posedge aclk) begin
        {tap_1, tap_2} <= aresetn ? {tap, tap_1} : 2'd0;
        {first_1, last_1, ends_1} <= {first, last, ends_lanes};
        {first_2, last_2, ends_2} <= {first_1, last_1, ends_1};
    end
    wire [MACS*16-1:0]       weights;
    wire [MACS*(8+BIAS)-1:0] biases;
    fx_rom #(.WIDTH(MACS * 16), .DEPTH(WEIGHTS), .FILE("weights.hex")) weight_rom (
        .aclk(aclk), .read(tap), .address(weight_address), .word(weights)
    );
    fx_rom #(.WIDTH(MACS * (8 + BIAS)), .DEPTH(BIASES), .FILE("bias.hex")) bias_rom (
        .aclk(aclk), .read(tap_1 && first_1), .address(bias_address_1), .word(biases)
    );

    // Unit 0 may take the tap before this one as its weight.
    reg signed [15:0] x_2, x_3;
    always @(posedge aclk) {x_2, x_3} <= {x, x_2};
    wire [MACS*16-1:0] factors;
    assign factors[15:0] = times ? x_2 : weights[15:0];
    generate
        if (MACS > 1) assign factors[MACS*16-1:16] = weights[MACS*16-1:16];
    endgenerate

    // 3: the sums, and what stands for one.
    wire signed [WIDE-1:0] sum;
    wire signed [6:0]      sum_shift;
    wire                   passed = passes && !x_3[15];
    assign value = passed ? {{(WIDE - 16) {1'b0}}, x_3} :
                   rises ? {{(WIDE - 1) {1'b0}}, !sum[WIDE-1]} : sum;
    assign shift = passed ? 7'sd0 : sum_shift;
    fx_array #(.MACS(MACS), .ACC(ACC), .BIAS(BIAS), .CLAMP(CLAMP), .WIDE(WIDE)) array (
        .aclk(aclk), .aresetn(aresetn), .x(x), .weights(factors), .add(tap_2 && (last_2 || !times)),
        .first(first_2 || times), .last(last_2), .biases(biases),
        .results(ends_2 ? results_end : results), .word(word), .wraps(wraps), .valid(valid),
        .value(sum), .shift(sum_shift), .overflow(overflow), .clamped(clamped)
    );
endmodule
