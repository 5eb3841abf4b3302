"""Part (b): asynchronous training of a network: ``python tests/benchmarks/downpour.py``.

MLP 784-256-10, minibatches of 64 real digits (MNIST's 10,000 test images), two workers. All
begin with the same values, train on the same examples by Adagrad at the same rate, compute with
one thread for each process, and are judged on the same held-out examples. Two trainings in each
round, after a short one to warm up: ``rate`` is that of a fixed number of minibatches without
evaluations; ``seconds`` and ``cpu`` (of all processes together) go until a held-out evaluation,
every two passes and inside of the clock for all, is at least at the target.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from contest.contestant import Entry, Field
from contest.figures import medians, ratio, shown, table
from contest.part import Part, command
from distbelief.app.settings.config import RunConfig
from distbelief.coordinator.problem.problem import Problem, prepare

HIDDEN, BATCH, WORKERS = 256, 64, 2
#: Of 0.02, 0.05, 0.1 and 0.2 the one with which the lone NumPy process is first at the target.
RATE = 0.2
TARGET, SMALL_TARGET = 0.955, 0.9
PASSES, SMALL_PASSES = 40, 4
EVALUATE_PASSES = 2
RATE_PASSES, SMALL_RATE_PASSES = 40, 2
ROUNDS = 3
DEADLINE_S = 300.0

OURS, ONE = "ours, defaults", "ours, n = 1"
FIGURES = ("rate", "cpu_per_minibatch", "seconds", "cpu")


def run(arguments: argparse.Namespace, field: Field) -> dict[str, Any]:
    if not arguments.digits.exists():
        why = f"{arguments.digits} is not there: name the images with --digits"
        field.absent["part (b)"] = why
        return {"results": []}
    small = arguments.small
    # The worker processes open the same cache that is filled here, outside of the clock.
    os.environ["DISTBELIEF_CACHE"] = str(arguments.folder.resolve() / "cache")
    problem = prepare(_config(arguments.digits), n_servers=2)
    arrays = _written(problem, arguments.folder.resolve())
    steps = -(-problem.n_train // BATCH)
    rate = {"every": 1, "target": None}
    rate["minibatches"] = (SMALL_RATE_PASSES if small else RATE_PASSES) * steps
    race = {"every": EVALUATE_PASSES * steps, "target": SMALL_TARGET if small else TARGET}
    race["minibatches"] = (SMALL_PASSES if small else PASSES) * steps
    rounds = arguments.rounds or (1 if small else ROUNDS)
    samples: dict[str, list[dict[str, Any]]] = {}
    warm_up = {"minibatches": steps, "every": steps, "target": None}
    with field.running(entries(problem, arrays)) as contestants:
        dict(field.asked(contestants, warm_up, DEADLINE_S))  # torch imports much at a first step
        for _ in range(rounds):
            rates = dict(field.asked(contestants, rate, DEADLINE_S))
            for name, answer in field.asked(contestants, race, DEADLINE_S):
                both = ("rate", "cpu_per_minibatch")
                samples.setdefault(name, []).append(
                    {**answer, **{figure: rates[name][figure] for figure in both}}
                )
    results = [
        {"name": name, **medians(answers, FIGURES), "samples": answers}
        for name, answers in samples.items()
    ]
    return {"rounds": rounds, "train": problem.n_train, "race": race, "results": results}


def entries(problem: Problem, arrays: Path) -> list[Entry]:
    config = problem.config
    common = {
        "arrays": str(arrays),
        "hidden": HIDDEN,
        "batch": BATCH,
        "workers": WORKERS,
        "rate": RATE,
        "first_squares": config.initial_accumulator,
        "epsilon": 1e-10,
    }
    return [
        _ours(OURS, common, problem),
        _ours(ONE, common, problem, n_push=1, n_fetch=1),
        _ours("ours, Lua, defaults", common, problem, engine="lua"),
        Entry("Ray, asynchronous", "downpour_ray", common),
        Entry("PyTorch DDP, gloo", "downpour_ddp", common),
        Entry("PyTorch Hogwild", "downpour_hogwild", common),
        Entry("NumPy, one process", "downpour_numpy", common),
    ]


def _ours(name: str, common: dict[str, Any], problem: Problem, **settings: Any) -> Entry:
    chosen = {**_settings(Path(problem.config.data)), **settings}
    return Entry(name, "downpour_ours", {**common, "settings": chosen})


def _settings(images: Path) -> dict[str, Any]:
    return {
        "model": "mlp",
        "hidden": [HIDDEN],
        "batch_size": BATCH,
        "learning_rate": RATE,
        "replicas": WORKERS,
        "data": str(images),
        "standardize": False,  # as the others
    }


def _config(images: Path) -> RunConfig:
    return RunConfig.model_validate(_settings(images))


def _written(problem: Problem, folder: Path) -> Path:
    """The examples and first values that our own run has, for the others."""
    folder.mkdir(parents=True, exist_ok=True)
    dataset, train = problem.dataset, problem.data.train
    x_heldout, y_heldout = problem.data.heldout.between(0, problem.n_heldout)
    rows = train[:]
    place = folder / "digits.npz"
    np.savez(
        place,
        x=dataset.features[rows],
        y=dataset.targets[rows],
        x_heldout=x_heldout,
        y_heldout=y_heldout,
        first=problem.initial_values.parameters.astype(np.float32),
    )
    return place


def lines(found: dict[str, Any]) -> list[str]:
    results = found["results"]
    if not results:
        return []
    ours: dict[str, Any] = next((each for each in results if each["name"] == OURS), {})
    target = found["race"]["target"]
    head = [
        *("", "minibatches/s", "of ours", "CPU ms each"),
        *(f"s to {target:.1%}", "x ours", "CPU s", "x ours"),
    ]
    rows = [
        [
            each["name"],
            shown(each["rate"], ",.0f"),
            shown(ratio(each["rate"], ours.get("rate"))),
            shown(each["cpu_per_minibatch"] * 1e3),
            shown(each["seconds"]),
            shown(ratio(each["seconds"], ours.get("seconds"))),
            shown(each["cpu"]),
            shown(ratio(each["cpu"], ours.get("cpu"))),
        ]
        for each in results
    ]
    return table(head, rows)


def draw(axes: Sequence[Any], found: dict[str, Any]) -> None:
    results = found["results"]
    axes[0].barh([each["name"] for each in results], [each["rate"] for each in results])
    axes[0].invert_yaxis()
    axes[0].set(title="Downpour", xlabel="minibatches/s")
    for each in results:
        trace = each["samples"][0]["trace"]
        axes[1].plot([at[1] for at in trace], [at[2] for at in trace], label=each["name"])
    axes[1].set(title="Downpour", xlabel="s", ylabel="held-out accuracy", xscale="log")
    axes[1].legend()


PART = Part("downpour", "(b) Downpour", run, lines, draw, axes=2)

if __name__ == "__main__":
    command(PART, __doc__)
