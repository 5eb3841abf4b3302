"""Removing runs for ``runs --delete``: the question before, and what is said afterwards."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from distbelief.app.errors import DistBeliefError, ExitCode

if TYPE_CHECKING:
    from distbelief.coordinator.runs.removal import Removal


def run(
    runs: Sequence[str], settings: Mapping[str, Any], dry_run: bool, yes: bool, as_json: bool
) -> ExitCode:
    """Remove runs, or count what would go; the exit code of the first that did not go in full."""
    from distbelief.coordinator.runs import removal, resumption

    if runs and not dry_run and not yes:
        _ask(runs)
    code, told = ExitCode.OK, []
    for name in runs:
        try:
            found = resumption.find(name, settings)
            removed = removal.delete(found, dry_run=dry_run)
        except DistBeliefError as error:
            failure: DistBeliefError | None = error
            told.append({"run": name, "error": str(error)})
        else:
            failure = removed.failure
            told.append(_document(removed, str(found.folder.path)))
            if not as_json:
                click.echo("\n".join(_lines(removed, found.folder.path.is_dir(), dry_run)))
        if failure is not None:
            code = code or failure.exit_code
            if not as_json:
                click.echo(f"error: {failure}", err=True)
    if as_json:
        click.echo(json.dumps(told, indent=2))
    elif not runs:
        click.echo("there is nothing to remove", err=True)
    return code


def _ask(runs: Sequence[str]) -> None:
    """Let a person confirm; a program cannot be asked, and has to say it beforehand."""
    if not sys.stdin.isatty():
        raise click.UsageError("there is nobody to ask here: add --yes, or --dry-run to look")
    what = f"run {runs[0]}" if len(runs) == 1 else f"{len(runs)} runs ({', '.join(runs)})"
    if not click.confirm(f"remove {what} from the servers?", err=True):
        click.echo("nothing was removed", err=True)
        sys.exit(ExitCode.INTERRUPTED)


def _document(removed: Removal, folder: str) -> dict[str, Any]:
    amount = removed.amount
    return {
        "run": removed.run,
        "keys": amount.keys,
        "bytes": amount.bytes,
        "complete": removed.failure is None,
        "servers": [each.to_json() for each in removed.servers],
        "folder": folder,
    }


def _lines(removed: Removal, kept: bool, dry_run: bool) -> Iterator[str]:
    from distbelief.coordinator.problem.memory_estimate import bytes_text

    amount, would = removed.amount, "would remove" if dry_run else "removed"
    size = "" if amount.bytes is None else f", some {bytes_text(amount.bytes)}"
    if not removed.servers:
        yield f"run {removed.run}: its servers were embedded and are gone; nothing to remove"
    else:
        yield f"run {removed.run}: {would} {amount.keys:,} keys{size}"
    for each in removed.servers:
        if each.failure is not None:
            where = f"what {each.address} holds of it"
            yield f"run {removed.run}: {where} is left; delete it again when that answers"
    if kept:
        yield f"run {removed.run}: its folder stays, with model and checkpoints"
