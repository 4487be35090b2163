"""``fxpnn schema``: the shape of what commands print with --json, made from its types."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import click

from . import options
from .console.terminal import print_json

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def _next_words(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Return what a name of a command may go on with."""
    root = ctx.find_root()
    assert isinstance(root.command, click.Group)
    said = list(ctx.params.get("command") or ())
    known = (name.split() for name in commands(root.command, root))
    words = {name[len(said)] for name in known if name[: len(said)] == said and name[len(said) :]}
    return sorted(word for word in words if word.startswith(incomplete))


@click.command(epilog=options.example("fxpnn schema infer", "fxpnn schema data list"))
@click.argument("command", nargs=-1, metavar="COMMAND", shell_complete=_next_words)
@click.pass_context
def schema(ctx: click.Context, command: tuple[str, ...]) -> None:
    """Print the JSON Schema of what COMMAND prints with --json.

    Keys may be added to what a command prints; none goes, or changes its meaning, while the number
    behind "schema" stays.
    """
    root = ctx.find_root()
    assert isinstance(root.command, click.Group)
    known = commands(root.command, root)
    name = " ".join(command)
    if name not in known:
        raise click.UsageError(f"a command must be one of {', '.join(known)}, not {name!r}")
    print_json(described(name, known[name]))


def described(name: str, types: tuple[str, ...]) -> dict[str, Any]:
    """Describe what a command prints: one of these types."""
    import msgspec

    found = [_type(where) for where in types]
    shapes, parts = msgspec.json.schema_components(found, ref_template="#/$defs/{name}")
    for part in parts.values():
        _require(part)
    head = {"$schema": DIALECT, "title": f"fxpnn {name} --json"}
    return {**head, **(shapes[0] if len(shapes) == 1 else {"anyOf": [*shapes]}), "$defs": parts}


def _require(part: dict[str, Any]) -> None:
    """Require the keys that have a default: it is printed as well."""
    keys = part.get("properties", {})
    printed = [name for name, key in keys.items() if "default" in key]
    for name in printed:
        del keys[name]["default"]
    if keys:
        part["required"] = [name for name in keys if name in (*part["required"], *printed)]


def commands(group: click.Group, ctx: click.Context) -> dict[str, tuple[str, ...]]:
    """Return the types that each command prints with --json, by what a user types to reach it."""
    return dict(_commands(group, ctx))


def _commands(group: click.Group, ctx: click.Context) -> Iterator[tuple[str, tuple[str, ...]]]:
    for name in group.list_commands(ctx):
        command = group.get_command(ctx, name)
        if isinstance(command, click.Group):
            yield from ((f"{name} {inner}", types) for inner, types in _commands(command, ctx))
        for param in command.params if command else ():
            if isinstance(param, options.Json):
                yield name, param.types


def _type(where: str) -> Any:
    module, _, name = where.partition(":")
    return getattr(import_module(f".{module}", __package__), name)
