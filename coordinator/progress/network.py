"""What a training uses of the network to its parameter servers, and the words for that."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class NetworkUse:
    """What units that were reported used of the network to the parameter servers.

    Their steps waited for exchanges for ``waited_s`` of their ``seconds``, summed over replicas.
    """

    steps: int = 0
    sent: int = 0
    received: int = 0
    waited_s: float = 0.0
    seconds: float = 0.0

    def with_unit(self, told: Mapping[str, Any]) -> NetworkUse:
        """With that of another unit, by its report; those of older programs say less."""
        return NetworkUse(
            steps=self.steps + told["steps"],
            sent=self.sent + told.get("sent", 0),
            received=self.received + told.get("received", 0),
            waited_s=self.waited_s + told.get("exchange_s", 0.0),
            seconds=self.seconds + told.get("seconds", 0.0),
        )

    @property
    def bytes_a_step(self) -> float:
        """Bytes both ways for a minibatch, NaN before any."""
        return (self.sent + self.received) / self.steps if self.steps else math.nan

    @property
    def waiting(self) -> float:
        """The share of their time for which replicas waited for the network, NaN before any."""
        return min(1.0, self.waited_s / self.seconds) if self.seconds else math.nan


def network_text(bytes_a_step: float | None, waiting: float | None) -> str:
    """Bytes of a minibatch, and the share of time that goes by waiting; empty if not known."""
    if bytes_a_step is None or waiting is None or math.isnan(bytes_a_step + waiting):
        return ""
    return f"{size_text(bytes_a_step)} a step, {waiting:.0%} waiting"


def size_text(n_bytes: float) -> str:
    """Bytes in thousands, as networks count."""
    for unit in ("B", "kB", "MB"):
        if n_bytes < 999.5:
            return f"{n_bytes:.3g} {unit}"
        n_bytes /= 1000
    return f"{n_bytes:,.3g} GB"
