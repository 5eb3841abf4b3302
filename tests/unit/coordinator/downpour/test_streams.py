"""Replicas, streams and the pace of units follow the workers that are there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from distbelief.app.errors import ConfigError
from distbelief.app.runs.record import RunRecord
from distbelief.app.settings.config import RunConfig, configure
from distbelief.coordinator.downpour.goodput import Goodput
from distbelief.coordinator.downpour.intervals import MeasuredCosts
from distbelief.coordinator.downpour.pace import Pace
from distbelief.coordinator.downpour.streams import MOST_STREAMS, choose_streams
from distbelief.coordinator.downpour.units import UnitPlan
from distbelief.coordinator.problem.problem import Problem, prepare
from distbelief.coordinator.training import named
from distbelief.worker_tasks.unit_report import UnitReport


def problem_of(**settings: Any) -> Problem:
    data = {"data": "synthetic:softmax", "data_options": {"examples": 100}, "holdout": 0.0}
    return prepare(RunConfig(**data | {"model": "softmax"} | settings), 1)


def chosen(processes: int, n_train: int, *, elsewhere: bool = True, **settings: Any) -> Any:
    """Replicas and streams, as they are chosen for so many examples."""
    problem = replace(problem_of(**settings), n_train=n_train)
    config = choose_streams(problem, processes, elsewhere=elsewhere).config
    return config.replicas, config.n_streams


@pytest.mark.parametrize(
    ("processes", "n_train", "settings", "expected"),
    [
        (8, 64_000, {}, (8, 10)),  # 2,000 minibatches, 200 to a unit
        (8, 1_000_000, {}, (8, 156)),
        (100, 10_000_000, {}, (100, MOST_STREAMS)),
        (100, 64_000, {}, (100, 100)),
        (100, 1_000, {}, (3, 3)),  # 31 minibatches
        (1, 1_000_000, {}, (2, 156)),
        (8, 1_000_000, {"streams": 5}, (5, 5)),
        (8, 1_000_000, {"warm_start_steps": 100}, (8, 8)),
        (8, 64_000, {"warm_start_steps": 20_000, "passes": 40}, (4, 4)),  # of 80,000 in all
        (8, 1_000_000, {"replicas": 3}, (3, 3)),
        (8, 1_000_000, {"replicas": 3, "streams": 7}, (3, 7)),
    ],
    ids=str,
)
def test_there_are_as_many_replicas_as_processes_and_streams_for_more(
    processes: int, n_train: int, settings: dict[str, Any], expected: tuple[int, int]
) -> None:
    assert chosen(processes, n_train, **settings) == expected


def test_workers_that_are_ours_do_not_come_and_go() -> None:
    assert chosen(4, 1_000_000, elsewhere=False) == (4, 4)
    assert chosen(4, 1_000_000, algorithm="sandblaster") == ("auto", 2)


@pytest.mark.parametrize(("processes", "replicas"), [(None, 2), (1, 2), (6, 6)])
def test_an_embedded_worker_has_a_replica_for_each_process(
    processes: int | None, replicas: int
) -> None:
    config, _ = configure({} if processes is None else {"processes": processes})
    assert (config.replicas, config.n_streams) == (replicas, replicas)


def test_fewer_streams_than_replicas_are_refused() -> None:
    with pytest.raises(ConfigError, match="streams = 2 are fewer than replicas = 3"):
        UnitPlan.of(problem_of(replicas=3, streams=2))


def test_the_streams_that_are_behind_have_the_room_that_there_is() -> None:
    plan = UnitPlan([10, 20, 10], RunConfig(replicas=1, streams=3, n_push=1, unit_steps=5))
    assert [unit.subset for unit in plan.take(room=0)] == []
    first, second = plan.take(room=2)
    assert (first.subset, second.subset) == (0, 1)
    plan.finish(first, 5)
    plan.finish(second, 5)
    assert [unit.subset for unit in plan.take(room=2)] == [2, 1]  # after none, and a quarter pass


def test_units_are_as_short_as_a_bound_lets_them_be_where_nobody_works_on_some_streams() -> None:
    settings: dict[str, Any] = {"n_push": 2, "unit_steps": 50, "max_staleness": 3}
    ours = UnitPlan([100] * 3, RunConfig(replicas=1, streams=3, **settings))
    assert [unit.stop for unit in ours.take([0] * 3, 2)] == [8, 8]
    theirs = UnitPlan([100] * 3, RunConfig(replicas=3, **settings))
    assert [unit.stop for unit in theirs.take([0] * 3)] == [50, 50, 50]


def test_a_unit_is_told_the_interval_for_the_workers_at_work() -> None:
    slow = Pace(RunConfig(optimizer="adagrad"), MeasuredCosts(step_s=0.001, exchange_s=1.0))
    assert [slow.told(each)["interval"] for each in (0, 1, 2, 4, 8)] == [4, 4, 4, 2, 1]
    quick = Pace(RunConfig(optimizer="adagrad"), MeasuredCosts(step_s=1.0, exchange_s=0.001))
    assert quick.told(2) == {"interval": 1}
    assert Pace(RunConfig(model="torch")).told(5) == {}
    assert Pace(RunConfig(round_steps=4)).told(5) == {"at_work": 5}


def test_a_named_run_of_rounds_goes_on_with_the_same_words_and_with_no_others() -> None:
    """Its outer rule was settled when its workers were counted, which they are not yet now."""
    words: dict[str, Any] = {"round_steps": 8, "batch_size": 1}
    begun = choose_streams(problem_of(**words), 8, elsewhere=True)
    assert begun.config.step_weight == begun.config.n_replicas == 8
    record = RunRecord(
        *("named", begun.config.with_interval(1), begun.layout, ()),
        *(begun.data.fingerprint, begun.dataset.schema),
        chosen=begun.chosen,
    )
    named.check_same(record, problem_of(**words))
    with pytest.raises(ConfigError, match=r"begun with step_weight = 8\.?0?, not 1"):
        named.check_same(record, problem_of(**words, step_weight=1.0))


# --- goodput


def report(steps: int, seconds: float, waited_s: float = 0.0) -> UnitReport:
    return UnitReport(steps=steps, seconds=seconds, waited_s=waited_s)


def test_goodput_is_the_share_of_steps_that_workers_could_have_computed() -> None:
    goodput = Goodput()
    goodput.see(0.0, 8)
    goodput.see(10.0, 8)  # 80 seconds of workers
    goodput.add(report(100, 20.0))
    goodput.add(report(100, 22.0, waited_s=2.0))  # a step takes 0.2 s: 400 were possible
    assert goodput.share(300) == pytest.approx(0.75)
    goodput.see(20.0, 2)
    assert goodput.share(300) == pytest.approx(0.6)
    again = Goodput()
    again.load_state(goodput.to_json())
    assert again.share(300) == pytest.approx(0.6)
    again.see(1000.0, 50)  # the time between two coordinators is nobody's
    assert again.share(300) == again.latest == pytest.approx(0.6)


def test_goodput_is_not_known_before_a_unit_and_never_above_one() -> None:
    goodput = Goodput()
    assert str(goodput.share(10)) == "nan"
    goodput.see(0.0, 1)
    goodput.see(11.0, 1)
    assert str(goodput.share(10)) == "nan"
    assert goodput.latest is None
    goodput.add(report(10, 10.0))
    assert goodput.share(12) == 1.0


def test_of_a_short_training_no_goodput_is_told() -> None:
    goodput = Goodput()
    goodput.see(0.0, 1)
    goodput.see(9.0, 1)
    goodput.add(report(10, 1.0))
    assert str(goodput.share(10)) == "nan"
    assert goodput.latest is None
