"""Part (c): a softmax minimised by L-BFGS: ``python tests/benchmarks/descent.py``.

60,000 x 784 synthetic examples of 10 classes, an L2 term, double precision, ten pairs, from zero.
Seconds of an iteration, and until the objective is within 1e-4 of the least (relative): ours with
two worker processes and its defaults, scikit-learn, Spark MLlib with two threads, and SciPy on
our own gradient in one process.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from contest.contestant import Contestant, Entry, Field
from contest.figures import medians, ratio, shown, table
from contest.part import Part, command

OURS, OURS_LUA = "ours, native", "ours, Lua"
EXAMPLES, FEATURES, SMALL = 60_000, 784, (4_000, 64)
ITERATIONS, ROUNDS, SMALL_ROUNDS = 50, 3, 1

#: The least objective is that of a longer minimisation.
FINAL_ITERATIONS = 200
GAP = 1e-4
DEADLINE_S = 900.0

SCIPY = Entry("SciPy, one process", "descent_scipy")


def entries(options: dict[str, Any]) -> list[Entry]:
    ours = {"processes": 2, "replicas": 2}
    return [
        Entry(OURS, "descent_ours", {**options, "settings": {**ours, "engine": "native"}}),
        Entry(OURS_LUA, "descent_ours", {**options, "settings": {**ours, "engine": "lua"}}),
        Entry("scikit-learn", "descent_sklearn", options, threads=None),
        Entry("Spark MLlib", "descent_spark", options),
        Entry(SCIPY.name, SCIPY.peer, options),
    ]


def run(arguments: argparse.Namespace, field: Field) -> dict[str, Any]:
    examples, features = SMALL if arguments.small else (EXAMPLES, FEATURES)
    rounds = arguments.rounds or (SMALL_ROUNDS if arguments.small else ROUNDS)
    options = {"examples": examples, "features": features, "data": str(arguments.folder / "data")}
    with field.running(entries(options)) as contestants:
        least = _least(field, [each for each in contestants if each.entry.name == SCIPY.name])
        answers: dict[str, list[dict[str, Any]]] = {}
        for _ in range(rounds):
            asked = field.asked(contestants, {"kind": "run", "iterations": ITERATIONS}, DEADLINE_S)
            for name, answer in asked:
                answers.setdefault(name, []).append(answer)
    results = [summary(name, mine, least) for name, mine in answers.items()]
    return {**options, "rounds": rounds, "least": least, "results": results}


def _least(field: Field, scipy: list[Contestant]) -> float:
    request = {"kind": "run", "iterations": FINAL_ITERATIONS}
    (answer,) = dict(field.asked(scipy, request, DEADLINE_S)).values()
    return float(min(objective for _, objective in answer["course"]))


def summary(name: str, answers: list[dict[str, Any]], least: float) -> dict[str, Any]:
    """Medians over the rounds, and the course of the last one."""
    rounds = [
        {
            "iteration_s": answer["seconds"] / max(1, answer["iterations"]),
            "to_gap_s": to_gap(answer["course"], least),
            "iterations_to_gap": iterations_to_gap(answer["course"], least),
        }
        for answer in answers
    ]
    return {"name": name, **medians(rounds, list(rounds[0])), "course": answers[-1]["course"]}


def to_gap(course: Sequence[Sequence[float]], least: float) -> float | None:
    """Seconds until the objective is near enough to the least; None if it never is."""
    near = (seconds for seconds, objective in course if objective <= least * (1 + GAP))
    return next(near, None)


def iterations_to_gap(course: Sequence[Sequence[float]], least: float) -> float | None:
    near = (i for i, (_, objective) in enumerate(course, 1) if objective <= least * (1 + GAP))
    return next(near, None)


def lines(found: dict[str, Any]) -> list[str]:
    ours = {each["name"]: each for each in found["results"]}.get(OURS, {})
    head = ["", "s/iteration", "x ours", "s to 1e-4", "x ours", "iterations to 1e-4"]
    rows = [
        [
            each["name"],
            shown(each["iteration_s"]),
            shown(ratio(each["iteration_s"], ours.get("iteration_s"))),
            shown(each["to_gap_s"]),
            shown(ratio(each["to_gap_s"], ours.get("to_gap_s"))),
            shown(each["iterations_to_gap"]),
        ]
        for each in found["results"]
    ]
    return table(head, rows)


def draw(axes: Sequence[Any], found: dict[str, Any]) -> None:
    for each in found["results"]:
        seconds = [point[0] for point in each["course"]]
        gaps = [point[1] / found["least"] - 1 for point in each["course"]]
        axes[0].semilogy(seconds, gaps, label=each["name"])
    axes[0].axhline(GAP, color="grey", linewidth=0.5)
    axes[0].set(title="softmax by L-BFGS", xlabel="seconds", ylabel="relative gap of the objective")
    axes[0].legend()


PART = Part("descent", "(c) Sandblaster", run, lines, draw, axes=1)

if __name__ == "__main__":
    command(PART, __doc__)
