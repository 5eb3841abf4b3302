"""What a bound on staleness and scaled rates do: ``python tests/benchmarks/staleness.py``.

Replicas are simulated in this process: each fetches, computes for a drawn time, and pushes,
in the order of a simulated clock, over shards in memory. The same seeds give the same table
on every machine. They fit a linear regression without noise, whose loss can reach 0, by SGD
at rates near the largest that one replica alone could use. A time is in minibatches of a
fast replica; ``reached`` is when the held-out loss was first below a hundredth of that of
the first parameters.
"""

from __future__ import annotations

import heapq
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.sources.source import Generated
from distbelief.app.datasets.split.division import Shares, at_random
from distbelief.app.datasets.split.partition import Subset
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import Vector
from distbelief.app.models.linear import LinearRegression
from distbelief.app.optimizers.registry import build_rule
from distbelief.app.settings.config import RunConfig
from distbelief.app.store.contract.parameters import Positions, Token
from distbelief.app.store.memory.parameters import MemoryParameterStore
from distbelief.coordinator.progress.status import median
from distbelief.worker_tasks.staleness import StalenessBound

PASSES, BATCH = 4, 10
DATA = {"examples": 4000, "features": 20}
#: For each setting, how many times slower than the first each replica is.
FLEETS = {"8 equal replicas": (1.0,) * 8, "7 and one 10 times slower": (1.0,) * 7 + (10.0,)}
RATES = (0.03, 0.1, 0.2)
VARIANTS: dict[str, dict[str, int | bool]] = {
    "plain": {},
    "max_staleness 4": {"max_staleness": 4},
    "max_staleness 0": {"max_staleness": 0},
    "scale_by_staleness": {"scale_by_staleness": True},
}


@dataclass
class Simulation:
    """One training; ``losses`` are (time, held-out loss) now and then."""

    config: RunConfig
    slowness: tuple[float, ...]
    data: Dataset
    staleness: Counter[int] = field(default_factory=Counter)
    losses: list[tuple[float, float]] = field(default_factory=list)
    waited: float = 0.0

    def run(self) -> None:
        config, replicas = self.config, range(self.config.n_replicas)
        parts = at_random(Shares(self.data.n_examples, 0.2), config.seed)
        train, self.heldout = parts.train, parts.heldout[:]
        subsets = [Subset(train, r, config.n_replicas, config.seed) for r in replicas]
        steps = [subset.steps_per_pass(BATCH) for subset in subsets]
        self.totals, self.pace = [n * PASSES for n in steps], StalenessBound.of(config, steps)
        self.model = LinearRegression(DATA["features"])
        layout = Layout.plan(self.model.tensors, n_servers=1, block_numbers=64, n_shards=1)
        self.store = MemoryParameterStore(layout, build_rule(config), fence=1)
        self.store.create(self.model.initial(np.random.default_rng(config.seed)))
        self.subsets, self.random = subsets, np.random.default_rng(config.seed)
        self.ends: list[tuple[float, int]] = []
        self.begun: dict[int, tuple[Vector, Positions]] = {}
        self.held: dict[int, float] = {}
        for replica in replicas:
            self._begin(replica, 0.0)
        while self.ends:
            now, replica = heapq.heappop(self.ends)
            self._push(replica)
            self.losses.append((now, self._loss()))
            for waiting in [replica, *self.held]:
                self._begin(waiting, now)

    def _begin(self, replica: int, now: float) -> None:
        """Fetch and compute, unless all is done or the replica is too far ahead."""
        sequences = self.store.sequences(self.config.n_replicas)
        made = sequences[replica]
        if made == self.totals[replica]:
            return
        if self.pace is not None and not self.pace.allows(replica, made, sequences):
            self.held.setdefault(replica, now)
            return
        self.waited += now - self.held.pop(replica, now)
        fetched = self.store.fetch(stream=replica)
        self.begun[replica] = fetched.vector, fetched.positions
        took = self.slowness[replica] * self.random.uniform(0.8, 1.2)
        heapq.heappush(self.ends, (now + took, replica))

    def _push(self, replica: int) -> None:
        parameters, positions = self.begun[replica]
        made = int(positions.sequences[0])
        rows = self.subsets[replica].minibatch(made, BATCH)
        gradient = np.empty_like(parameters)
        features, targets = self.data.features[rows], self.data.targets[rows]
        self.model.loss_and_gradient(parameters, features, targets, gradient)
        base = positions.others if self.config.scale_by_staleness else None
        pushed = self.store.push(Token(1, replica, 1), made + 1, gradient, base=base)
        self.staleness[int(pushed.positions.others[0] - positions.others[0])] += 1

    def _loss(self) -> float:
        parameters, rows = self.store.fetch().vector, self.heldout
        features, targets = self.data.features[rows], self.data.targets[rows]
        return self.model.loss_and_gradient(
            parameters, features, targets, np.empty_like(parameters)
        )


def main() -> None:
    data = Generated("synthetic:linear").load(DATA)
    for fleet, slowness in FLEETS.items():
        print(f"\n{fleet}, SGD, {PASSES} passes, minibatches of {BATCH}")
        print("  rate  variant             reached       end  loss at end    waited  staleness")
        for rate in RATES:
            for variant, settings in VARIANTS.items():
                config = RunConfig(
                    optimizer="sgd",
                    n_push=1,
                    learning_rate=rate,
                    replicas=len(slowness),
                    batch_size=BATCH,
                    passes=PASSES,
                    **settings,
                )
                ran = Simulation(config, slowness, data)
                ran.run()
                (_, first), (end, last) = ran.losses[0], ran.losses[-1]
                reached = next(
                    (f"{when:.0f}" for when, loss in ran.losses if loss < first / 100), "-"
                )
                worst = max(ran.staleness)
                print(
                    f"{rate:>6}  {variant:<18}{reached:>9}{end:>10.0f}{last:>13.3g}"
                    f"{ran.waited:>10.0f}  median {median(ran.staleness)}, worst {worst}"
                )


if __name__ == "__main__":
    main()
