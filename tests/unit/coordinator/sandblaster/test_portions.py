"""Which portion goes out when: a fake clock, fake workers, every order of answers."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from distbelief.app.errors import WorkFailed
from distbelief.coordinator.progress.status import Tally
from distbelief.coordinator.sandblaster.portion_count import (
    LEAST_PORTIONS,
    MOST_PORTIONS,
    PORTION_MULTIPLICATIONS,
    default_count,
)
from distbelief.coordinator.sandblaster.portions import (
    Policy,
    Portions,
)

FLOOR_S = 0.5
LOST_S = 60.0


class Board:
    """Portions with a clock that the test turns, and a list of what was sent."""

    def __init__(self, count: int, workers: int = 2, max_failures: int = 3) -> None:
        self.now = 100.0
        self.sent: list[tuple[int, int]] = []
        self.tally = Tally()
        policy = Policy(workers, FLOOR_S, LOST_S, max_failures)
        self.portions = Portions(count, policy, self._send, lambda: self.now, self.tally)

    def _send(self, portion: int, dispatch: int) -> None:
        self.sent.append((portion, dispatch))

    def news(self) -> list[tuple[int, int]]:
        """Let the portions advance; what was sent since the last call."""
        self.sent.clear()
        self.portions.advance()
        return list(self.sent)

    def after(self, seconds: float) -> list[tuple[int, int]]:
        self.now += seconds
        return self.news()

    def all_but(self, *left: int, each_s: float = 0.1) -> None:
        """Every portion has been sent; all have answered after ``each_s``, but some."""
        self.portions.advance()
        while len(self.portions.outstanding) > len(left) or not self.portions.outstanding:
            self.now += each_s
            for portion in list(self.portions.outstanding):
                if portion not in left:
                    self.portions.complete(portion, 0)
            self.portions.advance()
        self.sent.clear()


# --- the first dispatch


def test_portions_go_out_in_order_two_for_each_worker() -> None:
    board = Board(count=10, workers=3)
    assert board.news() == [(portion, 0) for portion in range(6)]
    assert board.news() == []


def test_an_answer_makes_room_for_the_next() -> None:
    board = Board(count=10, workers=1)
    board.news()
    assert board.portions.complete(1, 0)
    assert board.news() == [(2, 0)]


def test_fewer_portions_than_room_are_sent_once() -> None:
    board = Board(count=2, workers=8)
    assert board.news() == [(0, 0), (1, 0)]
    assert board.news() == []


def test_it_is_done_when_every_portion_has_answered() -> None:
    board = Board(count=3)
    board.news()
    for portion in (2, 0, 1):
        assert not board.portions.done
        board.portions.complete(portion, 0)
    assert board.portions.done
    assert (board.portions.n_done, board.tally.portions) == (3, 3)
    assert board.news() == []


def test_outstanding_portions_have_their_age_since_the_first_dispatch() -> None:
    board = Board(count=3, workers=1)
    board.news()
    board.after(2.0)
    board.portions.complete(0, 0)
    board.news()
    board.now += 1.0
    assert board.portions.outstanding == {1: 3.0, 2: 1.0}


# --- answers


def test_the_first_answer_counts_and_no_other() -> None:
    board = Board(count=4)
    board.news()
    assert board.portions.complete(2, 0)
    assert not board.portions.complete(2, 0)
    assert not board.portions.complete(2, 1)
    assert board.tally.portions == 1


def test_an_answer_to_what_was_never_sent_is_ignored() -> None:
    board = Board(count=9, workers=1)
    board.news()
    assert not board.portions.complete(8, 0)
    assert not board.portions.complete(99, 0)
    assert board.portions.n_done == 0


# --- backups


def test_a_backup_is_sent_when_a_portion_takes_twice_the_median_and_the_floor() -> None:
    board = Board(count=10)
    board.all_but(7, each_s=1.0)
    age = board.portions.outstanding[7]
    assert board.after(2.0 - age - 0.01) == []
    assert board.after(0.02) == [(7, 1)]


def test_no_backup_is_younger_than_the_floor() -> None:
    board = Board(count=10)
    board.all_but(9, each_s=0.001)
    age = board.portions.outstanding[9]
    assert board.after(FLOOR_S - age - 0.01) == []
    assert board.after(0.02) == [(9, 1)]


def test_no_backup_is_sent_while_fresh_portions_wait() -> None:
    board = Board(count=100, workers=1)
    board.news()
    board.now += 0.1
    board.portions.complete(0, 0)
    assert board.after(10.0) == [(2, 0), (3, 0)]


def test_no_backup_is_sent_before_half_of_the_portions_are_done() -> None:
    board = Board(count=8, workers=4)
    board.news()
    for portion in (0, 1, 2):
        board.portions.complete(portion, 0)
    assert board.after(10.0) == []
    board.portions.complete(3, 0)
    assert [dispatch for _, dispatch in board.news()] == [1] * 4


def test_the_oldest_get_their_backup_first_and_no_more_than_workers_are_idle() -> None:
    board = Board(count=8, workers=2)
    for answers in ((), (0, 1), (2, 4)):
        board.now += 0.1
        for portion in answers:
            board.portions.complete(portion, 0)
        board.news()
    assert list(board.portions.outstanding) == [3, 5, 6, 7]
    assert board.after(10.0) == [(3, 1), (5, 1)]


def test_a_second_backup_waits_twice_as_long_as_the_first() -> None:
    board = Board(count=10)
    board.all_but(9, each_s=0.001)
    assert board.after(1.0) == [(9, 1)]
    assert board.after(1.9 * FLOOR_S) == []
    assert board.after(0.2 * FLOOR_S) == [(9, 2)]
    assert board.after(3.9 * FLOOR_S) == []
    assert board.after(0.2 * FLOOR_S) == [(9, 3)]


def test_a_backup_that_answers_first_has_won() -> None:
    board = Board(count=10)
    board.all_but(9)
    board.after(1.0)
    assert board.portions.complete(9, 1)
    assert (board.tally.sent, board.tally.won, board.tally.wasted) == (1, 1, 0)


def test_a_backup_that_comes_second_was_wasted() -> None:
    board = Board(count=10)
    board.all_but(9)
    board.after(1.0)
    assert board.portions.complete(9, 0)
    assert not board.portions.complete(9, 1)
    assert (board.tally.sent, board.tally.won, board.tally.wasted) == (1, 0, 1)


def test_of_two_backups_one_can_win() -> None:
    board = Board(count=10)
    board.all_but(9)
    board.after(1.0)
    board.after(10.0)
    assert board.portions.complete(9, 2)
    assert (board.tally.sent, board.tally.won, board.tally.wasted) == (2, 1, 1)


# --- overdue portions


def test_overdue_portions_do_not_hold_back_new_ones() -> None:
    # Both workers' portions hang; the room that they took is given to others.
    board = Board(count=20, workers=2)
    board.news()
    board.now += 0.1
    board.portions.complete(0, 0)
    board.portions.complete(1, 0)
    assert board.news() == [(4, 0), (5, 0)]
    board.portions.complete(4, 0)
    board.portions.complete(5, 0)
    assert len(board.after(1.0)) == 4


def test_before_any_answer_nothing_is_overdue() -> None:
    board = Board(count=20, workers=2)
    board.news()
    assert board.after(LOST_S - 1) == []


# --- failures and losses


def test_a_failed_portion_is_sent_again_at_once() -> None:
    board = Board(count=10, workers=1)
    board.news()
    board.sent.clear()
    board.portions.fail(1, "boom")
    assert board.sent == [(1, 1)]
    assert board.tally.retries == 1


def test_a_retry_that_answers_is_no_backup() -> None:
    board = Board(count=10)
    board.news()
    board.portions.fail(1, "boom")
    assert board.portions.complete(1, 1)
    assert (board.tally.sent, board.tally.won, board.tally.wasted) == (0, 0, 0)


def test_a_portion_that_fails_too_often_ends_the_run_by_name() -> None:
    board = Board(count=10, max_failures=3)
    board.news()
    board.portions.fail(2, "boom")
    board.portions.fail(2, "bang")
    with pytest.raises(WorkFailed, match="portion 2 failed 3 times: on pc: crash"):
        board.portions.fail(2, "on pc: crash")


def test_failures_of_different_portions_are_counted_apart() -> None:
    board = Board(count=10, max_failures=2)
    board.news()
    for portion in (0, 1, 2):
        board.portions.fail(portion, "boom")
    assert board.tally.retries == 3


def test_a_failure_after_the_answer_does_not_matter() -> None:
    board = Board(count=10, max_failures=1)
    board.news()
    board.portions.complete(0, 0)
    board.portions.fail(0, "boom")
    board.portions.fail(99, "never sent")
    assert board.tally.retries == 0


def test_silent_portions_are_taken_for_lost_and_sent_again_ever_later() -> None:
    board = Board(count=3, workers=1, max_failures=4)
    board.news()
    assert board.after(LOST_S) == []
    assert board.after(0.125) == [(0, 1), (1, 1)]
    assert board.after(2 * LOST_S) == []
    assert board.after(0.125) == [(0, 2), (1, 2)]
    assert board.after(4 * LOST_S) == []
    assert board.after(0.125) == [(0, 3), (1, 3)]
    assert board.tally.retries == 6


def test_portions_lost_too_often_end_the_run_by_name() -> None:
    board = Board(count=3, workers=1, max_failures=2)
    board.news()
    board.after(LOST_S + 1)
    with pytest.raises(WorkFailed, match="portion 0 failed 2 times: no answer for 121 s"):
        board.after(2 * LOST_S + 1)


# --- portions that are nowhere


NOBODY: dict[int, str] = {}


def test_a_portion_that_is_nowhere_twice_in_a_row_is_sent_again() -> None:
    board = Board(count=2, workers=1)
    board.news()
    board.sent.clear()
    assert board.portions.locate({0: "here"})
    assert board.sent == []
    assert board.portions.locate({0: "here"})
    assert board.sent == [(1, 1)]
    assert (board.tally.retries, board.tally.sent) == (1, 0)


@pytest.mark.parametrize("holder", ["first@host", ""], ids=["worker", "queue"])
def test_a_portion_that_was_only_under_way_is_not_sent_again(holder: str) -> None:
    board = Board(count=2, workers=1)
    board.news()
    board.sent.clear()
    for _ in range(3):
        board.portions.locate({0: "here"})
        assert not board.portions.locate({0: "here", 1: holder})
    assert board.sent == []


def test_a_portion_that_was_sent_again_may_be_missing_once_more() -> None:
    board = Board(count=1)
    board.news()
    board.sent.clear()
    board.portions.locate(NOBODY)
    board.portions.locate(NOBODY)
    assert board.portions.locate(NOBODY)
    assert board.sent == [(0, 1)]
    board.portions.locate(NOBODY)
    assert board.sent == [(0, 1), (0, 2)]


def test_a_portion_that_has_answered_is_not_looked_for() -> None:
    board = Board(count=1)
    board.news()
    board.sent.clear()
    board.portions.locate(NOBODY)
    board.portions.complete(0, 0)
    assert not board.portions.locate(NOBODY)
    assert board.sent == []


def test_a_portion_that_vanishes_too_often_ends_the_run_by_name() -> None:
    board = Board(count=1, max_failures=2)
    board.news()
    for _ in range(3):
        board.portions.locate(NOBODY)
    words = "portion 0 failed 2 times: its worker's process died, or its message was lost: does it"
    with pytest.raises(WorkFailed, match=words):
        board.portions.locate(NOBODY)


def test_the_last_worker_of_a_vanished_portion_is_named() -> None:
    board = Board(count=1, max_failures=1)
    board.news()
    board.portions.locate({0: "second@host"})
    board.portions.locate(NOBODY)
    with pytest.raises(WorkFailed, match="the process on second@host that had it died"):
        board.portions.locate(NOBODY)


def test_the_slowest_portion_is_known_with_its_age_and_its_worker() -> None:
    board = Board(count=3, workers=1)
    assert board.portions.slowest is None
    board.news()
    board.after(2.0)
    board.portions.complete(1, 0)
    board.news()
    board.now += 1.0
    assert board.portions.slowest == (0, 3.0, "")
    board.portions.locate({0: "second@host", 2: ""})
    assert board.portions.slowest == (0, 3.0, "second@host")
    board.portions.fail(0, "boom")
    assert board.portions.slowest == (0, 3.0, "")


def test_silence_is_counted_since_a_portion_was_last_sent() -> None:
    board = Board(count=2, workers=1)
    assert board.portions.silent_s == 0.0
    board.news()
    board.now += 2.0
    board.portions.fail(0, "boom")
    board.now += 1.0
    assert board.portions.silent_s == 3.0
    board.portions.complete(1, 0)
    assert board.portions.silent_s == 1.0


# --- whatever happens


class Workers(RuleBasedStateMachine):
    """Workers that answer in any order, twice or never; messages that are lost; errors."""

    def __init__(self) -> None:
        super().__init__()
        self.board = Board(count=12, workers=3, max_failures=1000)
        self.counted: Counter[int] = Counter()
        #: Messages under way; answered ones stay, as a broker may deliver twice.
        self.messages: list[tuple[int, int]] = []
        self.dispatched: set[tuple[int, int]] = set()

    @rule()
    def advance(self) -> None:
        for message in self.board.news():
            assert message not in self.dispatched
            self.messages.append(message)
            self.dispatched.add(message)

    @rule(seconds=st.sampled_from([0.001, 0.1, 1.0, LOST_S]))
    def wait(self, seconds: float) -> None:
        self.board.now += seconds

    @precondition(lambda self: self.messages)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        portion, dispatch = data.draw(st.sampled_from(self.messages))
        self.counted[portion] += self.board.portions.complete(portion, dispatch)

    @precondition(lambda self: self.messages)
    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        self.messages.remove(data.draw(st.sampled_from(self.messages)))

    @precondition(lambda self: self.messages)
    @rule(data=st.data())
    def break_down(self, data: st.DataObject) -> None:
        portion, _ = data.draw(st.sampled_from(self.messages))
        self.board.sent.clear()
        self.board.portions.fail(portion, "boom")
        self.messages += self.board.sent
        self.dispatched.update(self.board.sent)

    @precondition(lambda self: self.messages)
    @rule(data=st.data())
    def look(self, data: st.DataObject) -> None:
        """Messages under way are found or, while they are taken, not."""
        found = data.draw(st.lists(st.sampled_from(self.messages)))
        self.board.sent.clear()
        self.board.portions.locate({portion: "here" for portion, _ in found})
        self.messages += self.board.sent
        self.dispatched.update(self.board.sent)

    @invariant()
    def no_portion_is_counted_twice(self) -> None:
        assert set(self.counted.values()) <= {0, 1}
        assert self.counted.total() == self.board.portions.n_done == self.board.tally.portions

    @invariant()
    def every_backup_is_won_wasted_or_open(self) -> None:
        tally = self.board.tally
        assert 0 <= tally.won + tally.wasted <= tally.sent

    def teardown(self) -> None:
        """Workers that answer at last: then every portion has been counted once."""
        for _ in range(40):
            self.advance()
            for portion, dispatch in self.messages:
                self.counted[portion] += self.board.portions.complete(portion, dispatch)
            self.board.now += 2**20 * LOST_S
        assert self.board.portions.done
        assert self.counted == dict.fromkeys(range(12), 1)
        assert self.board.tally.won + self.board.tally.wasted == self.board.tally.sent


TestWhateverWorkersDo = Workers.TestCase


# --- how many


SIZES = st.integers(1, 10**8)


@given(SIZES, SIZES)
def test_there_are_never_more_portions_than_examples(examples: int, parameters: int) -> None:
    assert 1 <= default_count(examples, parameters) <= min(examples, MOST_PORTIONS)


@given(st.integers(LEAST_PORTIONS, 10**8), SIZES)
def test_there_are_enough_portions_to_share(examples: int, parameters: int) -> None:
    assert default_count(examples, parameters) >= LEAST_PORTIONS


@given(SIZES, SIZES, SIZES)
def test_more_work_makes_no_fewer_portions(examples: int, parameters: int, more: int) -> None:
    here = default_count(examples, parameters)
    assert default_count(examples, parameters + more) >= here
    assert default_count(examples + more, parameters) >= here


@pytest.mark.parametrize(("examples", "parameters"), [(600_000, 7_850), (1_000_000, 10_000)])
def test_a_portion_is_about_ten_milliseconds_of_work(examples: int, parameters: int) -> None:
    portions = default_count(examples, parameters)
    assert 3 * examples / portions * parameters == pytest.approx(PORTION_MULTIPLICATIONS, rel=0.1)


def test_the_digits_make_eight_portions() -> None:
    assert default_count(1438, 650) == LEAST_PORTIONS
