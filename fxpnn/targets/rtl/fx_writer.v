// Writes the words of a step to the activation memory: `across` words a stride apart, again and again.
//
// A word that is `valid` is written a cycle later; `last` tells with it that the step has no other.
module fx_writer #(
    parameter ADDRESS = 10,
    parameter COUNT = 10
) (
    input                    aclk,
    input                    aresetn,
    input                    start,
    input      [ADDRESS-1:0] base,
    input      [COUNT-1:0]   across,      // words of a row, less 1
    input      [COUNT-1:0]   down,        // rows, less 1
    input      [ADDRESS-1:0] stride,      // what a word adds to the address,
    input      [ADDRESS-1:0] turn,        // and what the last of a row does
    input                    valid,
    input      [15:0]        word,
    output                   last,
    output reg               write,
    output reg [ADDRESS-1:0] write_address,
    output reg [15:0]        write_word
);
    reg [ADDRESS-1:0] address;
    reg [COUNT-1:0]   column, row;

    wire ends_row = column == across;
    assign last = valid && ends_row && row == down;

    always @(posedge aclk) begin
        write <= valid && aresetn;
        write_address <= address;
        write_word <= word;
        if (start) begin
            address <= base;
            column <= {COUNT{1'b0}};
            row <= {COUNT{1'b0}};
        end else if (valid) begin
            address <= address + (ends_row ? turn : stride);
            column <= ends_row ? {COUNT{1'b0}} : column + 1'b1;
            if (ends_row) row <= row + 1'b1;
        end
    end
endmodule
