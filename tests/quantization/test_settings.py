"""What may be chosen for layers, and the TOML file that says it: inheritance, errors."""

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from fxpnn.errors import DataError, FormatError
from fxpnn.fixedpoint.qformat import Accumulator, Overflow, Product, QFormat, Rounding
from fxpnn.network.rounded import WeightRounding
from fxpnn.quantization.formats_file import load_plan
from fxpnn.quantization.settings import Method, Plan, Settings, parse_softmax

BASE = Settings(word=12, rounding=Rounding.FLOOR, method=Method.MSE)


def plan(tmp_path: Path, text: str | bytes, defaults: Settings = BASE) -> Plan:
    """Read a plan from a file of that text."""
    path = tmp_path / "formats.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_plan(path, defaults)


def test_every_key_is_read(tmp_path: Path) -> None:
    """A table of a layer may choose everything that settings hold."""
    read = plan(
        tmp_path,
        """
        [layers.hidden]
        word = 8
        accumulator = "ap_fixed<32,16,AP_RND>"
        rounding = "nearest-away"
        overflow = "wrap"
        method = "percentile"
        per_channel = true
        weight = "Q1.14"
        output = "Q6.9"
        softmax = "naive"
        percentile = 99
        bias = "Q3.12"
        signed = true
        weight_word = 5
        output_word = 7
        weight_rounding = "feedback"
        bias_correction = true
        weight_overflow = "saturate-symmetric"
        """,
    )
    assert read["hidden"] == Settings(
        word=8,
        accumulator=Accumulator(32, Overflow.WRAP, 16, Rounding.NEAREST_UP, Product.CAST),
        rounding=Rounding.NEAREST_AWAY,
        overflow=Overflow.WRAP,
        method=Method.PERCENTILE,
        per_channel=True,
        weight=QFormat(16, 14),
        output=QFormat(16, 9),
        softmax=0.0,
        percentile=99.0,
        bias=QFormat(16, 12),
        signed=True,
        weight_word=5,
        output_word=7,
        weight_rounding=WeightRounding.FEEDBACK,
        bias_correction=True,
        weight_overflow=Overflow.SATURATE_SYMMETRIC,
    )


def test_another_method_leaves_the_percentile_behind(tmp_path: Path) -> None:
    """A layer inherits both or, with a method that has no use for it, none."""
    read = plan(
        tmp_path,
        """
        [defaults]
        method = "percentile"
        percentile = 99.9
        [layers.a]
        percentile = 98
        [layers.b]
        method = "mse"
        [layers.c]
        method = "percentile"
        """,
    )
    found = [(read[name].method, read[name].percentile) for name in "abcd"]
    kept = (Method.PERCENTILE, 99.9)
    assert found == [(Method.PERCENTILE, 98), (Method.MSE, None), kept, kept]


@pytest.mark.parametrize("percentile", [0, -1, 100.001, math.nan, math.inf, "99"])
def test_a_percentile_is_a_percentage(percentile: float) -> None:
    """More than none, at most all."""
    message = f"percentile must be more than 0 and at most 100, not {percentile!r}"
    with pytest.raises(FormatError, match=f"^{re.escape(message)}$"):
        Settings(method=Method.PERCENTILE, percentile=percentile)


@pytest.mark.parametrize("method", [Method.MINMAX, Method.MSE, Method.PROVED])
def test_a_percentile_stands_with_its_method(method: Method) -> None:
    """Others would not heed it."""
    message = (
        f"percentile must stand with the method percentile, not {method.value}; choose that "
        "method, or give no percentile"
    )
    with pytest.raises(FormatError, match=f"^{re.escape(message)}$"):
        Settings(method=method, percentile=99.9)


def test_layers_inherit(tmp_path: Path) -> None:
    """A layer differs from the file's defaults, and those from the command line's."""
    read = plan(
        tmp_path,
        """
        [defaults]
        accumulator = 24
        rounding = "zero"
        per_channel = true
        softmax = "naive"
        [layers.out]
        per_channel = false
        softmax = "max"
        """,
    )
    defaults = replace(
        BASE, accumulator=Accumulator(24), rounding=Rounding.ZERO, per_channel=True, softmax=0.0
    )
    assert read.defaults == read["any other"] == defaults
    assert read["out"] == replace(defaults, per_channel=False, softmax=None)


def test_an_empty_plan_changes_nothing(tmp_path: Path) -> None:
    """Every key and both tables may be missing; the names of layers may be quoted."""
    assert plan(tmp_path, "# nothing") == Plan(BASE)
    assert plan(tmp_path, '[layers."conv.1"]') == Plan(BASE, {"conv.1": BASE})


@pytest.mark.parametrize(
    ("output", "rounding", "overflow"),
    [
        ("ap_fixed<16,6>", Rounding.FLOOR, Overflow.SATURATE),
        ("ap_fixed<16,6,AP_RND>", Rounding.NEAREST_UP, Overflow.SATURATE),
        ("ap_fixed<16,6,AP_TRN_ZERO,AP_WRAP>", Rounding.ZERO, Overflow.WRAP),
    ],
)
def test_modes_may_stand_in_the_output(
    tmp_path: Path, output: str, rounding: Rounding, overflow: Overflow
) -> None:
    """What an ap_fixed type names is taken from it, the rest is inherited."""
    read = plan(tmp_path, f'[layers.a]\noutput = "{output}"')
    assert read["a"] == replace(BASE, output=QFormat(16, 10), rounding=rounding, overflow=overflow)


def test_a_key_overrules_the_mode_in_the_output(tmp_path: Path) -> None:
    """A mode that has a key of its own is meant, wherever it stands."""
    text = '[layers.a]\nrounding = "zero"\noutput = "ap_fixed<16,6,AP_RND,AP_WRAP>"'
    read = plan(tmp_path, text)["a"]
    assert (read.rounding, read.overflow) == (Rounding.ZERO, Overflow.WRAP)


REMEDY = "takes 19 bits with its sign, not 16; did you mean Q6.9?"
REFUSED = [
    ("[layers.a]\nword = 17", "layers.a: a tensor's word must be 2 to 16 bits, not 17"),
    ("[defaults]\nword = 1", "defaults: a tensor's word must be 2 to 16 bits, not 1"),
    ('[layers.a]\nweight = "Q9.9"', f"layers.a: Q9.9 {REMEDY}"),
    ('[layers.a]\noutput = "Q9.9"', f"layers.a: Q9.9 {REMEDY}"),
    ('[layers.a]\noutput = "9.9"', "layers.a: a format must look like ..., not '9.9'"),
    (
        '[layers.a]\nweight = "ap_fixed<16,6,AP_RND>"',
        "layers.a: ap_fixed<16,6,AP_RND> must be a format without rounding or overflow here",
    ),
    (
        '[layers.a]\noutput = "ap_fixed<16,6,AP_SAT>"',
        "layers.a: the rounding of ap_fixed<16,6,AP_SAT> must be one of ..., not AP_SAT",
    ),
    (
        "[defaults]\naccumulator = 63",
        "defaults: an accumulator must be 8 to 62 bits, not 63",
    ),
    (
        "[defaults]\naccumulator = -8",
        "defaults: an accumulator must look like '48', '32 wrap', 'ap_fixed<24,10>' or "
        "'Q9.14 floor saturate fused', not '-8'",
    ),
    (
        '[layers.a]\nsoftmax = "min"',
        "layers.a: softmax must be max, naive or a number, not 'min'",
    ),
    ("[layers.a]\nsoftmax = nan", "layers.a: softmax must be max, naive or a number, not nan"),
    ('[layers.a]\nrounding = "up"', "layers.a: Invalid enum value 'up' - at `$.rounding`"),
    ('[defaults]\nmethod = "best"', "defaults: Invalid enum value 'best' - at `$.method`"),
    ('[layers.a]\nword = "16"', "layers.a: Expected `int | null`, got `str` - at `$.word`"),
    ("[layers.a]\nword = 15.5", "layers.a: Expected `int | null`, got `float` - at `$.word`"),
    ("[layers.a]\nper_channel = 1", "layers.a: Expected `bool | null`, got `int` - at ..."),
    ("[layers.a]\noutput = 1979-05-27", "layers.a: Expected `str | null`, got `date` - at ..."),
    ("[layers.a]\nweights = 1", "layers.a: Object contains unknown field `weights`"),
    ("[default]\nword = 8", "Object contains unknown field `default`"),
    ("layers = 1", "Expected `object`, got `int` - at `$.layers`"),
    ("defaults = []", "defaults: Expected `object`, got `array`"),
    ("[layers]\na = 1", "layers.a: Expected `object`, got `int`"),
    ("word = 8", "Object contains unknown field `word`"),
    ('[layers."a\\nb"]\nword = 17', "layers.a b: a tensor's word must be 2 to 16 bits, not 17"),
    ("[layers.a", "Expected ']' at the end of a table declaration ..."),
    ("[layers.a]\n[layers.a]", "Cannot declare ('layers', 'a') twice (at line 2, ..."),
    (b"[layers.a]\nword = \xff", "'utf-8' codec can't decode byte 0xff ..."),
    ("a = " + "[" * 990, "..."),
    ("a = " + "1" * 2000, "lines must be at most 1000 bytes"),
    ("a." * 600 + "a = 1", "lines must be at most 1000 bytes"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_load_plan_refuses(tmp_path: Path, text: str | bytes, message: str) -> None:
    """One line names the file, the table and what is wrong, with the remedy where it is known."""
    path = re.escape(f"{tmp_path / 'formats.toml'}: ")
    pattern = re.escape(message).replace(re.escape("..."), ".*")
    with pytest.raises(FormatError, match=rf"^{path}{pattern}$") as caught:
        plan(tmp_path, text)
    assert len(str(caught.value).splitlines()) == 1


def test_load_plan_names_a_missing_file(tmp_path: Path) -> None:
    """A plan that is not there is a file that cannot be used."""
    path = tmp_path / "missing.toml"
    message = rf"^{re.escape(str(path))}: cannot be read: No such file or directory$"
    with pytest.raises(DataError, match=message):
        load_plan(path, BASE)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# padding\n" * 120_000, "must be at most 1048576 bytes, not 1200000"),
        ("", "must not be empty"),
    ],
    ids=["large", "empty"],
)
def test_load_plan_refuses_a_file_of_another_size(tmp_path: Path, text: str, message: str) -> None:
    """A file that holds no plan, or more than any, is a file that cannot be used."""
    path = re.escape(str(tmp_path / "formats.toml"))
    with pytest.raises(DataError, match=rf"^{path}: {message}$"):
        plan(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "constant"),
    [("max", None), ("naive", 0.0), ("0", 0.0), ("-3.5", -3.5), (7, 7.0), (0.25, 0.25)],
)
def test_softmax_subtracts_the_maximum_or_a_constant(
    text: str | float, constant: float | None
) -> None:
    """The naive one subtracts 0."""
    assert parse_softmax(text) == constant


@pytest.mark.parametrize("text", ["", "min", "1,5", "nan", "-inf", "1e999", math.nan, math.inf])
def test_parse_softmax_refuses(text: str | float) -> None:
    """What is no number, or none that can be subtracted."""
    message = f"softmax must be max, naive or a number, not {text!r}"
    with pytest.raises(FormatError, match=rf"^{re.escape(message)}$"):
        parse_softmax(text)


@pytest.mark.parametrize("word", [-1, 0, 1, 17, 32])
def test_settings_refuse_words_of_no_tensor(word: int) -> None:
    """Weights and outputs have 2 to 16 bits."""
    with pytest.raises(FormatError, match=rf"^a tensor's word must be 2 to 16 bits, not {word}$"):
        Settings(word)


def test_settings_refuse_formats_of_no_tensor() -> None:
    """The message proposes the format that was meant."""
    message = rf"^{re.escape(f'Q9.9 {REMEDY}')}$"
    with pytest.raises(FormatError, match=message):
        Settings(weight=QFormat(19, 9))
    with pytest.raises(FormatError, match=message):
        Settings(output=QFormat(19, 9))


def test_defaults_are_those_of_a_dsp_slice() -> None:
    """16 bits, calibrated by their range, summed in 48 bits; softmax cannot overflow."""
    assert Plan()["any"] == Settings(
        16,
        Accumulator(48, Overflow.SATURATE),
        Rounding.NEAREST_EVEN,
        Overflow.SATURATE,
        Method.MINMAX,
        per_channel=False,
        weight=None,
        output=None,
        softmax=None,
    )
