"""What servers spend: their CPU seconds and the bytes at their sockets, by their own counts."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from itertools import pairwise

from distbelief.app.client.commands import Command
from distbelief.app.client.servers import Servers

#: Readings of which the cost of one is the median difference.
EMPTY_READINGS = 9

#: CPU seconds of the thread that executes commands; older servers tell those of all threads.
MAIN_THREAD = ("used_cpu_user_main_thread", "used_cpu_sys_main_thread")
ALL_THREADS = ("used_cpu_user", "used_cpu_sys")


@dataclass(frozen=True)
class Spent:
    """CPU seconds, bytes received and bytes sent, of several servers together."""

    cpu_s: float = 0.0
    received: float = 0.0
    sent: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.cpu_s + other.cpu_s, self.received + other.received, self.sent + other.sent
        )

    def __sub__(self, other: Spent) -> Spent:
        return Spent(
            self.cpu_s - other.cpu_s, self.received - other.received, self.sent - other.sent
        )

    def shared(self, count: int) -> Spent:
        """The share of one of ``count`` equal calls."""
        return Spent(self.cpu_s / count, self.received / count, self.sent / count)


class ServerMeter:
    """Reads what servers spent so far, and takes off what the reading costs."""

    def __init__(self, servers: Servers) -> None:
        self._servers = servers
        readings = [self.read() for _ in range(EMPTY_READINGS + 1)]
        apart = [after - before for before, after in pairwise(readings)]
        self._empty = Spent(
            statistics.median(each.cpu_s for each in apart),
            statistics.median(each.received for each in apart),
            statistics.median(each.sent for each in apart),
        )

    def read(self) -> Spent:
        """All that the servers spent since they began."""
        asked = [Command(index, ("INFO",)) for index in range(len(self._servers))]
        return sum((_spent(reply) for reply in self._servers.call(asked)), Spent())

    def since(self, before: Spent) -> Spent:
        """What was spent since that reading, without what the two readings cost."""
        return self.read() - before - self._empty


def _spent(info: bytes) -> Spent:
    fields = dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)
    names = MAIN_THREAD if MAIN_THREAD[0] in fields else ALL_THREADS
    cpu_s = sum(float(fields[name]) for name in names)
    received, sent = fields["total_net_input_bytes"], fields["total_net_output_bytes"]
    return Spent(cpu_s, float(received), float(sent))
