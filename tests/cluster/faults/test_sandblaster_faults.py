"""Workers that are few, many, killed, slow, asleep or wrong: the same losses, bit for bit."""

from __future__ import annotations

import os
import re
import signal
import statistics
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from distbelief.app.client.servers import Servers
from distbelief.app.errors import ExitCode
from distbelief.app.layout.keys import CELERY_PREFIX
from distbelief.app.models.files import read_model
from distbelief.app.runs import events
from distbelief.app.settings.config import ClusterConfig, RunConfig
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.cluster.processes import Child, end
from distbelief.coordinator.problem.problem import prepare
from distbelief.coordinator.progress.callbacks import Callbacks
from distbelief.coordinator.progress.status import SandblasterStatus, Status
from distbelief.coordinator.sandblaster.batch import LOST_S
from distbelief.coordinator.training.training import train
from tests.cluster.fleets import busy, workers
from tests.cluster.processes import children_of, send

Start = Callable[..., Any]
Until = Callable[..., None]

DEADLINE_S = 300.0
FLOOR_S = 0.5
QUEUE = f"{CELERY_PREFIX}sandblaster"
PORTIONS = 24
#: A sum that any lost, doubled or reordered portion would change.
SETTINGS: dict[str, Any] = {
    "algorithm": "sandblaster",
    "model": "slowmodels:Sleepy",
    "l2": 1e-3,
    "portions": PORTIONS,
    "iterations": 8,
    "shards": 3,
    "block_numbers": 64,
    "evaluate_every": 1000,
    "backup_seconds": FLOOR_S,
}


@pytest.fixture(scope="module")
def three(fleet: LocalCluster) -> Iterator[list[Child]]:
    with workers(fleet, "first", "second", "third") as started:
        yield started


@dataclass(frozen=True)
class Done:
    """What a training left: its iterations with the time of each, and what it said."""

    run: str
    parameters: bytes
    iterations: list[tuple[int, dict[str, Any]]]
    summary: str

    @property
    def losses(self) -> list[float]:
        return [told["loss"] for _, told in self.iterations]

    @property
    def seconds_of_iterations(self) -> list[float]:
        """By the control server's clock."""
        return [(later - earlier) / 1000 for (earlier, _), (later, _) in pairwise(self.iterations)]

    @property
    def tally(self) -> dict[str, int]:
        found = re.search(r"sent (\d+), won (\d+), wasted (\d+); retries (\d+)", self.summary)
        assert found
        return dict(
            zip(("sent", "won", "wasted", "retries"), map(int, found.groups()), strict=True)
        )


Run = Callable[..., Done]


@pytest.fixture(scope="module")
def run(fleet: LocalCluster, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Train in this process; ``on_status`` is told each status, and may do something about it."""
    endpoints = fleet.endpoints
    cluster = ClusterConfig(
        broker=endpoints.broker,
        parameter_servers=endpoints.parameter_servers,
        folder=str(tmp_path_factory.mktemp("runs")),
        wait_seconds=DEADLINE_S,
    )

    def training(on_status: Callable[[Any], None] = lambda status: None, **settings: Any) -> Done:
        problem = prepare(RunConfig(**{**SETTINGS, **settings}), 2)
        outcome = train(problem, cluster, Callbacks(lambda text: None, on_status))
        control = Servers([endpoints.broker])
        told = [(ms, t) for ms, kind, t in events.read(control, outcome.run) if kind == "iteration"]
        control.close()
        parameters = read_model(outcome.model_file).parameters.tobytes()
        return Done(outcome.run, parameters, told, "\n".join(outcome.details))

    return training


@pytest.fixture(scope="module")
def undisturbed(fleet: LocalCluster, run: Run) -> Done:
    """One process, nothing happens."""
    with workers(fleet, "alone"):
        return run()


def assert_same(one: Done, other: Done) -> None:
    assert one.losses == other.losses
    assert one.parameters == other.parameters


# --- the number of workers, and their death


def test_one_process_counts_every_portion_without_any_backup(undisturbed: Done) -> None:
    assert len(undisturbed.losses) == 9
    assert all(after < before for before, after in pairwise(undisturbed.losses))
    assert undisturbed.tally["retries"] == 0


def test_three_workers_give_the_losses_of_one(
    undisturbed: Done, three: list[Child], run: Run
) -> None:
    assert_same(run(), undisturbed)


def test_backups_change_no_bit(
    undisturbed: Done, three: list[Child], run: Run, tmp_path: Path
) -> None:
    """Every portion of one process takes six times as long as a backup has to wait."""
    options = {"folder": str(tmp_path), "seconds": 0.3}
    straggling = run(model="slowmodels:Straggling", model_options=options, backup_seconds=0.05)
    assert straggling.tally["sent"] > 0
    assert straggling.tally["won"] > 0
    assert_same(straggling, undisturbed)


def test_workers_that_are_killed_change_no_bit(
    undisturbed: Done, fleet: LocalCluster, three: list[Child], run: Run
) -> None:
    """Two processes of the pool and a whole worker, each in the middle of an evaluation."""
    doomed = fleet.start_worker(1, "doomed")
    fleet.children.remove(doomed)
    killed: list[int] = []

    def kill(status: Any) -> None:
        victims = [*three[:2], doomed]
        turn = len(killed)
        if turn < 3 and status.iteration > 2 * turn and 0 < status.portions_done < PORTIONS / 2:
            main = victims[turn].process.pid
            pool = children_of(main)
            if turn == 2:
                os.killpg(main, signal.SIGKILL)
            elif pool:
                send(pool[0])
            else:
                return  # the last one is just being replaced
            killed.append(turn)

    disturbed = run(on_status=kill, model_options={"seconds": 0.02})
    end([doomed], 0.0)
    assert killed == [0, 1, 2]
    assert_same(disturbed, undisturbed)


def test_messages_and_offers_that_the_server_loses_cost_seconds_and_change_no_bit(
    undisturbed: Done, three: list[Child], control: Servers, run: Run
) -> None:
    """Without backups, which would send them again anyway."""
    lost: list[int] = []

    def lose(status: Any) -> None:
        if status.iteration >= 2 and not lost:
            offers = control.one("KEYS", "dist:run:*:offers:*")
            control.one("DEL", QUEUE)
            if offers and control.one("DEL", *offers):
                lost.append(status.iteration + 1)

    disturbed = run(on_status=lose, backup_seconds=1000.0, model_options={"seconds": 0.05})
    assert disturbed.tally["sent"] == 0
    assert disturbed.tally["retries"] > 0
    assert_same(disturbed, undisturbed)
    seconds = disturbed.seconds_of_iterations[lost[0] - 1]
    print(f"iteration {lost[0]}, which lost messages, took {seconds:.1f} s")
    assert seconds < LOST_S / 4


# --- a worker that falls asleep


class Sleeper:
    """Stops a worker in the middle of a portion, and lets it go on some iterations later."""

    def __init__(self, worker: Child, folder: Path) -> None:
        self._worker = worker
        self._folder = folder
        self.stopped_in: int | None = None
        self.woken_in: int | None = None

    def __call__(self, status: Status) -> None:
        assert isinstance(status, SandblasterStatus)
        iteration, done = status.iteration, status.portions_done
        if self.stopped_in is None:
            if iteration >= 3 and done >= PORTIONS / 3 and busy(self._worker, self._folder):
                os.killpg(self._worker.process.pid, signal.SIGSTOP)
                if busy(self._worker, self._folder):
                    self.stopped_in = iteration + 1
                else:  # it had just finished
                    os.killpg(self._worker.process.pid, signal.SIGCONT)
        elif self.woken_in is None and iteration >= self.stopped_in + 1 and done:
            os.killpg(self._worker.process.pid, signal.SIGCONT)
            self.woken_in = iteration + 1


def test_a_worker_asleep_delays_an_evaluation_by_little_and_its_late_answer_changes_nothing(
    undisturbed: Done, three: list[Child], run: Run, tmp_path: Path, until: Until
) -> None:
    """Portions sleep 0.1 s, so that their time does not depend on how busy the machine is."""
    sleeper = Sleeper(three[2], tmp_path)
    log = three[2].log
    before = log.read_text().count("'fenced'")
    done = run(on_status=sleeper, model_options={"seconds": 0.1, "folder": str(tmp_path)})
    assert sleeper.stopped_in is not None
    assert sleeper.woken_in is not None
    assert sleeper.stopped_in < sleeper.woken_in < 8

    seconds = [
        whole / told["evaluations"]
        for whole, (_, told) in zip(done.seconds_of_iterations, done.iterations[1:], strict=True)
    ]
    usual = statistics.median(seconds[1 : sleeper.stopped_in - 1])
    assert usual > PORTIONS / 3 * 0.1
    assert seconds[sleeper.stopped_in - 1] <= 2 * usual + 2 * FLOOR_S

    assert_same(done, undisturbed)
    # It finished its portion of an evaluation long over, and was told so.
    until(lambda: log.read_text().count("'fenced'") > before, "the late answer", 20.0)


# --- models that are wrong


def test_a_model_that_fails_ends_the_run_with_its_traceback_and_the_portion(
    fleet: LocalCluster, three: list[Child], command: Start
) -> None:
    words = ("--algorithm=sandblaster", "--model=usermodels:Failing", "--unit-attempts=2")
    training = command("train", *words, endpoints=fleet.endpoints)
    assert training.ends() == ExitCode.WORK_FAILED
    assert re.search(r"^error: portion \d+ failed 2 times: on ", training.err, re.MULTILINE)
    assert training.err.count("Traceback") == 1
    assert training.err.count("ArithmeticError: my own mistake") == 1
