"""Taking a run off its servers: where many runs follow one another, memory must not grow."""

from __future__ import annotations

from contextlib import suppress

from distbelief.app.client.scan import scan_keys
from distbelief.app.client.servers import Servers
from distbelief.app.errors import ServerError
from distbelief.app.layout.keys import patterns
from distbelief.app.runs import leadership
from distbelief.coordinator.runs.session import Session


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
            _unlink(session.servers, index, on_servers)
        _unlink(session.control, 0, on_control)


def _unlink(servers: Servers, index: int, pattern: str) -> None:
    for keys in scan_keys(servers, pattern, server=index):
        if keys:
            servers.one("UNLINK", *keys, server=index)
