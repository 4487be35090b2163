// The golden words of a test bench: what vectors.txt lists (fx_tb.v says how; `whole`: all is there),
// and the next word of each file. Words are shorter than 16 bits in a file where their format is:
// `sign` is the weight of their sign bit, 0 where they have none.
module fx_golden #(parameter LAST = 1);
    localparam TEXT = 8 * 256;

    integer images, patience;
    integer file [0:LAST], offset [0:LAST], size [0:LAST], cycles [0:LAST];
    reg [15:0] sign [0:LAST];
    reg [143:0] counts [0:LAST];  // clamps, saturations, below zero
    reg [TEXT-1:0] name [0:LAST];
    reg signed [15:0] word;  // the one that was read, where `more`
    reg more, whole;

    integer vectors, status, k, n;
    integer handle;  // of a file that is read: Verilator takes no element of an array for one
    reg [TEXT-1:0] text;
    reg [47:0] clamps, saturations, below_zero;
    reg [15:0] bits;

    task open(input [TEXT-1:0] list);
        begin
            vectors = $fopen(list, "r");
            whole = vectors != 0;
            if (whole) whole = $fscanf(vectors, "%d %d", images, patience) == 2;
            for (k = 0; k <= LAST && whole; k = k + 1) begin
                status = $fscanf(vectors, "%d %d %d %d %d %d %d %s ", offset[k], size[k], sign[k],
                    clamps, saturations, below_zero, cycles[k], text);
                counts[k] = {clamps, saturations, below_zero};
                file[k] = $fopen(text, "r");
                whole = status == 8 && file[k] != 0;
                status = $fgets(text, vectors);
                name[k] = text >> 8;  // without the end of the line
            end
        end
    endtask

    // Go to the words of image `first` in every file but the input's, which fx_source reads.
    task seek(input integer first);
        for (k = 1; k <= LAST; k = k + 1) begin
            handle = file[k];
            status = $rewind(handle);
            status = $fgets(text, handle);  // the header
            for (n = 0; n < first * size[k]; n = n + 1)
                status = $fscanf(handle, "%h", bits);
        end
    endtask

    task next(input integer entry);
        begin
            handle = file[entry];
            more = $fscanf(handle, "%h", bits) == 1;
            word = (bits ^ sign[entry]) - sign[entry];
        end
    endtask
endmodule
