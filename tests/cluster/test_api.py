"""Training from a program: in scripts, threads, services and notebooks."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from scipy.sparse import csr_array
from sklearn.datasets import load_digits

from distbelief import LocalCluster, Result, TrainedModel, train
from distbelief.app.client.servers import Servers
from distbelief.app.errors import WorkFailed
from distbelief.app.runs.snapshot import RunState
from distbelief.coordinator.cluster.endpoints import Endpoints
from distbelief.coordinator.progress.events import Event
from distbelief.coordinator.progress.outcome import EndReason
from distbelief.coordinator.runs import journal
from distbelief.coordinator.runs.folder import RunFolder

X, Y = load_digits(return_X_y=True)
X = X / 16
NAMES = np.array(["nought", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])

Train = Callable[..., Result]


@pytest.fixture
def train_here(shared: LocalCluster, tmp_path: Path) -> Train:
    """Train a softmax regression for a moment, on servers and workers that are there."""
    moment = {"model": "softmax", "passes": 3, "folder": str(tmp_path)}
    return lambda **more: train(**{"cluster": shared, "data": (X, Y), **moment, **more})


def keys(endpoints: Endpoints) -> set[bytes]:
    """All keys on the servers but Celery's."""
    found: set[bytes] = set()
    for url in (endpoints.broker, *endpoints.parameter_servers):
        servers = Servers([url])
        found |= {key for key in servers.one("KEYS", "*") if not key.startswith(b"dist:celery")}
        servers.close()
    return found


@pytest.mark.parametrize("algorithm", ["downpour", "sandblaster"])
def test_arrays_become_a_model(train_here: Train, tmp_path: Path, algorithm: str) -> None:
    result = train_here(data=(X, NAMES[Y]), algorithm=algorithm, iterations=10)
    assert result.reason in (EndReason.PASSES, EndReason.ITERATIONS)
    right = result.model.predict(X) == NAMES[Y]
    assert right.mean() > 0.85
    likely = np.asarray(result.model.classes)[result.model.predict_proba(X).argmax(axis=1)]
    assert np.array_equal(likely, result.model.predict(X))
    again = TrainedModel.load(result.model_file)
    assert np.array_equal(again.parameters["weights"], result.model.parameters["weights"])
    assert result.heldout is not None
    assert result.evaluations[-1]["passes"] == (3 if algorithm == "downpour" else 10)
    assert max(each["accuracy"] for each in result.evaluations) >= result.heldout["accuracy"]


def test_the_history_is_what_callbacks_heard_and_what_the_folder_holds(
    train_here: Train, tmp_path: Path
) -> None:
    heard: list[Event] = []
    moments: list[float] = []
    said: list[str] = []
    result = train_here(
        on_event=heard.append,
        on_status=lambda status: moments.append(status.seconds),
        say=said.append,
    )
    assert list(result.history) == heard
    assert {"start", "unit", "evaluation"} <= {event.kind for event in heard}
    written = journal.read(tmp_path / result.run / "events.jsonl")
    assert [event.kind for event in written] == [event.kind for event in heard]
    assert moments == sorted(moments) != []
    assert any(line.startswith(f"run {result.run}: softmax with 650") for line in said)
    spent = result.timings
    assert min(spent.data, spent.start, spent.training, spent.end) >= 0
    assert spent.training <= spent.total


@pytest.mark.parametrize("algorithm", ["downpour", "sandblaster"])
def test_nothing_of_a_run_stays_on_a_cluster_that_goes_on(
    shared: LocalCluster, train_here: Train, algorithm: str
) -> None:
    before = keys(shared.endpoints)
    train_here(algorithm=algorithm, iterations=3)
    assert keys(shared.endpoints) == before


def test_arrays_are_gone_when_the_training_is_over(train_here: Train) -> None:
    there: list[bool] = []
    folder = Path(os.environ["DISTBELIEF_CACHE"])
    result = train_here(on_event=lambda _: there.append(any(folder.glob("arrays-*/data"))))
    assert set(there) == {True}
    assert not list(folder.glob("arrays-*"))
    assert result.model.saved.facts["config"]["data"].startswith("arrays:")


def test_sparse_arrays_and_heldout_ones_of_their_own(train_here: Train) -> None:
    result = train_here(data=(csr_array(X[:1500]), Y[:1500]), holdout_data=(csr_array(X), Y))
    assert result.heldout is not None
    right = result.model.predict(X) == Y
    assert result.heldout["accuracy"] == pytest.approx(right.mean(), abs=0.002)


def test_trainings_run_in_threads_several_at_once(train_here: Train) -> None:
    with ThreadPoolExecutor(3) as pool:
        seeds = [pool.submit(train_here, seed=seed) for seed in range(3)]
        results = [future.result(100) for future in seeds]
    assert len({result.run for result in results}) == 3
    assert all(result.heldout and result.heldout["accuracy"] > 0.8 for result in results)


def test_trainings_run_beside_an_event_loop(train_here: Train) -> None:
    async def cell() -> list[Result]:
        """What a notebook does, and what a service does."""
        return [train_here(), await asyncio.to_thread(train_here)]

    assert [result.reason for result in asyncio.run(cell())] == [EndReason.PASSES] * 2


def test_a_training_stops_when_its_program_wants_it_to(train_here: Train) -> None:
    enough = threading.Event()
    result = train_here(
        passes=10_000, on_event=lambda event: enough.set(), should_stop=enough.is_set
    )
    assert result.reason is EndReason.INTERRUPTED
    assert result.checkpoint is not None
    assert result.model.predict(X).shape == (len(X),)


def test_what_a_callback_raises_ends_the_training_and_nothing_else(
    shared: LocalCluster, train_here: Train, tmp_path: Path
) -> None:
    before = keys(shared.endpoints)

    def fail(event: Event) -> None:
        if event.kind == "unit":
            raise ZeroDivisionError("ours")

    with pytest.raises(ZeroDivisionError, match="ours"):
        train_here(on_event=fail, passes=10_000, unit_steps=8)
    (run,) = tmp_path.iterdir()
    assert {"state": RunState.FAILED, "error": "ours"}.items() <= RunFolder(run).outcome().items()
    assert keys(shared.endpoints) == before
    assert train_here().reason is EndReason.PASSES


def test_what_a_callback_raises_ends_embedded_servers_and_workers(train_here: Train) -> None:
    others = set(psutil.Process().children(recursive=True))  # of the tests' own clusters
    ours: set[psutil.Process] = set()

    def fail(event: Event) -> None:
        ours.update(set(psutil.Process().children(recursive=True)) - others)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train_here(cluster=None, on_event=fail)
    assert len(ours) >= 1 + 2 + 1  # control server, parameter servers, worker
    _, alive = psutil.wait_procs(ours, timeout=10)
    assert alive == []


def test_an_error_of_the_workers_is_raised_here(train_here: Train) -> None:
    def lose(event: Event) -> None:
        for data in Path(os.environ["DISTBELIEF_CACHE"]).glob("arrays-*/data/meta.json"):
            data.unlink()

    with pytest.raises(WorkFailed, match="the arrays of this training are not here"):
        train_here(on_event=lose, unit_attempts=1, passes=10_000)


def test_a_cluster_outlives_the_thread_that_started_it(tmp_path: Path) -> None:
    # To the kernel the thread is the parent, whose death its children do not survive.
    with ThreadPoolExecutor(1) as pool:
        cluster = pool.submit(LocalCluster(servers=1, processes=1).start).result(60)
    try:
        result = train(
            data=(X, Y), cluster=cluster, passes=1, folder=str(tmp_path), wait_seconds=60
        )
        assert result.reason is EndReason.PASSES
        assert [child.process.poll() for child in cluster.children] == [None] * 3
    finally:
        cluster.close()


SCRIPT = """
from distbelief import LocalCluster, train

with LocalCluster() as cluster:
    results = [train(cluster=cluster, model="softmax", passes=2, seed=seed) for seed in (1, 2)]
assert [result.heldout["accuracy"] > 0.7 for result in results] == [True, True]
"""


def test_a_script_needs_no_main_and_prints_nothing(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": os.getcwd(), "TMPDIR": str(tmp_path)}
    run = partial(subprocess.run, capture_output=True, text=True, cwd=tmp_path, env=environment)
    ended: Any = run([sys.executable, "script.py"], timeout=100)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    assert not list(tmp_path.glob("distbelief-*"))


LATE = """
from distbelief.app.models.linear import SoftmaxRegression


class Late(SoftmaxRegression):
    pass
"""


def test_workers_that_run_already_learn_of_a_module_that_comes_later(
    train_here: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_here(passes=1)  # so the workers look for modules no more
    (tmp_path / "latemodels.py").write_text(LATE)
    monkeypatch.syspath_prepend(str(tmp_path))
    result = train_here(model="latemodels:Late", passes=1)
    assert result.reason is EndReason.PASSES
    assert "latemodels" in result.model.saved.facts["modules"]


def test_a_training_that_learned_nothing_says_so_in_python_and_in_its_folder(
    train_here: Train, tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).normal(size=(60, 2)), [0, 1] * 30
    more = {"learning_rate": 1e-12, "passes": 1, "holdout": 0.0}
    with pytest.warns(UserWarning, match="no better than always the commonest class"):
        result = train_here(data=noise, **more)
    assert "on 60 training examples" in result.warning
    assert RunFolder(tmp_path / result.run).outcome()["warning"] == result.warning
