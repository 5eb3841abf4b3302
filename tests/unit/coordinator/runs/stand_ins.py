"""Stand-ins for what a driver has around it when there are no servers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distbelief.app.runs.record import RunRecord
from distbelief.coordinator.runs.checkpoints import Checkpoints


class StandInLeader:
    """Leadership on paper: nobody else wants the run; commits are kept to be looked at."""

    def __init__(self, fence: int) -> None:
        self.fence = fence
        self.commits: list[Mapping[str, Any]] = []

    def renew(self, record: RunRecord) -> None:
        self.fence += 1

    def commit(self, state: Mapping[str, Any]) -> None:
        self.commits.append(state)


def no_checkpoints() -> Checkpoints:
    """Checkpoints whose time never comes."""
    return Checkpoints(Path("never written"), math.inf, 1, print)
