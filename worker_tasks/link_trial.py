"""A worker measures its way to the parameter servers, before a run begins.

It is asked on the roster (:mod:`distbelief.worker_tasks.presence`), like its introduction, and
measures on a thread of its own: whoever asks again gets what was found meanwhile. Workers that
are asked at the same time share what they share in a training, too.
"""

from __future__ import annotations

import statistics
import uuid
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import closing
from threading import Thread
from typing import Any

from distbelief.app.client.addresses import ServerAddress
from distbelief.app.client.servers import Servers
from distbelief.app.errors import DistBeliefError
from distbelief.app.settings.environment import workers_parameter_servers
from distbelief.worker_tasks.agreement import named_servers
from distbelief.worker_tasks.link_speed import ENDLESS, Way, seconds_of, slope

#: How long a server has to answer, and a question waits for what is measured.
PATIENCE_S = 10.0
PAUSE_S = 0.2

#: Bytes of the first message; the next has so many times as many, until one takes so long.
FIRST_BYTES, LONGER, WANTED_S = 64 << 10, 4, 0.1
#: The longest has no more than these, however many an exchange has: servers hold them.
MOST_BYTES = 4 << 20
#: It is sent so often; round trips of an empty question.
REPETITIONS, ROUND_TRIPS = 3, 5

MOST_QUESTIONS = 8


class _Trial:
    """A measurement on a thread. ``found`` is what came of it, None while it goes on."""

    def __init__(self, urls: Sequence[str], most_bytes: int) -> None:
        self.found: dict[str, Any] | None = None
        self._thread = Thread(target=self._try, args=(urls, most_bytes), daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> None:
        self._thread.join(seconds)

    def _try(self, urls: Sequence[str], most_bytes: int) -> None:
        try:
            with closing(Servers(urls, deadline_s=PATIENCE_S)) as servers:
                self.found = measure(servers, most_bytes)
        except DistBeliefError as error:
            self.found = {"error": str(error)}


_trials: OrderedDict[str, _Trial] = OrderedDict()


def link(word: str, servers: Sequence[str], most_bytes: int) -> dict[str, Any]:
    """Tell how fast the way to the parameter servers is; ``pending`` while it is measured.

    Or ``here``: they are on this machine. A question has a ``word`` of its own. ``servers`` are the
    coordinator's, for a worker that was told no addresses of its own; an exchange of the run has
    ``most_bytes`` in each direction.
    """
    trial = _trials.get(word)
    if trial is None:
        urls = workers_parameter_servers() or named_servers(servers)
        if all(ServerAddress.parse(url).is_local for url in urls):
            return {"here": True}
        trial = _trials[word] = _Trial(urls, min(most_bytes, MOST_BYTES))
        while len(_trials) > MOST_QUESTIONS:
            _trials.popitem(last=False)
    trial.wait(PAUSE_S)
    return trial.found or {"pending": True}


def measure(servers: Servers, most_bytes: int) -> dict[str, float]:
    """Send bytes to all servers at once and take them back: bytes a second both ways."""
    way = Way(servers, f"trial-{uuid.uuid4().hex[:8]}", "link:0", range(len(servers)))
    try:
        trips = [seconds_of(lambda: servers.one("PING")) for _ in range(ROUND_TRIPS)]
        sizes, took = [FIRST_BYTES], [way.there_and_back(FIRST_BYTES)]
        while sizes[-1] < most_bytes and max(took[-1]) < WANTED_S:
            sizes.append(sizes[-1] * LONGER)
            took.append(way.there_and_back(sizes[-1]))
        again = [took[-1], *(way.there_and_back(sizes[-1]) for _ in range(REPETITIONS - 1))]
    finally:
        way.clear()
    up, down = (
        _rate(
            sizes, [*(each[i] for each in took[:-1]), statistics.median(each[i] for each in again)]
        )
        for i in (0, 1)
    )
    return {"up": up, "down": down, "round_trip_s": statistics.median(trips)}


def _rate(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """Bytes a second, without the way there, which takes as long for short messages."""
    if len(sizes) == 1:
        return sizes[0] / seconds[0]
    found = slope(sizes[-2:], seconds[-2:])
    return min(found[0], ENDLESS) if found else ENDLESS
