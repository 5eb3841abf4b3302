"""Child processes of an embedded cluster: started with a log, ended for certain."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue

from distbelief.app.errors import ServerError
from distbelief.coordinator.cluster import child

LOG_TAIL_LINES = 15

#: The thread that starts children has nothing else to do: it ends at once.
END_S = 5.0


@dataclass(frozen=True)
class Child:
    """A process in a session of its own, so that Ctrl-C reaches only the coordinator."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    command: tuple[str, ...]
    environment: Mapping[str, str]
    started: float

    @classmethod
    def start(
        cls, name: str, command: Sequence[str], folder: Path, environment: Mapping[str, str]
    ) -> Child:
        """Start ``command``; what it prints goes to ``folder/name.log``."""
        log = folder / f"{name}.log"
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-S", child.__file__, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                start_new_session=True,
            )
        return cls(name, process, log, tuple(command), environment, time.monotonic())

    def again(self) -> Child:
        """Start the command once more, after its end."""
        with contextlib.suppress(ProcessLookupError):  # children of the child may be left
            os.killpg(self.process.pid, signal.SIGKILL)
        return self.start(self.name, self.command, self.log.parent, self.environment)

    @property
    def age_s(self) -> float:
        return time.monotonic() - self.started

    @property
    def was_killed(self) -> bool:
        """Whether somebody has ended the process, for no fault of its own."""
        return self.process.poll() == -signal.SIGKILL

    def check(self) -> None:
        """Raise ServerError, with the end of its log, if the process is gone."""
        if self.process.poll() is not None:
            raise self.failure()

    def failure(self) -> ServerError:
        """The error for a process that is gone, with the end of its log."""
        lines = self.log.read_text(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        return ServerError(
            f"{self.name} ended with exit code {self.process.poll()}; its log {self.log} ends "
            "with:\n" + "\n".join(f"    {line}" for line in lines)
        )


class Starter:
    """Starts children on a thread of its own, which lasts until it is closed.

    To the kernel, which ends the children of a dead parent, the parent is the thread that
    started them: with one that serves a request or a pool they would end in the middle of
    their work.
    """

    def __init__(self) -> None:
        self._asked: SimpleQueue[tuple[Callable[[], Child], Future[Child]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="starter", daemon=True)
        self._thread.start()

    def start(self, make: Callable[[], Child]) -> Child:
        """Call ``make`` on that thread; returns or raises what it does."""
        answer: Future[Child] = Future()
        self._asked.put((make, answer))
        return answer.result()

    def close(self) -> None:
        """End the thread, and with it, on Linux, all children that are left."""
        self._asked.put(None)
        self._thread.join(END_S)

    def _serve(self) -> None:
        while (asked := self._asked.get()) is not None:
            make, answer = asked
            try:
                answer.set_result(make())
            except Exception as error:  # noqa: BLE001  (raised where it was asked for)
                answer.set_exception(error)


def end(children: Sequence[Child], grace_s: float) -> None:
    """Ask all to end, and kill the whole group of each that does not within ``grace_s``."""
    for each in children:
        _signal(each, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    for each in children:
        with contextlib.suppress(subprocess.TimeoutExpired):
            each.process.wait(max(0.0, deadline - time.monotonic()))
        # Also after a clean end: children of the child may be left.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(each.process.pid, signal.SIGKILL)
        each.process.wait()


def _signal(each: Child, number: signal.Signals) -> None:
    if each.process.poll() is None:
        each.process.send_signal(number)


def import_path() -> str:
    """The import path of this process and of its environment: its children find the same modules.

    They are started with ``-P``: not from this folder, where a module of the user's may have the
    name of one that they need.
    """
    here = str(Path.cwd())
    said = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return os.pathsep.join([*filter(None, said), *(entry or here for entry in sys.path), here])
