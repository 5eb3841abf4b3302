"""One Downpour replica: fetch, compute, accrue, push (Dean et al. 2012, sec. 4.1, alg. 7.1).

The loop knows neither Celery nor Redis: it trains against any parameter store. Fetches
and pushes run on a thread each while the next gradient is computed, at most one of either
in flight, so that a gradient is at most one exchange old plus what the other replicas do
meanwhile. Without overlap the same loop makes the exchanges in place.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future

from distbelief.app.models.model import Model
from distbelief.app.models.scaling import loss_unit
from distbelief.app.optimizers.schedule import Schedule
from distbelief.app.settings.config import RunConfig
from distbelief.app.store.contract.checks import check_sequences
from distbelief.app.store.contract.parameters import (
    Answer,
    ParameterStore,
    Positions,
    Token,
)
from distbelief.worker_tasks.copies import Copy, Examples, Window
from distbelief.worker_tasks.executors import executor
from distbelief.worker_tasks.narrowing import Narrowing
from distbelief.worker_tasks.opening import open_copy
from distbelief.worker_tasks.push_points import PushInFlight, PushPoints
from distbelief.worker_tasks.round_copy import OwnStates
from distbelief.worker_tasks.staleness import StalenessBound, StalenessThrottle
from distbelief.worker_tasks.task_clock import PushClock
from distbelief.worker_tasks.unit_report import UnitReport


class Replica:
    """Takes a subset's steps, ``numbering`` to each number of a push; rounds have a ``weight``."""

    def __init__(
        self,
        model: Model,
        examples: Examples,
        store: ParameterStore,
        config: RunConfig,
        states: OwnStates | None = None,
        numbering: int | None = None,
        weight: float = 1.0,
    ) -> None:
        self.model = model
        self.examples = examples
        self.store = store
        self.config = config
        self.states = {} if states is None else states
        self.numbering = numbering or config.push_interval
        self.weight = weight
        subset = examples.subset
        self.schedule = Schedule.of(config, subset.steps_per_pass(config.batch_size))
        self.bound = StalenessBound.of_subset(config, subset)

    def open_copy(self, stream: int) -> Copy:
        """The copy that the steps of a stream are taken on."""
        return open_copy(self.model, self.examples, self.store, self.config, stream, self.states)

    def run(
        self,
        token: Token,
        stop: int,
        check: Callable[[], None] = lambda: None,
        *,
        start: int = 0,
    ) -> UnitReport:
        """Bring the stream from the step that all shards have reached to step ``stop``.

        Or less far, if it would be too far ahead of the others, or its time is over: the report
        says how far.
        Steps that every shard has are skipped, and steps that some shard lacks are taken
        again: the order of the minibatches is a pure function of the step, so a replay
        pushes for the same examples under the same sequence numbers. ``check`` is called
        before each step and may raise to stop. All shards had the steps before ``start``.

        Raises:
            Fenced: another attempt, or a newer coordinator, has taken over.
            DataLost: a shard does not know the run, or lacks what it had acknowledged.
        """
        report, begun = UnitReport(reached=stop), time.perf_counter()
        with executor(self.config.overlap) as pushes, executor(self.config.overlap) as fetches:
            with report.exchanging():
                positions, each = self.store.announce(token), self.numbering
            # Where a unit begins, the stream's pushes are whole or at their end.
            check_sequences(positions, math.ceil(start / each))
            first = int(positions.sequences.min()) * each
            if first < stop:
                points = PushPoints(self.config, (each * positions.sequences).tolist(), stop)
                _Loop(self, token, report, pushes, fetches, points).run(first, stop, check)
        report.seconds = time.perf_counter() - begun
        return report


class _Loop:
    """One uninterrupted run of steps: the local copy, and the exchanges in flight.

    A window is the steps from one fetch to the next.
    """

    def __init__(
        self,
        replica: Replica,
        token: Token,
        report: UnitReport,
        pushes: Executor,
        fetches: Executor,
        points: PushPoints,
    ) -> None:
        self._config = replica.config
        self._replica = replica
        self._store = replica.store
        self._token = token
        self._report = report
        self._pushes = pushes
        self._fetches = fetches
        self._points = points
        self._push: PushInFlight | None = None
        self._fetch: Future[Window] | None = None
        #: The last push that all shards have acknowledged, now and when the fetch began.
        self._acknowledged = 0
        self._known_to_fetch = 0
        self._pushed = 0
        self._copy = replica.open_copy(token.stream)
        self._window = range(0)
        self._share = 1.0
        self._loss_unit = loss_unit(replica.model)
        self._clock = PushClock(self._config)
        self._over = False
        self._narrowing = Narrowing(replica.config, self._store)
        bound, stream = replica.bound, token.stream
        self._throttle = None if bound is None else StalenessThrottle(bound, self._store, stream)

    def run(self, first: int, stop: int, check: Callable[[], None]) -> None:
        self._acknowledged = self._pushed = first // self._replica.numbering
        self._window = self._window_from(first, stop)
        self._fetch_here()
        self._accrued_base = self._positions
        carried = due = True  # the copy is fresh
        for step in range(first, stop):
            check()
            if due and not self._may_go_on(step, stop, check):
                self._report.reached = step
                break
            if step == self._window.stop:
                self._window = self._window_from(step, stop)
                if self._copy.by_window or not (carried or self._copy.by_round):
                    self._begin_window()
            self._look_ahead(step, stop)
            self._install_what_arrived()
            self._compute(step, new_push=due)
            carried, due = False, self._points.due(step + 1)
            if self._copy.by_round or not due:
                self._step_locally()
            if due:
                # A push whose reply brings the fresh parameters saves the next fetch.
                carried = step + 1 == self._window.stop < stop and not self._copy.by_window
                self._over = self._clock.is_over(step + 1 - first)
                self._start_push(step, fetch=carried, last=step + 1 == stop)
        self._await_push()
        self._await_fetch()

    def _may_go_on(self, step: int, stop: int, check: Callable[[], None]) -> bool:
        """Wait for slower replicas, if need be; then take over what they did meanwhile.

        A unit ends before the push that would be too much for its time: it makes one at least.
        """
        if self._over or self._throttle is None:
            return not self._over
        made = step // self._replica.numbering
        may, waited_s = self._throttle.hold(made, check, self._clock.left_s)
        self._report.waited_s += waited_s
        if may and waited_s:
            self._await_push()
            self._await_fetch()
            self._window = self._window_from(step, stop)
            self._fetch_here()
        return may

    def _step_locally(self) -> None:
        """A rule may need to know how many steps the copy has taken since its fetch."""
        clock = int(self._positions.clocks.max()) + self._steps_since
        self._copy.step_locally(clock, self._share)
        self._steps_since += 1

    def _note_positions(self, positions: Positions) -> None:
        self._positions, self._steps_since = positions, 0

    def _window_from(self, step: int, stop: int) -> range:
        return range(step, min(step + self._config.fetch_interval, stop))

    def _fetch_here(self) -> None:
        """Replace the whole copy, at once."""
        with self._report.exchanging():
            window = self._copy.fetch(self._window.start, self._window.stop)
            self._install(window, self._acknowledged)
            self._copy.fetch_slots()

    def _begin_window(self) -> None:
        """Fetch: in the background if the old copy serves until it is there.

        What a round fetches has in it what the one before has changed.
        """
        if self._copy.by_round:
            self._await_push()
        if self._fetch is None or not self._copy.by_window:
            self._start_fetch(self._window)
        if self._copy.by_window:
            self._await_fetch()

    def _look_ahead(self, step: int, stop: int) -> None:
        """During the last step of a window, fetch what the next one cannot begin without."""
        ahead = self._copy.by_window and not self._copy.by_round and self._config.overlap
        if ahead and step + 1 == self._window.stop < stop:
            self._start_fetch(self._window_from(step + 1, stop))

    def _compute(self, step: int, *, new_push: bool) -> None:
        """Gradient of one minibatch on the local copy, added to the accrued gradient."""
        if new_push:
            self._accrued_base = self._positions
            self._points.begin()
        if new_push or self._copy.by_round:
            self._share = self._replica.schedule.share(step)
        loss, n_examples = self._copy.compute(step)
        self._report.steps += 1
        self._report.examples += n_examples
        self._report.loss_sum += loss * n_examples * self._loss_unit

    def _start_push(self, step: int, *, fetch: bool, last: bool) -> None:
        self._await_push()
        sequence = step // self._replica.numbering + 1
        # Behind one that is held there may come none.
        held = self._throttle is not None and not self._throttle.lets_go_on(sequence)
        gradient, rows = self._copy.take_accrued()
        base = self._accrued_base.others if self._config.scale_by_staleness else None
        words = self._narrowing.words(last=last or held or self._over)
        with self._report.exchanging():  # in place where exchanges do not overlap
            future = self._pushes.submit(
                self._store.push,
                self._token,
                sequence,
                gradient,
                rows=rows,
                fetch=fetch,
                base=base,
                share=self._replica.weight if self._copy.by_round else self._share,
                span=sequence - self._pushed,
                **words,
            )
        self._pushed = sequence
        self._push = PushInFlight(future, sequence, self._accrued_base)
        if not self._copy.by_round:
            self._step_locally()  # while the push is under way
        if fetch:
            self._copy.expect_fresh()

    def _start_fetch(self, window: range) -> None:
        self._await_fetch()
        self._known_to_fetch = self._acknowledged
        with self._report.exchanging():
            self._fetch = self._fetches.submit(self._copy.fetch, window.start, window.stop)

    def _install_what_arrived(self) -> None:
        if self._push is not None and self._push.future.done():
            self._await_push()
        if self._fetch is not None and self._fetch.done() and not self._copy.by_window:
            self._await_fetch()

    def _await_push(self) -> None:
        """Wait for the push in flight, if any; note its answers, install what it brought."""
        if self._push is None:
            return
        push, self._push = self._push, None
        pushed = self._report.awaited(push.future)
        self._acknowledged = push.sequence
        self._report.note(pushed, push.base)
        if pushed.fresh is not None:
            self._copy.install_fresh(pushed.fresh)
            self._note_positions(pushed.positions)
        if Answer.REFUSED in pushed.answers:
            # The copy took the same step that the shards refused: replace it, slots and all.
            self._fetch_here()

    def _await_fetch(self) -> None:
        if self._fetch is None:
            return
        fetch, self._fetch = self._fetch, None
        self._install(self._report.awaited(fetch), self._known_to_fetch)

    def _install(self, window: Window, acknowledged: int) -> None:
        check_sequences(window.fetched.positions, acknowledged)
        self._copy.install(window)
        self._note_positions(window.fetched.positions)
