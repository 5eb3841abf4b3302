"""Does the hybrid pay? ``python tests/benchmarks/hybrid.py t10k-images-idx3-ubyte.gz``.

Convex problems, from zero, by Downpour, Sandblaster and the hybrid of both: the processor's
seconds of all processes (coordinator, servers, two workers; from the operating system) and the
evaluations of the whole batch, until the objective is within 1e-6 of the least, relatively. The
clock begins with the training, when servers and workers are there. Every method minimises the
same function: mean loss and l2 of the standardised columns' weights.

The least objective is SciPy's (L-BFGS-B, 50 pairs) on the same function; how far it may be away is
printed with it: |gradient|^2 / (2 l2), since the objective is that convex in what has an L2 term.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import minimize

from contest.clock import Clock
from contest.figures import medians, shown, table
from distbelief.app.datasets.split.partition import portion
from distbelief.app.layout.tensors import Vector
from distbelief.app.models.files import read_model
from distbelief.app.settings.config import configure
from distbelief.coordinator.api import train
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.problem.problem import Problem, prepare
from distbelief.coordinator.progress.events import Event
from distbelief.worker_tasks.portion import compute

GAP, ROUNDS, WAIT_S = 1e-6, 3, 120.0
#: Downpour does not know its objective: what it comes to in so many passes is looked at afterwards.
PASSES = 40

Settings = dict[str, Any]

PROBLEMS: dict[str, Settings] = {
    "digits": {"model": "softmax", "data": "digits", "l2": 1e-3},
    "mnist": {"model": "softmax", "l2": 1e-2},
    "clicks": {
        "model": "logistic",
        "data": "synthetic:clicks",
        "data_options": {"examples": 40_000, "features": 4_000},
        "l2": 1e-4,
    },
}

#: Nothing ends a minimisation but the gap.
TO_THE_GAP: Settings = {"iterations": 5000, "gradient_tolerance": 0.0, "decrease_tolerance": 0.0}


@dataclass(frozen=True)
class Reached:
    """What a training cost until it was near enough, or as near as it came.

    ``evaluations`` are those of the whole batch, ``passes`` those of Downpour.
    """

    cpu: float
    wall: float
    passes: float
    evaluations: int
    gap: float


class Watch:
    """Notes when the objective is near enough to the least."""

    def __init__(self, least: float) -> None:
        self._least = least
        self._clock = Clock()
        self._passes, self._evaluations = 0.0, 0
        self.reached: Reached | None = None
        self.last = Reached(0.0, 0.0, 0.0, 0, np.inf)

    def hear(self, event: Event) -> None:
        if event.kind == "start":
            self._clock = Clock()
        if event.kind == "unit":
            self._passes = float(event.fields["passes"])
            self.last = self._now(np.inf)
        if event.kind == "iteration":
            self._evaluations += int(event.fields["evaluations"])
            gap = float(event.fields["loss"]) / self._least - 1
            self.last = self._now(gap)
            if gap <= GAP and self.reached is None:
                self.reached = self.last

    def _now(self, gap: float) -> Reached:
        return Reached(self._clock.cpu, self._clock.wall, self._passes, self._evaluations, gap)


def objective(problem: Problem, point: Vector) -> tuple[float, Vector]:
    """What all methods minimise, and its gradient."""
    train, config = problem.data.train, problem.config
    penalty = problem.layout.penalty(config.l2 or 0.0, np.dtype(np.float64))
    share = compute(
        problem.model,
        problem.dataset,
        portion(train, 0, 1),
        point,
        n_examples=len(train),
        penalty=penalty,
    )
    return share.loss, share.gradient


def least_of(problem: Problem) -> tuple[float, float]:
    """The least objective, and how far away from it that may be, relatively."""
    start = problem.initial_values.parameters.astype(np.float64)
    options = {"maxcor": 50, "maxiter": 100_000, "maxfun": 100_000, "ftol": 0.0, "gtol": 1e-11}
    found = minimize(
        lambda point: objective(problem, point), start, jac=True, method="L-BFGS-B", options=options
    )
    away = float(found.jac @ found.jac) / (2 * (problem.config.l2 or np.nan))
    return float(found.fun), away / float(found.fun)


def measure(
    algorithm: str, settings: Settings, problem: Problem, least: float, cluster: LocalCluster
) -> Reached:
    """Train by one method until it is near enough; Downpour for its passes."""
    watch = Watch(least)
    own = {"passes": PASSES} if algorithm == "downpour" else TO_THE_GAP
    with tempfile.TemporaryDirectory() as folder:
        result = train(
            **{**own, **settings},
            algorithm=algorithm,
            cluster=cluster,
            folder=folder,
            on_event=watch.hear,
            should_stop=lambda: watch.reached is not None,
        )
        if watch.reached is not None or algorithm != "downpour":
            return watch.reached or watch.last
        point = read_model(result.model_file).unfolded().flat().astype(np.float64)
    gap = objective(problem, point)[0] / least - 1
    return Reached(**{**watch.last.__dict__, "gap": gap})


def lines(found: Mapping[str, Sequence[Reached]]) -> list[str]:
    """A row for each method: medians, and the least and greatest CPU seconds."""
    head = ["", "CPU s", "least to greatest", "wall s", "passes", "evaluations", "gap"]
    rows = []
    for name, rounds in found.items():
        cpu = [each.cpu for each in rounds]
        middle = medians(map(vars, rounds), list(vars(rounds[0])))
        spread = f"{min(cpu):.2f} to {max(cpu):.2f}"
        counts = [shown(middle[each], "g") for each in ("passes", "evaluations")]
        seconds = [shown(middle["cpu"], ".2f"), spread, shown(middle["wall"], ".1f")]
        rows.append([name, *seconds, *counts, shown(middle["gap"], ".1e")])
    return table(head, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="?", type=Path, help="MNIST's, labels beside them")
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--methods", nargs="+", default=["downpour", "sandblaster", "hybrid"])
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--set", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"))
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="dbt-") as folder,
        LocalCluster(servers=2, processes=2, folder=Path(folder), wait_s=WAIT_S) as cluster,
    ):
        compare(given, cluster)


def compare(given: argparse.Namespace, cluster: LocalCluster) -> None:
    """Measure each method on each problem, in turns, and print what it cost."""
    for name in given.problems:
        settings = {**PROBLEMS[name], "holdout": 0.0, **dict(given.set)}
        if name == "mnist":
            if given.images is None:
                print("mnist: left out without its test images")
                continue
            settings["data"] = str(given.images)
        config, _ = configure({**settings, "algorithm": "sandblaster"})
        problem = prepare(config, 1)
        least, away = least_of(problem)
        sizes = f"{problem.n_train:,} examples, {problem.n_parameters:,} parameters"
        print(
            f"{name}: {sizes}, least objective {least:.12g}, at most {away:.1e} below", flush=True
        )
        found: dict[str, list[Reached]] = {method: [] for method in given.methods}
        for _ in range(given.rounds):
            for method in given.methods:
                found[method].append(measure(method, settings, problem, least, cluster))
                print(f"  {method}: {found[method][-1]}", file=sys.stderr, flush=True)
        print("\n".join(lines(found)), flush=True)


if __name__ == "__main__":
    main()
