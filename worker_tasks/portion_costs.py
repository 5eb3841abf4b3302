"""The cost of portions of the batch: computing one, adding it on the servers, fetching a point."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from distbelief.app.layout.keys import PARAMETERS
from distbelief.app.layout.tensors import Vector
from distbelief.app.store.contract.parameters import Token
from distbelief.worker_tasks.context import RunContext
from distbelief.worker_tasks.exchange_costs import Metered
from distbelief.worker_tasks.observations import Timings, until
from distbelief.worker_tasks.portion import compute, rounded
from distbelief.worker_tasks.server_meter import ServerMeter

#: What the gradient of a portion is rounded to: any power of two costs as much.
QUANTUM = 2.0**-40


def portion_costs(
    context: RunContext, token: Token, words: dict[str, Any], check: Callable[[], None]
) -> dict[str, Any]:
    """Compute portions for ``seconds``, fetch the point and add the sum, each on its own."""
    layout, vectors, meter = context.record.layout, context.vectors, ServerMeter(context.servers)
    fetching, adding = (Metered(meter, layout) for _ in range(2))
    computing, n_portions, added = Timings(), words["portions"], count()
    point = vectors.fetch(PARAMETERS).vector
    for number in until(words["seconds"], check):
        index = number % n_portions
        with computing.timed():
            share = compute(
                context.model,
                context.data.dataset,
                context.portion(index, n_portions),
                point,
                n_examples=len(context.data.train),
                penalty=context.penalty if index == 0 else None,
            )
            gradient = rounded(share.gradient, QUANTUM)
        fetching.run(lambda: vectors.fetch(PARAMETERS))
        # Each is a portion that is new to the servers: one that they have costs them nothing.
        adding.run(lambda: _add(context, token, words, next(added), gradient))  # noqa: B023
    return {
        "compute": computing.to_json(),
        "fetch": fetching.to_json(),
        "accumulate": adding.to_json(),
    }


def _add(
    context: RunContext, token: Token, words: dict[str, Any], number: int, gradient: Vector
) -> None:
    context.vectors.accumulate(token.fence, words["evaluation"], words["sum"], number, gradient)
