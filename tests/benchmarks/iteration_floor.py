"""What an iteration of Sandblaster takes when there is little to compute.

``python tests/benchmarks/iteration_floor.py``: a softmax regression on 10,000 examples of 64
features, embedded, with one worker process and with two. Prints the median of the milliseconds from
one iteration to the next, from the third on: before, processes open the run.
"""

from __future__ import annotations

import argparse
import statistics
import time

from distbelief import Event, train

FIRST = 3


def iteration_ms(processes: int, iterations: int, examples: int) -> float:
    """The median of a training."""
    told: list[float] = []

    def hear(event: Event) -> None:
        if event.kind == "iteration":
            told.append(time.perf_counter())

    train(
        algorithm="sandblaster",
        model="softmax",
        data="synthetic:softmax",
        data_options={"examples": examples, "features": 64, "classes": 10},
        processes=processes,
        iterations=iterations,
        gradient_tolerance=0.0,
        decrease_tolerance=0.0,
        evaluate_every=1000.0,
        on_event=hear,
    )
    return 1e3 * statistics.median(
        later - earlier for earlier, later in zip(told[FIRST:], told[FIRST + 1 :], strict=False)
    )


def main() -> None:
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--examples", type=int, default=10_000)
    flags.add_argument("--iterations", type=int, default=60)
    flags.add_argument("--rounds", type=int, default=3)
    asked = flags.parse_args()
    for processes in (1, 2):
        found = [
            iteration_ms(processes, asked.iterations, asked.examples) for _ in range(asked.rounds)
        ]
        shown = ", ".join(f"{each:.1f}" for each in sorted(found))
        print(f"{processes} workers: {statistics.median(found):.1f} ms an iteration ({shown})")


if __name__ == "__main__":
    main()
