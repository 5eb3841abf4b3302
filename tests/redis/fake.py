"""A control server in this process: fakeredis behind a port."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from fakeredis import TcpFakeServer

from distbelief.app.runs.demand import WANT
from distbelief.app.runs.events import EVENT
from distbelief.app.runs.leadership import CLOSE, COMMIT, DISCARD, KEEP, LEAD, RETIRE
from distbelief.app.runs.ledger import CLAIM, ENTER, FINISH, RELEASE, RENEW
from tests.redis.private import connected


@contextmanager
def fake_control_server() -> Iterator[str]:
    """Its URL."""
    server = TcpFakeServer(("127.0.0.1", 0))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    url = f"redis://127.0.0.1:{server.server_address[1]}"
    try:
        with connected(url) as servers:
            # It closes a connection after any error, NOSCRIPT as well.
            of_units = (ENTER, CLAIM, RENEW, FINISH, RELEASE)
            for script in (*of_units, LEAD, KEEP, CLOSE, COMMIT, RETIRE, DISCARD, EVENT, WANT):
                servers.one("SCRIPT", "LOAD", script.source)
        yield url
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
