"""Part (d): how cost grows: ``python tests/benchmarks/growth.py``.

Each figure of ours stands beside the ideal line: time in proportion to the numbers of a push and
fetch, and to the examples of an iteration of Sandblaster; time divided by the servers, and by the
workers, as long as there are cores for them. Servers, workers and client share one machine, so
more of them than cores cannot be faster here: what is shown is what they cost.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Any

from contest.contestant import Entry, Field
from contest.figures import divided, in_proportion, medians, shown, table
from contest.part import Part, command
from transfer import KINDS, calls_of

NUMBERS, SMALL_NUMBERS = (10_000, 100_000, 1_000_000, 10_000_000), (10_000, 100_000)
EXAMPLES, SMALL_EXAMPLES = (10_000, 100_000, 1_000_000), (1_000, 10_000)
SERVERS, WORKERS = (1, 2, 4), (1, 2, 4, 8)
SERVED_NUMBERS, SHARED_EXAMPLES, FEATURES = 1_000_000, 100_000, 64
ROUNDS, ITERATIONS = 3, 10
DEADLINE_S = 900.0


def run(arguments: argparse.Namespace, field: Field) -> dict[str, Any]:
    numbers = SMALL_NUMBERS if arguments.small else NUMBERS
    examples = SMALL_EXAMPLES if arguments.small else EXAMPLES
    rounds = arguments.rounds or (1 if arguments.small else ROUNDS)
    cores = os.cpu_count() or 1
    exchange = Exchange(field, rounds)
    iteration = Iteration(field, rounds, str(arguments.folder.resolve() / "data"))
    by_numbers = [exchange.seconds(size, 1) for size in numbers]
    by_servers = [exchange.seconds(min(SERVED_NUMBERS, numbers[-1]), n) for n in SERVERS]
    by_examples = [iteration.seconds(count, 2) for count in examples]
    by_workers = [iteration.seconds(min(SHARED_EXAMPLES, examples[-1]), n) for n in WORKERS]
    return {
        "series": [
            series("numbers", "push and fetch", numbers, by_numbers),
            series("servers", "push and fetch", SERVERS, by_servers, cores),
            series("examples", "iteration", examples, by_examples),
            series("workers", "iteration", WORKERS, by_workers, cores),
        ]
    }


def series(
    grows: str, what: str, sizes: Sequence[int], seconds: Sequence[float], cores: int | None = None
) -> dict[str, Any]:
    """Measured seconds beside the ideal ones; ``cores`` if the work is divided."""
    ideal = in_proportion(sizes, seconds) if cores is None else divided(sizes, seconds, cores)
    return {"grows": grows, "what": what, "sizes": sizes, "seconds": seconds, "ideal": ideal}


class Exchange:
    """A push that returns the fresh parameters, by one client."""

    def __init__(self, field: Field, rounds: int) -> None:
        self._field, self._rounds = field, rounds

    def seconds(self, numbers: int, servers: int) -> float:
        options = {"size": numbers, "servers": servers, "engine": "native"}
        entry = Entry(f"{numbers} numbers on {servers} servers", "store_ours", options)
        with self._field.running([entry]) as contestants:
            samples: list[float] = []
            for _ in range(1 + self._rounds):
                request = {"calls": calls_of(numbers)}
                for _, answer in self._field.asked(contestants, request, DEADLINE_S):
                    samples = [*samples, *answer[KINDS[-1]]]
        return _median([{"s": each} for each in samples])


class Iteration:
    """An iteration of Sandblaster on a softmax of few features."""

    def __init__(self, field: Field, rounds: int, data: str) -> None:
        self._field, self._rounds, self._data = field, rounds, data

    def seconds(self, examples: int, workers: int) -> float:
        settings = {"processes": workers, "replicas": workers, "engine": "native"}
        options = {
            "examples": examples, "features": FEATURES, "data": self._data, "settings": settings
        }  # fmt: skip
        entry = Entry(f"{examples} examples with {workers} workers", "descent_ours", options)
        with self._field.running([entry]) as contestants:
            request = {"kind": "run", "iterations": ITERATIONS}
            answers = [
                answer
                for _ in range(self._rounds)
                for _, answer in self._field.asked(contestants, request, DEADLINE_S)
            ]
        return _median([{"s": each["seconds"] / max(1, each["iterations"])} for each in answers])


def _median(samples: list[dict[str, float]]) -> float:
    found = medians(samples, ["s"])["s"] if samples else None
    return float("nan") if found is None else found


def lines(found: dict[str, Any]) -> list[str]:
    text: list[str] = []
    for each in found["series"]:
        rows = [
            [f"{size:,} {each['grows']}", shown(s * 1e3), shown(ideal * 1e3), shown(s / ideal)]
            for size, s, ideal in zip(each["sizes"], each["seconds"], each["ideal"], strict=True)
        ]
        text += [*table([each["what"], "ms", "ideal ms", "x ideal"], rows), ""]
    return text


def draw(axes: Sequence[Any], found: dict[str, Any]) -> None:
    for place, each in zip(axes, found["series"], strict=True):
        place.loglog(each["sizes"], [s * 1e3 for s in each["seconds"]], "o-", label="measured")
        place.loglog(each["sizes"], [s * 1e3 for s in each["ideal"]], "--", label="ideal")
        place.set(title=f"{each['what']} by {each['grows']}", xlabel=each["grows"], ylabel="ms")
        place.legend()


PART = Part("growth", "(d) how cost grows", run, lines, draw, axes=4)

if __name__ == "__main__":
    command(PART, __doc__)
