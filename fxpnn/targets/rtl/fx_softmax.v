// Softmax by the maximum, section 5 of the numeric contract: exp(x - max) / sum, at F = 15.
//
// Three passes read each vector: the maximum; the sum S of e = exp(-d), d = max - x; and e again,
// times the reciprocal R of S. A vector of N takes 3 * N + 20 cycles, whatever it holds, and the last
// word is out 10 cycles later. The reads are a pipeline, each with marks that say what becomes of it.
//
//   d = max - x                         16 bits      t = d * log2(e), 16 fraction bits: n.kf
//   m = 2**-0.kf from the table, F = 20, 21 bits     e = (m << 10) >> n at F = 30, 0 if n > 30
//   S 43 bits, 2**b <= S < 2**(b + 1)                R = round(2**(b + 18) / S), 18 bits or 2**18
//   p = round(e * R / 2**(b + 3)), at most 32767
//
// Vectors lie `stride` apart value by value, from address `from`, and go to `to` in the same order:
// `inner` vectors one word apart, then `jump` from the last of them to the next, `outer` times. What
// is read arrives a cycle after its address; so do the table's words, which hold 40 bits as fx_table's.
// `exponent` is F + 5 of the input, kept within 0..39, beyond which nothing changes. `start` is high
// for one cycle, `done` in that of the last word. `argmax` is the place of the last vector's first maximum.
module fx_softmax #(
    parameter ADDRESS = 16,
    parameter TABLE = 12
) (
    input                     aclk,
    input                     aresetn,
    input                     start,
    input      [ADDRESS-1:0]  from,
    input      [ADDRESS-1:0]  to,
    input      [ADDRESS-1:0]  stride,
    input      [ADDRESS-1:0]  jump,
    input      [12:0]         size,
    input      [15:0]         inner,
    input      [15:0]         outer,
    input      [5:0]          exponent,
    input      [TABLE-1:0]    base,
    output     [ADDRESS-1:0]  address,
    input      signed [15:0]  x,
    output     [TABLE-1:0]    table_address,
    input      [39:0]         table_word,
    output                    valid,
    output     [ADDRESS-1:0]  write_address,
    output reg [15:0]         word,
    output                    done,
    output reg [15:0]         argmax
);
    // --- The passes.
    localparam IDLE = 3'd0, MAXIMUM = 3'd1, SUM = 3'd2, WAIT = 3'd3, GIVE = 3'd4;
    localparam [ADDRESS-1:0] NEXT = 1;
    localparam [12:0] DIVIDING = 13'd20;   // from the last read of a sum to the first that is given
    reg  [2:0]         state;
    reg  [12:0]        left;               // cycles of this state, less one
    reg  [ADDRESS-1:0] begins, reads;
    reg  [15:0]        inner_left, outer_left;

    wire first = left == size - 13'd1;
    wire last = left == 13'd0;
    wire last_inner = inner_left == 16'd0;
    wire last_outer = outer_left == 16'd0;
    wire [ADDRESS-1:0] following = begins + (last_inner ? jump : NEXT);
    assign address = reads;

    always @(posedge aclk) begin
        left <= left - 13'd1;
        reads <= reads + stride;
        if (!aresetn)
            state <= IDLE;
        else if (start) begin
            state <= MAXIMUM;
            left <= size - 13'd1;
            begins <= from;
            reads <= from;
            inner_left <= inner - 16'd1;
            outer_left <= outer - 16'd1;
        end else if (state != IDLE && last) begin
            left <= state == SUM ? DIVIDING - 13'd1 : size - 13'd1;
            reads <= begins;
            case (state)
                MAXIMUM: state <= SUM;
                SUM: state <= WAIT;
                WAIT: state <= GIVE;
                default: begin
                    state <= last_inner & last_outer ? IDLE : MAXIMUM;
                    begins <= following;
                    reads <= following;
                    inner_left <= last_inner ? inner - 16'd1 : inner_left - 16'd1;
                    outer_left <= outer_left - {15'd0, last_inner};
                end
            endcase
        end
    end

    // --- What travels with a read: [i] is i cycles behind its address; its x arrives at 1.
    reg        maximizing;
    reg [7:1]  beginning;    // the first of its vector
    reg [8:1]  summing;
    reg [10:1] giving, ending, turning, closing;   // the last of its vector, of an inner round, of all
    always @(posedge aclk) begin
        maximizing <= state == MAXIMUM;
        beginning <= {beginning[6:1], first};
        summing <= {summing[7:1], aresetn & state == SUM};
        giving <= aresetn ? {giving[9:1], state == GIVE} : 10'd0;
        ending <= {ending[9:1], last};
        turning <= {turning[9:1], last_inner};
        closing <= {closing[9:1], last_inner & last_outer};
    end

    // --- 1: the maximum, or the distance from it. 2 to 7: its exponential.
    reg signed [15:0] maximum;
    reg        [15:0] place, d;
    wire       [20:0] mantissa;
    wire       [3:0]  up;
    always @(posedge aclk) begin
        place <= beginning[1] ? 16'd1 : place + 16'd1;
        if (maximizing & (beginning[1] | x > maximum)) begin
            maximum <= x;
            argmax <= beginning[1] ? 16'd0 : place;
        end
        d <= maximum - x;
    end
    fx_exponential #(.TABLE(TABLE)) exponential (
        .aclk(aclk), .d(d), .exponent(exponent), .base(base), .table_address(table_address),
        .table_word(table_word), .mantissa(mantissa), .up(up)
    );

    // --- 8: the sum. The maximum's e of 2**30 makes its top bit one of the upper 13.
    reg  [42:0] sum;
    wire [42:0] e = {22'd0, mantissa} << up;
    reg  [3:0]  top;        // b - 30
    integer i;
    always @* begin
        top = 4'd0;
        for (i = 1; i < 13; i = i + 1)
            if (sum[30+i]) top = i[3:0];
    end

    // --- 9 to 28: its reciprocal, of 2**42 and the sum moved to the top. From 28 on it is there.
    reg  [3:0]  top_divided;
    wire [18:0] quotient;
    wire        divide = summing[8] & ending[8];
    wire        half, unused_more, unused_done;
    wire [18:0] reciprocal = quotient + {18'd0, half};
    fx_divide #(.WIDE(43), .QUOTIENT(19)) divider (
        .aclk(aclk), .aresetn(aresetn), .start(divide), .steps(6'd19), .first({1'b1, 42'd0}),
        .tail(15'd0), .divisor(sum << (4'd12 - top)), .done(unused_done), .quotient(quotient),
        .behind({half, unused_more})
    );

    // --- 8: e * R as mantissa * R << up, by one multiplier of 17 x 17 bits and additions: R is 2**18,
    // or has bit 17 and 17 bits below. 9: the product. 10: its lower 23 + places bits rounded away.
    wire [22:0] r = {4'd0, reciprocal};
    wire [22:0] of_r = reciprocal[18] ? {5'd0, mantissa[16:0], 1'b0} : {6'd0, mantissa[16:0]};
    reg  [22:0] upper;
    reg  [33:0] lower;
    reg  [17:0] product;      // from bit 22 on
    reg  [21:0] unused_below;
    reg  [4:0]  places_8, places_9;
    wire [17:0] rounding = product >> places_9;
    wire [16:0] p = rounding[17:1] + {16'd0, rounding[0]};

    always @(posedge aclk) begin
        if (summing[7])
            sum <= beginning[7] ? e : sum + e;
        if (divide)
            top_divided <= top;
        lower <= mantissa[16:0] * reciprocal[16:0];
        upper <= of_r + (mantissa[17] ? r : 23'd0) + (mantissa[18] ? r << 1 : 23'd0)
            + (mantissa[19] ? r << 2 : 23'd0) + (mantissa[20] ? r << 3 : 23'd0);
        places_8 <= {1'b0, top_divided} + (5'd10 - {1'b0, up});
        {product, unused_below} <= {upper, 17'd0} + {6'd0, lower};
        places_9 <= places_8;
        word <= p > 17'd32767 ? 16'd32767 : p[15:0];
    end

    // --- 10: the writes, in the order of the reads.
    reg [ADDRESS-1:0] writes, writes_begin;
    wire [ADDRESS-1:0] writes_next = writes_begin + (turning[10] ? jump : NEXT);
    assign valid = giving[10];
    assign done = valid & ending[10] & closing[10];
    assign write_address = writes;
    always @(posedge aclk)
        if (start) begin
            writes <= to;
            writes_begin <= to;
        end else if (valid) begin
            writes <= ending[10] ? writes_next : writes + stride;
            if (ending[10]) writes_begin <= writes_next;
        end
endmodule
