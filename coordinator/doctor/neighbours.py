"""Who else uses a server: their keys, commands and connections, and what we do to them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, islice

from distbelief.app.client.engine import Engine
from distbelief.app.client.info import read_info
from distbelief.app.client.scan import scan_keys
from distbelief.app.client.servers import Servers
from distbelief.app.errors import ServerRefused
from distbelief.app.layout.keys import OURS
from distbelief.coordinator.doctor.findings import Finding, note, ok
from distbelief.coordinator.doctor.servers import PATIENCE_S

#: Pages of keys that are looked at: a sample, where there are more.
PAGES = 5

#: Fewer commands in a second are those of our own workers, and of these checks.
MANY_OPERATIONS = 200


@dataclass(frozen=True)
class NeighbourFacts:
    """Facts on others at a server.

    ``keys`` are all keys in all of its databases, of which ``sampled`` were looked at and
    ``foreign`` of these are not ours. ``elsewhere`` are those in databases that we do not use.
    ``clients`` are connections of another user or to another database, None where the server
    does not tell that.
    """

    keys: int
    elsewhere: int
    sampled: int
    foreign: int
    operations: int
    clients: int | None

    @property
    def foreign_keys(self) -> int:
        """About how many keys are not ours."""
        here = self.keys - self.elsewhere
        return self.elsewhere + (round(here * self.foreign / self.sampled) if self.sampled else 0)


def gather(servers: Servers, index: int) -> NeighbourFacts:
    """Look at a server that answers; raises the ServerError family if it does not any more."""
    one, ours = servers.bare(index), tuple(servers.prefix(index).encode() + each for each in OURS)
    info = read_info(one, timeout_s=PATIENCE_S) or {}
    keys = dict(_keyspace(info))
    clients, database = _clients(one)
    pages = islice(scan_keys(one, "*"), PAGES)
    sample = set(chain.from_iterable(pages))
    return NeighbourFacts(
        keys=sum(keys.values()) or len(sample),  # no right to INFO: those that we see
        elsewhere=0 if database is None else sum(keys.values()) - keys.get(database, 0),
        sampled=len(sample),
        foreign=sum(not key.startswith(ours) for key in sample),
        operations=int(info.get("instantaneous_ops_per_sec", 0)),
        clients=clients,
    )


def judge(
    whose: str, facts: NeighbourFacts, engine: Engine | None, call_ms: float
) -> list[Finding]:
    """A note where others are there; ``engine`` is that of a parameter server, else None."""
    subject = f"others on {whose}"
    seen = list(_seen(facts))
    if not seen:
        return [ok(subject, "nobody else is seen there")]
    what = f"on a shared Redis: {', '.join(seen)}"
    if engine is None:
        return [note(subject, what, "give the parameters a server of their own; this one may stay")]
    todo = "give the parameters a server of their own"
    if engine is Engine.LUA:
        todo += ", or load the native engine there"
    todo += f"; others wait for up to call_ms = {call_ms:g} ms for calls of ours: --call-ms is less"
    return [note(subject, what, todo)]


def _seen(facts: NeighbourFacts) -> Iterator[str]:
    if facts.foreign_keys:
        yield f"some {facts.foreign_keys:,} of {facts.keys:,} keys are not ours"
    if facts.clients:
        yield f"{facts.clients} connections of other users, or to other databases"
    if facts.operations >= MANY_OPERATIONS and (facts.foreign_keys or facts.clients):
        yield f"{facts.operations:,} commands a second, ours among them"


def _keyspace(info: dict[str, str]) -> Iterator[tuple[int, int]]:
    """Databases, and how many keys each has."""
    for name, text in info.items():
        number = name.removeprefix("db")
        if number != name and number.isdigit():
            yield int(number), int(text.partition("keys=")[2].partition(",")[0])


def _clients(one: Servers) -> tuple[int | None, int | None]:
    """Connections of others, and our database; None where we may not ask."""
    with suppress(ServerRefused):
        mine = _fields(one.one("CLIENT", "INFO", timeout_s=PATIENCE_S))
        listed = one.one("CLIENT", "LIST", "TYPE", "normal", timeout_s=PATIENCE_S)
        database = int(mine["db"])
        found = [_fields(each) for each in listed.splitlines()]
        place = (mine["db"], mine.get("user"))
        return sum((each["db"], each.get("user")) != place for each in found), database
    return None, None


def _fields(line: bytes) -> dict[str, str]:
    return dict(word.split("=", 1) for word in line.decode().split() if "=" in word)
