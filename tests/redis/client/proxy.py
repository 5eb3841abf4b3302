"""A proxy that loses a reply: the server has done the work, the client never hears of it."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer


class LossyProxy(ThreadingTCPServer):
    """Passes bytes to and from a Unix socket.

    The connection on which the first request with ``marker`` came is closed once the
    server has answered; ``lost`` counts the replies lost so.
    """

    daemon_threads = True

    def __init__(self, target: Path, marker: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.target, self.marker, self.lost = target, marker, 0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.server_address[1]}"


class _Connection(BaseRequestHandler):
    server: LossyProxy

    def handle(self) -> None:
        client, losing = self.request, False
        with socket.socket(socket.AF_UNIX) as target:
            target.connect(str(self.server.target))
            while True:
                for source in select.select([client, target], [], [])[0]:
                    data = source.recv(65536)
                    if not data:
                        return
                    if source is client:
                        losing |= self.server.marker in data and not self.server.lost
                        target.sendall(data)
                    elif losing:
                        self.server.lost += 1
                        return
                    else:
                        client.sendall(data)


@contextmanager
def losing_a_reply(target: Path, marker: bytes) -> Iterator[LossyProxy]:
    """A running proxy to the Unix socket ``target``."""
    with LossyProxy(target, marker) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
