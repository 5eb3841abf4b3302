"""Outcome of one attempt at many commands: those to retry, and failures."""

from __future__ import annotations

from dataclasses import dataclass, field

from distbelief.app.client.scripts import Script


@dataclass
class Round:
    """Commands to retry after one attempt, by their index, and the failure of each server.

    A failure wants a pause before the next attempt. ``loaded`` are the servers and scripts that
    this round brought together.
    """

    loaded_before: set[tuple[int, str]] = field(default_factory=set)
    loaded: set[tuple[int, str]] = field(default_factory=set)
    missing: list[int] = field(default_factory=list)
    failures: dict[int, Exception] = field(default_factory=dict)

    def add(self, server: int, indices: list[int], failure: Exception) -> None:
        self.missing.extend(indices)
        self.failures[server] = failure

    def add_unknown(self, server: int, index: int, script: Script, failure: Exception) -> None:
        """A script that the server lacks; to lack it just after it was loaded is a failure."""
        self.missing.append(index)
        self.loaded.add((server, script.sha))
        if (server, script.sha) in self.loaded_before:
            self.failures[server] = failure
