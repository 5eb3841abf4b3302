"""Messages in our queues that were not ours, and keys that are no queues."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from distbelief.app.broker import foreign_keys
from distbelief.app.broker.messages import LAST, OddKind
from distbelief.app.client.commands import Command
from distbelief.app.client.servers import Servers
from distbelief.app.errors import ExitCode, ServerRefused
from distbelief.app.layout.keys import ODD_MESSAGES
from distbelief.coordinator.doctor.findings import Finding, error, ok, warning
from distbelief.coordinator.doctor.servers import PATIENCE_S


@dataclass(frozen=True)
class OddMessageFacts:
    """How many were removed, by kind; ``ago_s`` since the last one by our clock, None if never.

    ``foreign`` has a sentence for each key that is of another type than Celery's.
    """

    counts: Mapping[OddKind, int]
    ago_s: float | None
    foreign: tuple[str, ...] = ()


def gather(control: Servers) -> OddMessageFacts:
    """Read counts and types; raises the ServerError family if the server does not answer."""
    types = [Command(0, ("TYPE", control.celery_key(name))) for name in foreign_keys.KEYS]
    foreign: dict[str, str] = {}
    with suppress(ServerRefused):  # our user may not ask
        kinds = control.call(types, timeout_s=PATIENCE_S)
        foreign = foreign_keys.foreign_keys(kinds, control.key(control.celery_key("")))
    key = control.celery_key(ODD_MESSAGES)
    *counts, last = control.one("HMGET", key, *OddKind, LAST, timeout_s=PATIENCE_S)
    known = {kind: _whole(count) for kind, count in zip(OddKind, counts, strict=True)}
    when = _whole(last)
    return OddMessageFacts(
        {kind: count for kind, count in known.items() if count},
        max(0.0, time.time() - when) if when else None,
        tuple(foreign.values()),
    )


def judge(facts: OddMessageFacts) -> list[Finding]:
    """An error for each foreign key, and a warning with the kinds of messages, if any."""
    todo = "stop what writes there, and remove the key: workers look again within seconds"
    odd = [error("messages", sentence, todo, ExitCode.SERVER) for sentence in facts.foreign]
    total = sum(facts.counts.values())
    if not total:
        return odd or [
            ok("messages", "none that is not ours came into the queues in the last week")
        ]
    kinds = "; ".join(f"{count:,} {kind.sentence}" for kind, count in facts.counts.items())
    last = "" if facts.ago_s is None else f", the last {facts.ago_s / 60:,.0f} minutes ago"
    return [
        *odd,
        warning(
            "messages",
            f"workers removed {total:,} messages that are not ours{last}: {kinds}",
            "look who else writes to this server, and give it a password of its own, or another "
            "server; trainings lose nothing",
        ),
    ]


def _whole(text: bytes | None) -> int:
    """The number, 0 where somebody wrote something else."""
    return int(text) if text is not None and text.isdigit() and len(text) < 16 else 0
