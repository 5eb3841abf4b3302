"""Our Downpour on sparse data: the product's own training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from contest.clock import Clock
from distbelief.coordinator.progress.status import DownpourStatus, Status
from peers.ours import run
from peers.sparse import HELD_OUT, SEED, answer, source

NEVER = 1e9  # passes


@contextmanager
def contestant(options: dict[str, Any]) -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    def work(request: dict[str, Any]) -> dict[str, Any]:
        settings = {
            "data": "synthetic:clicks",
            "data_options": source(options),
            "holdout": HELD_OUT,
            "seed": SEED,
            "passes": request["passes"],
            "evaluate_every": NEVER,
            **options["settings"],
        }
        found = dict[str, Any]()
        n_examples = round(request["passes"] * options["examples"] * (1 - HELD_OUT))

        def watch(status: Status, clock: Clock) -> None:
            assert isinstance(status, DownpourStatus)
            if not found and status.steps == status.total_steps:
                found.update(answer(clock, n_examples))

        outcome = run(settings, options["folder"], watch)
        assert outcome.heldout is not None
        return {**found, "log_loss": outcome.heldout.score.log_loss}

    yield work
