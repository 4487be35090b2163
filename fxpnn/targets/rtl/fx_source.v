// Streams the words of images from a golden file into a design; part of the test bench.
// While in reset it goes to image `first` of the file; behind the last of `images` it is silent.
// Words are shorter than 16 bits in the file where their format is: `sign` is the weight of their
// sign bit, 0 where they have none.
module fx_source (
    input aclk, input aresetn, input gap,
    input [31:0] file, input [31:0] size, input [15:0] sign,
    input [31:0] first, input [31:0] images,
    output reg [15:0] tdata, output reg tvalid, output reg tlast, input tready
);
    integer image, place, status, handle;
    reg [15:0] value;
    reg [8*256-1:0] header;
    reg rewound;

    initial begin
        rewound = 0;
        tvalid = 0;
    end

    always @(posedge aclk) begin
        if (!aresetn) begin
            tvalid <= 0;
            if (!rewound) begin
                handle = file;  // $fscanf of Verilator takes no port
                status = $rewind(handle);
                status = $fgets(header, handle);
                for (place = 0; place < first * size; place = place + 1)
                    status = $fscanf(handle, "%h", value);
                image = first;
                place = 0;
            end
        end else if (!tvalid || tready) begin
            tvalid <= 0;
            if (image < images && !gap) begin
                status = $fscanf(handle, "%h", value);
                place = place + 1;
                tdata <= (value ^ sign) - sign;
                tvalid <= 1;
                tlast <= place == size;
                if (place == size) begin
                    place = 0;
                    image = image + 1;
                end
            end
        end
        rewound = !aresetn;
    end
endmodule
