"""The cost of portions of the batch: computing one, adding it on the servers, fetching a point.

A point is fetched once an evaluation. Portions follow one another without fetches in between, or
they would find their arrays cold, which they do not in a training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import numpy as np

from distbelief.app.layout.keys import COUNTED, PARAMETERS
from distbelief.app.layout.layout import Layout
from distbelief.app.store.contract.parameters import Token
from distbelief.app.store.redis.trial import trial_name, tried
from distbelief.app.store.redis.vectors import RedisVectorStore
from distbelief.worker_tasks.context import RunContext
from distbelief.worker_tasks.exchange_costs import Metered, small_layouts
from distbelief.worker_tasks.observations import Timings, until
from distbelief.worker_tasks.portion import compute, rounded
from distbelief.worker_tasks.server_meter import ServerMeter

#: What the gradient of a portion is rounded to: any power of two costs as much.
QUANTUM = 2.0**-40

#: Shares of the time: that of fetches; of one who measures small layouts, too, each of the three.
FETCHES, SMALL = 0.1, 0.1

#: Portions that a process adds have numbers of its own: no process adds so many.
MOST_ADDED = 1 << 20


def portion_costs(
    context: RunContext, token: Token, words: dict[str, Any], check: Callable[[], None]
) -> dict[str, Any]:
    """Fetch the point again and again, then compute portions and add them: all of ``seconds``.

    If it is to be ``whole``, sums of next to no numbers, too: what a server and a call cost.
    """
    seconds, meter = words["seconds"], ServerMeter(context.servers)
    found = dict[str, Any]()
    if words["whole"]:
        for name, layout in small_layouts(len(context.servers)).items():
            found[name] = _small(context, layout, words, meter, check)
        seconds *= 1 - SMALL * len(found)
    layout, vectors = context.record.layout, context.vectors
    fetching, adding = (Metered(meter, layout) for _ in range(2))
    computing, n_portions = Timings(), words["portions"]
    added, fence = count(token.stream * MOST_ADDED), token.fence
    for _ in until(FETCHES * seconds, check):
        fetching.run(lambda: vectors.fetch(PARAMETERS))
    point = vectors.fetch(PARAMETERS).vector
    for number in until((1 - FETCHES) * seconds, check):
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
        # Each is a portion that is new to the servers: one that they have costs them nothing.
        adding.run(
            lambda: vectors.accumulate(
                fence,
                words["evaluation"],
                words["sum"],
                next(added),
                gradient,  # noqa: B023
            )
        )
    return {
        **found,
        "compute": computing.to_json(),
        "fetch": fetching.to_json(),
        "accumulate": adding.to_json(),
    }


def _small(
    context: RunContext,
    layout: Layout,
    words: dict[str, Any],
    meter: ServerMeter,
    check: Callable[[], None],
) -> dict[str, Any]:
    """Sums of next to no numbers, under a name that is gone afterwards."""
    metered, gradient, added = Metered(meter, layout), np.full(layout.size, QUANTUM), count()
    with _trial(context, layout) as store:
        store.begin(words["evaluation"], words["sum"])
        store.accumulate(context.fence, words["evaluation"], words["sum"], next(added), gradient)
        store.expire(words["sum"])  # which is there now
        for _ in until(SMALL * words["seconds"], check):
            metered.run(
                lambda: store.accumulate(
                    context.fence, words["evaluation"], words["sum"], next(added), gradient
                )
            )
    return metered.to_json()


@contextmanager
def _trial(context: RunContext, layout: Layout) -> Iterator[RedisVectorStore]:
    fence, dtype = context.fence, context.config.dtype
    with tried(
        RedisVectorStore(context.servers, trial_name(), layout, dtype, fence=fence)
    ) as store:
        try:
            yield store
        finally:
            store.drop(*store.named_vectors(), COUNTED)
