"""The rate of a push follows from its step alone."""

from __future__ import annotations

import pytest

from distbelief.app.errors import ConfigError
from distbelief.app.optimizers.registry import OPTIMIZERS, build_rule
from distbelief.app.optimizers.schedule import Schedule
from distbelief.app.settings.config import RunConfig, configure
from distbelief.app.settings.objective import ObjectiveSettings


def shares(steps_per_pass: int = 10, **settings: object) -> list[float]:
    config = RunConfig.model_validate({"passes": 4, **settings})
    schedule = Schedule.of(config, steps_per_pass)
    return [schedule.share(step) for step in range(4 * steps_per_pass)]


def test_without_a_schedule_the_rate_stays() -> None:
    assert set(shares()) == {1.0}
    assert set(shares(schedule="constant")) == {1.0}


def test_the_shards_see_to_inverse() -> None:
    assert set(shares(schedule="inverse", learning_rate_decay=0.1)) == {1.0}


def test_step_is_a_tenth_after_half_and_a_hundredth_after_three_quarters() -> None:
    found = shares(schedule="step")
    assert found == [1.0] * 20 + [0.1] * 10 + [0.01] * 10


def test_cosine_falls_from_the_whole_rate_to_nearly_nothing() -> None:
    found = shares(schedule="cosine")
    assert found[0] == 1.0
    assert found[20] == pytest.approx(0.5)
    assert found == sorted(found, reverse=True)
    assert 0 < found[-1] < 0.01


def test_the_rate_rises_evenly_at_first() -> None:
    found = shares(warm_up=0.5)
    assert found[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    both = shares(warm_up=0.5, schedule="step")
    assert both[:5] == found[:5]
    assert both[-1] == 0.01


def test_a_share_changes_the_rate_of_a_rule_and_nothing_else() -> None:
    for name in OPTIMIZERS:
        if name != "ftrl":
            rule = build_rule(ObjectiveSettings.model_validate({"optimizer": name}))
            rate, *rest = rule.paced(0.25).arguments()
            assert [4 * rate, *rest] == [*rule.arguments()]
            assert rule.paced(1.0) is rule


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_description_says_each_rules_own_rate(name: str) -> None:
    rule = build_rule(ObjectiveSettings.model_validate({"optimizer": name}))
    said = ObjectiveSettings.model_fields["learning_rate"].description or ""
    rates: dict[str, float] = {}
    for group in said.partition("the rule's own, ")[2].rstrip("]").split(", "):
        *names, rate = group.replace(" and ", " ").split()
        rates |= dict.fromkeys(names, float(rate))
    assert rule.default_rate == rule.arguments()[0] == rates[name]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"schedule": "inverse"}, "schedule inverse needs a learning_rate_decay above 0"),
        (
            {"schedule": "cosine", "learning_rate_decay": 0.1},
            "learning_rate_decay is for schedule inverse, not for cosine: leave out one",
        ),
        ({"warm_up": 3, "passes": 3}, "warm_up = 3 must be less than passes = 3"),
        ({"optimizer": "ftrl", "schedule": "step"}, "schedule is not for ftrl"),
        ({"optimizer": "ftrl", "warm_up": 1}, "warm_up is not for ftrl"),
    ],
)
def test_schedules_that_mean_nothing_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        configure(settings)
