"""Counts what a training uses: processors by the system's count, bytes by the servers' sockets.

A parameter server counts what it reads from its sockets and writes to them, whoever talks to it,
and its processor's seconds; workers tell theirs when they are asked
(:mod:`distbelief.worker_tasks.usage`). All counts go on from before the training, so each is
looked at when it begins. Whatever else uses these servers and workers meanwhile is in it.
"""

from __future__ import annotations

import math
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import numpy as np

from distbelief.app.client.info import read_info
from distbelief.app.client.servers import Servers
from distbelief.app.errors import ServerError
from distbelief.coordinator.cluster.endpoints import Endpoints
from distbelief.coordinator.comparison.outcome import Costs
from distbelief.coordinator.runs.messages import Messages

#: Between two questions to the workers, which answer in some milliseconds.
ASK_EVERY_S = 0.25

#: Of INFO, and what is in them.
SECTIONS = ("cpu", "stats")
CPU = ("used_cpu_sys", "used_cpu_user", "used_cpu_sys_children", "used_cpu_user_children")
BYTES_IN, BYTES_OUT = "total_net_input_bytes", "total_net_output_bytes"


@dataclass
class Count:
    """The sum of several counters that only grow; one that began again goes on."""

    total: float = 0.0
    _last: dict[str, float] = field(default_factory=dict)

    def see(self, name: str, value: float) -> None:
        """Note where a counter stands; what is seen first of it is where it began."""
        last = self._last.get(name, value)
        self.total += value - last if value >= last else value
        self._last[name] = value


class WorkersUsage:
    """Samples of the workers' processor seconds, taken on a thread of its own."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._messages = Messages(endpoints)
        self._count = Count()
        self._known = True
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="usage", daemon=True)
        self._times: list[float] = []
        self._values: list[float] = []
        #: Processor seconds of the thread, which are no cost of the training.
        self.own_s = 0.0
        self._look()
        self._thread.start()

    def at(self, moment: float) -> float:
        """Seconds since the first sample at a moment of :func:`time.monotonic`; NaN if unknown."""
        return float(np.interp(moment, self._times, self._values)) if self._known else math.nan

    def close(self) -> None:
        """Take a last sample, and end."""
        self._over.set()
        self._thread.join()
        self._messages.close()

    def _sample(self) -> None:
        over = False
        while not over:
            over = self._over.wait(ASK_EVERY_S)
            with suppress(ServerError):
                self._look()
            self.own_s = time.thread_time()

    def _look(self) -> None:
        answers = self._messages.answers("usage")
        if not answers and self._times:
            return  # a worker that is late for once: the next answer tells it all
        self._known = self._known and bool(answers)
        for name, answer in answers:
            seconds = answer.get("cpu_s")
            if seconds is None:  # also a worker of an older version, which says an error
                self._known = False
            else:
                self._count.see(name, float(seconds))
        self._times.append(time.monotonic())
        self._values.append(self._count.total)


@dataclass(frozen=True)
class Reading:
    """What was used until a moment of :func:`time.monotonic`, but for the workers."""

    moment: float
    servers_s: float
    coordinator_s: float
    bytes_in: float
    bytes_out: float


class Meter:
    """Counts from when it is made. A context manager.

    Args:
        endpoints: the servers.
    """

    def __init__(self, endpoints: Endpoints) -> None:
        self._control = Servers([endpoints.control])
        self._servers = Servers(endpoints.parameter_servers)
        self._cpu = Count()
        self._bytes_in = Count()
        self._bytes_out = Count()
        #: Bytes that were read only to be scored.
        self.own_bytes = 0.0
        self.workers = WorkersUsage(endpoints)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.workers.close()
        for each in (self._control, self._servers):
            each.close()

    def read(self) -> Reading:
        """What was used until now."""
        for name, servers in (("control", self._control), ("parameters", self._servers)):
            for index in range(len(servers)):
                info = read_info(servers, *SECTIONS, server=index) or {}
                self._look(f"{name}{index}", info)
                if servers is self._servers:
                    self.own_bytes += sum(len(key) + len(text) for key, text in info.items())
        return Reading(
            time.monotonic(),
            self._cpu.total,
            time.process_time() - self.workers.own_s,
            self._bytes_in.total,
            self._bytes_out.total - self.own_bytes,
        )

    def costs(self, begin: Reading, reading: Reading, examples: float) -> Costs:
        """What was used between two readings; asked for once the meter is closed."""
        workers = self.workers.at(reading.moment) - self.workers.at(begin.moment)
        return Costs(
            reading.moment - begin.moment,
            workers,
            reading.servers_s - begin.servers_s,
            reading.coordinator_s - begin.coordinator_s,
            examples,
            reading.bytes_in - begin.bytes_in,
            reading.bytes_out - begin.bytes_out,
        )

    def _look(self, name: str, info: dict[str, str]) -> None:
        self._cpu.see(name, sum(float(info.get(each, "nan")) for each in CPU))
        if name.startswith("parameters"):
            self._bytes_in.see(name, float(info.get(BYTES_IN, "nan")))
            self._bytes_out.see(name, float(info.get(BYTES_OUT, "nan")))
