"""Lengths of time as people write them."""

from __future__ import annotations

import pytest

from distbelief.app.errors import ConfigError
from distbelief.app.settings.config import configure
from distbelief.app.settings.durations import duration_text, seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("12h", 43_200),
        ("7d", 604_800),
        ("2w", 1_209_600),
        ("0.5d", 43_200),
    ],
)
def test_a_number_and_a_unit_are_a_length_of_time(text: str, seconds: float) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "7", "d", "7 days", "-1d", "0s", "1e9d", "7dd", "4000d"])
def test_all_else_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match="a number and s, m, h, d or w, like 12h or 7d"):
        seconds_of(text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.5, "0.5 s"), (90, "1.5 m"), (7200, "2 h"), (600_000, "6.94 d")]
)
def test_a_length_of_time_is_said_in_its_largest_unit(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize("kept", ["no", "forever", "36h"])
def test_runs_are_kept_for_ever_or_for_a_while(kept: str) -> None:
    assert configure({"keep_on_servers": kept})[1].keep_on_servers == kept


def test_a_slip_in_how_long_runs_are_kept_is_refused_by_name() -> None:
    with pytest.raises(ConfigError, match=r"keep_on_servers = '7x' is not allowed.*or forever"):
        configure({"keep_on_servers": "7x"})
