"""The options that choose formats, one by one; ``options.with_settings`` collects their values."""

import click

from fxpnn.fixedpoint.qformat import Accumulator

from . import params

WORDS = (
    click.option(
        "--word",
        type=params.WORD,
        metavar="BITS",
        help="Word of weights and layers' outputs, 2 to 16 bits.  [default: 16]",
    ),
    click.option(
        "--format",
        "number",
        type=params.FORMAT,
        metavar="FORMAT",
        help="One format for everything instead of one calibrated for each layer, "
        "as Q5.10 or ap_fixed<16,6>.",
    ),
)
SETTINGS = (
    click.option(
        "--weight-word",
        type=params.WORD,
        metavar="BITS",
        help="Word of weights, where it is another.",
    ),
    click.option(
        "--output-word",
        type=params.WORD,
        metavar="BITS",
        help="Word of layers' outputs, where it is another.",
    ),
    click.option(
        "--accumulator",
        type=params.ACCUMULATOR,
        default=Accumulator(),
        metavar="BITS",
        help="Register that sums products, 8 to 62 bits, as 48 or '32 wrap'.  "
        "[default: 48 saturate]",
    ),
    click.option(
        "--rounding",
        type=params.ROUNDING,
        metavar="MODE",
        help="nearest-even, nearest-up, nearest-down, nearest-zero, nearest-away, floor or zero.  "
        "[default: nearest-even]",
    ),
    click.option(
        "--overflow",
        type=params.OVERFLOW,
        metavar="MODE",
        help="saturate, saturate-symmetric, saturate-zero or wrap.  [default: saturate]",
    ),
    click.option(
        "--method",
        type=params.METHOD,
        default="minmax",
        metavar="METHOD",
        help="How formats are chosen: minmax, percentile or mse of the calibration data, or proved "
        "for any input.  [default: minmax]",
    ),
    click.option(
        "--percentile",
        type=params.PERCENTILE,
        metavar="P",
        help="How many percent of the magnitudes the method percentile covers.  [default: 99.99]",
    ),
    click.option(
        "--softmax",
        type=params.SOFTMAX,
        metavar="max|naive|C",
        help="What softmax subtracts: the maximum, nothing, or the constant C.  [default: max]",
    ),
    click.option(
        "--per-channel", is_flag=True, help="Give each output channel's weights their own fraction."
    ),
    click.option(
        "--weight-rounding",
        type=params.WEIGHT_ROUNDING,
        default="nearest",
        metavar="nearest|feedback",
        help="Round each weight by itself, or pass its error on to those not yet rounded, weighed "
        "by calibration data.  [default: nearest]",
    ),
    click.option(
        "--bias-correction",
        is_flag=True,
        help="Move the mean error of outputs on calibration data into biases.",
    ),
    click.option(
        "--weight-overflow",
        type=params.WEIGHT_OVERFLOW,
        default="saturate",
        metavar="MODE",
        help="saturate, or saturate-symmetric: no weight is the least of its word; those of 2 bits "
        "are -1, 0 and 1.  [default: saturate]",
    ),
)
