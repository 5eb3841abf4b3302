"""Where a training tells what it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from distbelief.coordinator.progress.events import Event, Listener
from distbelief.coordinator.progress.status import Status


@dataclass(frozen=True)
class Callbacks:
    """Hears of a training: a line to say, the status of the moment, an event.

    And is asked whether to stop it. A line may come on any thread; the others are called on
    that of the training, and what they raise ends it.
    """

    say: Callable[[str], None]
    show: Callable[[Status], None]
    told: Listener = lambda _: None
    stop: Callable[[], bool] = lambda: False


def together(*displays: Callbacks) -> Callbacks:
    """Several displays as one."""

    def say(text: str) -> None:
        for each in displays:
            each.say(text)

    def show(status: Status) -> None:
        for each in displays:
            each.show(status)

    def told(event: Event) -> None:
        for each in displays:
            each.told(event)

    def stop() -> bool:
        return any(each.stop() for each in displays)

    return Callbacks(say, show, told, stop)
