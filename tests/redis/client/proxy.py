"""Proxies: one loses a reply (the server has done the work, the client never hears of it), one is
a slow link, one an address that moves from one server to another.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer

#: Bytes that a slow link carries at a time.
STRETCH = 1 << 15


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


class SlowLink(ThreadingTCPServer):
    """Passes bytes to and from a Unix socket, in all ``rate`` bytes a second."""

    daemon_threads = True

    def __init__(self, target: Path, rate: float) -> None:
        super().__init__(("127.0.0.1", 0), _SlowConnection, bind_and_activate=False)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, STRETCH)  # before it listens
        self.server_bind()
        self.server_activate()
        self.target, self.rate = target, rate
        self._lock, self._free_at = threading.Lock(), 0.0

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.server_address[1]}"

    def carry(self, nbytes: int) -> None:
        """Take the time that so many bytes take, one after another."""
        with self._lock:
            self._free_at = max(self._free_at, time.monotonic()) + nbytes / self.rate
            wait_s = self._free_at - time.monotonic()
        time.sleep(max(0.0, wait_s))


class _SlowConnection(BaseRequestHandler):
    server: SlowLink

    def handle(self) -> None:
        client = self.request
        with suppress(OSError), socket.socket(socket.AF_UNIX) as target:
            target.connect(str(self.server.target))
            while True:
                for source in select.select([client, target], [], [])[0]:
                    data = source.recv(STRETCH)
                    if not data:
                        return
                    self.server.carry(len(data))
                    (target if source is client else client).sendall(data)


@contextmanager
def slow_link(target: Path, rate: float) -> Iterator[SlowLink]:
    """A running proxy to the Unix socket ``target``."""
    with SlowLink(target, rate) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()


class MovingAddress(ThreadingTCPServer):
    """Passes bytes to and from the server that is behind it at the moment."""

    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _MovingConnection)
        self.port, self._sockets = port, set[socket.socket]()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.server_address[1]}"

    def move(self, port: int) -> None:
        """From now on the server is another one; connections to the one before end."""
        self.port = port
        for each in list(self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def noted(self, *sockets: socket.socket) -> Iterator[None]:
        self._sockets.update(sockets)
        try:
            yield
        finally:
            self._sockets.difference_update(sockets)


class _MovingConnection(BaseRequestHandler):
    server: MovingAddress

    def handle(self) -> None:
        client = self.request
        with (
            suppress(OSError),
            socket.create_connection(("127.0.0.1", self.server.port)) as target,
            self.server.noted(client, target),
        ):
            while True:
                for source in select.select([client, target], [], [])[0]:
                    data = source.recv(65536)
                    if not data:
                        return
                    (target if source is client else client).sendall(data)


@contextmanager
def moving_address(port: int) -> Iterator[MovingAddress]:
    """A running proxy to the server at ``port`` of this machine."""
    with MovingAddress(port) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
