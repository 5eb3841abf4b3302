"""What rounds cost the held-out loss, by their length, the outer rule and the replicas.

``python -m tests.benchmarks.rounds [--torch] [IMAGES]`` trains digits by a network and by softmax
regression (which is convex), clicks by models whose rows are in tables, with ``--torch`` digits by
a small convolution of PyTorch's, too, and MNIST-like images where they are given, with rounds of 4,
16 and 64 steps; and prints the held-out
loss after as many minibatches in relation to that of an exchange at each step; at last by the
length of the training, too. Replicas take their steps in a random order, in one process, over
shards in memory and on the copies that workers have (:mod:`distbelief.worker_tasks.round_copy`):
what a push brings back is there a step later. The defaults in
:mod:`distbelief.app.optimizers.outer` are chosen from these figures, which do not depend on what
else the machine does.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl

from distbelief.app.datasets.split.partition import Subset
from distbelief.app.layout.tensors import Vector
from distbelief.app.models.imports import allow_imports_of
from distbelief.app.models.metrics import Score, score
from distbelief.app.models.parameters import Source, looked_up, whole
from distbelief.app.optimizers.registry import shard_rule
from distbelief.app.settings.config import RunConfig
from distbelief.app.store.contract.parameters import Token
from distbelief.app.store.memory.parameters import MemoryParameterStore
from distbelief.coordinator.downpour.units import UnitPlan
from distbelief.coordinator.problem.problem import Problem, prepare
from distbelief.worker_tasks.copies import Examples
from distbelief.worker_tasks.replica import Replica

LENGTHS = (4, 16, 64)
REPLICAS = (2, 4, 8)

PROBLEMS: Mapping[str, Mapping[str, Any]] = {
    "digits, network, Adagrad": {},
    "digits, softmax regression, Adagrad": {"model": "softmax"},
    "digits, network, Adam": {"optimizer": "adam"},
}
#: Sparse ones, whose rows are in tables.
CLICKS: Mapping[str, Any] = {
    "data": "synthetic:clicks", "data_options": {"examples": 10_000, "features": 16_384},
    "table_numbers": 1, "passes": 4,
}  # fmt: skip
TABLES: Mapping[str, Mapping[str, Any]] = {
    "clicks, logistic regression, Adagrad": {**CLICKS, "model": "logistic"},
    "clicks, factorization machine, Adagrad": {**CLICKS, "model": "fm"},
}
TORCH: Mapping[str, Mapping[str, Any]] = {
    "digits, convolution of PyTorch, Adam": {
        "model": "torch", "module": "tests.benchmarks.rounds:convolution", "optimizer": "adam",
        "passes": 20,
    },
}  # fmt: skip
IMAGES: Mapping[str, Mapping[str, Any]] = {
    "images, network, Adagrad": {"passes": 8, "holdout": 0.2},
}

#: Ways, and their settings.
WAYS: Mapping[str, Mapping[str, Any]] = {
    "default: a mean, steps for n pushes": {},
    "a mean, steps as they are": {"step_weight": 1.0},
    "nesterov 0.5, steps for n / 2": {"outer_momentum": 0.5},
    "nesterov 0.5, steps as they are": {"outer_momentum": 0.5, "step_weight": 1.0},
    "delayed nesterov 0.9, rate 0.7, steps as they are": {
        "outer_optimizer": "delayed_nesterov", "outer_learning_rate": 0.7, "outer_momentum": 0.9,
        "step_weight": 1.0,
    },
}  # fmt: skip

#: Passes of longer and longer trainings, of the first problem by default.
LONGER = "digits, network, Adagrad: longer trainings"
PASSES = (10, 20, 40, 80, 160)


def convolution(n_features: int, n_classes: int) -> Any:
    """A module for images of 8 x 8."""
    from torch import nn, set_num_threads

    set_num_threads(1)
    return nn.Sequential(
        nn.Unflatten(1, (1, 8, 8)),
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * 16, n_classes),
    )


@dataclass
class Stream:
    """The steps of one replica; ``coming`` is what its last push brings."""

    index: int
    replica: Replica
    store: MemoryParameterStore
    steps: int = 0
    coming: Vector | None = None
    share: float = field(default=1.0, init=False)

    def __post_init__(self) -> None:
        self.copy = self.replica.open_copy(self.index)
        if not self.copy.by_window:
            self.copy.install(self.copy.fetch(0, 1))
            self.copy.fetch_slots()

    def step(self) -> None:
        """As :mod:`distbelief.worker_tasks.replica`, with an answer that comes a step later."""
        interval, copy = self.replica.config.push_interval, self.copy
        self._install()
        if copy.by_window and self.steps % interval == 0:
            copy.install(copy.fetch(self.steps, self.steps + interval))
        if self.steps % interval == 0 or copy.by_round:
            self.share = self.replica.schedule.share(self.steps)
        copy.compute(self.steps)
        self.steps += 1
        pushes = self.steps % interval == 0
        if copy.by_round or not pushes:
            copy.step_locally(self.store.counts()[0].applied, self.share)
        if pushes:
            self._push()

    def _push(self) -> None:
        gradient, rows = self.copy.take_accrued()
        number = self.steps // self.replica.config.push_interval
        share = 1.0 if self.copy.by_round else self.share
        pushed = self.store.push(
            Token(1, self.index, 1), number, gradient, rows=rows, fetch=True, share=share
        )
        if self.copy.by_window:
            return
        if not self.copy.by_round:
            self.copy.step_locally(int(pushed.positions.clocks[0]) - 1, self.share)
        self.copy.expect_fresh()
        self.coming = pushed.fresh

    def _install(self) -> None:
        if self.coming is not None:
            self.copy.install_fresh(self.coming)
            self.coming = None


def train(problem: Problem) -> Score:
    """The held-out score after all steps of the plan."""
    config = problem.config
    store = MemoryParameterStore(problem.layout, shard_rule(config), config.dtype, fence=1)
    store.create(problem.initial_values.parameters, problem.initial_values.slots)
    streams = []
    for index in range(config.n_replicas):
        subset = Subset(problem.data.train, index, config.n_replicas, config.seed)
        replica = Replica(problem.model, Examples(problem.dataset, subset), store, config)
        streams.append(Stream(index, replica, store))
    rng = np.random.default_rng(config.seed)
    for _ in range(UnitPlan.of(problem).total_steps):
        streams[rng.integers(config.n_replicas)].step()
    features, targets = problem.data.heldout.between(0, problem.n_heldout)
    return score(source(problem, store), features, targets)


def source(problem: Problem, store: MemoryParameterStore) -> Source:
    """The model with what the shards hold."""
    dense = store.fetch().vector
    if not problem.layout.tables:
        return whole(problem.model, dense)
    return looked_up(problem.model, dense, lambda rows: store.fetch(rows=rows).tables)


def mean_of(settings: Mapping[str, Any], seeds: range) -> tuple[float, float, int]:
    """The mean held-out loss and accuracy over the seeds, and the minibatches."""
    found, steps = [], 0
    for seed in seeds:
        config = RunConfig(**settings, seed=seed)
        allow_imports_of(config)
        problem = prepare(config, 1).with_interval(1)
        steps = UnitPlan.of(problem).total_steps
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            made = train(problem)
        found.append((made.loss, made.accuracy))
    loss, accuracy = np.mean(found, axis=0)
    return float(loss), float(accuracy), steps


def compare(settings: Mapping[str, Any], replicas: int, seeds: range) -> None:
    """A table: a line for each way, a column for each length of rounds."""
    each, began = {**settings, "replicas": replicas}, time.monotonic()
    loss, accuracy, steps = mean_of({**each, "n_push": 1, "n_fetch": 1}, seeds)
    print(
        f"\n{replicas} replicas, {steps:,} minibatches; an exchange at each step comes to a loss of"
    )
    print(f"{loss:.4f} ({accuracy:.1%}).\n")
    head("way", [f"H = {each}" for each in LENGTHS])
    for way, outer in WAYS.items():
        if "table_numbers" in settings and outer.get("outer_optimizer") == "delayed_nesterov":
            continue  # which is refused
        cells = []
        for length in LENGTHS:
            made, right, _ = mean_of({**each, **outer, "round_steps": length}, seeds)
            ratio = f"{made / loss:.2f}" if math.isfinite(made) else "diverged"
            cells.append(f"{ratio} ({right:.1%})")
        print(f"| {way} | {' | '.join(cells)} |", flush=True)
    print(f"\n({time.monotonic() - began:.0f} s)", file=sys.stderr, flush=True)


def lengthen(settings: Mapping[str, Any], seeds: range) -> None:
    """A table of the default: a line for each length of the training."""
    pairs = [(replicas, length) for replicas in (2, 8) for length in LENGTHS]
    head("passes", [f"{replicas} replicas, H = {length}" for replicas, length in pairs])
    for passes in PASSES:
        cells = []
        for replicas, length in pairs:
            each = {**settings, "replicas": replicas, "passes": passes}
            loss, *_ = mean_of({**each, "n_push": 1, "n_fetch": 1}, seeds)
            made, *_ = mean_of({**each, "round_steps": length}, seeds)
            cells.append(f"{made / loss:.2f}")
        print(f"| {passes} | {' | '.join(cells)} |", flush=True)


def head(first: str, columns: Sequence[str]) -> None:
    print(f"| {' | '.join((first, *columns))} |")
    print(f"|---|{'---|' * len(columns)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("images", nargs="?", type=Path, help="a file like MNIST's, or a folder")
    parser.add_argument("--torch", action="store_true", help="with a module of PyTorch")
    parser.add_argument("--only", default="", help="problems with this in their name")
    parser.add_argument("--seeds", type=int, default=2, help="trainings of which means are taken")
    parser.add_argument("--replicas", type=int, nargs="+", default=REPLICAS)
    parser.add_argument("--passes", type=int, help="of longer or shorter trainings")
    given = parser.parse_args()
    problems = {**PROBLEMS, **TABLES, **(TORCH if given.torch else {})}
    if given.images is not None:
        images = {"data": str(given.images)}
        problems |= {name: {**each, **images} for name, each in IMAGES.items()}
    for name, settings in problems.items():
        if given.only in name:
            print(f"\n### {name[0].upper()}{name[1:]}")
            longer = {"passes": given.passes} if given.passes else {}
            for replicas in given.replicas:
                compare({**settings, **longer}, replicas, range(given.seeds))
    if given.only in LONGER:
        print(f"\n### {LONGER[0].upper()}{LONGER[1:]}\n")
        lengthen({}, range(given.seeds))


if __name__ == "__main__":
    with threadpoolctl.threadpool_limits(1):
        main()
