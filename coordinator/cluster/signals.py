"""Ctrl-C, SIGTERM, a closed terminal: the first signal asks a training to stop, the second
stops it at once.

Signals come to the main thread of a process, and are its: a training on another one leaves
them alone.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Self

from distbelief.app.errors import ExitCode

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Terminated(KeyboardInterrupt):
    """SIGTERM: a machine, a pod or a service ends, and whoever sent it may begin us again."""

    exit_code = ExitCode.GO_ON


class Interruption:
    """Context manager that turns signals into a question: :meth:`requested`.

    Until :meth:`defer` is called, and at the second signal, it raises KeyboardInterrupt
    like Python does: before there is anything to save, stopping at once is right.
    ``terminated`` says that it was SIGTERM.
    """

    def __init__(self) -> None:
        self._deferred = False
        self._requested = False
        self.terminated = False
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if _may_handle():
            # Under nohup a training outlives its terminal.
            ours = set(SIGNALS)
            if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
                ours.remove(signal.SIGHUP)
            self._before = {number: signal.signal(number, self._receive) for number in ours}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _give_back(self._before)

    def defer(self) -> Callable[[], bool]:
        """From now on the first signal only makes :meth:`requested` true."""
        self._deferred = True
        return self.requested

    def requested(self) -> bool:
        return self._requested

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.terminated = self.terminated or number == signal.SIGTERM
        if not self._deferred or self._requested:
            raise Terminated if self.terminated else KeyboardInterrupt
        self._requested = True


@contextmanager
def raise_terminated() -> Iterator[None]:
    """Have SIGTERM raise :class:`Terminated`; the first process of a container would ignore it."""

    def receive(*_: object) -> None:
        raise Terminated

    before = {signal.SIGTERM: signal.signal(signal.SIGTERM, receive)} if _may_handle() else {}
    try:
        yield
    finally:
        _give_back(before)


@contextmanager
def hold_signals() -> Iterator[None]:
    """Keep an impatient Ctrl-C from leaving half of the work undone."""
    before: dict[signal.Signals, Any] = {}
    if _may_handle():
        before = {number: signal.signal(number, signal.SIG_IGN) for number in SIGNALS}
    try:
        yield
    finally:
        _give_back(before)


def _may_handle() -> bool:
    return threading.current_thread() is threading.main_thread()


def _give_back(handlers: dict[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():  # None is one that was not set by Python
        signal.signal(number, signal.SIG_DFL if handler is None else handler)
