// Values that no products are summed for: pools, tables and softmax. Each gives exact values for the
// cast but softmax, which reads and writes the activation memory by itself.
//
// Layers that only move or cast values are pools too, with windows of one tap.
module fx_values #(
    parameter ADDRESS = 10,
    parameter TABLES = 1024,
    parameter AVERAGES = 1,   // 0 leaves the divider of averages out,
    parameter CURVES = 1,     // the functions of single values,
    parameter SOFTMAXES = 1   // or softmax
) (
    input                       aclk,
    input                       aresetn,
    input  signed [15:0]        x,
    // Pools.
    input                       pool,
    input                       in_map,
    input                       counted,
    input                       first,
    input                       last,
    input                       average,
    input  signed [15:0]        minimum,
    input  [5:0]                divide_steps,
    // Tables.
    input                       curve,
    input  [2:0]                curve_kind,
    input  [$clog2(TABLES)-1:0] table_base,
    input  [$clog2(TABLES)-1:0] segments,
    input  signed [5:0]         position_shift,
    input  [5:0]                relu_shift,
    input  [4:0]                g_shift,
    output                      valid,
    output signed [61:0]        value,
    // Softmax.
    input                       softmax,       // it runs,
    input                       start,         // and begins in this cycle
    input  [ADDRESS-1:0]        from,
    input  [ADDRESS-1:0]        to,
    input  [ADDRESS-1:0]        stride,
    input  [ADDRESS-1:0]        jump,
    input  [12:0]               classes,
    input  [15:0]               inner,
    input  [15:0]               outer,
    input  [5:0]                exponent,
    output [ADDRESS-1:0]        read_address,
    output                      write,
    output [ADDRESS-1:0]        write_address,
    output [15:0]               write_word,
    output                      done,
    output [15:0]               argmax
);
    wire               pool_valid, curve_valid;
    wire signed [61:0] pooled, curved;
    assign valid = pool_valid || curve_valid;
    assign value = curve_valid ? curved : pooled;

    fx_pool pools (
        .aclk(aclk), .aresetn(aresetn), .valid(pool), .x(x), .in_map(in_map), .counted(counted),
        .first(first), .last(last), .average(AVERAGES != 0 && average), .minimum(minimum), .steps(divide_steps),
        .given(pool_valid), .value(pooled)
    );

    wire [$clog2(TABLES)-1:0] curve_address, softmax_address;
    wire [39:0]               table_word;
    fx_rom #(.WIDTH(40), .DEPTH(TABLES), .FILE("tables.hex")) table_rom (
        .aclk(aclk), .read(1'b1), .address(softmax ? softmax_address : curve_address),
        .word(table_word)
    );
    generate
        if (CURVES != 0) begin : with_curves
            fx_table #(.ADDRESS($clog2(TABLES))) curves (
                .aclk(aclk), .aresetn(aresetn), .valid(curve), .x(x), .kind(curve_kind),
                .position_shift(position_shift), .segments(segments), .base(table_base),
                .relu_shift(relu_shift), .g_shift(g_shift), .table_address(curve_address),
                .table_word(table_word), .given(curve_valid), .value(curved)
            );
        end else begin : without_curves
            assign {curve_valid, curved, curve_address} = {$clog2(TABLES) + 63{1'b0}};
            wire unused = &{1'b0, curve, curve_kind, position_shift, segments, relu_shift, g_shift};
        end
        if (SOFTMAXES != 0) begin : with_softmax
            fx_softmax #(.ADDRESS(ADDRESS), .TABLE($clog2(TABLES))) softmaxes (
                .aclk(aclk), .aresetn(aresetn), .start(start), .from(from), .to(to),
                .stride(stride), .jump(jump), .size(classes), .inner(inner), .outer(outer),
                .exponent(exponent), .base(table_base), .address(read_address), .x(x),
                .table_address(softmax_address), .table_word(table_word), .valid(write),
                .write_address(write_address), .word(write_word), .done(done), .argmax(argmax)
            );
        end else begin : without_softmax
            assign {write, write_address, write_word, done, argmax} = {ADDRESS + 34{1'b0}};
            assign {read_address, softmax_address} = {ADDRESS + $clog2(TABLES){1'b0}};
            wire unused = &{1'b0, start, from, to, stride, jump, classes, inner, outer, exponent};
        end
        if (CURVES == 0 && SOFTMAXES == 0) begin : without_tables
            wire unused = &{1'b0, table_base, table_word};
        end
    endgenerate
endmodule
