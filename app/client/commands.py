"""Requests to servers: plain commands, and calls of scripts or their native twins."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from distbelief.app.client.engine import Engine
from distbelief.app.client.keyed import key_positions, pattern_position, with_prefix
from distbelief.app.client.scripts import Script
from distbelief.app.client.wire import Argument, ReplyBuffer

#: Redis numbers, strings and arrays, as redis-py gives them (bytes, never decoded).
Reply = Any


@dataclass(frozen=True)
class Command:
    """One command, or one call of a script, for one server; ``into`` takes its reply's strings.

    One without a key is for whoever has the key ``beside``, if that matters.
    """

    server: int
    arguments: tuple[Argument, ...]
    script: Script | None = None
    into: ReplyBuffer | None = None
    beside: str = ""

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
    def keys(self) -> list[Argument]:
        """The keys that the command names."""
        return [self.arguments[index] for index in self._key_positions]

    def words(self, engine: Engine, prefix: str = "") -> tuple[Argument, ...]:
        """What is sent; keys begin with ``prefix``."""
        arguments = self._prefixed(prefix) if prefix else self.arguments
        if self.script is None:
            return arguments
        if engine is Engine.NATIVE and self.script.twin is not None:
            return (self.script.twin, *arguments)
        call = "EVALSHA_RO" if self.script.reads else "EVALSHA"
        return (call, self.script.sha, *arguments)

    @property
    def _key_positions(self) -> Sequence[int]:
        if self.script is None:
            return key_positions(self.arguments)
        count = self.arguments[0]
        assert isinstance(count, int)
        return range(1, 1 + count)

    def _prefixed(self, prefix: str) -> tuple[Argument, ...]:
        words = list(self.arguments)
        pattern = None if self.script is not None else pattern_position(words)
        for index in self._key_positions if pattern is None else (pattern,):
            words[index] = with_prefix(words[index], prefix)
        return tuple(words)
