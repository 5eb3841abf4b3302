"""One Downpour replica: fetch, compute, accrue, push (Dean et al. 2012, sec. 4.1, alg. 7.1).

The loop knows neither Celery nor Redis: it trains against any parameter store. Fetches
and pushes run on a thread each while the next gradient is computed, at most one of either
in flight, so that a gradient is at most one exchange old plus what the other replicas do
meanwhile. Without overlap the same loop makes the exchanges in place.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from app.config import RunConfig
from app.datasets.dataset import Dataset
from app.datasets.split import Subset
from app.errors import SequenceGap
from app.keys import slot
from app.layout import Vector
from app.models.model import Model
from app.optimizers.rule import local_step
from app.store.contract import Answer, Fetched, ParameterStore, Positions, Pushed, Token

T = TypeVar("T")


@dataclass
class UnitReport:
    """What a replica did in one unit. ``loss_sum`` is over ``examples``, without L2."""

    steps: int = 0
    examples: int = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    pushes: int = 0
    refused: int = 0
    staleness: Counter[int] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        staleness = {str(value): count for value, count in self.staleness.items()}
        return {**self.__dict__, "staleness": staleness}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> UnitReport:
        staleness = Counter({int(k): count for k, count in document["staleness"].items()})
        return cls(**{**document, "staleness": staleness})


class _Inline(Executor):
    """An executor that has done the work when ``submit`` returns: no overlap."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class Replica:
    """Takes the steps of one subset's stream, unit by unit."""

    def __init__(
        self,
        model: Model,
        dataset: Dataset,
        subset: Subset,
        store: ParameterStore,
        config: RunConfig,
    ) -> None:
        self.model, self.dataset, self.subset = model, dataset, subset
        self.store, self.config = store, config
        self.penalty = store.layout.penalty(config.l2, store.dtype)

    def run(self, token: Token, stop: int, check: Callable[[], None] = lambda: None) -> UnitReport:
        """Bring the stream from where the shards stand to step ``stop``.

        Steps that every shard has are skipped, and steps that some shard lost are taken
        again: the order of the minibatches is a pure function of the step, so a replay
        pushes for the same examples under the same sequence numbers. ``check`` is called
        before each step and may raise to stop.

        Raises:
            Fenced: another attempt, or a newer coordinator, has taken over.
            ModelMissing: a shard does not know the run.
        """
        report, begun = UnitReport(), time.perf_counter()
        with _executor(self.config.overlap) as pushes, _executor(self.config.overlap) as fetches:
            while True:
                positions = self.store.announce(token)
                first = int(positions.sequences.min()) * self.config.n_push
                if first >= stop:
                    break
                try:
                    _Loop(self, token, report, pushes, fetches).run(first, stop, check)
                except SequenceGap:
                    continue  # a shard lost its tail: ask where they stand, replay from there
                break
        report.seconds = time.perf_counter() - begun
        return report


def _executor(overlap: bool) -> Executor:
    return ThreadPoolExecutor(1) if overlap else _Inline()


@dataclass(frozen=True)
class _PushInFlight:
    """``base`` is where the shards stood for the oldest gradient in the push."""

    future: Future[Pushed]
    sequence: int
    base: Positions


class _Loop:
    """One uninterrupted run of steps: the local copy, and the exchanges in flight."""

    def __init__(
        self,
        replica: Replica,
        token: Token,
        report: UnitReport,
        pushes: Executor,
        fetches: Executor,
    ) -> None:
        self._replica, self._config, self._store = replica, replica.config, replica.store
        self._token, self._report = token, report
        self._pushes, self._fetches = pushes, fetches
        self._push: _PushInFlight | None = None
        self._fetch: Future[Fetched] | None = None
        fetched = self._store.fetch(stream=token.stream)
        self._parameters, self._positions = fetched.vector, fetched.positions
        # A copy that is replaced before every step needs no local steps.
        self._local_steps = self._config.overlap or self._config.n_fetch > 1
        self._slots = self._fetch_slots()
        self._gradient = np.empty_like(self._parameters)
        self._accrued = np.zeros_like(self._parameters)
        self._accrued_base = self._positions

    def run(self, first: int, stop: int, check: Callable[[], None]) -> None:
        n_fetch, n_push = self._config.n_fetch, self._config.n_push
        carried = True  # the copy is fresh
        for step in range(first, stop):
            check()
            if (step - first) % n_fetch == 0 and not carried:
                self._start_fetch()
            self._install_what_arrived()
            self._compute(step, new_window=step % n_push == 0)
            carried = False
            if (step + 1) % n_push == 0 or step + 1 == stop:
                # A push whose reply brings the fresh parameters saves the next fetch.
                carried = (step + 1 - first) % n_fetch == 0 and step + 1 < stop
                self._start_push(step // n_push + 1, fetch=carried)
            else:
                self._step_locally()
        self._await_push()
        self._await_fetch()

    def _compute(self, step: int, *, new_window: bool) -> None:
        """Gradient of one minibatch on the local copy, added to the accrued gradient."""
        replica = self._replica
        rows = replica.subset.minibatch(step, self._config.batch_size)
        features, targets = replica.dataset.features[rows], replica.dataset.targets[rows]
        if new_window:
            self._accrued_base = self._positions
        loss = replica.model.loss_and_gradient(self._parameters, features, targets, self._gradient)
        if replica.penalty is not None:
            self._gradient += replica.penalty * self._parameters
        _clip(self._gradient, self._config.clip_norm)
        self._accrued += self._gradient
        self._report.steps += 1
        self._report.examples += len(rows)
        self._report.loss_sum += loss * len(rows)

    def _step_locally(self) -> None:
        # The shards refuse a gradient that is not finite, and so does the copy: it would
        # spoil every gradient until it is replaced.
        if not self._local_steps or not np.isfinite(self._gradient).all():
            return
        clock = int(self._positions.clocks.max())
        local_step(self._store.rule, self._gradient, [self._parameters, *self._slots], clock)

    def _start_push(self, sequence: int, *, fetch: bool) -> None:
        self._await_push()
        self._step_locally()
        accrued, self._accrued = self._accrued, np.zeros_like(self._accrued)
        future = self._pushes.submit(self._store.push, self._token, sequence, accrued, fetch=fetch)
        self._push = _PushInFlight(future, sequence, self._accrued_base)

    def _start_fetch(self) -> None:
        self._await_fetch()
        self._fetch = self._fetches.submit(self._store.fetch, stream=self._token.stream)

    def _install_what_arrived(self) -> None:
        if self._push is not None and self._push.future.done():
            self._await_push()
        if self._fetch is not None and self._fetch.done():
            self._await_fetch()

    def _await_push(self) -> None:
        """Wait for the push in flight, if any; note its answers, install what it brought."""
        if self._push is None:
            return
        push, self._push = self._push, None
        pushed = push.future.result()
        self._note(push, pushed)
        if pushed.fresh is not None:
            self._install(pushed.fresh, pushed.positions)
        if Answer.REFUSED in pushed.answers:
            # The copy took the same step that the shards refused: replace it, slots and all.
            self._start_fetch()
            self._await_fetch()
            self._slots = self._fetch_slots()

    def _await_fetch(self) -> None:
        if self._fetch is None:
            return
        fetch, self._fetch = self._fetch, None
        fetched = fetch.result()
        self._install(fetched.vector, fetched.positions)

    def _fetch_slots(self) -> list[Vector]:
        """The optimizer's state, for local steps."""
        names = self._store.rule.slots if self._local_steps else ()
        return [self._store.fetch(slot(name)).vector for name in names]

    def _install(self, parameters: Vector, positions: Positions) -> None:
        np.copyto(self._parameters, parameters)
        self._positions = positions

    def _note(self, push: _PushInFlight, pushed: Pushed) -> None:
        """Count the push, and for each shard the updates of others since its fetch."""
        self._report.pushes += 1
        self._report.refused += Answer.REFUSED in pushed.answers
        newer = pushed.positions.others - push.base.others
        for shard, answer in enumerate(pushed.answers):
            if answer is Answer.APPLIED:
                self._report.staleness[max(0, int(newer[shard]))] += 1


def _clip(gradient: Vector, longest: float | None) -> None:
    """Scale ``gradient`` down to the norm ``longest`` if it is longer (Pascanu et al. 2013)."""
    if longest is None:
        return
    norm = float(np.linalg.norm(gradient.astype(np.float64)))
    if norm > longest:
        gradient *= longest / norm
