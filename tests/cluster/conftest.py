"""Real servers, real Celery workers, real command lines; every wait has a deadline."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any

import psutil
import pytest
import threadpoolctl

from distbelief.app.client.servers import Servers
from distbelief.app.models.files import SavedModel, read_model
from distbelief.app.optimizers.registry import shard_rule
from distbelief.app.runs import events
from distbelief.app.settings.config import ClusterConfig, RunConfig
from distbelief.app.store.contract.parameters import ShardCounts
from distbelief.app.store.redis.parameters import RedisParameterStore
from distbelief.coordinator.cluster.endpoints import Endpoints
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.problem.problem import Problem, prepare
from distbelief.coordinator.progress.callbacks import Callbacks
from distbelief.coordinator.progress.outcome import Outcome
from distbelief.coordinator.training.training import train
from tests.cluster.installations import build
from tests.cluster.prepared import Forked, Prepared
from tests.cluster.processes import send
from tests.once import made_once

REPOSITORY = Path(__file__).parents[2]
DEADLINE_S = 300.0
POLL_S = 0.02

Until = Callable[..., None]
Start = Callable[..., "Command"]


def _until(condition: Callable[[], Any], what: str, timeout_s: float = DEADLINE_S) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s:g} s"
        time.sleep(POLL_S)


@pytest.fixture(scope="session")
def until() -> Until:
    """Wait until a condition holds: ``until(condition, "what is awaited", timeout_s)``."""
    return _until


@pytest.fixture(scope="session", autouse=True)
def _environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A data cache of our own, no servers of the developer's, and user models to import."""
    with pytest.MonkeyPatch.context() as patch, threadpoolctl.threadpool_limits(1):
        patch.setenv("DISTBELIEF_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        patch.chdir(REPOSITORY)
        for variable in ("BROKER", "PARAMETER_SERVERS", "ALLOWED_IMPORTS"):
            patch.delenv(f"DISTBELIEF_{variable}", raising=False)
        yield
    if _prepared.cache_info().currsize:
        _prepared().close()


@cache
def _prepared() -> Prepared:
    """What forks commands, for all tests of this process."""
    return Prepared()


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """Servers and a worker of two processes that no training starts or ends."""
    folder = tmp_path_factory.mktemp("shared")
    with LocalCluster(servers=2, processes=2, folder=folder, wait_s=DEADLINE_S) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """Servers without any worker."""
    folder = tmp_path_factory.mktemp("bare")
    with LocalCluster(servers=2, processes=0, folder=folder, wait_s=DEADLINE_S) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """Servers for workers that tests start; those may import the models of these tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISTBELIEF_ALLOWED_IMPORTS", "slowmodels,usermodels")
        patch.syspath_prepend(str(Path(__file__).parent))
        folder = tmp_path_factory.mktemp("fleet")
        with LocalCluster(servers=2, processes=0, folder=folder, wait_s=DEADLINE_S) as cluster:
            yield cluster


@pytest.fixture
def control(fleet: LocalCluster) -> Iterator[Servers]:
    """The control server of ``fleet``."""
    servers = Servers([fleet.endpoints.broker])
    yield servers
    servers.close()


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the archive of the sources, and the wheel that was built from it alone."""
    return made_once(tmp_path_factory, "built", build)


@dataclass(frozen=True)
class Trained:
    """What a training in this process left."""

    problem: Problem
    outcome: Outcome
    saved: SavedModel
    events: list[tuple[str, dict[str, Any]]]
    counts: list[ShardCounts]

    @property
    def clocks(self) -> set[tuple[int, int]]:
        """(applied, refused) of the shards: one pair if they agree."""
        return {(count.applied, count.refused) for count in self.counts}

    @property
    def units(self) -> list[dict[str, Any]]:
        """Reports of the units, in the order of their end."""
        return [told for kind, told in self.events if kind == "unit"]

    @property
    def steps(self) -> int:
        return sum(unit["steps"] for unit in self.units)


@pytest.fixture
def train_shared(shared: LocalCluster, tmp_path: Path) -> Callable[..., Trained]:
    """Train in this process with the workers of ``shared``."""
    endpoints = shared.endpoints
    cluster = ClusterConfig(
        broker=endpoints.broker,
        parameter_servers=endpoints.parameter_servers,
        folder=str(tmp_path),
        wait_seconds=DEADLINE_S,
    )

    def train_with(**settings: Any) -> Trained:
        exact = {"n_push": 1, "n_fetch": 1}  # tests count the pushes, and compare to the bit
        problem = prepare(RunConfig(**exact | settings), len(endpoints.parameter_servers))
        outcome = train(problem, cluster, Callbacks(lambda text: None, lambda status: None))
        control, servers = Servers([endpoints.broker]), Servers(endpoints.parameter_servers)
        told = [(kind, told) for _, kind, told in events.read(control, outcome.run)]
        rule = shard_rule(problem.config)
        counts = RedisParameterStore(servers, outcome.run, problem.layout, rule, fence=0).counts()
        control.close()
        servers.close()
        return Trained(problem, outcome, read_model(outcome.model_file), told, counts)

    return train_with


@dataclass
class Command:
    """``python -m coordinator`` in a process of its own, and all that it starts."""

    process: subprocess.Popen[bytes] | Forked
    folder: Path
    home: Path

    @property
    def out(self) -> str:
        return (self.folder / "out").read_text()

    @property
    def err(self) -> str:
        return (self.folder / "err").read_text()

    @property
    def model(self) -> Path:
        """The model that it says it has written."""
        return Path(self.out.rpartition("model: ")[2].strip())

    @property
    def run(self) -> str:
        """The run's id, once it has been announced."""

        def announced() -> tuple[str, str, str]:
            return f"\n{self.err}".partition("\nrun ")[2].partition(":")

        _until(lambda: announced()[1] or self.process.poll() is not None, "a run")
        name, found, _ = announced()
        assert found, self.err
        return name

    def says(self, words: str) -> None:
        """Wait until ``words`` appear in what it reports."""
        _until(lambda: words in self.err or self.process.poll() is not None, f"{words!r}")
        assert words in self.err, self.err

    def ends(self, timeout_s: float = DEADLINE_S) -> int:
        """Wait for its end; its exit code."""
        return self.process.wait(timeout_s)

    def alive(self) -> list[psutil.Process]:
        """Processes of this command and of what it started, whoever their parent is.

        They have a temporary folder of their own in the environment; a Redis server has
        it in its title.
        """
        return [each for each in psutil.process_iter() if self._is_ours(each)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return False
            words = [*process.environ().values(), *process.cmdline()]
        except psutil.Error:
            return False  # it has just ended, or belongs to somebody else
        return any(str(self.home) in word for word in words)


def _start(
    words: list[str], environment: dict[str, str], out: IO[bytes], err: IO[bytes]
) -> subprocess.Popen[bytes] | Forked:
    """``python -m coordinator WORDS``: forked if that is the same, and else as users start it."""
    if _prepared().serves(environment):
        return _prepared().start(words, environment, out, err)
    return subprocess.Popen(
        [sys.executable, "-m", "coordinator", *words],
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        env=environment,
    )


@contextmanager
def commands(folder: Path) -> Iterator[Start]:
    """Start commands; whatever is left of them at the end is killed."""
    started: list[Command] = []

    def start(
        *words: object,
        endpoints: Endpoints | None = None,
        environment: dict[str, str] | None = None,
    ) -> Command:
        own = folder / f"command{len(started)}"
        own.mkdir()
        arguments = [str(word) for word in words]
        if words[0] == "train":
            arguments += ["--folder", str(folder / "runs")]
        if endpoints is not None:
            arguments += ["--broker", endpoints.broker]
            arguments += ["--parameter-servers", ",".join(endpoints.parameter_servers)]
        home = Path(tempfile.mkdtemp(prefix="dbt-"))  # short: sockets lie in it
        variables = {**os.environ, "TMPDIR": str(home), **(environment or {})}
        with (own / "out").open("wb") as out, (own / "err").open("wb") as err:
            process = _start(arguments, variables, out, err)
        started.append(Command(process, own, home))
        return started[-1]

    yield start
    for each in started:
        for process in each.alive():
            send(process)
        each.process.wait(DEADLINE_S)
        shutil.rmtree(each.home, ignore_errors=True)


@pytest.fixture
def command(tmp_path: Path) -> Iterator[Start]:
    """Start ``python -m coordinator WORDS``, on the servers of ``endpoints`` if there is one.

    The runs of ``train`` go to tmp_path/runs.
    """
    with commands(tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def module_command(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """As ``command``, for a module's tests together."""
    with commands(tmp_path_factory.mktemp("commands")) as start:
        yield start
