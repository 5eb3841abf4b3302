"""The training's clock, read from a journal: it stands still while nobody coordinates."""

from __future__ import annotations


class Clock:
    """Seconds of training at each event, over all coordinators that a run had.

    A coordinator counts the seconds of training; the one after it goes on from what was
    committed last. Where the one before was killed later than that, the clock goes on from
    its last event: it never goes back, though work may be made again.
    """

    def __init__(self) -> None:
        self._shift = 0.0
        self._origin: float | None = None
        #: Seconds at the last event.
        self.now = 0.0

    def stop(self) -> None:
        """A coordinator opens the run; it does not train yet."""
        self._origin = None

    def start(self, at: float, told: float) -> float:
        """The training begins, or goes on, ``at`` seconds since 1970, where ``told``."""
        self._shift = max(0.0, self.now - told)
        self._origin = at - told - self._shift
        return self._reached(told + self._shift)

    def told(self, seconds: float) -> float:
        """Seconds of training at ``seconds`` of the coordinator's own count."""
        return self._reached(seconds + self._shift)

    def at(self, at: float) -> float:
        """Seconds of training when something was noted, ``at`` seconds since 1970."""
        return self.now if self._origin is None else self._reached(max(0.0, at - self._origin))

    def _reached(self, seconds: float) -> float:
        self.now = max(self.now, seconds)
        return seconds
