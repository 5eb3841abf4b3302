"""The trials of a comparison, and how rates are chosen and targets set."""

from __future__ import annotations

import math
import statistics
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distbelief.app.errors import ConfigError
from distbelief.app.models.metric import Metric
from distbelief.coordinator.comparison.methods import METHODS, known_methods, methods_of
from distbelief.coordinator.comparison.outcome import End, Outcome, Trial
from distbelief.coordinator.comparison.plan import TUNING_SEED
from distbelief.coordinator.comparison.running import settings_of
from distbelief.coordinator.comparison.summary import Spread, summarise
from tests.unit.coordinator.comparison.made_up import (
    FAILS,
    HOLDS,
    RATES,
    grid,
    outcome,
    outcomes,
    summary,
)


def test_rates_are_tuned_with_a_seed_that_does_not_count() -> None:
    over = grid()
    made = list(over.trials(outcomes(over, HOLDS)))
    assert len(made) == over.size == len({trial.key for trial in made})
    tuned = [trial for trial in made if trial.seed == TUNING_SEED]
    assert {trial.method for trial in tuned} == {m.name for m in over.methods if m.rated}
    assert TUNING_SEED not in over.seeds


def test_the_rate_with_the_lowest_loss_is_taken_and_what_diverged_is_not() -> None:
    over = grid(("downpour",))
    (method,) = over.methods
    low, high = over.tuning(method, 2)
    found = {low.key: outcome(low, 1.0), high.key: outcome(high, None, End.DIVERGED)}
    assert over.rate(method, 2, found) == RATES[0]
    better = replace(found[low.key], trial=high)
    worse = outcome(low, None)
    assert over.rate(method, 2, {low.key: worse, high.key: better}) == RATES[1]


def test_what_has_no_rate_is_not_tuned_and_one_rate_needs_no_tuning() -> None:
    assert not grid(("sandblaster",)).tuning(methods_of(["sandblaster"])[0], 2)
    one = replace(grid(("downpour",)), rates=(0.3,))
    trials = list(one.trials({}))
    assert [(trial.rate, trial.seed) for trial in trials] == [(0.3, 1), (0.3, 2), (0.3, 3)]


def test_on_a_fleet_all_its_processes_share_a_batch() -> None:
    over = replace(grid(("downpour", "sandblaster"), replicas=(1, 2)), processes=8)
    counts = {method.name: list(over.counts(method)) for method in over.methods}
    assert counts == {"downpour": [1, 2], "sandblaster": [8]}


def test_one_process_and_one_replica_have_no_others() -> None:
    over = grid(("numpy", "one-replica", "downpour"), replicas=(2, 4))
    assert [(m.name, n) for m, n in over.pairs] == [
        ("numpy", 1), ("one-replica", 1), ("downpour", 2), ("downpour", 4),
    ]  # fmt: skip


def test_an_unknown_method_is_named_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"no method 'adam' here: use some of numpy, .*downpour"):
        methods_of(["downpour", "adam"])
    assert all(method in METHODS for method in known_methods())


def test_a_warm_start_is_the_settings_but_of_one_method_only() -> None:
    def of(method, **settings):
        return settings_of(Trial(method, 2, 0.1, 1), settings, 4.0)

    assert of("downpour-warm")["warm_start_steps"] == 200
    assert of("downpour-warm", warm_start_steps=50)["warm_start_steps"] == 50
    assert "warm_start_steps" not in of("downpour", warm_start_steps=50)
    assert of("downpour", batch_size=64)["batch_size"] == 64


def test_a_median_counts_seeds_that_never_got_there() -> None:
    over = grid(("downpour", "sandblaster"))
    rows = {row.method.name: row for row in summary(over, outcomes(over, HOLDS)).rows}
    cpu = {name: row.to_value.spread(lambda each: each.cpu_s) for name, row in rows.items()}
    assert cpu["downpour"] == Spread(3.2, 3.0, math.inf)
    assert cpu["sandblaster"] == Spread(math.inf, 6.0, math.inf)
    assert rows["sandblaster"].to_value.count == rows["sandblaster"].to_loss.count == 1


def test_what_diverged_or_crashed_is_counted_as_such() -> None:
    over = grid(("downpour",))
    found = outcomes(over, {"downpour": (1.0, 1.0, 1.0)})
    first, second, _ = over.finals(over.methods[0], 2, RATES[0])
    found[first.key] = outcome(first, None, End.DIVERGED)
    found[second.key] = outcome(second, None, End.CRASHED)
    (row,) = summary(over, found).rows
    assert (row.ended(End.DIVERGED), row.ended(End.CRASHED), row.to_value.count) == (1, 1, 1)
    assert math.isinf(row.to_value.spread(lambda each: each.cpu_s).median)


def test_targets_that_are_not_given_follow_from_the_best_medians() -> None:
    over = grid(("numpy", "sandblaster"))
    found = outcomes(over, {"numpy": (1.0, 2.0, 3.0), "sandblaster": (None, None, 1.0)})
    targets = summarise(over, found, Metric.ACCURACY, None, None).targets
    assert targets.value == 0.94  # 0.99 of 0.95, as three digits say it
    assert targets.loss == 0.42  # 0.4 + 0.01 * (2.3 - 0.4), rounded up
    lower = summarise(over, found, Metric.RMSE, None, None).targets
    assert lower.value == pytest.approx(0.1 / 0.99, rel=0.01)
    assert lower.value > 0.1


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=9))
def test_a_spread_is_the_median_between_the_least_and_the_largest(figures) -> None:
    found = Spread.of(figures)
    assert found == Spread(statistics.median(figures), min(figures), max(figures))


def test_an_outcome_is_the_same_after_it_was_kept() -> None:
    over = grid()
    for each in outcomes(over, FAILS, {"downpour": ()}).values():
        assert Outcome.from_json(each.to_json()) == each
