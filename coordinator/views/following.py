"""Following a run from another terminal, until it ends."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import click
from rich.console import Console

from distbelief.app.errors import ExitCode
from distbelief.app.runs.snapshot import RunState
from distbelief.coordinator.report.hindsight import of_folder
from distbelief.coordinator.views.facts import describe_run
from distbelief.coordinator.views.looking import glance_at_run, look_at_run
from distbelief.coordinator.views.overview import Overview
from distbelief.coordinator.views.panel import Panel
from distbelief.coordinator.views.screen import screen

#: How often to look. A coordinator tells how it stands once a second.
LOOK_EVERY_S = 0.5

#: Nobody goes on with a run that has been dead for so long.
DEAD_S = 300.0

#: Exit codes for the end of a run; a failed one has that of its training.
ANSWERS = {RunState.FINISHED: ExitCode.OK, RunState.STOPPED: ExitCode.INTERRUPTED}

Look = Callable[[], Overview]


def follow(run: str, settings: Mapping[str, Any], console: Console, *, as_json: bool) -> ExitCode:
    """Show a run as its own terminal does, until it ends; leave it alone on Ctrl-C.

    A coordinator that dies is waited for: another one may go on with the run. With ``as_json``
    there is a line of JSON for each change.

    Returns:
        OK when it has finished, INTERRUPTED when it was stopped or Ctrl-C was pressed, TIMEOUT
        when it stayed dead for long, and for a run that failed what its training returned.

    Raises:
        ConfigError: there is no such run.
    """
    overviews = watch(lambda: glance_at_run(run, settings))
    try:
        last = _print_documents(overviews) if as_json else _draw(overviews, console)
    except KeyboardInterrupt:
        click.echo(f"not following any more; run {run} is left alone", err=True)
        return ExitCode.INTERRUPTED
    if not as_json:
        seen = look_at_run(run, settings)
        for line in describe_run(seen, of_folder(seen.folder / seen.run)):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    return _exit_code(last)


def watch(
    look: Look,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Overview]:
    """Look again and again, until the run has ended, or was dead for :data:`DEAD_S`."""
    lived_at = clock()
    while True:
        seen = look()
        yield seen
        if seen.state == RunState.RUNNING:
            lived_at = clock()
        elif seen.state != "dead" or clock() - lived_at > DEAD_S:
            return
        sleep(LOOK_EVERY_S)


def _print_documents(overviews: Iterator[Overview]) -> Overview:
    before, seen = "", None
    for seen in overviews:
        document = seen.to_json()
        text = json.dumps({name: document[name] for name in ("run", "state", "moment", "outcome")})
        if text != before:
            click.echo(text)
            before = text
    assert seen is not None
    return seen


def _draw(overviews: Iterator[Overview], console: Console) -> Overview:
    seen, snapshot, state = None, None, ""
    with screen(console) as there:
        for seen in overviews:
            snapshot = seen.snapshot or snapshot  # that of a dead run is the last one that it told
            number = snapshot.heldout.number if snapshot is not None and snapshot.heldout else 0
            if seen.state != state or there.due(number):
                there.draw(Panel(snapshot, seen.run, seen.state, _note(seen)))
                state = seen.state
    assert seen is not None
    return seen


def _note(seen: Overview) -> str:
    if seen.state == "dead":
        silent = f"no sign of life of {seen.coordinator}" if seen.coordinator else "no coordinator"
        return f"{silent}; to go on: {seen.going_on}"
    if seen.state == RunState.FAILED:
        return str(seen.outcome.get("error", ""))
    return f"coordinator: {seen.coordinator}" if seen.coordinator else ""


def _exit_code(seen: Overview) -> ExitCode:
    if seen.state == "dead":
        return ExitCode.TIMEOUT
    code = seen.outcome.get("exit_code")
    ended = ANSWERS.get(RunState(seen.state), ExitCode.INTERNAL)
    return ended if code is None else ExitCode(code)
