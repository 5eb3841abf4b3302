"""The driver's decisions, with replicas that work in this process instead of a cluster."""

from __future__ import annotations

import itertools
import math
import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from distbelief.app.datasets.split.partition import Subset
from distbelief.app.errors import CheckpointError, Diverged, Fenced, ModelMissing
from distbelief.app.files import checkpoint
from distbelief.app.files.checkpoint import Checkpoint
from distbelief.app.layout.keys import BEST, PARAMETERS
from distbelief.app.layout.rows import Ids
from distbelief.app.layout.tensors import Vector
from distbelief.app.models.auc import AucBy
from distbelief.app.models.metrics import Score, score
from distbelief.app.models.parameters import looked_up, whole
from distbelief.app.optimizers.registry import shard_rule
from distbelief.app.runs.record import RunRecord
from distbelief.app.settings.config import RunConfig
from distbelief.app.store.contract.parameters import Token
from distbelief.app.store.contract.standings import from_json
from distbelief.app.store.memory.parameters import MemoryParameterStore
from distbelief.coordinator.downpour import driver as downpour
from distbelief.coordinator.downpour.driver import Downpour
from distbelief.coordinator.downpour.intervals import MeasuredCosts
from distbelief.coordinator.downpour.pace import Pace
from distbelief.coordinator.downpour.units import UnitPlan
from distbelief.coordinator.problem.problem import Problem, prepare
from distbelief.coordinator.progress.outcome import EndReason
from distbelief.coordinator.progress.status import DownpourStatus, Status
from distbelief.coordinator.runs.dispatch import Dispatcher, Finished
from distbelief.coordinator.runs.driver import DriverHooks
from distbelief.coordinator.runs.leader import Leader
from distbelief.coordinator.runs.session import Session
from distbelief.worker_tasks import staleness
from distbelief.worker_tasks.copies import Examples
from distbelief.worker_tasks.replica import Replica
from tests.dividing import split
from tests.unit.coordinator.runs.stand_ins import StandInLeader, no_checkpoints

FENCE = 1


class Desk:
    """A dispatcher whose units are done, in the order of their coming, in this process."""

    idle_s = 0.0
    oldest = None
    workers = 2
    held = 0

    def __init__(self, problem: Problem, store: MemoryParameterStore) -> None:
        self._problem = problem
        self._store = store
        self.fence = FENCE
        self.resent = 0
        self._train, self._heldout = split(
            problem.dataset.n_examples, problem.config.holdout, problem.config.seed
        )
        self._open: deque[tuple[str, str, dict[str, Any]]] = deque()
        self.submitted: list[str] = []
        self.abandoned: list[str] = []
        self.most_out = 0
        self._attempt = 0
        self._failure: Exception | None = None

    def submit(
        self,
        task: str,
        unit: str,
        specification: dict[str, Any],
        made: Callable[[], int] = lambda: 0,
    ) -> None:
        self.submitted.append(unit)
        self.most_out = max(self.most_out, 1 + len(self._open))
        self._open.append((task, unit, specification))

    def abandon(self, units: list[str]) -> None:
        self.abandoned += units
        self._open = deque(each for each in self._open if each[1] not in units)

    def collect(self, timeout_s: float) -> list[Finished]:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure
        if not self._open:
            return []
        task, unit, specification = self._open.popleft()
        work = {"downpour": self._train_unit, "evaluation": self._evaluate}[task]
        return [Finished(unit, work(specification))]

    def fail_with(self, error: Exception) -> None:
        """The next look at the ledger meets this."""
        self._failure = error

    def begin_anew(self, fence: int, resent: int) -> None:
        """Under a new fence: units that were entered under the old one are gone."""
        self.abandon([unit for _, unit, _ in self._open])
        self.fence, self.resent = fence, resent

    def _train_unit(self, specification: dict[str, Any]) -> dict[str, Any]:
        problem, subset = self._problem, specification["subset"]
        self._attempt += 1
        part = Subset(self._train, subset, problem.config.n_streams, problem.config.seed)
        config, numbering = problem.config, problem.config.push_interval
        if every := specification.get("interval"):
            config = config.model_copy(update={"n_push": every, "n_fetch": every})
        examples = Examples(problem.dataset, part)
        replica = Replica(problem.model, examples, self._store, config, None, numbering)
        token = Token(self.fence, subset, self._attempt)
        start, stop = specification["start"], specification["stop"]
        return replica.run(token, stop, start=start).to_json()

    def _evaluate(self, specification: dict[str, Any]) -> dict[str, Any]:
        rows = self._heldout[specification["start"] : specification["stop"]]
        data, model, vector = self._problem.dataset, self._problem.model, specification["vector"]
        known = from_json(specification["known"], self._problem.layout.n_shards)
        parameters = self._store.fetch(vector, known=known).vector

        def look_up(rows: Sequence[Ids]) -> Sequence[Vector]:
            return self._store.fetch(vector, rows=rows, known=known).tables

        tables = self._problem.layout.tables
        source = looked_up(model, parameters, look_up) if tables else whole(model, parameters)
        return score(source, data.features[rows], data.targets[rows]).to_json()


@dataclass
class LocalSession(Session):
    """A session that notes its events instead of writing them to a server."""

    desk: Desk
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dispatcher = cast("Dispatcher", self.desk)

    def tell(self, kind: str, **fields: Any) -> None:
        self.events.append((kind, fields))

    def _new_dispatcher(self, resent: int) -> Dispatcher:
        self.desk.begin_anew(self.fence, resent)
        return cast("Dispatcher", self.desk)


@dataclass
class Training:
    """A driver and what it works with."""

    problem: Problem
    session: LocalSession
    store: MemoryParameterStore
    desk: Desk
    driver: Downpour
    interrupted: bool = False
    shown: list[DownpourStatus] = field(default_factory=list)

    @property
    def plan(self) -> UnitPlan:
        return self.driver._plan

    def on_status(self, status: Status) -> None:
        assert isinstance(status, DownpourStatus)
        self.shown.append(status)

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [fields for each, fields in self.session.events if each == kind]


SMALL = {
    "data": "synthetic:softmax",
    "data_options": {"examples": 120, "features": 4, "classes": 3},
    "model": "softmax",
    "learning_rate": 0.5,
    "overlap": False,
    "batch_size": 8,
    "replicas": 2,
    "n_push": 1,
    "n_fetch": 1,
    "unit_steps": 5,
    "passes": 6,
    "evaluate_every": 1.0,
}


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.getbasetemp() / "cache"
    monkeypatch.setenv("DISTBELIEF_CACHE", str(folder))


def training(**settings: Any) -> Training:
    """A training of 96 examples in two subsets: 6 steps a pass each."""
    problem = prepare(RunConfig(**SMALL | settings), 1).with_interval(1)
    store = MemoryParameterStore(problem.layout, shard_rule(problem.config), fence=FENCE)
    store.create(problem.initial_values.parameters, problem.initial_values.slots)
    desk = Desk(problem, store)
    data = problem.dataset
    record = RunRecord("run", problem.config, problem.layout, (), data.fingerprint, data.schema)
    nobody = cast("Any", None)
    leader = cast("Leader", StandInLeader(FENCE))
    session = LocalSession(record, nobody, nobody, nobody, leader, desk)
    result = Training(problem, session, store, desk, nobody)
    hooks = DriverHooks(
        result.on_status, lambda: None, lambda: result.interrupted, no_checkpoints()
    )
    result.driver = Downpour(session, problem, hooks, store)
    return result


def test_streams_for_more_workers_than_there_are_go_on_side_by_side() -> None:
    """One unit is held, so two are out; intervals are what the workers at work make them."""
    settings = {"replicas": 1, "streams": 5, "holdout": 0.0, "n_push": "auto", "n_fetch": "auto"}
    problem = prepare(RunConfig(**SMALL | settings), 1)
    run = training(**settings)
    run.desk.held = 1
    costs = MeasuredCosts(step_s=1.0, exchange_s=5.0)
    nobody = run.driver._hooks
    run.driver = Downpour(run.session, run.problem, nobody, run.store, Pace(problem.config, costs))
    assert run.driver.run() is EndReason.PASSES
    assert run.desk.most_out == 2
    assert {count.applied for count in run.store.counts()} == {run.plan.total_steps}
    units = [unit.removeprefix("downpour-") for unit in run.desk.submitted[:10]]
    assert units == [f"{subset}-{stop}" for stop in (5, 10) for subset in range(5)]
    pushes = {(event["steps"], event["pushes"]) for event in run.events("unit")}
    assert pushes == {(5, 2), (3, 1)}  # of up to 4 steps
    assert run.shown[-2].wanted == 2


BY_ROUNDS = {"n_push": "auto", "n_fetch": "auto", "round_steps": 8}


def test_by_rounds_steps_and_passes_are_those_of_the_plan_and_clocks_count_rounds() -> None:
    run = training(**BY_ROUNDS)
    assert run.driver.run() is EndReason.PASSES
    assert run.driver.steps == sum(unit["steps"] for unit in run.events("unit")) == 72
    assert run.driver.passes == 6.0
    assert {count.applied for count in run.store.counts()} == {run.plan.total_pushes} == {10}
    assert run.driver.summary()[0].startswith("72 steps; updates applied: 10 on each")
    assert run.driver.evaluations.best is not None
    assert run.driver.evaluations.best.score.accuracy > 0.5


def test_rounds_that_diverge_say_to_lower_the_outer_rate() -> None:
    run = training(**BY_ROUNDS, model="mlp", optimizer="sgd", learning_rate=1e30, passes=50)
    words = (
        r"--step-weight \(now 2\), --outer-learning-rate \(now 1\) or --outer-momentum \(now 0\)"
    )
    with pytest.raises(Diverged, match=words):
        run.driver.run()


def test_all_passes_are_done_with_as_many_pushes_as_planned() -> None:
    run = training(n_push=4)
    assert run.driver.run() is EndReason.PASSES
    assert run.driver.steps == 72
    assert run.plan.total_pushes == 18
    assert {count.applied for count in run.store.counts()} == {18}


@pytest.mark.parametrize("bound", [0, 1, 4])
def test_with_a_bound_on_staleness_one_worker_takes_the_replicas_in_turns(
    bound: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staleness, "PATIENCE_S", 0.0)
    run = training(replicas=3, max_staleness=bound, n_push=2, unit_steps=24, warm_start_steps=4)
    assert run.driver.run() is EndReason.PASSES
    assert {count.applied for count in run.store.counts()} == {run.plan.total_pushes}
    early = [event for event in run.events("unit") if 0 < event["steps"] < 24]
    assert early
    assert run.driver.steps == run.plan.total_steps
    assert run.desk.resent == 0


def test_the_seconds_that_replicas_waited_are_told_and_outlast_the_coordinator(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(staleness, "PATIENCE_S", 0.001)
    run = training(max_staleness=0, passes=1)
    run.driver.run()
    waited_s = run.shown[-1].waited_s
    assert waited_s == pytest.approx(sum(event["waited_s"] for event in run.events("unit")))
    assert waited_s > 0
    assert f"waited {waited_s:.1f} s for slower replicas" in run.driver.summary()
    again = training(max_staleness=0)
    again.driver.load_state(run.driver.capture().document["driver"])
    assert again.driver.status().waited_s == waited_s


def test_each_unit_is_given_out_once() -> None:
    run = training()
    run.driver.run()
    assert len(set(run.desk.submitted)) == len(run.desk.submitted)


def test_evaluations_come_as_often_as_asked_and_at_the_end() -> None:
    run = training(evaluate_every=2.5)
    run.driver.run()
    passes = [evaluation.passes for evaluation in run.driver.evaluations.history]
    assert passes[-1] == 6
    assert all(round(p // 2.5) == number for number, p in enumerate(passes[:-1], start=1)), passes


def test_units_of_small_data_end_where_an_evaluation_is_due() -> None:
    run = training(evaluate_every=2.0, unit_steps=200)
    run.driver.run()
    assert [each.passes for each in run.driver.evaluations.history] == [2, 4, 6]
    assert run.plan.total_units == 6


def test_patience_ends_one_replica_at_the_same_evaluation_each_time() -> None:
    runs = [training(replicas=1, patience=2, passes=200, evaluate_every=0.1) for _ in range(2)]
    assert [run.driver.run() for run in runs] == [EndReason.PATIENCE] * 2
    one, other = (run.driver.evaluations.history for run in runs)
    assert [each.score for each in one] == [each.score for each in other]
    assert [each.passes for each in one] == [each.passes for each in other]
    assert one[-1].passes == runs[0].plan.passes_done


def test_where_the_metric_is_undefined_the_loss_decides() -> None:
    options = {"examples": 120, "features": 4, "classes": 2}
    run = training(data_options=options, metric="auc")
    evaluations = run.driver.evaluations
    numbers = []
    for loss in (3.0, 2.0, 4.0):
        evaluations.start(1.0, 1.0)
        evaluations._auc = AucBy.NONE
        evaluations.take(Finished(run.desk.submitted[-1], Score(24, loss).to_json()))
        assert evaluations.best is not None
        numbers.append(evaluations.best.number)
    assert numbers == [1, 2, 2]
    assert evaluations.rank() == -4.0 / 24


def test_an_evaluation_scores_every_held_out_example(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("distbelief.coordinator.runs.heldout.PART_EXAMPLES", 7)
    run = training(passes=1)
    run.driver.run()
    assert [each.score.n_examples for each in run.driver.evaluations.history] == [24]
    assert [unit for unit in run.desk.submitted if unit.startswith("evaluation")] == [
        "evaluation-1-7",
        "evaluation-1-14",
        "evaluation-1-21",
        "evaluation-1-24",
    ]


def test_the_last_evaluation_scores_where_the_training_ended() -> None:
    run = training()
    run.driver.run()
    _, heldout = split(120, 0.2, 0)
    data = run.problem.dataset
    parameters = run.store.fetch().vector
    expected = score(
        whole(run.problem.model, parameters), data.features[heldout[:]], data.targets[heldout[:]]
    )
    assert run.driver.evaluations.history[-1].score == expected


def test_the_best_snapshot_stays_on_the_servers() -> None:
    run = training(learning_rate=3.0, seed=1)  # restless, so that the last is not the best
    run.driver.run()
    best = run.driver.evaluations.best
    assert best is not None
    accuracies = [evaluation.score.accuracy for evaluation in run.driver.evaluations.history]
    assert best.score.accuracy == max(accuracies)
    _, heldout = split(120, 0.2, 1)
    data, parameters = run.problem.dataset, run.store.fetch(BEST).vector
    rows = heldout[:]
    kept = score(whole(run.problem.model, parameters), data.features[rows], data.targets[rows])
    assert kept == best.score


def test_of_equally_accurate_snapshots_the_one_with_the_lower_loss_is_best() -> None:
    run = training()
    evaluations, numbers = run.driver.evaluations, []
    for loss in (5.0, 4.0, 6.0):
        evaluations.start(1.0, 1.0)
        (unit,) = run.desk.submitted[-1:]
        evaluations.take(Finished(unit, Score(24, loss, 20).to_json()))
        assert evaluations.best is not None
        numbers.append(evaluations.best.number)
    assert numbers == [1, 2, 2]
    assert evaluations.since_best == 1


def test_snapshots_that_are_not_the_best_are_dropped() -> None:
    run = training()
    run.driver.run()
    kept = set(run.store._present()[0].vectors)
    assert kept == {PARAMETERS, "slot:adagrad", BEST}


def test_a_training_without_held_out_data_is_not_evaluated() -> None:
    run = training(holdout=0.0)
    assert run.driver.run() is EndReason.PASSES
    assert run.driver.evaluations.history == []


def test_a_training_stops_at_its_target() -> None:
    run = training(target=0.7, passes=50, learning_rate=0.05)
    assert run.driver.run() is EndReason.TARGET
    best = run.driver.evaluations.best
    assert best is not None
    assert best.score.accuracy >= 0.5
    assert run.driver.steps < run.plan.total_steps


def test_a_target_of_a_regression_is_an_error_to_come_down_to() -> None:
    options = {"examples": 120, "features": 2}
    run = training(data="synthetic:linear", data_options=options, model="linear", target=0.5)
    reason = run.driver.run()
    best = run.driver.evaluations.best
    assert best is not None
    assert (reason is EndReason.TARGET) == (best.score.rmse <= 0.5)
    assert reason is EndReason.TARGET


def test_a_target_of_the_log_loss_is_a_loss_to_come_down_to() -> None:
    run = training(metric="log_loss", target=0.7, passes=50, learning_rate=0.05)
    assert run.driver.run() is EndReason.TARGET
    assert run.driver.evaluations.best is not None
    assert run.driver.evaluations.best.score.log_loss <= 0.7
    assert run.driver.evaluations.history[0].score.log_loss > 0.7
    assert run.driver.evaluations.rank() == -run.driver.evaluations.history[-1].score.log_loss


CHOICES = {
    "accuracy": (None, [1, 1, 3]),
    "the log loss": ("log_loss", [1, 2, 2]),
}


@pytest.mark.parametrize("choice", CHOICES)
def test_the_chosen_metric_decides_which_model_is_best(choice: str) -> None:
    metric, expected = CHOICES[choice]
    run = training(metric=metric)
    evaluations, numbers = run.driver.evaluations, []
    for correct, log_loss in ((20, 9.0), (19, 8.0), (21, 8.5)):
        evaluations.start(1.0, 1.0)
        report = Score(24, 1.0, correct, log_loss_sum=log_loss).to_json()
        evaluations.take(Finished(run.desk.submitted[-1], report))
        assert evaluations.best is not None
        numbers.append(evaluations.best.number)
    assert numbers == expected
    assert evaluations.since_best == 3 - expected[-1]


def test_only_the_best_and_the_last_evaluation_keep_their_confusion_matrix() -> None:
    run = training()
    evaluations = run.driver.evaluations
    kept = []
    for correct in (19, 21, 20, 18, 22):
        evaluations.start(1.0, 1.0)
        report = Score(24, 1.0, correct, confusion=((correct, 0),)).to_json()
        evaluations.take(Finished(run.desk.submitted[-1], report))
        kept.append([each.number for each in evaluations.history if each.score.confusion])
    assert kept == [[1], [2], [2, 3], [2, 4], [5]]
    assert evaluations.best is evaluations.history[-1]


def test_an_evaluation_is_told_with_every_measure() -> None:
    run = training(passes=2)
    run.driver.run()
    for told, each in zip(run.events("evaluation"), run.driver.evaluations.history, strict=True):
        assert told["number"] == each.number
        assert told["measures"] == {
            "accuracy": each.score.accuracy,
            "loss": each.score.loss,
            "log_loss": each.score.log_loss,
        }


def test_a_training_stops_when_its_patience_is_out() -> None:
    run = training(learning_rate=1e-30, patience=3, passes=50)
    assert run.driver.run() is EndReason.PATIENCE
    best = run.driver.evaluations.best
    assert best is not None
    assert best.number == 1
    assert 4 <= len(run.driver.evaluations.history) <= 5  # one more where it ended


def test_a_training_stops_when_its_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0

    def monotonic() -> float:
        nonlocal now
        now += 0.25
        return now

    monkeypatch.setattr(downpour, "time", SimpleNamespace(monotonic=monotonic))
    run = training(max_seconds=5.0, passes=1000)
    assert run.driver.run() is EndReason.TIME
    assert 0 < run.driver.steps < run.plan.total_steps


def test_units_in_flight_at_a_stop_are_shut_out_before_the_last_evaluation() -> None:
    run = training(target=0.7, passes=50, learning_rate=0.05)
    run.driver.run()
    assert run.desk.abandoned
    last = max(i for i, unit in enumerate(run.desk.submitted) if unit.startswith("evaluation"))
    assert all(run.desk.submitted.index(unit) < last for unit in run.desk.abandoned)


def test_an_interrupted_training_stops_without_another_evaluation() -> None:
    run = training(passes=50)
    on_status = run.on_status

    def interrupt_after_some(status: Status) -> None:
        on_status(status)
        run.interrupted = len(run.shown) == 9

    run.driver._hooks = replace(run.driver._hooks, on_status=interrupt_after_some)
    assert run.driver.run() is EndReason.INTERRUPTED
    evaluated = len(run.driver.evaluations.history)
    assert evaluated == len([u for u in run.desk.submitted if u.startswith("evaluation")])
    assert len(run.shown) == 9


def test_an_interrupted_training_shuts_out_what_is_still_at_work() -> None:
    run = training(passes=50)
    run.interrupted = True
    run.driver.run()
    with pytest.raises(Fenced):
        run.store.announce(Token(FENCE, 0, 99))


def test_one_replica_works_alone_until_the_warm_start_is_over() -> None:
    run = training(warm_start_steps=17, n_push=2)
    run.driver.run()
    units = [unit for unit in run.desk.submitted if unit.startswith("downpour")]
    others = next(i for i, unit in enumerate(units) if unit.startswith("downpour-1"))
    # Rounded up to whole pushes; units of 6 steps, the last one cut.
    assert units[:others] in (
        ["downpour-0-6", "downpour-0-12", "downpour-0-18"],
        ["downpour-0-6", "downpour-0-12", "downpour-0-18", "downpour-0-24"],
    )
    alone = run.events("unit")[:3]
    assert [event["staleness"] for event in alone] == [{"0": 3 * run.problem.layout.n_shards}] * 3


def test_a_diverging_training_ends_with_advice() -> None:
    run = training(model="mlp", optimizer="sgd", learning_rate=1e30, passes=50)
    with pytest.raises(Diverged, match=r"lower --learning-rate \(now 1e\+30\), --clip-norm 1"):
        run.driver.run()
    assert run.driver.steps < run.plan.total_steps


def test_a_short_training_that_diverges_does_not_pass_for_a_good_one() -> None:
    settings = {"optimizer": "sgd", "learning_rate": 1e30, "passes": 1, "unit_steps": 100}
    run = training(model="mlp", **settings)
    with pytest.raises(Diverged):
        run.driver.run()


def test_bad_units_now_and_then_are_no_divergence() -> None:
    run = training()
    collect, bad = run.desk.collect, itertools.cycle([True, True, False])

    def sometimes_bad(timeout_s: float) -> list[Finished]:
        finished = collect(timeout_s)
        for each in finished:
            if each.unit.startswith("downpour") and next(bad):
                each.report["loss_sum"] = math.nan
        return finished

    run.desk.collect = sometimes_bad  # type: ignore[method-assign]
    assert run.driver.run() is EndReason.PASSES


def test_the_status_counts_steps_passes_and_updates() -> None:
    run = training()
    run.driver.run()
    last = run.shown[-1]
    assert (last.passes, last.total_passes) == (6, 6)
    assert (last.steps, last.total_steps) == (72, 72)
    assert 0 < last.training_loss < math.log(3)
    assert last.staleness.total() == 72 * run.problem.layout.n_shards
    assert last.examples == 6 * run.problem.n_train


def test_the_status_shows_the_units_that_are_out_after_those_that_came_back() -> None:
    run = training()
    run.driver.run()
    going = [each for each in run.shown if each.passes < each.total_passes - 1]
    assert {(each.units_in_flight, each.wanted) for each in going} == {(2, 2)}
    assert (run.shown[-1].units_in_flight, run.shown[-1].wanted) == (0, 0)


def test_events_tell_every_unit_and_every_evaluation() -> None:
    run = training()
    run.driver.run()
    assert sum(event["steps"] for event in run.events("unit")) == 72
    history = run.driver.evaluations.history
    assert [event["passes"] for event in run.events("evaluation")] == [e.passes for e in history]


def test_a_broken_cluster_ends_the_training() -> None:
    run = training()

    def broken() -> None:
        raise ChildProcessError("the server is gone")

    run.driver._hooks = replace(run.driver._hooks, check=broken)
    with pytest.raises(ChildProcessError):
        run.driver.run()


# --- losses, and going on after them


def after(run: Training, statuses: int, do: Callable[[], object]) -> None:
    """Have something done when so many statuses were shown."""
    on_status = run.driver._hooks.on_status

    def then_do(status: Status) -> None:
        on_status(status)
        if len(run.shown) == statuses:
            do()

    run.driver._hooks = replace(run.driver._hooks, on_status=then_do)


def save(run: Training, folder: Path) -> Checkpoint:
    captured = run.driver.capture()
    name = str(len(run.shown))
    path = checkpoint.write(folder, name, captured.document, captured.vectors())
    captured.release()
    return checkpoint.read(path)


def test_a_training_that_lost_a_shard_makes_again_what_is_missing(tmp_path: Path) -> None:
    run = training(shards=2, block_numbers=4, n_push=2)
    saved: list[Checkpoint] = []
    after(run, 6, lambda: saved.append(save(run, tmp_path)))
    after(run, 10, lambda: run.store._shards.__setitem__(1, None))
    with pytest.raises(ModelMissing, match="shard 1 does not know this run"):
        run.driver.run()
    before = run.plan.steps_done

    run.session.renew()
    told = list[str]()
    run.driver.restore(lambda: saved[0], told.append)
    (said,) = told
    assert re.match(
        r"shard 1 came back from checkpoint 6, \d+ updates; at least \d+ were lost", said
    )
    assert run.plan.steps_done < before
    assert run.driver.run() is EndReason.PASSES
    assert {count.applied for count in run.store.counts()} == {run.plan.total_pushes}


def test_a_control_server_that_lost_its_data_costs_no_push() -> None:
    """The shards have everything: the units in flight are entered anew."""
    run = training(n_push=2)
    after(run, 7, lambda: run.desk.fail_with(ModelMissing("the control server lost unit u")))
    with pytest.raises(ModelMissing):
        run.driver.run()
    pushed = {count.applied for count in run.store.counts()}
    run.session.renew()
    run.driver.restore(nothing_saved, pytest.fail)
    assert {count.applied for count in run.store.counts()} == pushed
    assert run.driver.run() is EndReason.PASSES
    assert {count.applied for count in run.store.counts()} == {run.plan.total_pushes}


def nothing_saved() -> Checkpoint:
    raise CheckpointError("there is no checkpoint to go back to")


def test_a_training_goes_on_in_another_process_on_other_shards(tmp_path: Path) -> None:
    settings = {"n_push": 2, "evaluate_every": 1.0}
    first = training(**settings)
    after(first, 12, lambda: setattr(first, "interrupted", True))
    assert first.driver.run() is EndReason.INTERRUPTED
    saved = save(first, tmp_path)
    history = first.driver.evaluations.history
    assert history

    second = training(shards=3, block_numbers=4, **settings)
    second.store.delete()  # its servers are new
    second.driver.load_state(saved.document["driver"])
    said = list[str]()
    second.driver.restore(lambda: saved, said.append)
    assert len(said) == 3
    assert second.driver.evaluations.history == history
    assert second.driver.evaluations.best == first.driver.evaluations.best
    assert second.driver.seconds >= saved.document["driver"]["seconds"]
    # A unit in flight when it was interrupted may have pushed a part of its steps.
    assert second.driver.steps >= first.driver.steps
    assert second.driver.run() is EndReason.PASSES
    assert {count.applied for count in second.store.counts()} == {second.plan.total_pushes}
    numbers = [each.number for each in second.driver.evaluations.history]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) > len(history)


def test_a_coordinator_commits_what_the_next_one_goes_on_from() -> None:
    run = training()
    run.driver.run()
    commits = cast("StandInLeader", run.session.leader).commits
    assert len(commits) == len(run.driver.evaluations.history)
    other = training()
    other.driver.load_state(commits[-1])
    assert other.driver.evaluations.history == run.driver.evaluations.history
    assert other.driver.status().staleness == run.driver.status().staleness
