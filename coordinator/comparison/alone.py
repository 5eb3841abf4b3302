"""Training in one process: the model, the rule and the order of a replica, and no server."""

from __future__ import annotations

import math
import time

import numpy as np

from distbelief.app.datasets.split.partition import Rows, Subset
from distbelief.app.models.losses import silently
from distbelief.app.models.model import weighed
from distbelief.app.models.parameters import whole
from distbelief.app.models.predictions import CHUNK_EXAMPLES
from distbelief.app.optimizers.registry import build_rule
from distbelief.app.optimizers.schedule import Schedule
from distbelief.app.store.native.steps import local_step
from distbelief.coordinator.comparison.meter import Reading
from distbelief.coordinator.comparison.outcome import Costs
from distbelief.coordinator.comparison.recording import Record, too_soon
from distbelief.coordinator.comparison.snapshots import Snapshots
from distbelief.coordinator.downpour.reports import diverged
from distbelief.coordinator.downpour.units import next_evaluation, reached
from distbelief.coordinator.problem.problem import Problem
from distbelief.coordinator.progress.outcome import EndReason
from distbelief.worker_tasks.copies import clip
from distbelief.worker_tasks.prescaled import prescaled
from distbelief.worker_tasks.process import set_up


class Alone:
    """One process that trains a problem without tables on one core.

    Args:
        problem: what is trained.
        snapshots: where parameters are kept, to be scored later.
        budget_s: for how long it trains.
    """

    def __init__(self, problem: Problem, snapshots: Snapshots, budget_s: float) -> None:
        config = problem.config
        self._problem = problem
        self._snapshots = snapshots
        self._budget_s = budget_s
        self._model, self._data = prescaled(problem.model, problem.data, config.dtype)
        self._rule = build_rule(config)
        values = problem.initial_values
        first = [values.parameters, *(values.slots[name] for name in self._rule.slots)]
        self._values = [each.astype(config.dtype) for each in first]
        self._gradient = np.empty_like(self._values[0])
        self._penalty = problem.layout.penalty(config.l2, config.dtype)
        self._examples = 0
        self._began = self._began_cpu = 0.0
        self.records: list[Record] = []

    @silently
    def run(self) -> EndReason:
        """Train until time is up, or all passes are done.

        Raises:
            Diverged: a loss or a gradient is not finite.
        """
        set_up()
        config = self._problem.config
        subset = Subset(self._data.train, 0, 1, config.seed)
        per_pass = subset.steps_per_pass(config.batch_size)
        schedule = Schedule.of(config, per_pass)
        self._began, self._began_cpu = time.monotonic(), time.process_time()
        self._take()
        due, step = config.evaluate_every, 0
        while time.monotonic() - self._began < self._budget_s and step < schedule.total:
            rule = self._rule.paced(schedule.share(step))
            self._accrue(subset.minibatch(step, config.batch_size))
            if not math.isfinite(np.vdot(self._gradient, self._gradient)):
                raise diverged(step, config)
            local_step(rule, self._gradient, self._values, step)
            step += 1
            if reached(step / per_pass, due):
                due = next_evaluation(step / per_pass, config.evaluate_every)
                self._evaluate()
        if self.records[-1].examples < self._examples:
            self._take()
        return EndReason.PASSES if step == schedule.total else EndReason.TIME

    def _accrue(self, rows: Rows) -> None:
        """The gradient of a minibatch."""
        dataset, config = self._data.dataset, self._problem.config
        keyword = weighed(None if dataset.weights is None else dataset.weights[rows])
        parameters = self._values[0]
        self._model.loss_and_gradient(
            parameters, dataset.features[rows], dataset.targets[rows], self._gradient, **keyword
        )
        if self._penalty is not None:
            self._gradient += self._penalty * parameters
        clip([self._gradient], config.clip_norm)
        self._examples += len(rows)

    def _evaluate(self) -> None:
        """Predict the held-out examples, as workers do meanwhile, and note where it stands."""
        heldout, parameters = self._data.heldout, self._values[0]
        for start in range(0, len(heldout), CHUNK_EXAMPLES):
            features, _ = heldout.between(start, start + CHUNK_EXAMPLES)
            model, values, cut = whole(self._model, parameters)(features)
            model.predict(values, cut)
        if not too_soon(self.records, time.monotonic()):
            self._take()

    def _take(self) -> None:
        cpu = time.process_time() - self._began_cpu
        self._snapshots.keep(len(self.records), self._values[0])
        reading = Reading(time.monotonic(), 0.0, cpu, 0.0, 0.0)
        self.records.append(Record(reading, self._examples))


def costs(begin: Reading, reading: Reading, examples: float) -> Costs:
    """What one process used between two readings: all of it was computing."""
    computing = reading.coordinator_s - begin.coordinator_s
    return Costs(reading.moment - begin.moment, computing, 0.0, 0.0, examples, 0.0, 0.0)
