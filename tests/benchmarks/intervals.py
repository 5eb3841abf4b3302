"""What longer intervals cost the loss: curves at equal numbers of minibatches.

``python -m tests.benchmarks.intervals [IMAGES]`` trains digits, and MNIST-like images where they
are given, with ``n_push`` = ``n_fetch`` = 1, 2, 4, ... and prints the training loss in relation to
that at 1. Replicas take their steps in a random order, in one process and exactly as
:mod:`distbelief.worker_tasks.replica` does: what a push brings back is there a step later.
:data:`distbelief.coordinator.downpour.intervals.LONGEST` and ``MOST_UNSEEN`` are chosen from these
figures.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import threadpoolctl

from distbelief.app.datasets.examples.dataset import Dataset
from distbelief.app.datasets.split.partition import Subset
from distbelief.app.layout.tensors import Vector
from distbelief.app.optimizers.registry import build_rule
from distbelief.app.optimizers.rule import Rule, local_step
from distbelief.app.settings.config import RunConfig
from distbelief.coordinator.downpour.units import UnitPlan
from distbelief.coordinator.problem.problem import Problem, prepare

INTERVALS = (1, 2, 4, 8, 16)
REPLICAS = (1, 2, 3, 4, 8)
SEEDS = range(3)
PASSES = (1, 2, 4, 8, 12)
#: Training examples whose loss is taken.
EXAMPLES = 4000

DIGITS: Mapping[str, Mapping[str, Any]] = {
    "digits, network, Adagrad": {"passes": 40},
    "digits, network, SGD": {"passes": 40, "optimizer": "sgd"},
    "digits, network, momentum": {"passes": 40, "optimizer": "momentum", "learning_rate": 0.01},
    "digits, network, RMSProp": {"passes": 40, "optimizer": "rmsprop", "learning_rate": 0.001},
    "digits, network, Adam": {"passes": 40, "optimizer": "adam", "learning_rate": 0.001},
    "digits, softmax, FTRL": {"passes": 40, "model": "softmax", "optimizer": "ftrl"},
}
IMAGES: Mapping[str, Mapping[str, Any]] = {
    "images, network of 256, Adagrad": {"hidden": (256,), "batch_size": 64},
    "images, softmax, Adagrad": {"model": "softmax", "batch_size": 64},
}


@dataclass
class Server:
    """All parameters and slots, and how many pushes were applied."""

    rule: Rule
    values: list[Vector]
    clock: int = 0

    def push(self, gradient: Vector) -> Vector:
        local_step(self.rule, gradient, self.values, self.clock)
        self.clock += 1
        return self.values[0].copy()


@dataclass
class Replica:
    """One stream of steps; ``coming`` is what a push brings, ``then`` the copy at that push."""

    problem: Problem
    server: Server
    subset: Subset
    interval: int
    values: list[Vector] = field(init=False)
    steps: int = 0
    coming: Vector | None = None

    def __post_init__(self) -> None:
        self.values = [value.copy() for value in self.server.values]
        self.gradient, self.then = np.empty_like(self.values[0]), np.empty_like(self.values[0])
        self.accrued = np.zeros_like(self.gradient)

    def step(self) -> None:
        if self.coming is not None and self.steps % self.interval == 1:
            self._install()
        data: Dataset = self.problem.dataset
        rows = self.subset.minibatch(self.steps, self.problem.config.batch_size)
        self.problem.model.loss_and_gradient(
            self.values[0], data.features[rows], data.targets[rows], self.gradient
        )
        self.accrued += self.gradient
        self.steps += 1
        pushes = self.steps % self.interval == 0
        if pushes and self.coming is not None:
            self._install()
        local_step(self.server.rule, self.gradient, self.values, self.server.clock)
        if pushes:
            self.coming = self.server.push(self.accrued)
            self.then[...], self.accrued[...] = self.values[0], 0

    def _install(self) -> None:
        assert self.coming is not None
        self.values[0] += self.coming - self.then
        self.values[1:] = self.server.rule.fitting(self.values[0], self.values[1:])
        self.coming = None


def curve(problem: Problem, rule: Rule, interval: int, marks: list[int]) -> Iterator[float]:
    """The training loss after so many minibatches of all replicas."""
    config, data = problem.config, problem.dataset
    values = problem.initial_values
    first = [values.parameters, *(values.slots[name] for name in rule.slots)]
    server = Server(rule, [value.astype(config.dtype) for value in first])
    replicas = [
        Replica(
            problem,
            server,
            Subset(problem.data.train, index, config.n_replicas, config.seed),
            interval,
        )
        for index in range(config.n_replicas)
    ]
    rng, done = np.random.default_rng(config.seed), 0
    rows = problem.data.train[np.arange(min(EXAMPLES, problem.n_train))]
    features, targets, scratch = data.features[rows], data.targets[rows], replicas[0].then.copy()
    for mark in marks:
        while done < mark:
            replicas[rng.integers(config.n_replicas)].step()
            done += 1
        yield problem.model.loss_and_gradient(server.values[0], features, targets, scratch)


def main(images: Path | None) -> None:
    problems = dict(DIGITS)
    if images is not None:
        problems |= {name: {"data": str(images), **each} for name, each in IMAGES.items()}
    for name, settings in problems.items():
        for replicas in REPLICAS:
            _compare(name, {"passes": 12, **settings, "replicas": replicas})


def _compare(name: str, settings: Mapping[str, Any]) -> None:
    curves: dict[int, list[list[float]]] = {interval: [] for interval in INTERVALS}
    for seed in SEEDS:
        problem = prepare(RunConfig(**settings, seed=seed), 1)
        total = UnitPlan.of(problem).total_steps
        marks = [total * each // PASSES[-1] for each in PASSES]
        for interval, found in curves.items():
            found.append(list(curve(problem, build_rule(problem.config), interval, marks)))
    alone = np.array(curves[1])
    print(f"{name}, {settings['replicas']} replicas: loss after 1/12, 1/6, 1/3, 2/3 and all steps")
    for interval, found in curves.items():
        ratios = np.mean(np.array(found) / alone, axis=0)
        losses = " ".join(f"{loss:.4f}" for loss in np.mean(found, axis=0))
        print(f"  every {interval:2}: {losses}, of that at 1: {ratios.round(2).tolist()}")


if __name__ == "__main__":
    with threadpoolctl.threadpool_limits(1):
        main(Path(sys.argv[1]) if sys.argv[1:] else None)
