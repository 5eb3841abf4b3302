"""Signals belong to the main thread: what runs on another one leaves them alone."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

from distbelief.coordinator.cluster.signals import SIGNALS, Interruption, hold_signals


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in SIGNALS]


def test_a_training_on_another_thread_leaves_the_handlers_alone() -> None:
    before = handlers()

    def during() -> list[object]:
        with Interruption() as interruption, hold_signals():
            assert not interruption.defer()()
            return handlers()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(during).result() == before
    assert handlers() == before


def test_signals_are_held_and_given_back() -> None:
    before = handlers()
    with hold_signals():
        assert handlers() == [signal.SIG_IGN] * len(SIGNALS)
    assert handlers() == before
