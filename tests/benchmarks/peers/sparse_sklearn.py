"""scikit-learn's SGDClassifier on the matrix in memory, in one process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sklearn.linear_model import SGDClassifier

from contest.clock import Clock
from peers.sparse import answer, drawn, log_loss


@contextmanager
def contestant(options: dict[str, Any]) -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    trained, held_out = drawn(options)

    def work(request: dict[str, Any]) -> dict[str, Any]:
        passes, clock = request["passes"], Clock()
        model = SGDClassifier(loss="log_loss", alpha=options["l2"], max_iter=passes, tol=None)
        model.fit(trained.features, trained.labels)
        found = answer(clock, passes * len(trained.labels))
        chances = model.predict_proba(held_out.features)[:, 1]
        return {**found, "log_loss": log_loss(chances, held_out.labels)}

    yield work
