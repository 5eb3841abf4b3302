"""Clocks of servers and workers, compared with ours.

Leases go by the control server's clock alone, so a wrong one costs no work; but figures of
several machines do not fit together then, and TLS certificates seem invalid.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from distbelief.app.client.servers import Servers
from distbelief.coordinator.doctor.findings import Finding, ok, warning
from distbelief.coordinator.doctor.servers import PATIENCE_S

#: Beyond this a clock is wrong.
MOST_S = 2.0


@dataclass(frozen=True)
class ClockFacts:
    """The seconds that a clock is ahead of ours, and how uncertain that is."""

    whose: str
    ahead_s: float
    uncertain_s: float = 0.0


def gather(servers: Servers, index: int) -> ClockFacts:
    """Ask a server for its clock."""
    before = time.time()
    seconds, micros = servers.one("TIME", server=index, timeout_s=PATIENCE_S)
    after = time.time()
    ahead = int(seconds) + int(micros) / 1e6 - (before + after) / 2
    return ClockFacts(servers.addresses[index], ahead, (after - before) / 2)


def judge(clocks: list[ClockFacts]) -> list[Finding]:
    """A warning for each clock that is wrong, or one finding that all are right."""
    wrong = [each for each in clocks if abs(each.ahead_s) > MOST_S + each.uncertain_s]
    found = [
        warning(
            f"clock of {each.whose}",
            f"it is {abs(each.ahead_s):.1f} s {'ahead of' if each.ahead_s > 0 else 'behind'} ours",
            "have all machines follow a time server (NTP)",
        )
        for each in wrong
    ]
    if found or not clocks:
        return found
    worst = max(abs(each.ahead_s) + each.uncertain_s for each in clocks)
    return [ok("clocks", f"{len(clocks)} agree with ours within {max(worst, 0.1):.1f} s")]
