"""Workers with other code, another model or other servers: nothing of theirs counts."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from distbelief.app.errors import ExitCode
from distbelief.app.settings.environment import PARAMETER_SERVERS
from distbelief.coordinator.cluster.local import LocalCluster
from tests.cluster.conftest import REPOSITORY
from tests.cluster.fleets import workers

Start = Callable[..., Any]

WORDS = ("train", "--data=synthetic:softmax", "--replicas=2", "--passes=2", "--unit-steps=10")


def message(training: Any) -> str:
    """The one sentence of a training that ends with an error."""
    (said,) = re.findall(r"^error: (.*)$", training.err, re.MULTILINE)
    assert "Traceback" not in training.err
    return str(said)


@contextmanager
def importing_from(folder: Path) -> Iterator[None]:
    """Workers that are started meanwhile import from ``folder`` first."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))


@pytest.fixture
def other_code(tmp_path: Path) -> Path:
    """A copy of this program in which one line of what workers run is another."""
    package = tmp_path / "copy" / "distbelief"
    shutil.copytree(
        REPOSITORY / "distbelief", package, ignore=shutil.ignore_patterns("__pycache__")
    )
    losses = package / "app" / "models" / "losses.py"
    text = losses.read_text()
    right = "    outputs[rows, labels] -= 1\n"
    assert right in text
    losses.write_text(text.replace(right, right.replace("1", "2")))
    return package.parent


def test_a_worker_with_one_line_changed_ends_a_training_before_it_begins(
    fleet: LocalCluster, command: Start, other_code: Path
) -> None:
    with importing_from(other_code), workers(fleet, "changed"):
        training = command(*WORDS, "--model=softmax", endpoints=fleet.endpoints)
        assert training.ends() == ExitCode.MISMATCH, training.err  # so it answers by now
        doctor = command("doctor", endpoints=fleet.endpoints)
        assert doctor.ends() == ExitCode.MISMATCH, doctor.out
    said = message(training)
    assert said.startswith("worker changed@")
    assert re.search(r"digest \w{12}\) than the coordinator \(version \S+, digest \w{12}\)", said)
    assert "restart the worker" in said
    assert "it runs another version of this program: code" in doctor.out


def test_a_changed_worker_that_comes_late_ends_the_run_and_none_of_its_units_counts(
    fleet: LocalCluster, command: Start, other_code: Path, tmp_path: Path
) -> None:
    words = ("--model=slowmodels:Sleepy", "--model-option=seconds=0.05", "--passes=100")
    with workers(fleet, "right"):
        training = command(*WORDS, *words, endpoints=fleet.endpoints)
        training.says("run ")
        with importing_from(other_code), workers(fleet, "changed"):
            assert training.ends() == ExitCode.MISMATCH, training.err
    assert re.match(r"worker \d+@\S+ runs other code of this program", message(training))


OLD = """
from distbelief.app.models.linear import SoftmaxRegression


class Model(SoftmaxRegression):
    pass
"""


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTBELIEF_ALLOWED_IMPORTS", "ownmodel")


@pytest.mark.usefixtures("allowed")
def test_a_worker_with_an_old_copy_of_the_model_is_refused(
    fleet: LocalCluster, command: Start, tmp_path: Path
) -> None:
    for name, text in (("old", OLD), ("new", OLD.replace("pass", '"""Mended."""'))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "ownmodel.py").write_text(text)
    with importing_from(tmp_path / "old"), workers(fleet, "old"):
        environment = {"PYTHONPATH": str(tmp_path / "new")}
        words = ("--model=ownmodel:Model", "--data=synthetic:softmax")
        training = command(*WORDS, *words, endpoints=fleet.endpoints, environment=environment)
        assert training.ends() == ExitCode.MISMATCH, training.err  # so it answers by now
        doctor = command("doctor", *words, endpoints=fleet.endpoints, environment=environment)
        assert doctor.ends() == ExitCode.MISMATCH, doctor.out
    assert re.search(r"imported another ownmodel \(digest \w{12}\)", message(training))
    assert "it imports another ownmodel than the coordinator" in " ".join(doctor.out.split())


@pytest.mark.usefixtures("allowed")
@pytest.mark.parametrize("algorithm", ["downpour", "sandblaster"])
def test_a_living_worker_imports_a_changed_model_anew(
    fleet: LocalCluster, command: Start, tmp_path: Path, algorithm: str
) -> None:
    """With the old copy it would be refused."""
    file, environment = tmp_path / "ownmodel.py", {"PYTHONPATH": str(tmp_path)}
    words = ("--model=ownmodel:Model", f"--algorithm={algorithm}", "--iterations=3")
    with importing_from(tmp_path), workers(fleet, "living"):
        for text in (OLD, OLD.replace("    pass", "    bias_name = 'other'")):
            file.write_text(text)
            training = command(*WORDS, *words, endpoints=fleet.endpoints, environment=environment)
            assert training.ends() == ExitCode.OK, training.err


def test_a_worker_with_the_servers_in_another_order_is_named_at_once(
    fleet: LocalCluster, command: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = vars(LocalCluster)["environment"]
    turned = ",".join(reversed(fleet.endpoints.parameter_servers))

    def environment(cluster: LocalCluster) -> dict[str, str]:
        return {**right.fget(cluster), PARAMETER_SERVERS: turned}

    monkeypatch.setattr(LocalCluster, "environment", property(environment))
    with workers(fleet, "turned"):
        training = command(*WORDS, "--model=softmax", endpoints=fleet.endpoints)
        assert training.ends() == ExitCode.MISMATCH, training.err  # so it answers by now
        doctor = command("doctor", endpoints=fleet.endpoints)
        assert doctor.ends() == ExitCode.MISMATCH, doctor.out
    said = message(training)
    assert "turned@" in said
    assert "in another order: its number 1 (unix://" in said
    assert "is number 2 of the coordinator" in said
    assert "in another order" in doctor.out
