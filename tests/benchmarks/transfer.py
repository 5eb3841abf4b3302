"""Part (a): push a gradient, have Adagrad applied, fetch: ``python tests/benchmarks/transfer.py``.

Numbers are float32. All contestants hold the same values and get the same gradients; after each
round their parameters are compared. One client, one server: an embedded server with each of our
engines, a Ray actor, a process with torch RPC, and NumPy in the client's process as the floor.
``both`` is a push that returns the fresh parameters, in one round trip.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import numpy as np

from contest.contestant import Contestant, Entry, Field
from contest.figures import medians, ratio, shown, table
from contest.part import Part, command

NATIVE, LUA = "ours, native", "ours, Lua"
KINDS = ("push", "fetch", "both")
SIZES, SMALL_SIZES = (7_850, 65_536, 1_000_000, 10_000_000), (7_850, 65_536)
ROUNDS, SMALL_ROUNDS = 7, 3

#: Numbers that a contestant moves in one round, about; at least one call of each kind.
ROUND_NUMBERS, MOST_CALLS = 3_000_000, 30

#: Contestants round differently: our servers compute in double.
TOLERANCE = 1e-3
DEADLINE_S = 300.0


def entries(size: int) -> list[Entry]:
    options = {"size": size}
    return [
        Entry(NATIVE, "store_ours", {**options, "servers": 1, "engine": "native"}),
        Entry(LUA, "store_ours", {**options, "servers": 1, "engine": "lua"}),
        Entry("Ray actor", "store_ray", options),
        Entry("torch RPC", "store_torch_rpc", options),
        Entry("NumPy in process", "store_numpy", options),
    ]


def run(arguments: argparse.Namespace, field: Field) -> dict[str, Any]:
    sizes = SMALL_SIZES if arguments.small else SIZES
    rounds = arguments.rounds or (SMALL_ROUNDS if arguments.small else ROUNDS)
    results: list[dict[str, Any]] = []
    for size in sizes:
        with field.running(entries(size)) as contestants:
            results += [
                {"size": size, "name": name, **found}
                for name, found in measured(field, contestants, size, rounds).items()
            ]
    return {"rounds": rounds, "results": results}


def calls_of(size: int) -> int:
    """How many calls of each kind are one round."""
    return max(1, min(MOST_CALLS, ROUND_NUMBERS // size))


def measured(
    field: Field, contestants: list[Contestant], size: int, rounds: int
) -> dict[str, dict[str, Any]]:
    """For each contestant the median seconds of each kind of call, after a round to warm up."""
    calls = calls_of(size)
    samples: dict[str, list[dict[str, Any]]] = {}
    for index in range(rounds + 1):
        answers = dict(field.asked(contestants, {"calls": calls}, DEADLINE_S))
        _compare(answers)
        for name, answer in answers.items() if index else ():
            samples.setdefault(name, []).append(answer)
    return {name: _summary(answers) for name, answers in samples.items()}


def _compare(answers: dict[str, dict[str, Any]]) -> None:
    """Who holds other parameters than NumPy did other work."""
    known = answers.get("NumPy in process")
    if known is None:
        return
    for name, answer in answers.items():
        if not np.allclose(answer["values"], known["values"], rtol=TOLERANCE, atol=TOLERANCE):
            raise RuntimeError(f"{name} holds other parameters than NumPy after the same pushes")


def _summary(answers: list[dict[str, Any]]) -> dict[str, Any]:
    calls = [
        dict(zip(KINDS, seconds, strict=True))
        for answer in answers
        for seconds in zip(*(answer[kind] for kind in KINDS), strict=True)
    ]
    samples = {kind: [call[kind] for call in calls] for kind in KINDS}
    return {**medians(calls, KINDS), "samples": samples}


def lines(found: dict[str, Any]) -> list[str]:
    results = found["results"]
    both = {(each["size"], each["name"]): each["both"] for each in results}
    head = ["", "numbers", "push ms", "fetch ms", "both ms", "both ns/number", "x native", "x Lua"]
    rows = [
        [
            each["name"],
            f"{each['size']:,}",
            *(shown(each[kind] * 1e3) for kind in KINDS),
            shown(each["both"] / each["size"] * 1e9),
            shown(ratio(each["both"], both.get((each["size"], NATIVE)))),
            shown(ratio(each["both"], both.get((each["size"], LUA)))),
        ]
        for each in results
    ]
    return table(head, rows)


def draw(axes: Sequence[Any], found: dict[str, Any]) -> None:
    names = dict.fromkeys(each["name"] for each in found["results"])
    for name in names:
        mine = [each for each in found["results"] if each["name"] == name]
        axes[0].loglog(
            [each["size"] for each in mine],
            [each["both"] * 1e3 for each in mine],
            marker="o",
            label=name,
        )
    axes[0].set(title="push and fetch", xlabel="numbers", ylabel="ms")
    axes[0].legend()


PART = Part("transfer", "(a) push and fetch", run, lines, draw, axes=1)

if __name__ == "__main__":
    command(PART, __doc__)
