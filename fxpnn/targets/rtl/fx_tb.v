// A test bench that checks itself: it streams golden images into a design and compares the words
// that each step leaves in memory, the words that stream out, what overflowed, and cycles.
// NAME_tb.v connects it to the design, an instance `dut`.
//
// +vectors=FILE  what is compared (default vectors.txt): a line `images patience`, then one of
//                `offset size sign clamps saturations below_zero cycles file name`
//                for the input (its cycles are an image's), each step, each output, and the
//                class of each image, which comes with tlast
// +stall=SEED    let the streams' valid and ready come and go
// +vcd=FILE      where a word differs, run its image again with waves from its step's start
//
// It ends with a line PASS or FAIL; what lies before is read by fxpnn cosim.
module fx_tb #(parameter STEPS = 1, parameter OUTPUTS = 1) (
    output reg aclk, output reg aresetn,
    output [15:0] s_axis_tdata, output s_axis_tvalid, output s_axis_tlast, input s_axis_tready,
    input [15:0] m_axis_tdata, input m_axis_tvalid, input m_axis_tlast, output reg m_axis_tready,
    input [15:0] m_axis_tuser,
    input error, input step_done, input [7:0] step_number, output reg [7:0] count_step,
    input [47:0] count_clamps, input [47:0] count_saturations, input [47:0] count_below_zero
);
    localparam CLASS = 1 + STEPS + OUTPUTS;  // of vectors.txt: 0 is the input, then steps, outputs
    localparam TEXT = 8 * 256;

    integer element, place, k;
    reg [TEXT-1:0] text, dump;
    reg [143:0] three;
    reg [31:0] seed, random;
    reg stalls, waves;

    // Where the run is: the image that is worked on, its next step, its next word to go out.
    integer first, image, step, entry_out, word_out, resetting, settling, words, wave_step, wrong;
    reg over, differs, dumping;
    wire broken, varies;
    wire [31:0] idle;
    wire word_in = s_axis_tvalid && s_axis_tready, taken = m_axis_tvalid && m_axis_tready;

    fx_golden #(.LAST(CLASS)) golden ();
    fx_source source (
        .aclk(aclk), .aresetn(aresetn), .gap(stalls && random[3]), .file(golden.file[0]),
        .size(golden.size[0]), .sign(golden.sign[0]), .first(first), .images(golden.images),
        .tdata(s_axis_tdata), .tvalid(s_axis_tvalid), .tlast(s_axis_tlast), .tready(s_axis_tready)
    );
    fx_watch watch (
        .aclk(aclk), .aresetn(aresetn), .s_axis_tready(s_axis_tready), .step_done(step_done),
        .error(error), .m_axis_tdata(m_axis_tdata), .m_axis_tvalid(m_axis_tvalid),
        .m_axis_tlast(m_axis_tlast), .m_axis_tready(m_axis_tready), .broken(broken)
    );
    fx_stopwatch #(.STEPS(STEPS)) stopwatch (
        .aclk(aclk), .aresetn(aresetn), .stalls(stalls), .word_in(word_in), .last_in(s_axis_tlast),
        .step_done(step_done), .word_out(taken), .last_out(m_axis_tlast), .idle(idle),
        .varies(varies)
    );

    initial begin
        {aclk, aresetn, over, differs, dumping, seed, words, first} = 0;
        wave_step = -1;
        if (!$value$plusargs("vectors=%s", text)) text = "vectors.txt";
        stalls = $value$plusargs("stall=%d", seed);
        waves = $value$plusargs("vcd=%s", dump);
        if (waves) $dumpfile(dump);  // before the cycle of $dumpvars, for Verilator
        golden.open(text);
        if (golden.whole) restart;
        else begin
            $display("%0s must list golden words, each file in this folder\nFAIL", text);
            $finish;
        end
    end

    always #5 aclk = !aclk;

    always @(posedge aclk) begin
        random = {random[30:0], random[31] ^ random[21] ^ random[1] ^ random[0]};
        m_axis_tready <= aresetn && !(stalls && random[7]);
        if (resetting > 0) begin
            resetting = resetting - 1;
            aresetn <= resetting == 0;
            count_step <= 0;
        end else begin
            if (step == wave_step && !dumping) begin
                dumping = 1;
                $dumpvars;
            end
            if (step_done) finish_step;
            if (taken) take;
            if (broken) fault(step, "breaks the protocol");
            if (error) fault(step, "raises error");
            if (varies) fault(step, "takes other cycles than before");
            if (idle > golden.patience && image < golden.images) fault(step, "does not end");
            if (image == golden.images && !over) judge;
        end
        if (over && differs && waves && wave_step < 0) begin
            {over, differs} = 0;
            wave_step = step;
            first = image;
            golden.images = image + 1;
            restart;
        end else if (over) begin
            $display("FAIL");
            $finish;
        end
    end

    // Reset the design and go to image `first`.
    task restart;
        begin
            resetting = 4;
            {step, word_out, settling} = 0;
            wrong = -1;
            image = first;
            entry_out = 1 + STEPS;
            random = {seed[30:0], 1'b1};
            golden.seek(first);
        end
    endtask

    // Tell what is wrong, but for words that differ.
    task fault(input integer at, input [8*40-1:0] what);
        if (!over) begin
            $display("FAULT image %0d step %0d %0s: %0s", image, at, what, golden.name[at + 1]);
            over = 1;
        end
    endtask

    task compare(input integer entry, input integer number, input signed [15:0] found);
        begin
            golden.next(entry);
            if (!golden.more) fault(entry - 1, "has too few golden words");
            if (found !== golden.word && !over) begin
                $display("DIFFERS image %0d step %0d element %0d got %0d wanted %0d: %0s", image,
                    entry - 1, number, found, golden.word, golden.name[entry]);
                {over, differs} = 2'b11;
            end
        end
    endtask

    // A step's last word is in memory.
    task finish_step;
        begin
            if (step_number !== step[7:0]) fault(step, "is not the step that was done");
            place = golden.offset[1 + step];
            for (element = 0; element < golden.size[1 + step] && !over; element = element + 1)
                compare(1 + step, element, dut.core.memory.words[place + element]);
            words = words + element;
            if (!over) step = step + 1;
        end
    endtask

    // A word of an output went out; behind the last one lie no others.
    task take;
        begin
            if (image == golden.images || step != STEPS)
                fault(step, "is not done, yet a word comes out");
            else compare(entry_out, word_out, m_axis_tdata);
            word_out = word_out + 1;
            if (word_out == golden.size[entry_out]) begin
                word_out = 0;
                entry_out = entry_out + 1;
            end
            if (m_axis_tlast !== (entry_out == CLASS)) fault(STEPS, "has tlast at the wrong word");
            if (m_axis_tlast && !over) begin
                compare(CLASS, 0, m_axis_tuser);
                entry_out = 1 + STEPS;
                step = 0;
                image = image + 1;
                if (image % 100 == 0) begin $display("IMAGES %0d", image); $fflush; end
            end
        end
    endtask

    // After the last image: what overflowed in each step, and cycles.
    task judge;
        begin
            settling = settling + 1;
            k = settling / 4 - 1;
            if (settling % 4 == 0 && k < STEPS) begin  // the counts of `count_step` are there
                three = {count_clamps, count_saturations, count_below_zero};
                $display("COUNTS %0d %0d %0d %0d", k, count_clamps, count_saturations,
                    count_below_zero);
                $display("CYCLES %0d %0d", k, stopwatch.took[1 + k]);
                if (wrong < 0 && three !== golden.counts[1 + k]) wrong = k;
                if (wrong < 0 && stopwatch.took[1 + k] != golden.cycles[1 + k]) wrong = k;
                count_step <= count_step + 1;
            end
            if (settling >= 4 * STEPS) finish;  // at once where there is nothing but moves
        end
    endtask

    task finish;
        begin
            if (!stalls) $display("IMAGE_CYCLES %0d", stopwatch.took[0]);
            if (wrong >= 0) fault(wrong, "has other counts or cycles");
            if (!stalls && stopwatch.took[0] != golden.cycles[0])
                fault(-1, "takes other cycles in all");
            if (!over) begin
                $display("PASS images %0d words %0d", golden.images, words);
                $finish;
            end
        end
    endtask
endmodule
