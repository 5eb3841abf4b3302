"""A contestant as the benchmark holds it: asked under deadlines, ended with all its children."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

BENCHMARKS = Path(__file__).parents[1]
ROOT = BENCHMARKS.parents[1]
CHILD = BENCHMARKS / "contest" / "child.py"

#: For imports, servers and virtual machines to start.
START_S = 180.0
GRACE_S = 20.0

#: What chooses another kernel of the linear algebra than its library would: some machines set it.
KERNELS = (
    *("OPENBLAS_CORETYPE", "NVPL_BLAS_DEBUG_CPU_TYPE", "BLIS_ARCH_TYPE", "MKL_DEBUG_CPU_TYPE"),
    *("MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR", "NPY_DISABLE_CPU_FEATURES"),
)

#: What limits the threads of the linear algebra of all contestants.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class Absent(Exception):
    """A contestant that cannot take part, or not any more, and why."""


@dataclass(frozen=True)
class Entry:
    """Who is to take part: the name in the tables, the module in ``peers``, its options.

    ``threads`` of its linear algebra; None leaves that to the library.
    """

    name: str
    peer: str
    options: Mapping[str, Any] = field(default_factory=dict)
    threads: int | None = 1


class Contestant:
    """A running process of an entry; raises Absent where it cannot start."""

    def __init__(self, entry: Entry, folder: Path) -> None:
        self.entry = entry
        place = folder / _file_name(entry.name)
        place.mkdir(parents=True, exist_ok=True)
        self._log, self._rest = place / "log", b""
        options = {**entry.options, "folder": str(place)}
        command = [sys.executable, str(CHILD), entry.peer, json.dumps(options)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=_environment(entry.threads),
                start_new_session=True,
            )
        try:
            self.kernels: list[str] = self._answer(START_S)["kernels"]
        except BaseException:
            self.close()
            raise

    def ask(self, request: Mapping[str, Any], deadline_s: float) -> dict[str, Any]:
        """Raises Absent if it fails, or does not answer within the deadline."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # its last words are read below
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        return self._answer(deadline_s)

    def close(self) -> None:
        """End it and everything that it started."""
        family = _descendants(self._process.pid)
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        if not self._ends():
            self._process.terminate()
            self._ends()
        for each in [*family, *_descendants(self._process.pid)]:
            with suppress(psutil.NoSuchProcess):
                each.kill()  # psutil makes sure that the id has not passed to somebody else
        self._process.kill()
        self._process.wait()

    def _ends(self) -> bool:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(GRACE_S)
        return self._process.returncode is not None

    def _answer(self, deadline_s: float) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._line(deadline_s))
        if "absent" in answer:
            raise Absent(f"{answer['absent']} (log: {self._log})")
        return answer

    def _line(self, deadline_s: float) -> bytes:
        assert self._process.stdout is not None
        output, end = self._process.stdout.fileno(), time.monotonic() + deadline_s
        while b"\n" not in self._rest:
            left = end - time.monotonic()
            if left <= 0 or not select.select([output], [], [], left)[0]:
                raise Absent(f"no answer within {deadline_s:.0f} s (log: {self._log})")
            part = os.read(output, 1 << 16)
            if not part:
                raise Absent(f"it ended without an answer (log: {self._log})")
            self._rest += part
        line, self._rest = self._rest.split(b"\n", 1)
        return line


@dataclass
class Field:
    """Contestants that run side by side; those that cannot are in ``absent``, with the reason.

    Of entries only those take part whose names begin as one of ``only``. ``kernels`` are those of
    their linear algebra, by name.
    """

    folder: Path
    only: tuple[str, ...] = ("",)
    absent: dict[str, str] = field(default_factory=dict)
    kernels: dict[str, list[str]] = field(default_factory=dict)

    @contextmanager
    def running(self, entries: Sequence[Entry]) -> Iterator[list[Contestant]]:
        """The contestants of ``entries`` that start; all are ended on leaving."""
        with ExitStack() as stack:
            started = []
            for entry in entries:
                if not entry.name.startswith(self.only):
                    continue
                try:
                    each = Contestant(entry, self.folder)
                except Absent as reason:
                    self.miss(entry, reason)
                    continue
                stack.callback(each.close)
                self.kernels[entry.name] = each.kernels
                started.append(each)
            yield started

    def asked(
        self, contestants: list[Contestant], request: Mapping[str, Any], deadline_s: float
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        """Ask one after another; one that fails leaves the list."""
        for each in list(contestants):
            try:
                answer = each.ask(request, deadline_s)
            except Absent as reason:
                self.miss(each.entry, reason)
                contestants.remove(each)
                each.close()
                continue
            yield each.entry.name, answer

    def miss(self, entry: Entry, reason: Absent) -> None:
        """Name one that is missing."""
        if entry.name not in self.absent:
            print(f"    {entry.name} does not take part: {reason}", flush=True)
        self.absent[entry.name] = str(reason)


def _descendants(pid: int) -> list[psutil.Process]:
    try:
        found: list[psutil.Process] = psutil.Process(pid).children(recursive=True)
        return found
    except psutil.NoSuchProcess:
        return []


def _environment(threads: int | None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in KERNELS}
    found = {**kept, "PYTHONPATH": f"{ROOT}{os.pathsep}{BENCHMARKS}"}
    found["RAY_USAGE_STATS_ENABLED"] = "0"
    if threads is not None:
        found |= dict.fromkeys(THREADS, str(threads))
    return found


def _file_name(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name)
