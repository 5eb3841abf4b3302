"""The command line end to end: train, look at what it says, use what it leaves."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from sklearn.datasets import load_digits

from distbelief.app.client.servers import Servers
from distbelief.app.errors import ExitCode
from distbelief.app.models.files import read_model
from distbelief.coordinator.cluster import binaries
from distbelief.coordinator.cluster.endpoints import Endpoints
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.cluster.processes import Child, end
from tests.cluster.processes import children_of

Start = Callable[..., Any]
Until = Callable[..., None]

DEADLINE_S = 300.0
PASSWORD = "open sesame"


@pytest.fixture(scope="module")
def sparse(module_command: Start) -> Any:
    """A finished training on servers of its own, with exchanges every ten steps."""
    training = module_command("train", "--n-fetch", "10", "--n-push", "10")
    assert training.ends() == ExitCode.OK, training.err
    return training


def test_digits_are_learned_with_exchanges_every_ten_steps(sparse: Any) -> None:
    (accuracy,) = re.findall(r"^held-out accuracy ([\d.]+), loss", sparse.out, re.MULTILINE)
    assert float(accuracy) >= 0.95


def test_every_tenth_step_is_a_push(sparse: Any) -> None:
    # Subsets of 719 examples: 23 minibatches of 32, 40 times, in pushes of ten.
    assert "updates applied: 184 on each of 2 shards, 184 planned" in sparse.out


def test_progress_has_every_figure(sparse: Any) -> None:
    *_, line = [line for line in sparse.err.splitlines() if line.startswith("pass ")]
    assert re.fullmatch(
        r"pass [\d.]+/40  steps/s [\d,]+  loss [\d.]+  held-out accuracy [\d.]+, loss [\d.]+  "
        r"updates \d+/\d+  staleness median \d+, worst \d+  left 0:00:\d\d",
        line,
    )


def test_a_training_says_what_it_trains_on_what(sparse: Any) -> None:
    assert "1 control server, 2 parameter servers and a worker with 2 processes" in sparse.err
    assert "mlp with 4,810 parameters in 2 shards on 2 servers" in sparse.err
    assert "1,438 training and 359 held-out examples of digits, 2 replicas" in sparse.err


def test_a_finished_training_leaves_no_process_and_no_socket(sparse: Any) -> None:
    assert sparse.alive() == []
    assert list(sparse.home.iterdir()) == []


def test_a_saved_model_scores_in_a_new_process_what_the_training_said(
    sparse: Any, command: Start
) -> None:
    answer = command("evaluate", "--model", sparse.model, "--data", "digits", "--part", "heldout")
    assert answer.ends() == ExitCode.OK, answer.err
    (said,) = re.findall(r"^held-out accuracy ([\d.]+)", sparse.out, re.MULTILINE)
    examples, accuracy, *_ = answer.out.splitlines()
    assert examples == "examples 359"
    assert float(accuracy.removeprefix("accuracy ")) == pytest.approx(float(said), abs=5e-5)


def test_two_classes_have_the_auc_and_the_confusion_of_the_model_that_was_saved(
    command: Start,
) -> None:
    source = ("--data", "synthetic:logistic", "--data-option", "examples=20000")
    # More held-out examples than one evaluation task takes.
    how = ("--model", "logistic", "--holdout", "0.5", "--passes", "4", "--metric", "auc")
    # What is folded back to raw columns is rounded otherwise, and may swap two of 10,000 ranks.
    training = command("train", *source, *how, "--no-standardize")
    assert training.ends() == ExitCode.OK, training.err
    words = ("--model", training.model, *source, "--part", "heldout", "--json")
    answer = command("evaluate", *words)
    assert answer.ends() == ExitCode.OK, answer.err
    found = json.loads(answer.out)
    told = read_model(training.model).facts["heldout"]
    for exact in ("examples", "auc", "accuracy", "confusion", "precision", "recall", "classes"):
        assert told[exact] == found[exact], exact
    assert (
        f"held-out AUC {found['auc']:.4f}, loss {found['loss']:.4g} (the saved model"
        in training.out
    )
    (line,) = re.findall(r"^  0 +(\d+) +(\d+)$", training.out, re.MULTILINE)
    assert list(map(int, line)) == found["confusion"][0][:2]
    assert re.search(r"held-out AUC 0\.\d+, loss 0\.\d+  updates", training.err)


def test_a_saved_model_predicts_in_a_new_process(
    sparse: Any, command: Start, tmp_path: Path
) -> None:
    digits = load_digits()
    np.save(tmp_path / "digits.npy", (digits.data / 16).astype(np.float32))
    answer = command("predict", "--model", sparse.model, "--data", tmp_path / "digits.npy")
    assert answer.ends() == ExitCode.OK, answer.err
    table = np.loadtxt(answer.out.splitlines(), delimiter=",", skiprows=1)
    assert np.mean(table[:, 0] == digits.target) >= 0.95
    assert (table[:, 1] > 0.1).all()


def test_servers_and_workers_that_run_are_used_and_left_alone(
    shared: LocalCluster, command: Start
) -> None:
    before = family(shared)
    training = command("train", "--passes=20", "--n-push=1", endpoints=shared.endpoints)
    training.says("pass ")
    assert [process.pid for process in training.alive()] == [training.process.pid]
    assert training.ends() == ExitCode.OK, training.err
    assert "updates applied: 920 on each of 2 shards, 920 planned" in training.out
    assert before <= family(shared)  # the worker may just have been starting


def family(cluster: LocalCluster) -> set[psutil.Process]:
    """The processes of a cluster and their children."""
    cluster.check()
    parents = [psutil.Process(child.process.pid) for child in cluster.children]
    return {each for parent in parents for each in (parent, *children_of(parent.pid))}


def test_a_diverging_training_ends_with_advice(shared: LocalCluster, command: Start) -> None:
    training = command(
        "train", "--optimizer=sgd", "--learning-rate=1e30", endpoints=shared.endpoints
    )
    assert training.ends() == ExitCode.DIVERGED
    (message,) = re.findall(r"^error: .*$", training.err, re.MULTILINE)
    assert "--learning-rate (now 1e+30)" in message
    assert "Traceback" not in training.err
    folder_flags = ("--folder", training.folder.parent / "runs")
    follower = command("status", training.run, "--follow", *folder_flags)  # it has ended: at once
    assert follower.ends() == ExitCode.DIVERGED
    assert f"run {training.run}: failed" in follower.out


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Endpoints]:
    """One server, on TCP and behind a password, for control and parameters."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = tmp_path / "server.conf"
    settings.write_text(f'port {port}\nbind 127.0.0.1\nrequirepass "{PASSWORD}"\nsave ""\n')
    program = binaries.find().path
    server = Child.start("server", [program, str(settings)], tmp_path, os.environ)
    url = f"redis://:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{port}/0"
    try:
        yield Endpoints(url, (url,))
    finally:
        end([server], DEADLINE_S)


def test_passwords_go_by_the_environment_and_nowhere_else(
    guarded: Endpoints, command: Start, tmp_path: Path
) -> None:
    environment = {
        "DISTBELIEF_BROKER": guarded.broker,
        "DISTBELIEF_PARAMETER_SERVERS": guarded.parameter_servers[0],
    }
    celery = [sys.executable, "-m", "celery", "-A", "app", "worker", "--concurrency=1", "-E"]
    worker = Child.start("guest", celery, tmp_path, {**os.environ, **environment})
    try:
        words = ("train", "--passes=2", f"--wait-seconds={DEADLINE_S}")
        training = command(*words, environment=environment)
        assert training.ends() == ExitCode.OK, training.err
    finally:
        end([worker], DEADLINE_S)
    servers = Servers([guarded.broker])
    record = servers.one("HGET", f"dist:run:{{{training.run}}}:record", "document")
    servers.close()
    written = [training.err, training.out, (tmp_path / "guest.log").read_text(), record.decode()]
    assert json.loads(record)["parameter_servers"] == [re.sub(":[^:]*@", "", guarded.broker)]
    for text in written:
        assert "sesame" not in text
