"""Commands without the second that Python takes to import what they need: they are forked.

A process that has imported all forks one that becomes ``python -m coordinator WORDS``, with
folder, environment and files of its own. Whatever a command needs before its first line (other
modules, preloaded libraries) is of no use here: such a one is started as users start it.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import IO, Any, NoReturn

#: Where psutil finds the command's own folder, as it does in the environment of a started one.
HOME = "PREPARED_HOME"
HOME_BYTES = 64

#: Bytes of a request, with its environment.
LONGEST = 1 << 17

#: Another thread may have heard what one waits for.
ASK_AGAIN_S = 0.02

_NEEDED = (
    "celery.app.events",
    "celery.backends.redis",
    "celery.loaders.app",
    "distbelief.app.optimizers.rules.adagrad",
    "distbelief.coordinator.cluster.joined",
    "distbelief.coordinator.commands.train",
    "distbelief.coordinator.report.collector",
    "distbelief.coordinator.training.course",
    "distbelief.coordinator.training.named",
    "distbelief.coordinator.views.panel",
    "distbelief.coordinator.views.progress",
    "distbelief.coordinator.views.targets",
    "kombu.transport.redis",
    "scipy.sparse",
)


@dataclass
class Forked:
    """A forked command, as subprocess.Popen is one."""

    pid: int
    prepared: Prepared
    returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self.prepared.ended(self.pid, 0.0)
        return self.returncode

    def wait(self, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        while self.poll() is None:
            left = deadline - time.monotonic()
            if left <= 0.0:
                raise subprocess.TimeoutExpired(f"forked command {self.pid}", timeout)
            self.returncode = self.prepared.ended(self.pid, left)
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it has ended just now
                os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


@dataclass
class Prepared:
    """The process that forks; started when the first command is asked for."""

    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    folder: Path = field(default_factory=Path.cwd)

    def __post_init__(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, "-m", __spec__.name, str(theirs.fileno())],
            env={**self.environment, HOME: "-" * HOME_BYTES},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        self._lock = Lock()
        self._codes: dict[int, int] = {}

    def serves(self, environment: dict[str, str]) -> bool:
        """Whether a command there, in the folder of now, is the same if it is forked."""
        names = {
            name
            for name, _ in self.environment.items() ^ environment.items()
            if not name.startswith(("DISTBELIEF_", "PYTEST_")) and name != "TMPDIR"
        }
        return not names and Path.cwd() == self.folder

    def start(
        self, words: list[str], environment: dict[str, str], out: IO[bytes], err: IO[bytes]
    ) -> Forked:
        request = json.dumps({"words": words, "environment": environment}).encode()
        with self._lock:
            socket.send_fds(self._socket, [request], [out.fileno(), err.fileno()])
            while "started" not in (told := self._hear()):
                pass  # another one has ended
        return Forked(told["started"], self)

    def ended(self, pid: int, timeout_s: float) -> int | None:
        """The exit code of a command; None if it does not end within the time."""
        deadline = time.monotonic() + timeout_s
        while True:
            with self._lock:  # others ask, too, while one waits
                while select.select([self._socket], [], [], 0.0)[0]:
                    self._hear()
                code = self._codes.get(pid)
            left = deadline - time.monotonic()
            if code is not None or left <= 0.0:
                return code
            select.select([self._socket], [], [], min(left, ASK_AGAIN_S))

    def close(self) -> None:
        self._socket.close()
        self._process.wait(30.0)

    def _hear(self) -> dict[str, Any]:
        said = self._socket.recv(LONGEST)
        assert said, "the process that forks commands has ended"
        told: dict[str, Any] = json.loads(said)
        if "ended" in told:
            self._codes[told["ended"]] = told["code"]
        return told


def _serve(line: socket.socket) -> dict[str, Any]:
    """Fork until the tests end; in a fork, return what it is to be, with its streams in place."""
    running: dict[int, int] = {}  # by the descriptors that tell of their ends
    while True:
        for ready in select.select([line.fileno(), *running], [], [])[0]:
            if ready in running:
                _tell_end(line, ready, running.pop(ready))
                continue
            request, streams, _, _ = socket.recv_fds(line, LONGEST, 2)
            if not request:
                sys.exit()
            pid = os.fork()
            if pid == 0:
                for number, stream in enumerate(streams, 1):
                    os.dup2(stream, number)
                line.close()
                os.closerange(3, max(*streams, *running, 3) + 1)
                wanted: dict[str, Any] = json.loads(request)
                return wanted
            for stream in streams:
                os.close(stream)
            running[os.pidfd_open(pid)] = pid
            line.send(json.dumps({"started": pid}).encode())


def _tell_end(line: socket.socket, descriptor: int, pid: int) -> None:
    os.close(descriptor)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    line.send(json.dumps({"ended": pid, "code": code}).encode())


def _become(request: dict[str, Any]) -> None:
    """Take over the words and the environment of a command, also where others look for that."""
    home = request["environment"]["TMPDIR"].encode()
    assert len(home) < HOME_BYTES, home
    library = ctypes.CDLL(None)
    library.getenv.restype = ctypes.c_void_p
    ctypes.memmove(library.getenv(HOME.encode()), home + bytes(1), len(home) + 1)
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = ["", *request["words"]]


def main() -> NoReturn:
    """Import, fork, and in each fork be the command."""
    line = socket.socket(fileno=int(sys.argv[1]))
    for name in _NEEDED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    _become(_serve(line))
    runpy.run_module("coordinator", run_name="__main__", alter_sys=True)
    sys.exit()


if __name__ == "__main__":
    main()
