"""A worker introduces itself: its code, and how it sees the parameter servers.

It is answered by the worker's main process (:mod:`distbelief.worker_tasks.presence`), with its
own addresses and passwords. The servers are looked at on threads of their own: whoever asks again
gets what was found meanwhile, and no silent server holds the worker up.
"""

from __future__ import annotations

import statistics
import time
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import closing
from threading import Thread
from typing import Any

from distbelief.app.client.commands import Command
from distbelief.app.client.servers import Servers
from distbelief.app.errors import DistBeliefError
from distbelief.app.layout.keys import mark as key_of
from distbelief.app.runs.identity import Identity
from distbelief.app.settings.environment import workers_parameter_servers
from distbelief.app.store.engines import choose
from distbelief.worker_tasks.agreement import named_servers

#: How long a server has to answer, and an introduction waits for those that have not.
PATIENCE_S = 2.0
PAUSE_S = 0.2

ROUND_TRIPS = 3

#: Questions of which what was found is kept.
MOST_QUESTIONS = 8


class _Look:
    """A look at some servers, each on a thread. ``found`` is in their order, None: not yet."""

    def __init__(self, urls: Sequence[str], mark: str, count: int) -> None:
        self.found: list[dict[str, Any] | None] = [None] * len(urls)
        self._threads = [
            Thread(target=self._see, args=(index, url, mark, count), daemon=True)
            for index, url in enumerate(urls)
        ]
        for thread in self._threads:
            thread.start()

    def wait(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _see(self, index: int, url: str, mark: str, count: int) -> None:
        try:
            self.found[index] = _see(url, mark, count)
        except DistBeliefError as error:
            self.found[index] = {"error": str(error), "code": int(error.exit_code)}


_looks: OrderedDict[str, _Look] = OrderedDict()


def introduce(mark: str = "", servers: Sequence[str] = ()) -> dict[str, Any]:
    """Tell our code and, if there is the word of a ``mark``, how this worker sees the servers.

    ``servers`` are the coordinator's, for a worker that was told no addresses of its own.
    """
    answer: dict[str, Any] = {"identity": Identity.here().to_json()}
    if not mark:
        return answer
    try:
        look = _looks.get(mark) or _begin(mark, servers)
    except DistBeliefError as error:  # the file that names them cannot be read
        return {**answer, "error": str(error), "code": int(error.exit_code)}
    look.wait(PAUSE_S)
    return {**answer, "servers": look.found}


def _begin(mark: str, servers: Sequence[str]) -> _Look:
    ours = workers_parameter_servers()
    look = _Look(ours or named_servers(servers), mark, len(servers))
    _looks[mark] = look
    while len(_looks) > MOST_QUESTIONS:
        _looks.popitem(last=False)
    return look


def _see(url: str, mark: str, count: int) -> dict[str, Any]:
    """The marks on a server, its address, round-trip time and engine."""
    with closing(Servers([url], deadline_s=PATIENCE_S)) as servers:
        servers.hurry(PATIENCE_S)  # a frozen one is not waited for longer
        asked = [Command(0, ("EXISTS", key_of(mark, index))) for index in range(count)]
        marks = [index for index, there in enumerate(servers.call(asked)) if there]
        address = servers.addresses[0]
        return {
            "address": address,
            "marks": marks,
            "round_trip_ms": statistics.median(_round_trip_ms(servers) for _ in range(ROUND_TRIPS)),
            "engine": choose(servers.one, address, "auto").engine.value,
        }


def _round_trip_ms(servers: Servers) -> float:
    began = time.perf_counter()
    servers.one("PING")
    return 1000 * (time.perf_counter() - began)
