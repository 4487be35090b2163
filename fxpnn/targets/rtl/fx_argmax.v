// The place of the largest word, the first of these, among those given since `start`; `place` counts
// the word of this cycle.
module fx_argmax (
    input               aclk,
    input               start,
    input               valid,
    input signed [15:0] word,
    output       [15:0] place
);
    reg signed [15:0] best;
    reg        [15:0] best_place, next;

    wire better = next == 16'd0 || word > best;
    assign place = better ? next : best_place;

    always @(posedge aclk)
        if (start) next <= 16'd0;
        else if (valid) begin
            next <= next + 16'd1;
            if (better) {best, best_place} <= {word, next};
        end
endmodule
