// The arithmetic units side by side, all ports in one word: tests.support.rtl_units names its fields.
// They read a memory and a table that cycles of unit 0 write.
module units_harness (
    input              clock,
    input      [383:0] in,
    output reg [127:0] out
);
    wire [2:0] unit = in[2:0];
    wire       aresetn = in[3];

    reg [15:0] memory[0:32767];
    reg [39:0] tables[0:4095];
    reg [39:0] table_word, exponential_word, softmax_word;
    reg [15:0] x;
    always @(posedge clock) begin
        if (in[8]) memory[in[30:16]] <= in[47:32];
        if (in[9]) tables[in[27:16]] <= in[103:64];
        x <= memory[softmax_reads[14:0]];
        table_word <= tables[table_address];
        exponential_word <= tables[exponential_address];
        softmax_word <= tables[softmax_address];
    end

    wire signed [15:0] cast;
    wire               over, below;
    fx_requantize requantize (
        .value(in[125:64]), .shift(in[22:16]), .rounding(in[26:24]), .overflow(in[29:28]),
        .word(in[36:32]), .signed_word(in[40]), .low(in[143:128]), .high(in[159:144]),
        .floor(in[175:160]), .ceiling(in[191:176]), .result(cast), .over(over), .below(below)
    );

    wire [11:0]        table_address;
    wire               looked;
    wire signed [61:0] looked_value;
    fx_table table_unit (
        .aclk(clock), .aresetn(aresetn), .valid(in[8] & unit == 3'd2), .x(in[47:32]),
        .kind(in[18:16]), .position_shift(in[69:64]), .segments(in[91:80]), .base(in[107:96]),
        .relu_shift(in[117:112]), .g_shift(in[124:120]), .table_address(table_address),
        .table_word(table_word), .given(looked), .value(looked_value)
    );

    wire [11:0] exponential_address;
    wire [20:0] mantissa;
    wire [3:0]  up;
    fx_exponential exponential (
        .aclk(clock), .d(in[31:16]), .exponent(in[37:32]), .base(in[75:64]),
        .table_address(exponential_address), .table_word(exponential_word),
        .mantissa(mantissa), .up(up)
    );

    wire [11:0] softmax_address;
    wire [15:0] softmax_reads, softmax_writes, word, argmax;
    wire        writes, done;
    fx_softmax softmax (
        .aclk(clock), .aresetn(aresetn), .start(in[8] & unit == 3'd4), .from(in[79:64]),
        .to(in[95:80]), .stride(in[111:96]), .jump(in[127:112]), .size(in[140:128]),
        .inner(in[159:144]), .outer(in[175:160]), .exponent(in[181:176]), .base(in[203:192]),
        .address(softmax_reads), .x(x), .table_address(softmax_address), .table_word(softmax_word),
        .valid(writes), .write_address(softmax_writes), .word(word), .done(done), .argmax(argmax)
    );

    wire               pooled;
    wire signed [61:0] pooled_value;
    fx_pool pool (
        .aclk(clock), .aresetn(aresetn), .valid(in[8] & unit == 3'd5), .x(in[31:16]),
        .in_map(in[9]), .counted(in[10]), .first(in[11]), .last(in[12]), .average(in[13]),
        .minimum(in[47:32]), .steps(in[53:48]), .given(pooled), .value(pooled_value)
    );

    always @*
        case (unit)
            3'd1: out = {110'd0, below, over, cast};
            3'd2: out = {65'd0, looked, looked_value};
            3'd3: out = {97'd0, mantissa, 6'd0, up};
            3'd4: out = {46'd0, done, writes, word, softmax_writes, 32'd0, argmax};
            3'd5: out = {65'd0, pooled, pooled_value};
            default: out = 128'd0;
        endcase
endmodule
