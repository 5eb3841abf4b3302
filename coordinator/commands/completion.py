"""Completion of the command line in bash, zsh and fish."""

from __future__ import annotations

from importlib import resources

import click

from distbelief.coordinator.commands.options import SectionedCommand

SHELLS = ("bash", "zsh", "fish")


@click.command(
    cls=SectionedCommand,
    examples=(
        "completion bash >> ~/.bashrc",
        "completion zsh >> ~/.zshrc   # behind compinit",
        "completion fish > ~/.config/fish/completions/distbelief.fish",
    ),
)
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the script that completes commands in your shell.

    It completes 'distbelief', and 'python -m' with 'distbelief' or 'coordinator': commands,
    flags, the words that a setting may be, and the names of runs; elsewhere the names of files.
    """
    folder = resources.files("distbelief.coordinator.commands") / "shells"
    click.echo((folder / f"completion.{shell}").read_text(encoding="utf-8"), nl=False)
