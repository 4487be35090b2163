// The activation memory: one port writes a word, another reads one, which is there a cycle later.
//
// A word that is read in the cycle in which it is written is the old one; the core never does so.
module fx_memory #(
    parameter WIDTH = 16,
    parameter DEPTH = 1024
) (
    input                          aclk,
    input                          write,
    input      [$clog2(DEPTH)-1:0] write_address,
    input      [WIDTH-1:0]         write_word,
    input                          read,
    input      [$clog2(DEPTH)-1:0] read_address,
    output reg [WIDTH-1:0]         read_word
);
    reg [WIDTH-1:0] words [0:DEPTH-1];

    always @(posedge aclk) begin
        if (write) words[write_address] <= write_word;
        if (read) read_word <= words[read_address];
    end
endmodule
