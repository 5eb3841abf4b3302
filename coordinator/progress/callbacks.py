"""The callbacks of a training, by the names that ``train(...)`` gives them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from distbelief.coordinator.progress.events import Event, Listener
from distbelief.coordinator.progress.status import Status


@dataclass(frozen=True)
class Callbacks:
    """Functions that a training calls, and how.

    Args:
        say: told a line for people, on any thread. The others are called on the thread of
            the training, and what they raise ends it.
        on_status: told how the training stands.
        on_event: told of everything that happens.
        should_stop: asked whether the training is to end.
    """

    say: Callable[[str], None] = lambda _: None
    on_status: Callable[[Status], None] = lambda _: None
    on_event: Listener = lambda _: None
    should_stop: Callable[[], bool] = lambda: False


def together(*several: Callbacks) -> Callbacks:
    """Several callbacks as one, called in their order."""

    def say(text: str) -> None:
        for each in several:
            each.say(text)

    def on_status(status: Status) -> None:
        for each in several:
            each.on_status(status)

    def on_event(event: Event) -> None:
        for each in several:
            each.on_event(event)

    def should_stop() -> bool:
        return any(each.should_stop() for each in several)

    return Callbacks(say, on_status, on_event, should_stop)
