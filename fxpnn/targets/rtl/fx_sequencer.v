// Fetches the instructions of the program, one after the other, and begins again behind the last.
//
// With the last word of an instruction (`done`) the next is fetched: it stands a cycle later, with
// `start`, while that word is written. A cycle after that the step is told to be done.
module fx_sequencer #(
    parameter PROGRAM = 4,
    parameter WIDTH = 256,
    parameter FILE = "program.hex"
) (
    input                  aclk,
    input                  aresetn,
    input                  done,
    input                  halt,         // nothing is fetched any more
    input                  ends_program,        // this instruction is the program's last
    input                  ends,         // it is the last of a step,
    input      [7:0]       step,         // of this
    output     [WIDTH-1:0] instruction,
    output reg             start,
    output reg             active,       // neither starting nor done
    output reg             ended,        // with the start of the next: a step's last events are known
    output reg [7:0]       ended_step,
    output reg             step_done,
    output reg [7:0]       step_number
);
    reg                        awake;
    reg  [$clog2(PROGRAM)-1:0] place;
    wire                       load = (done || !awake) && !halt && aresetn;

    fx_rom #(.WIDTH(WIDTH), .DEPTH(PROGRAM), .FILE(FILE)) program_rom (
        .aclk(aclk), .read(load), .address(place), .word(instruction)
    );

    always @(posedge aclk) begin
        awake <= aresetn;
        start <= load;
        active <= (start || active && !load) && aresetn;
        ended <= load && awake && ends;
        ended_step <= step;
        step_done <= ended && aresetn;
        step_number <= ended_step;
        if (!aresetn) place <= {$clog2(PROGRAM){1'b0}};
        else if (start) place <= ends_program ? {$clog2(PROGRAM){1'b0}} : place + 1'b1;
    end
endmodule
