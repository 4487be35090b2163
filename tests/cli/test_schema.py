"""``fxpnn schema`` tells the shape of every JSON; the runner of these tests checks all by it."""

from pathlib import Path
from typing import Any

import click
import pytest
from jsonschema import Draft202012Validator, ValidationError

from cli import schema
from cli.main import COMMANDS, main
from tests.support.cli_runner import fxp, validator

KNOWN = schema.commands(main, click.Context(main))
PRINTING = [name for name in COMMANDS if name not in ("data", "schema")]
PRINTING += [f"data {name}" for name in ("fetch", "list", "path", "verify")]


def test_every_command_with_results_has_json() -> None:
    """All but ``schema`` itself, whose result is JSON, take --json."""
    assert sorted(KNOWN) == sorted(PRINTING)


@pytest.mark.parametrize("name", KNOWN)
def test_schemas_are_schemas(name: str) -> None:
    """What is printed is a JSON Schema that says which keys are always there, and has no holes."""
    done = fxp("schema", *name.split())
    assert (done.status, done.err) == (0, "")
    found = done.json
    Draft202012Validator.check_schema(found)
    assert found["title"] == f"fxpnn {name} --json"
    tops = found.get("anyOf", [found])
    for top in tops:
        part = found["$defs"][top["$ref"].rpartition("/")[2]]
        assert "schema" in part["required"]
        assert part["properties"]["schema"] == {"enum": [1]}
    assert "{}" not in done.out
    assert '"default"' not in done.out


def test_keys_are_required_unless_asked_for() -> None:
    """Only ``flipped``, which the user asks for, may be left out of a run."""
    part = fxp("schema", "infer").json["$defs"]["RunReport"]
    assert {*part["properties"]} - {*part["required"]} == {"flipped"}


def test_unknown_names_are_told_the_known_ones() -> None:
    """One line names every command that has a schema."""
    for args in ((), ("infr",), ("data",)):
        done = fxp("schema", *args)
        line = f"a command must be one of {', '.join(KNOWN)}, not {' '.join(args)!r}"
        assert (done.status, done.err) == (2, f"fxpnn: error: {line} (see fxpnn schema --help)\n")


@pytest.mark.parametrize(
    "change",
    [{"schema": 2}, {"folder": 3}, {"folder": None}, {"more": 1}],
    ids=["version", "number", "null", "unknown"],
)
def test_the_runner_notices_another_shape(change: dict[str, Any]) -> None:
    """A key that is missing, of another type or not told is an error of the test that sees it."""
    right = fxp("data", "path", "mnist", "--json").json
    validator("data path").validate(right)
    wrong = right | change
    with pytest.raises(ValidationError):
        validator("data path").validate({k: v for k, v in wrong.items() if v is not None})


def test_folders_are_told_as_json_too(tmp_path: Path) -> None:
    """``data path`` gives the folder that it prints without --json."""
    assert fxp("data", "path", "mnist", "--json").json == {
        "schema": 1,
        "name": "mnist",
        "folder": fxp("data", "path", "mnist").out.strip(),
    }
