"""One run under fire: its coordinator, which is killed and resumed, and what it said."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from distbelief.app.errors import ExitCode
from distbelief.app.runs.snapshot import RunState
from distbelief.coordinator.cluster.endpoints import Endpoints
from distbelief.coordinator.runs import journal

DEADLINE_S = 240.0

#: Checks before a training fail on servers that are just being hurt; a person would start
#: the command again.
MOST_REFUSALS = 8
CUT_OFF = (-signal.SIGKILL, -signal.SIGTERM, ExitCode.INTERRUPTED, ExitCode.GO_ON)
REFUSALS = {ExitCode.UNREACHABLE, ExitCode.SELF_TEST, ExitCode.SERVER, ExitCode.NO_WORKERS}

TAIL_LINES = 25

PROGRESS = re.compile(r"^pass .*updates (\S+)|^iteration (\d+).*evaluations (\d+).*portions (\d+)")
SENT_AGAIN = re.compile(r"(?:sent again|retries|backups) (\d+)")
LOST = re.compile(r"(\d+) (?:iterations |updates? )?were lost")
BEGAN_AGAIN = "had come to no checkpoint: it begins again"
OLDER = re.compile(r"^shard \d+ on \S+ came back with older data", re.MULTILINE)


@dataclass(frozen=True)
class Work:
    """What a trial trains: the words of its command line."""

    name: str
    algorithm: str
    words: Sequence[object]


@dataclass(frozen=True)
class Process:
    """A coordinator; ``err`` and ``out`` is what it has printed so far."""

    popen: subprocess.Popen[bytes]
    path: Path

    @property
    def out(self) -> str:
        return self.path.with_suffix(".out").read_text()

    @property
    def err(self) -> str:
        return self.path.with_suffix(".err").read_text()

    @property
    def sent_again(self) -> int:
        """Units, portions and backups that it sent again."""
        lines = [line for line in self.err.splitlines() if PROGRESS.search(line)]
        return sum(map(int, SENT_AGAIN.findall(lines[-1]))) if lines else 0


@dataclass
class Trial:
    """A run from its first process to its end; :meth:`advance` takes it on.

    ``failure`` is why it ended badly; ``refusals`` are processes that found the cluster unfit.
    """

    work: Work
    place: Endpoints
    folder: Path
    processes: list[Process] = field(default_factory=list)
    failure: str = ""
    done: bool = False
    resumes: int = 0
    refusals: list[str] = field(default_factory=list)
    longest_silence_s: float = 0.0
    _began: float = field(default_factory=time.monotonic)
    _progressed: float = field(default_factory=time.monotonic)
    _seen: tuple[str, ...] = ()
    _hurt: bool = False
    _refused: int = 0
    _next_at: float = 0.0
    _pause_s: float = 0.0
    _ended: float | None = None

    @property
    def alive(self) -> bool:
        return bool(self.processes) and self.processes[-1].popen.poll() is None

    @property
    def seconds(self) -> float:
        return (self._ended or time.monotonic()) - self._began

    @property
    def said(self) -> str:
        """All that its coordinators have reported, one after another."""
        return "".join(each.err for each in self.processes)

    @property
    def out(self) -> str:
        """The summary of the last one."""
        return self.processes[-1].out

    @property
    def made_again(self) -> int:
        """Updates and iterations that were lost on the way."""
        return sum(map(int, LOST.findall(self.said)))

    @property
    def older(self) -> int:
        """Shards that came back with older data, and were noticed."""
        return len(OLDER.findall(self.said))

    @property
    def losses(self) -> dict[int, float]:
        """The loss at each iteration of Sandblaster, as the journal has it."""
        events = journal.read(self.model.with_name("events.jsonl"))
        told = [event.fields for event in events if event.kind == "iteration"]
        return {fields["iteration"]: fields["loss"] for fields in told}

    @property
    def model(self) -> Path:
        """The trained model."""
        return self._runs / (self.run or "") / "model.safetensors"

    @property
    def run(self) -> str | None:
        """The run's id, once there is something to resume."""
        found = sorted(self._runs.glob("*/run.json"))
        return found[-1].parent.name if found else None

    def advance(self) -> None:
        """Look how it stands; a coordinator that was ended comes back."""
        self._watch()
        if self.alive:
            if self.seconds > DEADLINE_S:
                self.fail(f"no end within {DEADLINE_S:g} s")
        elif not self.processes:
            self._start()
        elif self._next_at == 0.0:
            self._judge_end(self.processes[-1].popen.returncode)
            self._next_at = time.monotonic() + self._pause_s
        elif time.monotonic() >= self._next_at:
            self._next_at = 0.0
            self._start()

    def kill(self, pause_s: float) -> bool:
        """Kill the coordinator, if it lives; another comes after ``pause_s``."""
        return self._signal(signal.SIGKILL, pause_s)

    def terminate(self, pause_s: float) -> bool:
        """Ask the coordinator to stop, if it lives and was not asked before."""
        return not self._hurt and self._signal(signal.SIGTERM, pause_s)

    def close(self) -> None:
        """End what is left of it."""
        self._ended = time.monotonic()
        if self.alive:
            self.processes[-1].popen.kill()
            self.processes[-1].popen.wait()

    def fail(self, why: str) -> None:
        lines = [line for each in self.processes[-2:] for line in (each.err + each.out).split("\n")]
        tail = "\n".join(f"    {line}" for line in lines[-TAIL_LINES:])
        self.failure = f"{self.work.name} {self.run}: {why}\n{tail}"
        self.done = True

    @property
    def _runs(self) -> Path:
        return self.folder / "runs"

    @property
    def began_again(self) -> int:
        """How often it was killed before there was anything to go on with."""
        return sum(BEGAN_AGAIN in each.err for each in self.processes)

    def _signal(self, number: signal.Signals, pause_s: float) -> bool:
        if not self.alive:
            return False
        self._pause_s = pause_s
        self.processes[-1].popen.send_signal(number)
        self._hurt = True
        return True

    def _start(self) -> None:
        run = self.run
        if run is None:
            app = self.place.celery_app
            messages = ["--broker", self.place.broker] if app is None else ["--celery-app", app]
            command = ["train", *self.work.words, *messages]
            command += ["--parameter-servers", ",".join(self.place.parameter_servers)]
        else:
            command = ["resume", run]
            self.resumes += 1
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"process{len(self.processes)}"
        words = [*command, "--folder", self._runs, "--wait-seconds", 60]
        with path.with_suffix(".out").open("wb") as out, path.with_suffix(".err").open("wb") as err:
            popen = subprocess.Popen(
                [sys.executable, "-m", "coordinator", *map(str, words)],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,  # Ctrl-C is for us
            )
        self.processes.append(Process(popen, path))
        self._hurt = False

    def _judge_end(self, code: int) -> None:
        """Whether the run is over, or is to be resumed."""
        if code == ExitCode.OK or (code == ExitCode.USAGE and self._finished()):
            self.done = True  # the second: killed between the end and the last words
        elif self._hurt and code in (
            -signal.SIGKILL,
            -signal.SIGTERM,
            ExitCode.INTERRUPTED,
            ExitCode.GO_ON,
        ):
            self._refused = 0
        elif code in REFUSALS and not self._announced() and self._refused < MOST_REFUSALS:
            self._refused += 1
            self.refusals.append(self.processes[-1].err.strip().rpartition("\n")[2])
        else:
            self.fail(f"exit code {code}")

    def _announced(self) -> bool:
        return re.search("^run ", self.processes[-1].err, re.MULTILINE) is not None

    def _finished(self) -> bool:
        if self.run is None:
            return False
        written = json.loads((self._runs / self.run / "run.json").read_text())
        return bool(written["outcome"].get("state") == RunState.FINISHED)

    def _watch(self) -> None:
        """Note how long nothing has moved."""
        lines = self.processes[-1].err.splitlines() if self.processes else []
        found = [match for line in lines if (match := PROGRESS.search(line))]
        now = time.monotonic()
        if found and found[-1].groups("") != self._seen:
            self._seen, self._progressed = found[-1].groups(""), now
        self.longest_silence_s = max(self.longest_silence_s, now - self._progressed)
