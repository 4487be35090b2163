// What the numeric contract asks of an add that saturates: the product added to the bias, which is within
// the limits already, or to the sum so far; the sum clamped, each clamp told. The product and the sum so far are any: registers of their own, which take
// the same values as fx_mac's.
module mac #(
    parameter ACC = 48,
    parameter BIAS = 48,
    parameter CLAMP = 1
) (
    input                    aclk,
    input  signed [15:0]     x,
    input  signed [15:0]     weight,
    input                    add,
    input                    first,
    input  signed [BIAS-1:0] bias,
    input                    bias_clamped,
    input         [ACC-1:0]  limit,
    output                   holds
);
    wire signed [ACC-1:0] sum;
    wire        [1:0]     clamped;
    fx_mac #(.ACC(ACC), .BIAS(BIAS), .CLAMP(CLAMP)) unit (
        .aclk(aclk), .x(x), .weight(weight), .add(add), .first(first), .bias(bias),
        .bias_clamped(bias_clamped), .limit(limit), .sum(sum), .clamped(clamped)
    );
    reg signed [31:0]    product;
    reg signed [ACC-1:0] total;
    always @(posedge aclk) begin
        product <= x * weight;
        if (add) total <= sum;
    end

    // A word's limits: one less than a power of 2, and its opposite less one.
    wire signed [64:0] high = limit;
    wire signed [64:0] low = -high - 1;
    wire               word = high >= 127 & (limit & (limit + 1)) == 0 & ~limit[ACC-1];

    wire signed [64:0] from = first ? bias : total;
    wire signed [64:0] exact = from + product;
    wire               over = exact > high;
    wire               under = exact < low;

    wire given = word & from <= high & from >= low;
    wire counted = clamped == (add ? {first & bias_clamped, over | under} : 2'd0);
    wire untold = clamped == (add ? {first & bias_clamped, 1'b0} : 2'd0);
    assign holds = ~given | (CLAMP ? sum == (over ? high : under ? low : exact) & counted
        : over | under | sum == exact & untold);
endmodule
