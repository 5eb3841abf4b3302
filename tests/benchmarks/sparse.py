"""Part (e): sparse data, a logistic regression and a factorization machine:
``python tests/benchmarks/sparse.py``.

160,000 examples of 20 hashed categories in 2^20 features, eight passes: ours with two worker
processes, Vowpal Wabbit in one process with parsing, scikit-learn's SGDClassifier on a matrix in
memory. And 160,000 of 8 categories in 2^14 features where pairs of them matter: our factorization
machine and myFM's. Examples a second, CPU seconds, and the log loss of 40,000 held-out examples.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from contest.contestant import Entry, Field
from contest.figures import medians, ratio, shown, table
from contest.part import Part, command

NATIVE, SELDOM, LUA = "ours, native", "ours, n_push = n_fetch = 8", "ours, Lua"
FIGURES = ("rate", "seconds", "cpu", "log_loss")
ROUNDS, SMALL_ROUNDS = 3, 1
DEADLINE_S = 600.0

#: The L2 term of those that have one, and the minibatches of ours.
L2, BATCH = 6.25e-5, 256
LINEAR = {"examples": 200_000, "features": 2**20, "fields": 20, "rank": 0, "l2": L2}
PAIRS = {"examples": 200_000, "features": 2**14, "fields": 8, "rank": 4, "model_rank": 8}
SMALL = {"examples": 10_000}
PASSES = {"linear": 8, "pairs": 8}

OURS: dict[str, Any] = {"processes": 2, "replicas": 2, "batch_size": BATCH, "engine": "native"}
OURS_LINEAR = {
    "model": "logistic", "l2": L2, "learning_rate": 0.05, "initial_accumulator": 1e-6,
}  # fmt: skip
OURS_PAIRS = {
    "model": "fm",
    "rank": PAIRS["model_rank"],
    "table_numbers": 1,
    "learning_rate": 0.1,
    "initial_accumulator": 0.01,
}


def entries(options: dict[str, Any], *, pairs: bool) -> list[Entry]:
    settings = {**OURS, **(OURS_PAIRS if pairs else OURS_LINEAR)}
    seldom = {**settings, "n_push": 8, "n_fetch": 8}
    ours = [
        Entry(NATIVE, "sparse_ours", {**options, "settings": settings}),
        Entry(SELDOM, "sparse_ours", {**options, "settings": seldom}),
        Entry(LUA, "sparse_ours", {**options, "settings": {**settings, "engine": "lua"}}),
    ]
    if pairs:
        return [*ours, Entry("myFM", "sparse_myfm", options)]
    peers = {"Vowpal Wabbit": "sparse_vw", "scikit-learn, SGD": "sparse_sklearn"}
    return [*ours, *(Entry(name, peer, options) for name, peer in peers.items())]


def run(arguments: argparse.Namespace, field: Field) -> dict[str, Any]:
    rounds = arguments.rounds or (SMALL_ROUNDS if arguments.small else ROUNDS)
    found = dict[str, Any](rounds=rounds)
    for problem, options in (("linear", LINEAR), ("pairs", PAIRS)):
        sized = {**options, **(SMALL if arguments.small else {})}
        with field.running(entries(sized, pairs=problem == "pairs")) as contestants:
            answers: dict[str, list[dict[str, Any]]] = {}
            for _ in range(rounds):
                request = {"passes": PASSES[problem]}
                for name, answer in field.asked(contestants, request, DEADLINE_S):
                    answers.setdefault(name, []).append(answer)
        found[problem] = [
            {"name": name, **medians(mine, FIGURES)} for name, mine in answers.items()
        ]
    return found


def lines(found: dict[str, Any]) -> list[str]:
    shown_lines = []
    titles = {"linear": "logistic regression", "pairs": "factorization machine"}
    for problem, title in titles.items():
        rates = {each["name"]: each["rate"] for each in found[problem]}
        head = [title, "examples/s", "x ours", "s", "CPU s", "held-out log loss"]
        rows = [
            [
                each["name"],
                shown(each["rate"], ",.0f"),
                shown(ratio(each["rate"], rates.get(NATIVE))),
                shown(each["seconds"]),
                shown(each["cpu"]),
                shown(each["log_loss"], ".4f"),
            ]
            for each in found[problem]
        ]
        shown_lines += table(head, rows)
    return shown_lines


def draw(axes: Sequence[Any], found: dict[str, Any]) -> None:
    for each in found["linear"]:
        axes[0].scatter([each["seconds"]], [each["log_loss"]], label=each["name"])
    axes[0].set(title="sparse logistic", xlabel="seconds", ylabel="held-out log loss")
    axes[0].set_xscale("log")
    axes[0].legend()


PART = Part("sparse", "(e) sparse data", run, lines, draw, axes=1)

if __name__ == "__main__":
    command(PART, __doc__)
