"""Who coordinates a run: one process at a time, under a lease, with a fence that only grows.

Every time that a run is taken (begun, resumed, taken over, or mended after a server lost
its data) it gets a new fence. Units that were entered and commits that are made under an
older one are refused here, and changes of the shards there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from distbelief.app.client.commands import Command
from distbelief.app.client.scan import scan_keys
from distbelief.app.client.scripts import Script
from distbelief.app.client.servers import Servers
from distbelief.app.errors import ConfigError, Fenced, ModelMissing, RunTaken, ServerRefused
from distbelief.app.files.documents import parse_object
from distbelief.app.layout.keys import control
from distbelief.app.runs.damage import damaged, understood
from distbelief.app.runs.record import KEEP_S, RunRecord
from distbelief.app.runs.snapshot import (
    FIELDS,
    Owner,
    RunState,
    Snapshot,
    read_owner,
    read_snapshot,
)

LEAD = Script.load("distbelief.app.runs", "lead")
KEEP = Script.load("distbelief.app.runs", "keep")
CLOSE = Script.load("distbelief.app.runs", "close")
COMMIT = Script.load("distbelief.app.runs", "commit")
RETIRE = Script.load("distbelief.app.runs", "retire")
DISCARD = Script.load("distbelief.app.runs", "discard")

#: How long a new fence waits for a replica, where there should be one.
REPLICATED_MS = 1000


@dataclass(frozen=True)
class Claimant:
    """Who asks for a run: ``claimer`` is unique to this request.

    ``replaces`` is the claimer of an earlier request of the same coordinator, '' if none.
    """

    claimer: str
    host: str
    process: int
    replaces: str = ""


def lead(
    servers: Servers,
    record: RunRecord,
    claimant: Claimant,
    lease_s: float,
    *,
    least_fence: int = 1,
    take_over: bool = False,
) -> int | Owner:
    """Take a run: its new fence; or its coordinator, if there is one that lives.

    Raises:
        ConfigError: the run has finished, or its removal has begun.
        RunTaken: it was removed while this coordinator had it.
    """
    arguments = (
        claimant.claimer,
        claimant.replaces,
        int(take_over),
        json.dumps({"host": claimant.host, "process": claimant.process}),
        round(lease_s * 1000),
        least_fence,
        json.dumps(record.to_json()),
    )
    keys = [control(record.run, "record")]
    commands = [Command.call(0, LEAD, keys, arguments)]
    if servers.has_replicas():
        # A fence that a failover took back would be given to somebody else.
        commands.append(Command(0, ("WAIT", 1, REPLICATED_MS), beside=keys[0]))
    answer, fence, owner, age_ms, silent_ms = servers.call(commands)[0]
    if answer == b"FINISHED":
        raise finished(record.run)
    if answer == b"REMOVED" and claimant.replaces:
        raise RunTaken(f"run {record.run} was removed from its servers")
    if answer == b"REMOVED":
        raise ConfigError(
            f"run {record.run} is being removed from its servers: remove it once more, to the end "
            f"(runs --delete {record.run})"
        )
    if answer == b"HELD":
        return read_owner(record.run, servers.key(keys[0]), owner, age_ms, silent_ms)
    return int(fence)


def keep(
    servers: Servers, run: str, claimer: str, status: Mapping[str, Any], fence: int | None = None
) -> bool:
    """Extend the lease and tell how the run stands; whether somebody asked it to stop.

    Raises:
        Fenced: another coordinator has taken the run.
        ModelMissing: the control server lost the run.
        RunDamaged: the run is ours, but does not run under our ``fence``: somebody wrote that.
    """
    key = control(run, "record")
    command = Command.call(0, KEEP, [key], (claimer, json.dumps(status)))
    answer, stop, found, state = servers.call([command])[0]
    _check(run, answer)
    if fence is not None and (found, state) != (b"%d" % fence, RunState.RUNNING.encode()):
        what = (
            f"fence {found!a} and state {state!a}, where its coordinator wrote {fence} and running"
        )
        raise damaged(run, servers.key(key), ValueError(what))
    return bool(stop)


def close(
    servers: Servers, run: str, claimer: str, state: RunState, outcome: Mapping[str, Any]
) -> None:
    """End a run, or leave it to be resumed; raises Fenced if it is somebody else's by now."""
    keys = (control(run, "record"), control(run, "wakeup"))
    command = Command.call(0, CLOSE, keys, (claimer, state, json.dumps(outcome)))
    _check(run, servers.call([command])[0])


def retire(servers: Servers, run: str, claimer: str, seconds: float) -> None:
    """Have the record of a run that has ended go after ``seconds``; raises Fenced."""
    arguments = (claimer, round(seconds * 1000))
    command = Command.call(0, RETIRE, [control(run, "record")], arguments)
    _check(run, servers.call([command])[0])


def discard(servers: Servers, run: str, least_fence: int = 1) -> int | Owner:
    """Shut everybody out of a run that is to be removed: the fence, or who coordinates it."""
    key = control(run, "record")
    command = Command.call(0, DISCARD, [key], [least_fence])
    answer, fence, owner, age_ms, silent_ms = servers.call([command])[0]
    if answer != b"HELD":
        return int(fence)
    return read_owner(run, servers.key(key), owner, age_ms, silent_ms)


def forget(servers: Servers, run: str) -> None:
    """Leave nothing of a discarded run but the note that it was, and that for a day."""
    key = control(run, "record")
    fields = ("document", "status", "outcome", "since", "expires", "ended", "attempts")
    servers.call(
        [
            Command(0, ("HDEL", key, *fields)),
            Command(0, ("HSET", key, "goes", 0)),  # whoever begins the run again keeps the record
            Command(0, ("EXPIRE", key, KEEP_S)),
        ]
    )


def commit(servers: Servers, run: str, fence: int, state: Mapping[str, Any]) -> None:
    """Make ``state`` what a new coordinator goes on from; raises like :func:`keep`."""
    keys = (control(run, "record"), control(run, "state"))
    _check(run, servers.call([Command.call(0, COMMIT, keys, (fence, json.dumps(state)))])[0])


def committed(servers: Servers, run: str) -> dict[str, Any] | None:
    """Read what was committed last; None if nothing was. Raises RunDamaged."""
    key = control(run, "state")
    text = servers.one("GET", key)
    try:
        return None if text is None else parse_object(text)
    except ValueError as error:
        raise damaged(run, servers.key(key), error) from None


def ask_to_stop(servers: Servers, run: str) -> None:
    """Have the run's coordinator make a checkpoint and stop; it looks every few seconds."""
    servers.one("HSET", control(run, "record"), "stop", 1)


def look(servers: Servers, run: str) -> Snapshot | None:
    """A run as the control server knows it; None if it does not.

    Raises:
        RunDamaged: its record says what cannot be.
    """
    key = control(run, "record")
    asked = [Command(0, ("HMGET", key, *FIELDS)), Command(0, ("TIME",), beside=key)]
    try:
        found, (seconds, micros) = servers.call(asked)
    except ServerRefused as error:
        if "WRONGTYPE" not in str(error):
            raise
        raise damaged(run, servers.key(key), ValueError("its record is no hash")) from None
    fields = dict(zip(FIELDS, found, strict=True))
    if fields["document"] is None or fields["state"] is None:
        return None
    return read_snapshot(run, servers.key(key), fields, int(seconds) * 1000 + int(micros) // 1000)


def runs(servers: Servers) -> list[str]:
    """The ids of all runs that the control server knows, in the order of their ids.

    Bytes that are not UTF-8, which ids of ours have none of, stand there as surrogates.
    """
    pattern = control("*", "record")
    before, after = pattern.split("*")
    keys = chain.from_iterable(scan_keys(servers, pattern))
    names = (key.decode(errors="surrogateescape") for key in keys)
    return sorted({name.removeprefix(before).removesuffix(after) for name in names})


def is_running(servers: Servers, run: str, fence: int) -> bool:
    """Whether ``run`` is under way, under that fence."""
    standing = servers.one("HMGET", control(run, "record"), "state", "fence")
    return bool(standing == [RunState.RUNNING.encode(), b"%d" % fence])


def read_run(servers: Servers, run: str, fence: int) -> RunRecord:
    """The record of ``run`` for a worker; raises Fenced unless it runs under ``fence``."""
    key, names = control(run, "record"), ("state", "fence", "document")
    state, current, document = servers.one("HMGET", key, *names)
    if document is None or state != RunState.RUNNING.encode() or current != b"%d" % fence:
        raise Fenced(f"run {run} is not running under fence {fence}")
    with understood(servers.key(key)):
        return RunRecord.from_json(run, parse_object(document))


def finished(run: str) -> ConfigError:
    return ConfigError(
        f"run {run} has finished: there is nothing to resume. To train further, start from its "
        "model with --init-from"
    )


def _check(run: str, answer: bytes) -> None:
    if answer == b"LOST":
        raise Fenced(f"another coordinator has taken run {run}")
    if answer == b"GONE":
        raise ModelMissing(f"the control server lost run {run}: it was flushed or restarted")
