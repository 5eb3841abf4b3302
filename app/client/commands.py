"""Requests to servers: plain commands, and calls of scripts or their native twins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from distbelief.app.client.engine import Engine
from distbelief.app.client.scripts import Script
from distbelief.app.client.wire import Argument, ReplyBuffer
from distbelief.app.layout.keys import OURS

#: Redis numbers, strings and arrays, as redis-py gives them (bytes, never decoded).
Reply = Any


@dataclass(frozen=True)
class Command:
    """One command, or one call of a script, for one server; ``into`` takes its reply's strings."""

    server: int
    arguments: tuple[Argument, ...]
    script: Script | None = None
    into: ReplyBuffer | None = None

    @classmethod
    def call(
        cls,
        server: int,
        script: Script,
        keys: Sequence[str],
        arguments: Iterable[Argument],
        into: ReplyBuffer | None = None,
    ) -> Command:
        """A script call; all keys that the script touches are in ``keys``."""
        return cls(server, (len(keys), *keys, *arguments), script, into)

    @property
    def keys(self) -> list[str]:
        """Those of our keys that the command names."""
        words = (word for word in self.arguments if isinstance(word, str))
        return [word for word in words if word.encode().startswith(OURS)]

    def words(self, engine: Engine) -> tuple[Argument, ...]:
        if self.script is None:
            return self.arguments
        if engine is Engine.NATIVE and self.script.twin is not None:
            return (self.script.twin, *self.arguments)
        call = "EVALSHA_RO" if self.script.reads else "EVALSHA"
        return (call, self.script.sha, *self.arguments)
