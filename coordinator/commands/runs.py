"""The commands that look at runs, and stop them, from another terminal."""

from __future__ import annotations

import json
import sys
from functools import partial

import click

from distbelief.app.errors import ExitCode
from distbelief.app.settings.durations import seconds_of
from distbelief.app.settings.environment import split_urls
from distbelief.coordinator.commands import deletion
from distbelief.coordinator.commands.options import SectionedCommand
from distbelief.coordinator.commands.output import as_json, print_lines, print_table
from distbelief.coordinator.commands.run_flags import cluster_settings, run_flags, run_names
from distbelief.coordinator.views.terminal import safe_console

#: Exit codes of whoever asks a control server.
ASKING = (ExitCode.UNREACHABLE, ExitCode.AUTHENTICATION, ExitCode.SERVER)

#: Ways to list runs; see :data:`distbelief.coordinator.views.runs.SORTS`.
ORDERS = ("when", "score", "time", "name")

_run = click.argument("run", shell_complete=run_names)


@click.command(
    cls=SectionedCommand,
    examples=(
        "status 20261122-180858-050a",
        "status 20261122-180858-050a --follow",
    ),
    codes=ExitCode,
)
@_run
@click.option("--follow", "-f", is_flag=True, help="Keep showing it, until it ends.")
@run_flags
@as_json
def status(run: str, follow: bool, as_json: bool, **flags: str | None) -> None:
    """How a run stands, from another terminal.

    With --follow the exit code tells how it ended: that of its training. Ctrl-C leaves the
    run alone; with --json there is a line for each change.
    """
    if follow:
        from distbelief.coordinator.views import following

        screen = safe_console()
        sys.exit(following.follow(run, cluster_settings(flags), screen, as_json=as_json))
    from distbelief.coordinator.report.hindsight import of_folder
    from distbelief.coordinator.views.facts import describe_run
    from distbelief.coordinator.views.looking import look_at_run

    seen = look_at_run(run, cluster_settings(flags))
    if as_json:
        click.echo(json.dumps(seen.to_json(), indent=2))
    else:
        print_lines(describe_run(seen, of_folder(seen.folder / seen.run)))


@click.command(
    cls=SectionedCommand,
    examples=(
        "runs",
        "runs --broker redis://host:6379/0 --json",
        "runs --sort score",
        "runs --delete 20261122-180858-050a",
        "runs --delete --older-than 7d --yes",
    ),
    codes=(*ASKING, ExitCode.TAKEN),
)
@click.argument("named", metavar="[RUN]...", nargs=-1, shell_complete=run_names)
@click.option(
    "--older-than", metavar="TIME", help="Those that servers have not heard of for so long: 7d."
)
@click.option(
    "--sort",
    type=click.Choice(ORDERS),
    default=ORDERS[0],
    help="Oldest first; best of each metric first; shortest first; or by name.",
)
@click.option("--delete", is_flag=True, help="Remove them from their servers; folders stay.")
@click.option("--dry-run", is_flag=True, help="With --delete: only say what would go.")
@click.option("--yes", "-y", is_flag=True, help="With --delete: do not ask.")
@run_flags
@click.option(
    "--parameter-servers", metavar="LIST", default=None, help="Where their parameters are."
)
@as_json
def runs(
    named: tuple[str, ...],
    older_than: str | None,
    sort: str,
    delete: bool,
    dry_run: bool,
    yes: bool,
    as_json: bool,
    **flags: str | None,
) -> None:
    """List runs: those in the folder, and those on the control server.

    With --delete the runs that are named, or that are older, are taken off their control and
    parameter servers, all keys of each. One that somebody coordinates is refused. Models and
    checkpoints in the runs' folders stay: such a run can still be resumed from there, unless
    it had finished. What a silent server holds is said; delete again when it is back.
    """
    from distbelief.coordinator.views.looking import look_at_runs
    from distbelief.coordinator.views.runs import SORTS, tabulate_runs

    servers = flags.pop("parameter_servers")
    settings = cluster_settings(flags)
    if servers is not None:
        settings["parameter_servers"] = tuple(split_urls(servers))
    if delete and not named and older_than is None:
        raise click.UsageError("--delete needs the names of runs, or --older-than")
    if (dry_run or yes) and not delete:
        raise click.UsageError("--dry-run and --yes belong to --delete")
    say = partial(click.echo, err=True)
    seen = look_at_runs(settings, named, idle_s=_duration(older_than), say=say)
    if delete:
        sys.exit(deletion.run([each.run for each in seen], settings, dry_run, yes, as_json))
    seen.sort(key=SORTS[sort])
    if as_json:
        click.echo(json.dumps([each.to_json() for each in seen], indent=2))
    elif seen:
        print_table(partial(tabulate_runs, seen))
        print_lines(f"{each.run}: {each.problem}" for each in seen if each.problem)
    else:
        click.echo("there are no such runs here: --folder and --broker say where to look", err=True)


def _duration(text: str | None) -> float:
    try:
        return 0.0 if text is None else seconds_of(text)
    except ValueError as error:
        raise click.UsageError(f"--older-than {text} {error}") from None


@click.command(
    cls=SectionedCommand,
    examples=("stop 20261122-180858-050a --wait",),
    codes=(*ASKING, ExitCode.TIMEOUT),
)
@_run
@click.option("--wait", is_flag=True, help="Return when it has stopped.")
@run_flags
@as_json
def stop(run: str, wait: bool, as_json: bool, **flags: str | None) -> None:
    """Have a run make a checkpoint and stop; it can be resumed."""
    from distbelief.coordinator.runs import resumption

    found = resumption.find(run, cluster_settings(flags))
    resumption.stop(found)
    if wait:
        resumption.wait_for_end(found)
    state = "stopped" if wait else "stopping"
    click.echo(json.dumps({"run": run, "state": state}) if as_json else f"run {run} is {state}")
