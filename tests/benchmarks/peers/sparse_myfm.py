"""myFM: a Bayesian factorization machine (Gibbs sampling), in one process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from myfm import MyFMClassifier

from contest.clock import Clock
from distbelief.app.datasets.examples.sparse import scipy_sparse
from peers.sparse import answer, drawn, log_loss


@contextmanager
def contestant(options: dict[str, Any]) -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    trained, held_out = drawn(options)
    # It takes matrices, not arrays.
    x, test = (scipy_sparse().csr_matrix(each.features) for each in (trained, held_out))

    def work(request: dict[str, Any]) -> dict[str, Any]:
        passes, clock = request["passes"], Clock()
        model = MyFMClassifier(rank=options["model_rank"])
        model.fit(x, trained.labels, n_iter=passes, n_kept_samples=passes // 2)
        found = answer(clock, passes * len(trained.labels))
        return {**found, "log_loss": log_loss(model.predict_proba(test), held_out.labels)}

    yield work
