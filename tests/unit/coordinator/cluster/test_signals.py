"""The first signal asks a training to stop, the second one stops it at once."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from distbelief.app.errors import ExitCode
from distbelief.coordinator.cluster.signals import (
    SIGNALS,
    Interruption,
    Terminated,
    raise_terminated,
)


@pytest.fixture(autouse=True)
def _hang_ups_are_not_ignored() -> Iterator[None]:
    """As they are where tests run under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


each_signal = pytest.mark.parametrize("number", SIGNALS)


@each_signal
def test_a_signal_before_the_training_stops_at_once(number: signal.Signals) -> None:
    with Interruption(), pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)


@each_signal
def test_the_first_signal_of_a_training_only_asks(number: signal.Signals) -> None:
    with Interruption() as interruption:
        requested = interruption.defer()
        assert not requested()
        signal.raise_signal(number)
        assert requested()


@each_signal
def test_the_second_signal_of_a_training_stops_at_once(number: signal.Signals) -> None:
    with Interruption() as interruption:
        interruption.defer()
        signal.raise_signal(number)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)


@each_signal
def test_handlers_are_put_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Interruption():
        assert signal.getsignal(number) is not before
    assert signal.getsignal(number) is before


def test_a_terminal_that_closes_is_ignored_where_it_was_ignored_before() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interruption() as interruption:
            requested = interruption.defer()
            signal.raise_signal(signal.SIGHUP)
            assert not requested()
            signal.raise_signal(signal.SIGTERM)
            assert requested()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_sigterm_is_told_from_ctrl_c_before_during_and_at_once() -> None:
    """Whoever sends it, such as Kubernetes, begins the same again; a person has stopped it."""
    with raise_terminated():
        with pytest.raises(Terminated) as raised:
            signal.raise_signal(signal.SIGTERM)
        assert raised.value.exit_code is ExitCode.GO_ON
        with Interruption() as interruption:
            interruption.defer()
            signal.raise_signal(signal.SIGTERM)
            assert interruption.requested()
            assert interruption.terminated
            with pytest.raises(Terminated):
                signal.raise_signal(signal.SIGINT)
        with Interruption() as interruption:
            interruption.defer()
            signal.raise_signal(signal.SIGINT)
            assert not interruption.terminated
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
