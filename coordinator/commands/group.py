"""A group of commands that are imported when they are wanted: its own help needs none of them."""

from __future__ import annotations

import difflib
from importlib import import_module

import click
from click.shell_completion import CompletionItem

from distbelief.app.errors import ExitCode
from distbelief.coordinator.commands.options import describe_codes


class LazyGroup(click.Group):
    """Commands by the import path of each, in the order in which they were named."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # handed on as they are
        self._lazy: dict[str, tuple[str, str]] = {}

    def add_lazy(self, name: str, path: str, summary: str) -> None:
        """Name the command at ``path`` (``module:attribute``); ``summary`` is its short help."""
        self._lazy[name] = path, summary

    def summary(self, name: str) -> str:
        """The short help of a command that was named."""
        return self._lazy[name][1]

    def load_commands(self) -> list[click.Command]:
        """All commands, imported."""
        context = click.Context(self)
        found = (self.get_command(context, name) for name in self.list_commands(context))
        return [command for command in found if command is not None]

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self._lazy, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._lazy:
            return super().get_command(ctx, cmd_name)
        module, _, attribute = self._lazy[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, known = args[0], self.list_commands(ctx)
        if name in known or name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"use one of {', '.join(known)}"
        raise click.UsageError(f"there is no command '{name}': {hint}", ctx)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self._summaries(ctx).items()))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_paragraph()
        formatter.write(f"{describe_codes(ExitCode, formatter.width)}\n")

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        found = self._summaries(ctx).items()
        return [CompletionItem(n, help=text) for n, text in found if n.startswith(incomplete)]

    def _summaries(self, ctx: click.Context) -> dict[str, str]:
        others = {
            name: each.get_short_help_str(limit=80)
            for name in super().list_commands(ctx)
            if (each := super().get_command(ctx, name)) is not None
        }
        return {name: summary for name, (_, summary) in self._lazy.items()} | others
