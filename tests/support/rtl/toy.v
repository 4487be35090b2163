// A design with the ports of the core, so small that its bench is tested by it: step 0 doubles the
// four words of the input, step 1 sums them.
module toy_memory;
    reg signed [15:0] words [0:7];
endmodule

module toy_core;
    toy_memory memory ();
endmodule

module toy (
    input aclk, input aresetn,
    input [15:0] s_axis_tdata, input s_axis_tvalid, input s_axis_tlast, output s_axis_tready,
    output [15:0] m_axis_tdata, output m_axis_tvalid, output m_axis_tlast, input m_axis_tready,
    output [15:0] m_axis_tuser,
    output reg error, output reg step_done, output reg [7:0] step_number, input [7:0] count_step,
    output [47:0] count_clamps, output [47:0] count_saturations, output [47:0] count_below_zero
);
    localparam TAKE = 0, DOUBLE = 1, SUM = 2, GIVE = 3;

    reg [1:0] state;
    reg [1:0] place;
    reg signed [15:0] sum;

    toy_core core ();

    assign s_axis_tready = state == TAKE;
    assign m_axis_tvalid = state == GIVE;
    assign m_axis_tdata = core.memory.words[0];
    assign m_axis_tlast = 1;
    assign m_axis_tuser = 0;
    assign count_clamps = 0;
    assign count_saturations = 0;
    assign count_below_zero = 0;

    always @(posedge aclk) begin
        step_done <= 0;
        step_number <= {7'd0, state != DOUBLE};
        case (state)
            TAKE: if (s_axis_tvalid) begin
                core.memory.words[place] <= s_axis_tdata;
                place <= place + 1;
                sum <= 0;
                if (s_axis_tlast) state <= DOUBLE;
            end
            DOUBLE: begin
                core.memory.words[4 + place] <= 2 * core.memory.words[place];
                place <= place + 1;
                step_done <= place == 3;
                if (place == 3) state <= SUM;
            end
            SUM: begin
                sum <= sum + core.memory.words[4 + place];
                place <= place + 1;
                step_done <= place == 3;
                if (place == 3) core.memory.words[0] <= sum + core.memory.words[7];
                if (place == 3) state <= GIVE;
            end
            GIVE: if (m_axis_tready) state <= TAKE;
        endcase
        if (!aresetn) {state, place, error, step_done} <= 0;
    end
endmodule
