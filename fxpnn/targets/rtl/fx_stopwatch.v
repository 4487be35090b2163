// Measures what each step and each image take; part of the test bench.
// took[0] is an image's cycles, from the first word in to the last word out, both counted;
// took[1 + step] a step's, from the end of what was before it to its own, the first step's from the
// second cycle behind the last word in. Each is the same for all
// images, else `varies` tells so; images are not judged where the streams stall.
module fx_stopwatch #(parameter STEPS = 1) (
    input aclk, input aresetn, input stalls,
    input word_in, input last_in, input step_done, input word_out, input last_out,
    output reg [31:0] idle, output reg varies
);
    integer took [0:STEPS];
    integer cycle, began, start, step, images;
    reg fresh;

    task note(input integer place, input integer cycles);
        begin
            if (images > 0 && took[place] != cycles) varies <= 1;
            took[place] = cycles;
        end
    endtask

    always @(posedge aclk) begin
        cycle = cycle + 1;
        idle <= word_in || step_done || word_out ? 0 : idle + 1;
        if (word_in) begin
            if (fresh) began = cycle;
            if (last_in) start = cycle + 2;
            fresh = last_in;
        end
        if (step_done && step < STEPS) begin
            step = step + 1;
            note(step, cycle - start);
            start = cycle;
        end
        if (word_out && last_out) begin
            if (!stalls) note(0, cycle - began + 1);
            step = 0;
            images = images + 1;
        end
        if (!aresetn) begin
            idle <= 0;
            varies <= 0;
            fresh = 1;
            {cycle, step, images} = 0;
        end
    end
endmodule
