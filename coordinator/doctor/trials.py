"""The trials of workers: whether each has the data of a run, and can build its model."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from distbelief.app.errors import ExitCode
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.models.sources import differing
from distbelief.coordinator.doctor.findings import Finding, error, note, ok, warning
from distbelief.coordinator.runs.messages import Messages

#: How long a worker may take to open the data, converting them if it must.
TRIAL_S = 30.0
POLL_S = 0.3


@dataclass(frozen=True)
class Expected:
    """The facts that workers must share.

    ``fingerprint`` is None where no data are named; ``modules`` are digests of the user's own,
    ``tensors`` those of the model; ``servers`` are the addresses of the parameter servers.
    ``examples`` and ``nbytes`` are the size of the data, for messages.
    """

    versions: Mapping[str, str]
    queues: frozenset[str]
    fingerprint: str | None = None
    modules: Mapping[str, str] = field(default_factory=dict)
    tensors: Sequence[TensorSpec] | None = None
    servers: Sequence[str] = ()
    examples: int = 0
    nbytes: int = 0


def judge_trial(subject: str, trial: Mapping[str, Any] | None, expected: Expected) -> list[Finding]:
    """The findings on what came of a worker's trial, None if there was none."""
    if trial is None:
        return []
    if "pending" in trial or "error" in trial:
        why = trial.get("error", f"still at it after {TRIAL_S:g} s")
        what = f"whether it can open data and model is not known: {why}"
        return [warning(subject, what, "try again; the first time converts the data")]
    found = _data(subject, trial, expected)
    if "model" in trial:
        todo = "install what it needs there"
        what = f"it cannot build the model: {trial['model']}"
        found.append(error(subject, what, todo, ExitCode.MODEL))
    return found or _model(subject, trial, expected)


def _data(subject: str, trial: Mapping[str, Any], expected: Expected) -> list[Finding]:
    """What is wrong with the data as it sees them, or with where it will have them."""
    if "data" in trial:
        todo = "give it the data under the same path, or train with --stage-data"
        return [error(subject, f"it cannot open the data: {trial['data']}", todo, ExitCode.DATA)]
    cache = trial.get("cache", {})
    if "fingerprint" not in trial and not cache.get("writable", True):
        what = f"it cannot write staged data into its cache {cache['folder']}"
        return [error(subject, what, "set DISTBELIEF_CACHE there", ExitCode.DATA)]
    if "fingerprint" not in trial and cache.get("free", expected.nbytes) < expected.nbytes:
        what = f"its cache {cache['folder']} has room for {cache['free']:,} bytes of data"
        todo = f"make room for {expected.nbytes:,}, or set DISTBELIEF_CACHE there"
        return [error(subject, what, todo, ExitCode.DATA)]
    if expected.fingerprint not in (None, trial.get("fingerprint", expected.fingerprint)):
        what = (
            f"its data differ from the coordinator's: fingerprint {trial['fingerprint']}, "
            f"here {expected.fingerprint}"
        )
        if "examples" in trial:
            what += f"; {trial['examples']:,} examples, here {expected.examples:,}"
        return [error(subject, what, "give it the same files", ExitCode.DATA)]
    return []


def _data_text(trial: Mapping[str, Any]) -> str:
    """How it has the data, or will have them."""
    cache = trial.get("cache")
    if "fingerprint" not in trial:
        return f"will fetch the data into its cache {cache['folder'] if cache else ''}".rstrip()
    if cache is None:
        return "sees the same data"
    how = "in its cache" if cache["there"] else "converted just now into its cache"
    return (
        f"sees the same data ({trial['examples']:,} examples, digest {trial['fingerprint']}), "
        f"{how} {cache['folder']}"
    )


def _model(subject: str, trial: Mapping[str, Any], expected: Expected) -> list[Finding]:
    """Whether it imports the same sources, and builds the same tensors."""
    todo = "bring the same files to both, and restart the workers"
    modules = trial.get("modules", {})
    if names := differing(modules, expected.modules):
        first = names[0]
        what = (
            f"it imports another {' and another '.join(names)} than the coordinator: digest "
            f"{modules[first]}, here {expected.modules[first]}"
        )
        return [error(subject, what, todo, ExitCode.MISMATCH)]
    tensors = [[each.name, list(each.shape)] for each in expected.tensors or ()]
    if expected.tensors is not None and trial.get("tensors", tensors) != tensors:
        what = f"its model has the tensors {trial['tensors']}, here {tensors}"
        return [error(subject, what, todo, ExitCode.MISMATCH)]
    found = [ok(subject, f"it {_data_text(trial)}, and can build the same model")]
    if unread := [
        name for name in expected.modules if "" in (expected.modules[name], modules.get(name))
    ]:
        what = f"the source of {', '.join(unread)} cannot be read: it could not be compared"
        found.append(note(subject, what))
    return found


def ask_for_trials(
    messages: Messages, question: str, workers: Collection[str]
) -> dict[str, dict[str, Any]]:
    """Ask for the results of the trials, as far as they end in time."""
    waiting = set(workers)
    found: dict[str, dict[str, Any]] = {}
    deadline = time.monotonic() + TRIAL_S
    while waiting:
        last = time.monotonic() > deadline
        told = messages.ask("examined", to=sorted(waiting), question=question, last=last)
        found |= {name: told.get(name, {"pending": True}) for name in waiting}
        waiting = {name for name in waiting if "pending" in found[name]}
        if last:
            break
        if waiting:
            time.sleep(POLL_S)
    return found
