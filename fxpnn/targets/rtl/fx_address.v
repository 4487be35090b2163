// The taps of a step: seven nested loops, of which each turn adds a constant to the address, row and
// column. No multiplier takes part: the turn of a loop also takes back what the inner loops added.
//
// Loops 0, 1 and 2, the innermost, run over the taps of one window, or over the terms of one sum;
// 3 and 4 over what is computed at one position (lanes of the array, groups), 5 and 6 over positions.
// `counts` holds the turns of each loop less 1, loop 0 lowest. Addresses are modulo 2**ADDRESS, rows
// and columns two's complement. After the last tap of a window `pause` cycles have none.
module fx_address #(
    parameter ADDRESS = 10,
    parameter PLACE = 8,
    parameter COUNT = 10
) (
    input                      aclk,
    input                      aresetn,
    input                      start,
    input                      advance,
    input      [ADDRESS-1:0]   base,
    input      [PLACE-1:0]     first_row,
    input      [PLACE-1:0]     first_column,
    input      [PLACE-1:0]     height,
    input      [PLACE-1:0]     width,
    input      [PLACE-1:0]     bottom,        // rows before this one and ...
    input      [PLACE-1:0]     right,         // ... columns before this one count in an average
    input      [7*COUNT-1:0]   counts,
    input      [7*ADDRESS-1:0] address_turns,
    input      [7*PLACE-1:0]   row_turns,
    input      [7*PLACE-1:0]   column_turns,
    input      [7:0]           pause,
    output                     valid,         // there is a tap
    output reg [ADDRESS-1:0]   address,
    output                     in_map,        // it lies on the map, not in its padding
    output                     counted,       // it is one that an average divides by
    output                     first,         // it is the first of its window
    output                     last,          // it is the last of its window,
    output                     ends_lanes,    // of the last lanes of a group,
    output                     ends_position, // of the last group of a position,
    output                     ends_step      // of the last position
);
    reg              running;
    reg [7:0]        paused;
    reg [PLACE-1:0]  row, column;
    reg [7*COUNT-1:0] turn;
    reg [2:0]        at_first;
    reg [6:0]        at_last;
    reg [ADDRESS-1:0] address_turn;
    reg [PLACE-1:0]  row_turn, column_turn;

    // The innermost loop that is not at its last turn makes one; all inside it begin again.
    integer i;
    always @* begin
        address_turn = {ADDRESS{1'b0}};
        row_turn = {PLACE{1'b0}};
        column_turn = {PLACE{1'b0}};
        for (i = 6; i >= 0; i = i - 1) begin
            if (i < 3) at_first[i] = turn[i*COUNT +: COUNT] == {COUNT{1'b0}};
            at_last[i] = turn[i*COUNT +: COUNT] == counts[i*COUNT +: COUNT];
            if (!at_last[i]) begin
                address_turn = address_turns[i*ADDRESS +: ADDRESS];
                row_turn = row_turns[i*PLACE +: PLACE];
                column_turn = column_turns[i*PLACE +: PLACE];
            end
        end
    end

    assign valid = running && paused == 8'd0;
    assign in_map = row < height && column < width;
    assign counted = in_map || ($signed(row) < $signed(bottom) && $signed(column) < $signed(right));
    assign first = &at_first;
    assign last = &at_last[2:0];
    assign ends_lanes = &at_last[3:0];
    assign ends_position = &at_last[4:0];
    assign ends_step = &at_last;

    integer j;
    always @(posedge aclk) begin
        if (!aresetn) running <= 1'b0;
        else if (start) begin
            running <= 1'b1;
            paused <= 8'd0;
            address <= base;
            row <= first_row;
            column <= first_column;
            turn <= {7*COUNT{1'b0}};
        end else if (valid && advance) begin
            running <= !ends_step;
            if (last) paused <= pause;
            address <= address + address_turn;
            row <= row + row_turn;
            column <= column + column_turn;
            for (j = 6; j >= 0; j = j - 1)
                if (j == 0 || &(at_last | (7'h7f << j)))
                    turn[j*COUNT +: COUNT] <=
                        at_last[j] ? {COUNT{1'b0}} : turn[j*COUNT +: COUNT] + 1'b1;
        end else if (paused != 8'd0) paused <= paused - 8'd1;
    end
endmodule
