"""The callbacks by which a training tells what it does, and asks whether to stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from distbelief.coordinator.progress.events import Event, Listener
from distbelief.coordinator.progress.status import Status


@dataclass(frozen=True)
class Callbacks:
    """Functions that a training calls: with a line to say, with its status, with an event.

    And one that it asks whether to stop. A line may come on any thread; the others are called on
    that of the training, and what they raise ends it.
    """

    say: Callable[[str], None]
    show: Callable[[Status], None]
    told: Listener = lambda _: None
    stop: Callable[[], bool] = lambda: False


def together(*callbacks: Callbacks) -> Callbacks:
    """Several of them as one."""

    def say(text: str) -> None:
        for each in callbacks:
            each.say(text)

    def show(status: Status) -> None:
        for each in callbacks:
            each.show(status)

    def told(event: Event) -> None:
        for each in callbacks:
            each.told(event)

    def stop() -> bool:
        return any(each.stop() for each in callbacks)

    return Callbacks(say, show, told, stop)
