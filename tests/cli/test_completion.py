"""A shell completes commands, options and values."""

import pytest
from click.shell_completion import BashComplete

from cli import params
from cli.main import COMMANDS, COMPLETE, main
from cli.textbook import LESSONS
from fxpnn import Method, Overflow, Rounding
from fxpnn.datasets.mnist import DATASETS
from tests.support.cli_runner import installed


def completed(line: str) -> list[tuple[str, str]]:
    """Return the completions of a line's last word, each with its kind: a plain word or a file."""
    *words, last = line.split(" ")
    found = BashComplete(main, {}, "fxpnn", COMPLETE).get_completions(words, last)
    return [(item.type, item.value) for item in found]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", COMMANDS),
        ("inf", ["infer"]),
        ("data ", ["fetch", "list", "path", "verify"]),
        ("quantize --rounding ", [mode.value for mode in Rounding]),
        ("quantize --overflow sat", [mode.value for mode in Overflow][:3]),
        ("demo --method ", [method.value for method in Method]),
        ("quantize --softmax ", ["max", "naive"]),
        ("demo --lesson ", LESSONS),
        ("export m.fxp --to ", params.TARGETS),
        ("convert lenet5-", ["lenet5-relu"]),
        ("data path mnist:", ["mnist:calibration", "mnist:train"]),
        ("data fetch ", ["mnist"]),
        ("schema d", ["data", "demo", "diff"]),
        ("schema data ", ["fetch", "list", "path", "verify"]),
        ("quantize --wor", ["--word"]),
    ],
)
def test_words_are_completed(line: str, words: list[str]) -> None:
    """Each is one that the command takes there, and there are no others."""
    assert completed(line) == [("plain", word) for word in words]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("infer m.fxp --data mnist", list(DATASETS)),
        ("trace m.fxp --data ", list(DATASETS)),
        ("trace m.fxp -o ", []),
        ("diff m.fxp ", []),
        ("quantize m.onnx --calibration ", list(DATASETS)),
        ("train ", [*params.ARCHITECTURES, *params.EXAMPLES]),
        ("train lenet5 --data ", list(DATASETS)),
        ("quantize m.onnx -o ", []),
        ("inspect ", []),
    ],
)
def test_files_are_left_to_the_shell(line: str, words: list[str]) -> None:
    """Where a file may stand, the shell is asked for it, behind the names that are known."""
    last = line.rpartition(" ")[2]
    assert completed(line) == [*(("plain", word) for word in words), ("file", last)]


def test_shells_get_their_script_and_their_words() -> None:
    """The installed command answers as the shells ask, and nothing else is printed."""
    for shell in ("bash", "zsh", "fish"):
        done = installed(**{COMPLETE: f"{shell}_source"})
        if shell != "bash" or done.status == 0:  # its script asks which bash there is
            assert (done.status, done.err) == (0, "")
            assert COMPLETE in done.out
    words = {"COMP_WORDS": "fxpnn export m.fxp --to q", "COMP_CWORD": "4"}
    done = installed(**{COMPLETE: "bash_complete", **words})
    assert done == (0, "plain,qonnx\nplain,qdq\n", "")
