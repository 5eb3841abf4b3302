"""The trials of a comparison: rates are tuned on a seed of their own, then all seeds are run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from distbelief.coordinator.comparison.methods import Method
from distbelief.coordinator.comparison.outcome import Outcome, Trial

#: Rates are tuned with this seed, and those that count are the ones after it.
TUNING_SEED = 0

#: Outcomes by the key of their trial.
Outcomes = Mapping[str, Outcome]


@dataclass(frozen=True)
class Grid:
    """What is tried. ``processes`` are those of a fleet, None where we start the workers."""

    methods: Sequence[Method]
    replicas: Sequence[int]
    n_seeds: int
    rates: Sequence[float]
    processes: int | None = None

    @property
    def seeds(self) -> range:
        return range(TUNING_SEED + 1, TUNING_SEED + 1 + self.n_seeds)

    def counts(self, method: Method) -> Sequence[int]:
        """The numbers of replicas of a method. All processes of a fleet share a batch."""
        if not method.replicated:
            return (1,)
        if method.batch and self.processes is not None:
            return (self.processes,)
        return self.replicas

    @property
    def pairs(self) -> list[tuple[Method, int]]:
        """Methods with each of their numbers of replicas, few replicas first."""
        found = [(method, count) for method in self.methods for count in self.counts(method)]
        return sorted(found, key=lambda pair: (not pair[0].alone, pair[1]))

    def tuning(self, method: Method, replicas: int) -> list[Trial]:
        """The trials by which a rate is chosen; none where there is no choice."""
        if not method.rated or len(self.rates) < 2:
            return []
        return [Trial(method.name, replicas, rate, TUNING_SEED) for rate in self.rates]

    def finals(self, method: Method, replicas: int, rate: float | None) -> list[Trial]:
        """The trials that count, at the chosen rate."""
        return [Trial(method.name, replicas, rate, seed) for seed in self.seeds]

    def rate(self, method: Method, replicas: int, outcomes: Outcomes) -> float | None:
        """The rate whose tuning trial had the lowest training loss; None if the method has none.

        Where none of them came to an end, the lowest rate.
        """
        if not method.rated:
            return None
        tried = [
            (outcomes[trial.key].loss, trial.rate or math.inf)
            for trial in self.tuning(method, replicas)
            if trial.key in outcomes
        ]
        return min(tried)[1] if tried else min(self.rates)

    def trials(self, outcomes: Outcomes) -> Iterator[Trial]:
        """All trials, those that are done too; ``outcomes`` may grow meanwhile."""
        for method, replicas in self.pairs:
            yield from self.tuning(method, replicas)
            yield from self.finals(method, replicas, self.rate(method, replicas, outcomes))

    @property
    def size(self) -> int:
        """How many trials there are."""
        return sum(len(self.tuning(*pair)) + self.n_seeds for pair in self.pairs)
