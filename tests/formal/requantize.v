// What the numeric contract asks of a cast, stated of its result and not by a way to find it.
//
// `y` is any whole number. Where it is value / 2**shift, rounded, fx_requantize gives what follows from
// it by the limits and the overflow mode, and tells of an overflow.
module requantize #(
    parameter RIGHT = 1,          // shifts of 0 and more, else of less than 0
    parameter WIDE = 62
) (
    input signed [WIDE-1:0] value,
    input signed [6:0]      shift,
    input        [2:0]      rounding,
    input        [1:0]      overflow,
    input        [4:0]      word,
    input                   signed_word,
    input signed [15:0]     low,
    input signed [15:0]     high,
    input signed [15:0]     floor,
    input signed [15:0]     ceiling,
    input signed [WIDE:0]   y,
    output                  holds
);
    wire signed [15:0] result;
    wire               over, below, is_rounded;
    fx_requantize #(.WIDE(WIDE)) cast (
        .value(value), .shift(shift), .rounding(rounding), .overflow(overflow),
        .word(word), .signed_word(signed_word), .low(low), .high(high), .floor(floor),
        .ceiling(ceiling), .result(result), .over(over), .below(below)
    );
    fx_rounds #(.WIDE(WIDE)) contract (
        .value(value), .shift(shift[5:0]), .rounding(rounding), .y(y), .holds(is_rounded)
    );
    localparam N = RIGHT ? WIDE + 5 : WIDE + 66;
    wire signed [N-1:0] rounded = RIGHT ? y : value <<< -shift;
    wire                under = rounded < low;
    wire                above = rounded > high;

    // The low bits, and above them the sign or nothing.
    reg [15:0] wrapped;
    integer    i;
    always @*
        for (i = 0; i < 16; i = i + 1)
            wrapped[i] = i < word ? rounded[i] : signed_word & rounded[word-1];

    reg signed [15:0] kept;
    always @* begin
        kept = rounded[15:0];
        if (overflow == 3 & (under | above)) kept = $signed(wrapped);
        else if (overflow == 2 & (under | above)) kept = 0;
        else if (under) kept = low;
        else if (above) kept = high;
    end
    wire limited = kept < floor ? result == floor : kept > ceiling ? result == ceiling : result == kept;
    wire flagged = over == ((under | above) & value >= 0) & below == ((under | above) & value < 0);

    wire given = rounding < 7 & (RIGHT ? ~shift[6] & is_rounded : shift[6])
        & word >= 1 & word <= 15 + signed_word & low <= high & floor <= ceiling;
    assign holds = ~given | limited & flagged;
endmodule
