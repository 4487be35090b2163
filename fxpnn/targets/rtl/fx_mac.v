// One multiply-accumulate unit: section 3 of the numeric contract.
//
// The product of two words stands a cycle later, and is then added to the bias (`first`) or to what
// has been summed. With CLAMP every sum is clamped to -limit-1..limit, and `clamped` tells of it;
// without, the sum is known to fit ACC bits. The bias is clamped already, which `bias_clamped` tells.
module fx_mac #(
    parameter ACC = 48,
    parameter BIAS = 48,               // at most ACC
    parameter CLAMP = 1
) (
    input                    aclk,
    input  signed [15:0]     x,
    input  signed [15:0]     weight,
    input                    add,      // the product is one to be added
    input                    first,
    input  signed [BIAS-1:0] bias,
    input                    bias_clamped,
    input         [ACC-1:0]  limit,    // 2**(word - 1) - 1, of the accumulator's word
    output signed [ACC-1:0]  sum,      // with the product
    output        [1:0]      clamped   // the bias, and the sum
);
    // Wide enough for the accumulator and a product, and for the carry of their sum.
    localparam WIDE = (ACC > 32 ? ACC : 32) + 1;

    reg signed [31:0]    product;
    reg signed [ACC-1:0] total;

    wire signed [WIDE-1:0] begun = first ? {{(WIDE - BIAS) {bias[BIAS-1]}}, bias}
                                         : {{(WIDE - ACC) {total[ACC-1]}}, total};
    wire signed [WIDE-1:0] exact = begun + {{(WIDE - 32) {product[31]}}, product};

    // A value is within the limits where the bits above them all equal its sign.
    wire signed [WIDE-1:0] ends = {{(WIDE - ACC) {1'b0}}, limit};
    wire        [WIDE-1:0] sign = {WIDE{exact[WIDE-1]}};
    wire                   far = CLAMP != 0 && |((exact ^ sign) & ~ends);
    wire signed [WIDE-1:0] kept = far ? ends ^ sign : exact;
    assign sum = kept[ACC-1:0];
    assign clamped = {first && bias_clamped, far} & {2{add}};
    wire unused = &{1'b0, kept[WIDE-1:ACC]};

    always @(posedge aclk) begin
        product <= x * weight;
        if (add) total <= sum;
    end
endmodule
