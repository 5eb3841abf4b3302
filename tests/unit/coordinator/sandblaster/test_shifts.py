"""A message for each process, and one that waits for whoever ends a shift or has just come."""

from __future__ import annotations

from itertools import count

import pytest

from distbelief.coordinator.sandblaster.shifts import FRESH_S, NOWHERE, Shifts

MANY = 100


class Broker:
    """Counts the messages that are sent, on a clock that the test turns."""

    def __init__(self) -> None:
        self.now, self.sent, self._numbers = 0.0, list[int](), count(1)
        self.shifts = Shifts(self.send, lambda: self.now)

    def send(self) -> int:
        self.sent.append(next(self._numbers))
        return self.sent[-1]

    def advance(self, workers: int = 2, useful: int = MANY) -> int:
        """How many messages go out."""
        before = len(self.sent)
        self.shifts.advance(workers, useful)
        return len(self.sent) - before


@pytest.fixture
def broker() -> Broker:
    return Broker()


def test_each_process_gets_a_message_and_one_more_waits(broker: Broker) -> None:
    assert [broker.advance(), broker.advance()] == [2, 0]
    broker.shifts.note_begun(1)
    assert broker.advance() == 0  # the second may still be taken
    broker.shifts.note_begun(2)
    assert [broker.advance(), broker.advance()] == [1, 0]


def test_whoever_comes_takes_the_one_that_waits_and_another_goes_out(broker: Broker) -> None:
    broker.advance()
    for shift in range(1, 6):
        broker.shifts.note_begun(shift)
        broker.advance()
    assert broker.sent == [1, 2, 3, 4, 5, 6]


def test_no_more_go_out_than_have_something_to_do(broker: Broker) -> None:
    assert broker.advance(workers=8, useful=3) == 3
    for shift in (1, 2, 3):
        broker.shifts.note_begun(shift)
    assert broker.advance(workers=8, useful=3) == 0


def test_a_shift_that_is_over_or_silent_is_made_up_for(broker: Broker) -> None:
    broker.advance()
    broker.shifts.note_begun(1)
    broker.shifts.note_begun(2)
    broker.advance()
    broker.shifts.note_over(1)
    assert broker.advance() == 0  # the third waits for that process
    broker.shifts.note_over(2)
    assert broker.advance() == 1
    broker.shifts.note_begun(3)
    broker.shifts.note_begun(4)
    broker.now += FRESH_S + 0.1
    broker.shifts.note_sign(4)
    broker.shifts.note_sign(1)  # of one that is over
    assert broker.advance() == 1


def test_a_message_that_is_nowhere_is_sent_again(broker: Broker) -> None:
    broker.advance()
    for _ in range(NOWHERE):
        assert broker.advance() == 0
        broker.shifts.locate({1})
    assert broker.advance() == 1
    for _ in range(5):
        broker.shifts.locate({1, 3})
        assert broker.advance() == 0
