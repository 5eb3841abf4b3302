"""The reports of replicas, added up."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from distbelief.app.errors import Diverged
from distbelief.app.optimizers.outer import OuterSettings
from distbelief.app.optimizers.registry import build_rule
from distbelief.app.settings.config import RunConfig
from distbelief.coordinator.downpour.goodput import Goodput
from distbelief.coordinator.downpour.plateau import Plateau
from distbelief.coordinator.progress.network import NetworkUse
from distbelief.worker_tasks.unit_report import UnitReport

#: Units in a row with refused pushes or a non-finite loss: then the run has diverged.
BAD_UNITS = 3


class Reports:
    """Losses, staleness and waits of a run so far.

    ``waited_s`` is how long replicas were held back for slower ones, ``network`` what they used of
    it.

    Args:
        replicas: the loss is told over the last two units of each.
        plateau: notes the loss of each pass, where another method is to go on.
    """

    def __init__(self, replicas: int, plateau: Plateau | None = None) -> None:
        self._losses: deque[tuple[float, int]] = deque(maxlen=2 * replicas)
        self.plateau = plateau
        self._bad_units = 0
        self.staleness: Counter[int] = Counter()
        self.waited_s = 0.0
        self.goodput = Goodput()
        self.network = NetworkUse()

    @classmethod
    def of(cls, config: RunConfig) -> Reports:
        hybrid = config.algorithm == "hybrid"
        return cls(config.n_replicas, Plateau(config.handover_decrease) if hybrid else None)

    def add(self, report: UnitReport, index: int) -> None:
        """Take in the report of a unit of the pass ``index``."""
        self.staleness += report.staleness
        self.waited_s += report.waited_s
        self.goodput.add(report)
        self.network = self.network.with_unit(report.__dict__)
        if report.examples:
            self._losses.append((report.loss_sum, report.examples))
        if self.plateau is not None:
            self.plateau.add(index, report.loss_sum, report.examples)
        bad = report.refused > 0 or not math.isfinite(report.loss_sum)
        self._bad_units = self._bad_units + 1 if bad else 0

    @property
    def diverged(self) -> bool:
        return self._bad_units >= BAD_UNITS

    def hardly_falls(self, whole: int) -> bool:
        """Whether, in a hybrid, the last of the ``whole`` passes hardly lowered the loss."""
        return self.plateau is not None and self.plateau.reached(whole)

    def forgive(self) -> None:
        """Forget the bad units: the shards have been restored."""
        self._bad_units = 0

    @property
    def training_loss(self) -> float:
        """Mean over the examples of recent units, NaN before any."""
        examples = sum(count for _, count in self._losses)
        return sum(loss for loss, _ in self._losses) / examples if examples else math.nan

    def to_json(self) -> dict[str, Any]:
        staleness = {str(value): count for value, count in self.staleness.items()}
        document: dict[str, Any] = {"staleness": staleness, "waited_s": self.waited_s}
        document["goodput"] = self.goodput.to_json()
        document["network"] = asdict(self.network)
        if self.plateau is not None:
            document["plateau"] = self.plateau.to_json()
        return document

    def load_state(self, document: Mapping[str, Any]) -> None:
        """Go on from what another coordinator noted."""
        self.staleness = Counter({int(k): n for k, n in document["staleness"].items()})
        self.waited_s = document["waited_s"]
        if "goodput" in document:  # older programs knew none
            self.goodput.load_state(document["goodput"])
        self.network = NetworkUse(**document.get("network", {}))  # older ones have none
        if self.plateau is not None:
            self.plateau.load_state(document["plateau"])


def diverged(steps: int, config: RunConfig) -> Diverged:
    """The error of a training whose numbers left what can be held, after so many steps."""
    rate = build_rule(config).arguments()[0]
    outer, last = "", "--clip-norm 1, or --warm-start-steps"
    if config.round_steps is not None:
        known = OuterSettings.of(config)
        outer = f"--step-weight (now {known.step_weight:g}), "
        outer += f"--outer-learning-rate (now {known.outer_learning_rate:g}) or "
        outer += f"--outer-momentum (now {known.outer_momentum:g}), "
        last = "or --clip-norm 1"
    return Diverged(
        f"the training diverged after {steps} steps: losses or gradients are not finite any more. "
        f"Try a lower {outer}--learning-rate (now {rate:g}), {last}"
    )
