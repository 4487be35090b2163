"""Groups of commands: help that any Python shows, and what a wrong name was meant to be."""

import ast
import inspect
from difflib import get_close_matches

import click


class Group(click.Group):
    """A group whose commands keep their help under ``python -OO``, which drops docstrings."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name, with its help."""
        command = self.find(ctx, cmd_name)
        return command and helped(command)

    def find(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by its name."""
        return super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments begin with, or name those like it."""
        name, names = args[0], self.list_commands(ctx)
        if name not in names and not name.startswith("-") and not ctx.resilient_parsing:
            like = get_close_matches(name, names, n=1)
            meant = f"; did you mean {like[0]}?" if like else ""
            ctx.fail(f"a command must be one of {', '.join(names)}, not {name!r}{meant}")
        return super().resolve_command(ctx, args)


def helped(command: click.Command) -> click.Command:
    """Give a command that has no help the docstring that stands in its source."""
    if not command.help and command.callback is not None:
        function = inspect.unwrap(command.callback)
        (tree,) = ast.parse(inspect.getsource(function)).body
        assert isinstance(tree, ast.FunctionDef)
        command.help = ast.get_docstring(tree)
    return command
