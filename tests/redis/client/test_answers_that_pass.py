"""Answers that a server gives for a while: waited for, and told with a remedy where they stay."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from distbelief.app.errors import ServerRefused, ServerUnreachable
from tests.redis.private import connected

ANSWERS = {
    "LOADING Redis is loading the dataset in memory": "raise server_seconds",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.": "REPLICAOF",
    "READONLY You can't write against a read only replica.": "name its primary",
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL": "SCRIPT KILL ends it",
    "OOM command not allowed when used memory > 'maxmemory'.": "raise its maxmemory",
    "MISCONF Redis is configured to save RDB snapshots, but is unable to": "make room on its disk",
    "NOREPLICAS Not enough good replicas to write.": "lower min-replicas-to-write",
    "CLUSTERDOWN The cluster is down": "have a replica take over",
    "TRYAGAIN Multiple keys request during rehashing of slot": "redis-cli --cluster check",
    "UNBLOCKED force unblock from blocking operation, instance state changed": "name its primary",
    "ERR max number of clients reached": "max number of clients reached",
}


class Stub(socketserver.ThreadingTCPServer):
    """A server that answers GET with what ``answer`` says, and all else with OK."""

    daemon_threads = True

    def __init__(self, answer: Callable[[], str]) -> None:
        self.answer = answer
        super().__init__(("127.0.0.1", 0), Handler)


class Handler(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        while head := self.rfile.readline():
            words = []
            for _ in range(int(head[1:])):
                length = int(self.rfile.readline()[1:])
                words.append(self.rfile.read(length + 2)[:-2])
            assert isinstance(self.server, Stub)
            said = self.server.answer() if words[0] == b"GET" else "+OK"
            self.wfile.write(f"{said}\r\n".encode())


@contextmanager
def answering(answer: Callable[[], str]) -> Iterator[str]:
    with Stub(answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"redis://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_that_passes_is_waited_for(answer: str) -> None:
    left = [f"-{answer}", f"-{answer}", "+value"]
    with answering(lambda: left.pop(0)) as url, connected(url) as servers:
        assert servers.one("GET", "key") == b"value"
    assert not left


@pytest.mark.parametrize(("answer", "remedy"), ANSWERS.items())
def test_one_that_stays_is_told_in_a_sentence_with_the_server_and_a_remedy(
    answer: str, remedy: str
) -> None:
    with answering(lambda: f"-{answer}") as url, connected(url, deadline_s=0.05) as servers:
        with pytest.raises((ServerUnreachable, ServerRefused), match=r"0\.05 s") as failed:
            servers.one("GET", "key")
        assert url in str(failed.value)
        assert remedy in str(failed.value)
