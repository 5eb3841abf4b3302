"""Events of a run, for people and reports: a stream of bounded length."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pydantic_core import from_json

from distbelief.app.client.commands import Command
from distbelief.app.client.scripts import Script
from distbelief.app.client.servers import Servers
from distbelief.app.layout.keys import control

EVENT = Script.load("distbelief.app.runs", "event")

MAX_EVENTS = 10_000


def append(servers: Servers, run: str, kind: str, **fields: Any) -> None:
    """Add an event; the oldest go when there are more than about ``MAX_EVENTS``."""
    keys, event = (control(run, "record"), control(run, "events")), json.dumps(fields)
    servers.call([Command.call(0, EVENT, keys, (MAX_EVENTS, kind, event))])


def read(servers: Servers, run: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """All events, oldest first, as (milliseconds since 1970, kind, fields).

    What somebody else wrote there is left out.
    """
    for identity, words in servers.one("XRANGE", control(run, "events"), "-", "+"):
        found = dict(zip(words[::2], words[1::2], strict=True))
        try:
            kind, fields = found[b"kind"].decode(), from_json(found[b"event"])
        except (KeyError, ValueError):
            continue
        if isinstance(fields, dict):
            yield int(identity.split(b"-")[0]), kind, fields
