"""What workers say of themselves before they work: their code, and the servers as they see them.

On each parameter server lies a mark for a moment, a key with a word that is used once and with
the server's index. Workers look for the marks at their own addresses: so an order that differs,
or another server behind the same name, shows before anything is trained.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from distbelief.app.client.commands import Command
from distbelief.app.client.servers import Servers
from distbelief.app.errors import (
    AuthenticationFailed,
    ConfigError,
    DistBeliefError,
    ServerError,
    ServerRefused,
    ServerUnreachable,
    WorkerMismatch,
)
from distbelief.app.layout.keys import mark
from distbelief.app.runs.identity import Identity, other_code
from distbelief.coordinator.runs.messages import Messages

#: How long a mark stays if nobody takes it away, and how long a server has to take it.
MARK_S = 60
PATIENCE_S = 3.0

#: Servers that a worker has not reached after so long are taken to be out of its reach.
REACH_S = 2.2

#: Errors that a worker may meet at a server, by their exit code.
ERRORS: Mapping[int, type[DistBeliefError]] = {
    each.exit_code: each
    for each in (ServerUnreachable, AuthenticationFailed, ServerRefused, ConfigError)
}

#: What a worker answers, by its name.
Answers = Mapping[str, Mapping[str, Any]]


def introduce(
    messages: Messages, servers: Servers, workers: Collection[str]
) -> tuple[Answers, set[int]]:
    """Ask ``workers`` who they are; also which servers have a mark, by their index.

    Raises ServerUnreachable if the broker does not answer.
    """
    with _marked(servers) as (word, marked):
        question = {"mark": word, "servers": servers.addresses}
        found: dict[str, Mapping[str, Any]] = {}
        deadline, waiting = time.monotonic() + REACH_S, sorted(workers)
        while waiting:
            found |= messages.ask("introduce", to=waiting, **question)
            waiting = [name for name in waiting if None in found.get(name, {}).get("servers", ())]
            if time.monotonic() > deadline:
                break
        return found, marked


def code_objection(
    name: str, answer: Mapping[str, Any], expected: Identity
) -> WorkerMismatch | None:
    """The error that a worker has other code than this program, None if it has not."""
    if "identity" not in answer:
        return WorkerMismatch(
            f"worker {name} runs an older version of this program, which cannot say what it "
            "computes: install the coordinator's version there, and restart the worker"
        )
    said = other_code(name, Identity.from_json(answer["identity"]), expected)
    return WorkerMismatch(said) if said is not None else None


def server_objections(
    name: str, answer: Mapping[str, Any], addresses: Sequence[str], marked: Collection[int]
) -> list[DistBeliefError]:
    """The errors that keep a worker from working on the coordinator's parameter servers."""
    if "error" in answer:
        return [
            _error(answer["code"], f"worker {name} does not know its servers: {answer['error']}")
        ]
    seen = answer.get("servers", [])
    if len(seen) != len(addresses):
        return [
            WorkerMismatch(
                f"worker {name} has {len(seen)} parameter servers in DISTBELIEF_PARAMETER_SERVERS, "
                f"the coordinator {len(addresses)}: name the same there, in the same order"
            )
        ]
    checked = [
        _objection(name, index, there, addresses[index], index in marked)
        for index, there in enumerate(seen)
    ]
    return [each for each in checked if each is not None]


def seen_text(answer: Mapping[str, Any]) -> str:
    """The servers as a worker sees them that reaches all."""
    return ", ".join(
        f"{each['address']} in {each['round_trip_ms']:.2g} ms ({each['engine']} engine)"
        for each in answer["servers"]
    )


def _objection(
    name: str, index: int, there: Mapping[str, Any] | None, address: str, marked: bool
) -> DistBeliefError | None:
    which = f"parameter server {index + 1} ({address})"
    if there is None:
        return ServerUnreachable(
            f"worker {name} does not reach {which}: no answer for {REACH_S:.0f} s. Does a "
            "firewall let it through, and is the address right there?"
        )
    if "error" in there:
        return _error(there["code"], f"worker {name} cannot use {which}: {there['error']}")
    if not marked or index in there["marks"]:
        return None
    if there["marks"]:
        what = (
            f"worker {name} has the parameter servers in another order: its number {index + 1} "
            f"({there['address']}) is number {there['marks'][0] + 1} of the coordinator"
        )
    else:
        what = (
            f"number {index + 1} of the parameter servers of worker {name} ({there['address']}) "
            f"is another server than that of the coordinator ({address})"
        )
    return WorkerMismatch(
        f"{what}: name the same servers in the same order in DISTBELIEF_PARAMETER_SERVERS there, "
        "and restart the worker"
    )


def _error(code: int, text: str) -> DistBeliefError:
    return ERRORS.get(code, ServerRefused)(text)


@contextmanager
def _marked(servers: Servers) -> Iterator[tuple[str, set[int]]]:
    """Mark the servers that take it, for a moment: the word, and their indices."""
    word, marked = uuid.uuid4().hex, set[int]()
    for index in range(len(servers)):
        # One that does not answer is judged elsewhere; a user that may not SET goes unmarked.
        with suppress(ServerError):
            key = mark(word, index)
            servers.one("SET", key, "1", "EX", MARK_S, server=index, timeout_s=PATIENCE_S)
            marked.add(index)
    try:
        yield word, marked
    finally:
        with suppress(ServerError):
            servers.call(
                [Command(index, ("UNLINK", mark(word, index))) for index in sorted(marked)],
                timeout_s=PATIENCE_S,
            )
