// The divider: one bit of the quotient a cycle, by subtracting and shifting, as many as it is told.
//
// A step asks whether the divisor is in what remains, subtracts it if so, and doubles the rest. So
// `first` has the weight of the quotient's first bit and is below twice the divisor; the dividend's
// further bits follow from the top of `tail`, then zeros. The reciprocal of softmax begins with a
// power of 2 and has 19 steps; an average of 16-bit words begins with sum >> 15 and has 16 and more.
//
// `start` loads it; after `steps` further cycles `done` is high for one, and the quotient stays until
// the next start. `behind` tells what the quotient lacks: 0 nothing, 1 less than half, 2 half, 3 more.
module fx_divide #(
    parameter WIDE = 43,
    parameter QUOTIENT = 19
) (
    input                     aclk,
    input                     aresetn,
    input                     start,
    input      [5:0]          steps,
    input      [WIDE-1:0]     first,
    input      [14:0]         tail,
    input      [WIDE-1:0]     divisor,
    output reg                done,
    output reg [QUOTIENT-1:0] quotient,
    output     [1:0]          behind
);
    reg  [WIDE-1:0] by;
    reg  [WIDE:0]   rest;   // below 2 * by, before and after every step
    reg  [14:0]     next;
    reg  [5:0]      left;

    wire [WIDE+1:0] less = {1'b0, rest} - {2'b00, by};
    wire            fits = ~less[WIDE+1];
    wire [WIDE-1:0] kept = fits ? less[WIDE-1:0] : rest[WIDE-1:0];

    // After the last step, what remains is doubled already, and compares with half by `fits`.
    assign behind = fits ? {1'b1, |less[WIDE:0]} : {1'b0, |rest};

    always @(posedge aclk) begin
        done <= aresetn & ~start & left == 6'd1;
        if (!aresetn)
            left <= 6'd0;
        else if (start)
            left <= steps;
        else if (left != 6'd0)
            left <= left - 6'd1;
        if (start) begin
            by <= divisor;
            rest <= {1'b0, first};
            next <= tail;
            quotient <= {QUOTIENT{1'b0}};
        end else if (left != 6'd0) begin
            rest <= {kept, next[14]};
            next <= {next[13:0], 1'b0};
            quotient <= {quotient[QUOTIENT-2:0], fits};
        end
    end
endmodule
