"""Taking a run off its servers: at once, or by giving its keys an end.

Everybody is shut out before anything is removed: the record refuses claims, commits and
coordinators, and the shards are fenced. What comes later finds no model, and makes none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distbelief.app.client import sweep
from distbelief.app.client.addresses import address
from distbelief.app.client.commands import Command
from distbelief.app.client.servers import Servers
from distbelief.app.client.sweep import Amount
from distbelief.app.errors import ConfigError, RunTaken, ServerError
from distbelief.app.layout.keys import control, patterns, shard
from distbelief.app.layout.layout import Layout
from distbelief.app.runs import leadership
from distbelief.app.runs.snapshot import Owner
from distbelief.app.settings.cluster import FOREVER, KEEP_NOTHING
from distbelief.app.settings.durations import seconds_of
from distbelief.app.store.redis.shards import FENCE
from distbelief.coordinator.progress.program import FOLDER, command
from distbelief.coordinator.runs import resumption
from distbelief.coordinator.runs.resumption import ANSWER_S, Found
from distbelief.coordinator.runs.session import Session


@dataclass(frozen=True)
class Swept:
    """What was found on one server, and is gone unless there is a ``failure``."""

    address: str
    amount: Amount
    failure: ServerError | None = None

    def to_json(self) -> dict[str, Any]:
        left = None if self.failure is None else str(self.failure)
        return {
            "server": self.address,
            "keys": self.amount.keys,
            "bytes": self.amount.bytes,
            "left": left,
        }


@dataclass(frozen=True)
class Removal:
    """A run that was removed from its servers, or as far as they answered."""

    run: str
    servers: tuple[Swept, ...]

    @property
    def failure(self) -> ServerError | None:
        """Why something may be left, None if nothing is."""
        return next((each.failure for each in self.servers if each.failure is not None), None)

    @property
    def amount(self) -> Amount:
        return sum((each.amount for each in self.servers), Amount())


def remove(session: Session) -> None:
    """Remove all keys of the session's run, unless somebody else has taken it.

    Every key is looked at, those of other runs too: for servers of our own. One that does
    not answer keeps what it has.
    """
    run = session.record.run
    with suppress(ServerError):
        seen = leadership.look(session.control, run)
        if seen is not None and seen.fence > session.fence:
            return
        on_control, on_servers = patterns(run)
        for index in range(len(session.servers)):
            sweep.unlink(session.servers, on_servers, server=index)
        sweep.unlink(session.control, on_control)


def retire(session: Session, keep: str, *, resumable: bool) -> None:
    """Do with the keys of a run that has just ended as ``keep_on_servers`` says.

    Those of a run that is to be resumed stay for as long, too, and at least until it is.

    Raises:
        Fenced: another coordinator has taken the run.
        ServerError: a server did not do it.
    """
    if keep == FOREVER or (keep == KEEP_NOTHING and resumable):
        return
    record, control_server = session.record, session.control
    if keep == KEEP_NOTHING:
        parts = [session.servers.only(index) for index in range(len(session.servers))]
        failure = discard(control_server, parts, record.run, record.layout).failure
        if failure is not None:
            raise failure
        return
    seconds, (on_control, on_servers) = seconds_of(keep), patterns(record.run)
    for index in range(len(session.servers)):
        sweep.expire(session.servers, on_servers, seconds, server=index)
    sweep.expire(control_server, on_control, seconds)
    session.leader.retire(seconds)


def keep_after_all(session: Session) -> None:
    """Take back the end that a run's keys were given; for a run that is taken up again."""
    on_control, on_servers = patterns(session.record.run)
    for index in range(len(session.servers)):
        sweep.persist(session.servers, on_servers, server=index)
    sweep.persist(session.control, on_control)


def delete(found: Found, *, dry_run: bool = False) -> Removal:
    """Remove a run that nobody coordinates from all of its servers that answer.

    Its control server must: who coordinates the run is known there alone. As long as another
    one is silent, the run's record stays, so that the rest can be removed later. Its folder
    stays in any case. With ``dry_run`` what is there is only counted.

    Raises:
        RunTaken: somebody coordinates it.
        ConfigError: other servers are named than the run has.
        ServerError: its control server does not answer.
    """
    record, known = found.record, resumption.state_of(found)
    owner = known.owner if known is not None else None
    if owner is not None and owner.silent_s <= record.config.lease_seconds:
        raise _taken(record.run, owner, found.folder.path.parent)
    if found.embedded:  # its servers ended with their coordinator
        return Removal(record.run, ())
    urls = _parameter_servers(found)
    with closing(Servers([found.control])) as control_server, closing(Servers(urls)) as servers:
        control_server.hurry(ANSWER_S)
        servers.hurry(ANSWER_S)
        parts = [servers.only(index) for index in range(len(servers))]
        if not dry_run:
            folder = found.folder.path.parent
            return discard(control_server, parts, record.run, record.layout, folder)
        on_control, on_servers = patterns(record.run)
        own = Swept(control_server.addresses[0], sweep.count(control_server, on_control))
        swept = (_swept(part, lambda part: sweep.count(part, on_servers)) for part in parts)
        return Removal(record.run, (own, *swept))


def discard(
    control_server: Servers,
    parts: Sequence[Servers],
    run: str,
    layout: Layout,
    folder: str | Path = FOLDER,
) -> Removal:
    """Shut everybody out, then remove; raises RunTaken if somebody coordinates the run.

    ``folder`` is that of runs, for what is told.
    """
    fence = leadership.discard(control_server, run)
    if isinstance(fence, Owner):
        raise _taken(run, fence, folder)
    swept = [_swept(part, lambda part: _clear(part, run, layout, fence)) for part in parts]
    record = control(run, "record")
    own = sweep.unlink(control_server, patterns(run)[0], but=frozenset({record}))
    if all(each.failure is None for each in swept):
        own += Amount(1)
        leadership.forget(control_server, run)
    return Removal(run, (Swept(control_server.addresses[0], own), *swept))


def _clear(part: Servers, run: str, layout: Layout, fence: int) -> Amount:
    """Fence the shards of one server, whichever they are, and remove them."""
    metas = [shard(run, index, "meta") for index in range(layout.n_shards)]
    known = part.call([Command(0, ("HGET", meta, "fence")) for meta in metas])
    there = {meta: int(old) for meta, old in zip(metas, known, strict=True) if old is not None}
    highest = max(fence, *there.values(), 0) + 1
    part.call([Command.call(0, FENCE, [meta], (highest, 0, 0)) for meta in there])
    return sweep.unlink(part, patterns(run)[1])


def _swept(part: Servers, do: Callable[[Servers], Amount]) -> Swept:
    try:
        return Swept(part.addresses[0], do(part))
    except ServerError as failure:
        return Swept(part.addresses[0], Amount(), failure)


def _parameter_servers(found: Found) -> Sequence[str]:
    """Where the run's shards are: as it is told here, with passwords, or else in its record."""
    record, urls = found.record, found.cluster.parameter_servers
    told = [address(url) for url in urls]
    if urls == (found.cluster.control_server,) and told != list(record.parameter_servers):
        return record.parameter_servers  # only the control server was named
    if len(urls) != record.layout.n_servers:
        raise ConfigError(
            f"run {record.run} uses {record.layout.n_servers} parameter servers, {len(urls)} are "
            "named: name the same with --parameter-servers"
        )
    return urls


def _taken(run: str, owner: Owner, folder: str | Path) -> RunTaken:
    stop = command("stop", run, "--wait", folder=folder)
    return RunTaken(f"run {run} is coordinated by {owner}: stop it first, with '{stop}'")
