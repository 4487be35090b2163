// Counts what overflows in each step since reset: clamps in the accumulators (or sums that wrap),
// outputs out of range, and outputs below 0 that an unsigned word cuts as its ReLU would have done.
//
// A step's events are summed in registers, and added to its words when it is done; a step that was
// not done since reset has counted nothing. The counts of `read_step` stand a cycle later.
module fx_counts #(
    parameter STEPS = 4
) (
    input             aclk,
    input             aresetn,
    input      [7:0]  step,         // the one that runs
    input             done,         // in the cycle behind its last events,
    input      [7:0]  done_step,    // when this tells which it was
    input      [9:0]  clamped,      // events of this cycle
    input             wrapped,
    input             saturated,
    input             below,
    input      [7:0]  read_step,
    output     [47:0] clamps,
    output     [47:0] saturations,
    output     [47:0] below_zero
);
    reg [143:0] words [0:STEPS-1];
    reg [143:0] old, read_word;
    reg [47:0]  sum_clamps, sum_saturations, sum_below;
    reg [8:0]   known;     // steps before this one were done since reset
    reg         read_known;

    // Steps are at most STEPS: their numbers have no more bits than these.
    localparam PLACE = $clog2(STEPS);
    wire unused = &{1'b0, step, read_step, done_step};
    wire [47:0] old_clamps, old_saturations, old_below;
    assign {old_clamps, old_saturations, old_below} = {1'b0, done_step} < known ? old : 144'd0;
    assign {clamps, saturations, below_zero} = read_known ? read_word : 144'd0;

    always @(posedge aclk) begin
        old <= words[step[PLACE-1:0]];
        read_word <= words[read_step[PLACE-1:0]];
        read_known <= {1'b0, read_step} < known;
        if (!aresetn) known <= 9'd0;
        else if (done && {1'b0, done_step} >= known) known <= {1'b0, done_step} + 9'd1;
        if (done)
            words[done_step[PLACE-1:0]] <= {
                old_clamps + sum_clamps, old_saturations + sum_saturations, old_below + sum_below
            };
        if (!aresetn || done) begin
            sum_clamps <= 48'd0;
            sum_saturations <= 48'd0;
            sum_below <= 48'd0;
        end else begin
            sum_clamps <= sum_clamps + {38'd0, clamped} + {47'd0, wrapped};
            sum_saturations <= sum_saturations + {47'd0, saturated};
            sum_below <= sum_below + {47'd0, below};
        end
    end
endmodule
