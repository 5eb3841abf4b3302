"""Who has to wait for whom, for how long, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from distbelief.app.errors import Fenced
from distbelief.app.settings.config import RunConfig
from distbelief.app.store.contract.parameters import ParameterStore
from distbelief.worker_tasks import staleness
from distbelief.worker_tasks.staleness import StalenessBound, StalenessThrottle

POSITIONS = st.lists(st.integers(0, 9), min_size=1, max_size=4)


class Clock:
    """Time that passes while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0
        self.pauses = list[float]()

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    ours = Clock()
    time = SimpleNamespace(monotonic=lambda: ours.now, sleep=ours.sleep)
    monkeypatch.setattr(staleness, "time", time)
    return ours


class Others:
    """A store whose streams have moved at each look."""

    def __init__(self, looks: Iterator[list[int]]) -> None:
        self.looks = looks
        self.seen = 0

    def sequences(self, n_streams: int) -> list[int]:
        self.seen += 1
        return next(self.looks)


def throttle(
    bound: int, looks: list[list[int]], total: int = 100
) -> tuple[StalenessThrottle, Others]:
    """That of stream 0; the last look is seen again and again."""

    def seen() -> Iterator[list[int]]:
        yield from looks
        while True:
            yield looks[-1]

    others = Others(seen())
    made = StalenessBound(bound, [total] * len(looks[0]), warm=0)
    return StalenessThrottle(made, cast("ParameterStore", others), 0), others


def unasked() -> None:
    raise AssertionError("nobody waits")


NOTHING: Callable[[], None] = lambda: None  # noqa: E731


@given(POSITIONS, st.integers(0, 5), st.integers(1, 9), st.data())
def test_a_stream_may_be_ahead_of_the_slowest_unfinished_other_by_the_bound(
    sequences: list[int], bound: int, total: int, data: st.DataObject
) -> None:
    stream = data.draw(st.integers(0, len(sequences) - 1), "stream")
    made = data.draw(st.integers(0, 9), "made")
    unfinished = [n for i, n in enumerate(sequences) if i != stream and n < total]
    expected = all(made - other <= bound for other in unfinished)
    assert (
        StalenessBound(bound, [total] * len(sequences), 0).allows(stream, made, sequences)
        == expected
    )


@given(POSITIONS.filter(lambda positions: min(positions) < 10))
def test_the_slowest_never_waits(sequences: list[int]) -> None:
    slowest = sequences.index(min(sequences))
    assert StalenessBound(0, [10] * len(sequences), 0).allows(slowest, min(sequences), sequences)


def test_the_pushes_of_a_warm_start_put_nobody_ahead() -> None:
    bound = StalenessBound(2, [100, 100], warm=30)
    assert bound.allows(0, 29, [29, 0])
    assert bound.allows(0, 32, [32, 0])
    assert not bound.allows(0, 33, [33, 0])
    assert bound.allows(1, 2, [30, 2])
    assert not bound.allows(1, 3, [30, 3])


def test_a_run_counts_the_pushes_of_its_whole_plan() -> None:
    config = RunConfig(max_staleness=3, n_push=4, passes=5, warm_start_steps=9)
    assert StalenessBound.of(config, [7, 6]) == StalenessBound(3, [9, 8], warm=3)


def test_a_run_without_a_bound_has_no_pace() -> None:
    assert StalenessBound.of(RunConfig(), [7, 6]) is None


def test_who_is_within_reach_does_not_wait(clock: Clock) -> None:
    held, _ = throttle(2, [[5, 3]])
    assert held.hold(5, unasked) == (True, 0.0)
    assert clock.pauses == []


def test_the_others_are_looked_at_only_when_it_matters(clock: Clock) -> None:
    held, others = throttle(2, [[5, 3]])
    for made in (0, 1, 2, 5, 5, 4):
        assert held.hold(made, unasked) == (True, 0.0)
    assert others.seen == 1


def test_who_is_too_far_ahead_waits_until_the_slowest_moves(clock: Clock) -> None:
    held, _ = throttle(2, [[6, 3, 9], [6, 3, 9], [6, 4, 9]])
    may, waited_s = held.hold(6, NOTHING)
    assert may
    assert waited_s == pytest.approx(sum(clock.pauses))
    assert clock.pauses == [0.02, 0.04]


def test_who_waits_for_one_that_moves_stays(clock: Clock) -> None:
    """For 40 looks of 0.05 s."""
    held, _ = throttle(2, [[60, done, 90] for done in range(20, 59) for _ in range(2)])
    may, waited_s = held.hold(60, NOTHING)
    assert may
    assert waited_s > 2 * staleness.PATIENCE_S


def test_who_waits_while_only_faster_ones_move_does_not_stay(clock: Clock) -> None:
    held, _ = throttle(2, [[60, 20, done] for done in range(21, 90)])
    may, waited_s = held.hold(60, NOTHING)
    assert not may
    assert waited_s < 2 * staleness.PATIENCE_S


def test_who_waits_in_vain_is_let_go(clock: Clock) -> None:
    held, _ = throttle(2, [[6, 3]])
    may, waited_s = held.hold(6, NOTHING)
    assert not may
    assert staleness.PATIENCE_S <= waited_s <= staleness.PATIENCE_S + 0.05
    assert waited_s == pytest.approx(sum(clock.pauses))


def test_who_waits_does_so_no_longer_than_its_unit_may(clock: Clock) -> None:
    """Although the slowest moves all the time."""
    held, _ = throttle(2, [[60, done, 90] for done in range(20, 59)])
    may, waited_s = held.hold(60, NOTHING, limit_s=0.4)
    assert not may
    assert waited_s == pytest.approx(0.4)
    assert held.hold(60, NOTHING, limit_s=0.0) == (False, 0.0)


def test_a_stream_that_ends_is_waited_for_no_longer(clock: Clock) -> None:
    held, _ = throttle(0, [[5, 3], [5, 4]], total=4)
    assert held.hold(5, NOTHING)[0]


def test_who_waits_can_be_stopped(clock: Clock) -> None:
    def lost() -> None:
        raise Fenced("somebody else works on it")

    held, _ = throttle(0, [[5, 3]])
    with pytest.raises(Fenced):
        held.hold(5, lost)
