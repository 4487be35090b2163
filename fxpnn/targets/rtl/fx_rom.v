// A memory that is only read: its words stand in FILE, and each is there a cycle after its address.
module fx_rom #(
    parameter WIDTH = 16,
    parameter DEPTH = 1024,
    parameter FILE = "rom.hex"
) (
    input                          aclk,
    input                          read,
    input      [$clog2(DEPTH)-1:0] address,
    output reg [WIDTH-1:0]         word
);
    reg [WIDTH-1:0] words [0:DEPTH-1];

    initial $readmemh(FILE, words);

    always @(posedge aclk) if (read) word <= words[address];
endmodule
