"""Looking at runs from another terminal: in their folders first, and then on their servers.

A run whose servers were its own, and are gone, is what its folder says. All that asks a server is
imported for the others alone: it takes longer than to look at hundreds of runs.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from distbelief.app.errors import DistBeliefError, RunUnknown, ServerUnreachable
from distbelief.coordinator.progress.program import FOLDER
from distbelief.coordinator.runs import summary
from distbelief.coordinator.runs.ids import check_id
from distbelief.coordinator.runs.summary import Summary
from distbelief.coordinator.views.overview import Overview


def look_at_run(run: str, settings: Mapping[str, Any]) -> Overview:
    """Look at one run; raises ConfigError if there is none of that name."""
    return _look(run, settings, set())


def glance_at_run(run: str, settings: Mapping[str, Any]) -> Overview:
    """Look without events and checkpoints, for those who do it every second."""
    return _look(run, settings, set(), brief=True)


def look_at_runs(
    settings: Mapping[str, Any],
    names: Sequence[str] = (),
    *,
    idle_s: float = 0.0,
    say: Callable[[str], None] = lambda _: None,
) -> list[Overview]:
    """Look at runs: those named, or all in the folder and on the control server; oldest first.

    With ``idle_s`` only those that their servers have not heard of for so long.

    One of which something odd was written down is there all the same, with its ``problem``. If
    the control server does not answer, it is ``said``, and those in the folder are there.

    Raises:
        ConfigError: there is none of a name, or it is odd.
        ServerUnreachable: the control server does not answer, and the folder has no runs.
    """
    found, silent = [], set[str]()
    for run in sorted(set(names)) or _names(settings, silent, say):
        try:
            found.append(_look(run, settings, silent, brief=True))
        except RunUnknown:
            if names:
                raise
            continue  # it has just been removed
        except DistBeliefError as error:
            if names:
                raise
            found.append(_unreadable(run, error))
    return [each for each in found if not idle_s or (each.idle_s or 0.0) >= idle_s]


def _look(
    run: str, settings: Mapping[str, Any], silent: set[str], *, brief: bool = False
) -> Overview:
    check_id(run)
    folder = Path(settings.get("folder", FOLDER)) / run
    kept = summary.read(folder)
    if kept is not None and kept.embedded and _is_gone(kept.control):
        return _as_written(folder, kept, brief=brief)
    from distbelief.coordinator.views import asking

    return asking.ask(run, settings, silent, brief=brief)


def _is_gone(address: str) -> bool:
    """Whether an embedded server's socket is no longer there."""
    known = urlsplit(address)
    try:
        os.stat(unquote(known.path))
    except (FileNotFoundError, NotADirectoryError):
        return known.scheme == "unix"
    except (OSError, ValueError):
        return False
    return False


def _as_written(folder: Path, kept: Summary, *, brief: bool) -> Overview:
    model_file = Path(kept.output) if kept.output else folder / "model.safetensors"
    return Overview(
        run=folder.name,
        state=str(kept.outcome.get("state", "dead")),
        algorithm=kept.algorithm,
        model=kept.model,
        data=kept.data,
        coordinator=None,
        snapshot=None,
        outcome=kept.outcome,
        checkpoints=[] if brief else _checkpoints(folder),
        events=[],
        folder=folder.parent,
        name=kept.name,
        note=kept.note,
        model_file=model_file if model_file.exists() else None,
    )


def _checkpoints(folder: Path) -> list[str]:
    from distbelief.app.files import checkpoint

    return checkpoint.names(folder / "checkpoints")


def _unreadable(run: str, error: DistBeliefError) -> Overview:
    shown = run.encode(errors="surrogateescape").decode(errors="backslashreplace")
    return Overview(
        run=shown,
        state="unreadable",
        algorithm="",
        model="",
        data="",
        coordinator=None,
        snapshot=None,
        outcome={},
        checkpoints=[],
        events=[],
        problem=str(error),
    )


def _names(settings: Mapping[str, Any], silent: set[str], say: Callable[[str], None]) -> list[str]:
    folder = settings.get("folder", FOLDER)
    runs = {path.parent.name for path in Path(folder).glob("*/run.json")}
    if not settings.keys() <= {"folder"}:
        from distbelief.coordinator.views import asking

        try:
            runs |= asking.names(settings, silent)
        except ServerUnreachable as error:
            if not runs:
                raise
            say(f"only the runs in {folder} are shown: {error}")
    return sorted(runs)
