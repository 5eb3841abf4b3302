"""Ctrl-C, SIGTERM, a closed terminal: the first signal asks a training to stop, the second
stops it at once.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Self

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Context manager that turns signals into a question: :meth:`requested`.

    Until :meth:`defer` is called, and at the second signal, it raises KeyboardInterrupt
    like Python does: before there is anything to save, stopping at once is right.
    """

    def __init__(self) -> None:
        self._deferred = False
        self._requested = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._receive)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def defer(self) -> Callable[[], bool]:
        """From now on the first signal only makes :meth:`requested` true."""
        self._deferred = True
        return self.requested

    def requested(self) -> bool:
        return self._requested

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if not self._deferred or self._requested:
            raise KeyboardInterrupt
        self._requested = True
