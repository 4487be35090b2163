// Watches a design's streams; part of the test bench. `broken` stays once it is high: a signal of
// control was unknown, or a word was taken back or changed before it was taken.
module fx_watch (
    input aclk, input aresetn,
    input s_axis_tready, input step_done, input error,
    input [15:0] m_axis_tdata, input m_axis_tvalid, input m_axis_tlast, input m_axis_tready,
    output reg broken
);
    reg held;
    reg [16:0] offered;

    initial {broken, held} = 0;

    always @(posedge aclk) begin
        if (aresetn) begin
            if ((s_axis_tready ^ step_done ^ error ^ m_axis_tvalid) === 1'bx) broken <= 1;
            if (held && (!m_axis_tvalid || {m_axis_tlast, m_axis_tdata} !== offered)) broken <= 1;
        end
        held <= aresetn && m_axis_tvalid && !m_axis_tready;
        offered <= {m_axis_tlast, m_axis_tdata};
    end
endmodule
