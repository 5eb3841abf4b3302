"""A proxy that breaks now and then what passes through it, as the dice of a seed fall."""

from __future__ import annotations

import random
import select
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer

LONGEST_DELAY_S = 0.02
LARGEST_READ = 1 << 16


class Fault(StrEnum):
    """What can happen to a request, or to its reply. All but a delay end the connection."""

    REPLY_LOST = "reply lost"
    REPLY_CUT = "reply cut"
    REPLY_DELAYED = "reply delayed"
    REQUEST_CUT = "request cut"
    REQUEST_LATE = "request late"  # it arrives when the client has given the connection up
    SILENCE = "silence"  # the connection stays open; the request arrives nowhere


class FaultyProxy(ThreadingTCPServer):
    """Passes bytes to and from a Unix socket; a share ``rate`` of the requests meets a fault.

    ``requests`` counts the requests, ``injected`` the faults by kind. Clients pipeline: a
    request is what comes at once, which may be several commands.
    """

    daemon_threads = False  # so that closing waits until late requests have arrived

    def __init__(self, target: Path, rate: float, seed: int) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.target, self.rate = target, rate
        self.requests, self.injected = 0, Counter[Fault]()
        self._random, self._lock = random.Random(seed), threading.Lock()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.server_address[1]}"

    def throw(self) -> Fault | None:
        """The fault of the next request, mostly none."""
        with self._lock:
            self.requests += 1
            if self._random.random() >= self.rate:
                return None
            fault = self._random.choice(list(Fault))
            self.injected[fault] += 1
            return fault

    def part_of(self, data: bytes) -> bytes:
        """The first bytes of ``data``, at least none and never all."""
        with self._lock:
            return data[: self._random.randrange(len(data))]

    def delay(self) -> None:
        with self._lock:
            seconds = self._random.uniform(0, LONGEST_DELAY_S)
        time.sleep(seconds)


class _Connection(BaseRequestHandler):
    server: FaultyProxy

    def handle(self) -> None:
        # Either side may go away at any moment: that is what we are here for.
        with suppress(OSError), socket.socket(socket.AF_UNIX) as target:
            target.connect(str(self.server.target))
            client, fault, data = self.request, None, b""
            while True:
                for source in select.select([client, target], [], [])[0]:
                    data = source.recv(LARGEST_READ)
                    if not data:
                        return
                    if source is client:
                        fault = self.server.throw()
                    passes = self._request if source is client else self._reply
                    if not passes(data, fault, client, target):
                        return

    def _request(
        self, data: bytes, fault: Fault | None, client: socket.socket, target: socket.socket
    ) -> bool:
        """Pass a request on; whether the connection goes on."""
        if fault in (Fault.SILENCE, Fault.REQUEST_LATE):
            while client.recv(LARGEST_READ):
                pass
        if fault is Fault.REQUEST_LATE:
            self.server.delay()
            target.sendall(data)
            target.shutdown(socket.SHUT_WR)
            while target.recv(LARGEST_READ):
                pass
        elif fault is Fault.REQUEST_CUT:
            target.sendall(self.server.part_of(data))
        elif fault is not Fault.SILENCE:
            target.sendall(data)
            return True
        return False

    def _reply(
        self, data: bytes, fault: Fault | None, client: socket.socket, target: socket.socket
    ) -> bool:
        """Pass a reply on; whether the connection goes on."""
        if fault is Fault.REPLY_CUT:
            client.sendall(self.server.part_of(data))
        if fault in (Fault.REPLY_CUT, Fault.REPLY_LOST):
            return False
        if fault is Fault.REPLY_DELAYED:
            self.server.delay()
        client.sendall(data)
        return True


@contextmanager
def faulty(target: Path, rate: float, seed: int) -> Iterator[FaultyProxy]:
    """A running proxy to the Unix socket ``target``; all clients must be closed at its end."""
    with FaultyProxy(target, rate, seed) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield proxy
        finally:
            proxy.shutdown()
            thread.join()
