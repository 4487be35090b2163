// The core: one machine that runs a network as a program, an instruction or a few for each step.
//
// Cycle by cycle, a word of a step passes
//   0  fx_address: the address of a tap
//   1  fx_memory: its word, or what padding gives
//   2  fx_sums: the product with each weight is added
//   3  fx_requantize: complete sums are cast, one a cycle
//   4  fx_writer: the word is written
// Pools and tables take the word at 1 and give a value at 2 or later; softmax reads and writes by
// itself. Words of an image are written as they come, those of the outputs leave at 1.
module fx_core #(
    parameter MACS = 4,         // units of the array
    parameter ACC = 48,         // bits of an accumulator
    parameter BIAS = 48,        // bits of a bias
    parameter CLAMP = 1,        // 0 where no sum of the network can leave ACC bits
    parameter WIDE = 62,        // bits of what is cast
    parameter WORDS = 1024,     // of the activation memory
    parameter PLACE = 8,        // bits of a row or column
    parameter COUNT = 10,       // bits of a loop's turns
    parameter PROGRAM = 8,      // instructions,
    parameter WEIGHTS = 1024,   // words of weights, MACS each,
    parameter BIASES = 64,      // of biases,
    parameter TABLES = 1024,    // and of tables
    parameter STEPS = 8,
    parameter AVERAGES = 1,     // 0 where no average has to be divided,
    parameter CURVES = 1,       // no function of a value is looked up,
    parameter SOFTMAXES = 1     // there is no softmax
) (
    input             aclk,
    input             aresetn,
    input      [15:0] s_axis_tdata,
    input             s_axis_tvalid,
    output            s_axis_tready,
    input             s_axis_tlast,
    output     [15:0] m_axis_tdata,
    output            m_axis_tvalid,
    input             m_axis_tready,
    output            m_axis_tlast,
    output     [15:0] m_axis_tuser,       // with tlast, the place of the largest output or logit
    output reg        error,              // tlast was early or late; until reset
    input      [7:0]  count_step,         // a cycle later stand the counts of this step
    output     [47:0] count_clamps,
    output     [47:0] count_saturations,
    output     [47:0] count_below_zero,
    output            step_done,          // the words of a step are all in the memory,
    output     [7:0]  step_number         // and this was it
);
    localparam A = $clog2(WORDS), W = $clog2(WEIGHTS), B = $clog2(BIASES), T = $clog2(TABLES);
    localparam P = PLACE, N = COUNT;

    // The instruction: fields in the order of `LAYOUT` in fxpnn/targets/verilog/instruction.py.
    localparam INPUT = 3'd0, OUTPUT = 3'd1, SUM = 3'd2, POOL = 3'd3, TABLE = 3'd4, SOFTMAX = 3'd5;
    wire [2:0]     kind, rounding, curve_kind;
    wire [7:0]     step, pause, results, results_end;
    wire           ends_program, ends, wraps, stays, passes, rises, times;
    wire           signed_word, rectified, uncounted, average, by_softmax;
    wire [A-1:0]   read_base, write_base, stride, turn;
    wire [P-1:0]   first_row, first_column, height, width, bottom, right;
    wire [7*N-1:0] counts;
    wire [7*A-1:0] address_turns;
    wire [7*P-1:0] row_turns, column_turns;
    wire [N-1:0]   across, down;
    wire [15:0]    pad, low, high, floor, ceiling, inner, outer;
    wire [W-1:0]   weight_base;
    wire [B-1:0]   bias_base;
    wire [T-1:0]   table_base, segments;
    wire [6:0]     own_shift;
    wire [5:0]     acc_word, divide_steps, position_shift, relu_shift, exponent;
    wire [4:0]     word, g_shift;
    wire [1:0]     overflow;
    wire [12:0]    classes;
    localparam WIDTH = 227 + 11 * A + 20 * P + 9 * N + W + B + 2 * T;
    wire [WIDTH-1:0] instruction;
    assign {
        kind, step, ends_program, ends,
        read_base, first_row, first_column, height, width, bottom, right,
        counts, address_turns, row_turns, column_turns, pause, pad,
        weight_base, bias_base, results, results_end, acc_word, wraps, stays, passes, rises, times,
        write_base, across, down, stride, turn,
        own_shift, rounding, overflow, word, signed_word, low, high, floor, ceiling,
        rectified, uncounted, average, divide_steps,
        curve_kind, table_base, segments, position_shift, relu_shift, g_shift,
        classes, inner, outer, exponent, by_softmax
    } = instruction;

    wire         start, active, ended, done, written_last;
    wire [7:0]   ended_step;
    wire         valid, in_map, counted, first, last, ends_lanes, ends_position, ends_step;
    reg          valid_1, in_map_1, counted_1, first_1, last_1, ends_1;
    wire [A-1:0] tap_address, softmax_reads, softmax_writes, write_address;
    wire         write, softmax_write, softmax_done;
    wire [15:0]  read_word, write_word, softmax_word, softmax_argmax, output_argmax, result;

    // The streams. A tlast too early or too late is an error, and halts the core until reset.
    wire taking = s_axis_tvalid && s_axis_tready;
    wire giving = m_axis_tvalid && m_axis_tready;
    wire wrong = taking && s_axis_tlast != written_last;
    assign s_axis_tready = active && kind == INPUT && !error;
    assign m_axis_tvalid = valid_1 && kind == OUTPUT;
    assign m_axis_tdata = read_word;
    assign m_axis_tlast = ends_program && ends_1;
    assign m_axis_tuser = by_softmax ? softmax_argmax : output_argmax;
    always @(posedge aclk) error <= (error || wrong) && aresetn;
    fx_argmax largest (
        .aclk(aclk), .start(start), .valid(giving), .word(read_word), .place(output_argmax)
    );

    assign done = written_last || softmax_done || giving && ends_1;
    fx_sequencer #(.PROGRAM(PROGRAM), .WIDTH(WIDTH)) sequencer (
        .aclk(aclk), .aresetn(aresetn), .done(done), .halt(error || wrong), .ends_program(ends_program),
        .ends(ends), .step(step), .instruction(instruction), .start(start), .active(active),
        .ended(ended), .ended_step(ended_step), .step_done(step_done), .step_number(step_number)
    );

    // 0 and 1: a tap, which waits where the output's reader does.
    wire advance = !m_axis_tvalid || m_axis_tready;
    fx_address #(.ADDRESS(A), .PLACE(P), .COUNT(N)) taps (
        .aclk(aclk), .aresetn(aresetn), .start(start && kind != INPUT && kind != SOFTMAX),
        .advance(advance), .base(read_base), .first_row(first_row), .first_column(first_column),
        .height(height), .width(width), .bottom(bottom), .right(right), .counts(counts),
        .address_turns(address_turns), .row_turns(row_turns), .column_turns(column_turns),
        .pause(pause), .valid(valid), .address(tap_address), .in_map(in_map), .counted(counted),
        .first(first), .last(last), .ends_lanes(ends_lanes), .ends_position(ends_position),
        .ends_step(ends_step)
    );
    fx_memory #(.DEPTH(WORDS)) memory (
        .aclk(aclk), .write(write || softmax_write),
        .write_address(softmax_write ? softmax_writes : write_address),
        .write_word(softmax_write ? softmax_word : write_word), .read(advance),
        .read_address(kind == SOFTMAX ? softmax_reads : tap_address), .read_word(read_word)
    );
    always @(posedge aclk) begin
        if (!aresetn) valid_1 <= 1'b0;
        else if (advance) valid_1 <= valid;
        if (advance)
            {in_map_1, counted_1, first_1, last_1, ends_1} <=
                {in_map, counted, first, last, ends_step};
    end

    // 2: exact values.
    wire                   sum_valid, wrapped, value_valid;
    wire signed [WIDE-1:0] sum;
    wire signed [61:0]     value;
    wire signed [6:0]      sum_shift;
    wire [9:0]             clamped;
    fx_sums #(
        .MACS(MACS), .ACC(ACC), .BIAS(BIAS), .CLAMP(CLAMP), .WIDE(WIDE), .WEIGHTS(WEIGHTS),
        .BIASES(BIASES)
    ) sums (
        .aclk(aclk), .aresetn(aresetn), .start(start), .weight_base(weight_base),
        .bias_base(bias_base), .tap(valid && kind == SUM), .first(first), .last(last),
        .ends_lanes(ends_lanes), .ends_position(ends_position), .x(in_map_1 ? read_word : pad),
        .results(results), .results_end(results_end), .word(acc_word), .wraps(wraps),
        .stays(stays), .passes(passes), .rises(rises), .times(times),
        .valid(sum_valid), .value(sum), .shift(sum_shift), .overflow(wrapped), .clamped(clamped)
    );
    fx_values #(
        .ADDRESS(A), .TABLES(TABLES), .AVERAGES(AVERAGES), .CURVES(CURVES), .SOFTMAXES(SOFTMAXES)
    ) values (
        .aclk(aclk), .aresetn(aresetn), .x(read_word), .pool(valid_1 && kind == POOL),
        .in_map(in_map_1), .counted(counted_1), .first(first_1), .last(last_1), .average(average),
        .minimum(pad), .divide_steps(divide_steps), .curve(valid_1 && kind == TABLE),
        .curve_kind(curve_kind), .table_base(table_base), .segments(segments),
        .position_shift(position_shift), .relu_shift(relu_shift), .g_shift(g_shift),
        .valid(value_valid), .value(value), .softmax(kind == SOFTMAX),
        .start(start && kind == SOFTMAX), .from(read_base), .to(write_base), .stride(stride),
        .jump(turn), .classes(classes), .inner(inner), .outer(outer), .exponent(exponent),
        .read_address(softmax_reads), .write(softmax_write), .write_address(softmax_writes),
        .write_word(softmax_word), .done(softmax_done), .argmax(softmax_argmax)
    );

    // 3 and 4: the cast, and its word.
    wire               over, below;
    wire               cast = sum_valid || value_valid;
    wire signed [63:0] unused_wide = {{2{value[61]}}, value};
    fx_requantize #(.WIDE(WIDE)) requantize (
        .value(sum_valid ? sum : unused_wide[WIDE-1:0]), .shift(sum_valid ? sum_shift : own_shift),
        .rounding(rounding), .overflow(overflow), .word(word), .signed_word(signed_word),
        .low(low), .high(high), .floor(floor), .ceiling(ceiling), .result(result), .over(over),
        .below(below)
    );
    fx_writer #(.ADDRESS(A), .COUNT(N)) writer (
        .aclk(aclk), .aresetn(aresetn), .start(start), .base(write_base), .across(across),
        .down(down), .stride(stride), .turn(turn), .valid(taking || cast),
        .word(taking ? s_axis_tdata : result), .last(written_last), .write(write),
        .write_address(write_address), .write_word(write_word)
    );
    fx_counts #(.STEPS(STEPS)) counters (
        .aclk(aclk), .aresetn(aresetn), .step(step), .done(ended), .done_step(ended_step),
        .clamped(clamped), .wrapped(wrapped),
        .saturated(cast && !uncounted && (over || below && !rectified)),
        .below(cast && !uncounted && below && rectified), .read_step(count_step),
        .clamps(count_clamps), .saturations(count_saturations), .below_zero(count_below_zero)
    );
endmodule
