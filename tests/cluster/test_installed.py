"""The package as pip installs it, in a project whose own packages are called as our folders."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import textwrap
import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from distbelief.coordinator.cluster.local import LocalCluster
from distbelief.coordinator.cluster.processes import Child, end
from distbelief.coordinator.runs.messages import Messages
from tests.cluster.installations import DEADLINE_S, REPOSITORY, Project, install

Until = Callable[..., None]

#: The folders of the sources, which are names that many projects have for packages of their own.
FOLDERS = ("app", "worker_tasks", "coordinator")

PROGRAM = """
    import sys
    import app.main, coordinator, worker_tasks
    from distbelief import LocalCluster, load_model, train

    with LocalCluster(servers=1, processes=1) as cluster:
        result = train(cluster=cluster, data="digits", model="softmax", passes=2)
    assert app.main.OWNER == coordinator.OWNER == worker_tasks.OWNER == "the user"
    assert load_model(result.model_file).classes == result.model.classes
    print(result.reason)
"""

TYPED = """
    from __future__ import annotations

    from typing import Any

    import numpy as np
    import numpy.typing as npt

    from distbelief import (
        ClusterConfig,
        DataError,
        DistBeliefError,
        DownpourClassifier,
        EndReason,
        Event,
        LocalCluster,
        Model,
        Status,
        Task,
        TensorSpec,
        load_model,
        train,
        views,
    )

    Array = npt.NDArray[Any]


    class Line:
        task = Task.REGRESSION

        def __init__(self, n_features: int, n_classes: int) -> None:
            self.tensors = (TensorSpec("weights", (n_features,)),)

        def initial(self, rng: np.random.Generator) -> Array:
            return np.zeros(self.tensors[0].size)

        def predict(self, parameters: Array, features: Array) -> Array:
            (weights,) = views(parameters, self.tensors)
            found: Array = features @ weights
            return found

        def loss_and_gradient(
            self, parameters: Array, features: Array, targets: Array, gradient: Array
        ) -> float:
            error = self.predict(parameters, features) - targets
            gradient[:] = error @ features / len(targets)
            return 0.5 * float(np.mean(error**2))


    def heard(event: Event) -> None:
        print(event.kind, event.fields)


    def seen(status: Status) -> None:
        print(status.seconds)


    def run(where: ClusterConfig | LocalCluster) -> float:
        model: Model = Line(3, 0)
        assert model.task is Task.REGRESSION
        try:
            result = train(cluster=where, data="digits", on_event=heard, on_status=seen)
        except DataError:
            raise
        except DistBeliefError as error:
            raise SystemExit(int(error.exit_code)) from error
        if result.reason is EndReason.DIVERGED:
            return 0.0
        reveal_type(load_model(result.model_file).predict(np.zeros((1, 64))))
        estimator = DownpourClassifier(passes=3)
        reveal_type(estimator)
        return result.timings.total
"""


@pytest.fixture(scope="module")
def project(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The packages that the wheel needs are those of the environment of these tests."""
    folder = tmp_path_factory.mktemp("project")
    for name in FOLDERS:
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text('OWNER = "the user"\n')
    (folder / "app" / "main.py").write_text('OWNER = "the user"\n')
    packages = [Path(sysconfig.get_path("purelib"))]
    return install(built, tmp_path_factory.mktemp("installed"), folder, packages)


def test_the_wheel_is_one_package_with_everything_in_it(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {re.sub(r"-.*\.", ".", name.split("/")[0]) for name in names} == {
        "distbelief",
        "distbelief.dist-info",
    }
    within = {str(path.relative_to(REPOSITORY)) for path in REPOSITORY.glob("distbelief/*.*")}
    for folder in FOLDERS:
        found = (REPOSITORY / folder).rglob("*")
        within |= {
            f"distbelief/{path.relative_to(REPOSITORY)}"
            for path in found
            if path.suffix in (".py", ".lua", ".c", ".h", ".html", ".npz")
            or path.parent.name == "shells"
        }
    assert within - names == set()
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    if shutil.which("cc"):
        assert any(
            re.fullmatch(r"distbelief/app/store/native/engine.*\.so", name) for name in names
        )


def test_the_archive_of_the_sources_holds_each_file_once(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as found:
        names = [name.partition("/")[2] for name in found.getnames()]
    assert "distbelief/app/errors.py" in names
    assert "app/errors.py" not in names


def test_the_command_trains_where_other_packages_have_our_folders_names(project: Project) -> None:
    trained = project.run("distbelief", "train", "--passes", 2, "--output", "model.safetensors")
    assert trained.returncode == 0, trained.stderr
    assert "finished: all passes done" in trained.stdout
    assert (project.folder / "model.safetensors").exists()
    scored = project.run("python", "-m", "distbelief", "evaluate", "--json")
    assert scored.returncode == 2, scored.stderr  # it says what is missing, by its own name
    assert "Usage: python -m distbelief evaluate" in scored.stderr


def test_the_command_imports_a_model_from_where_it_is_typed_and_no_celery(
    project: Project, tmp_path: Path
) -> None:
    """Nor does the worker that it starts, though a module of the user's has Celery's name."""
    readme = (REPOSITORY / "README.md").read_text()
    model = readme.partition("# mypackage/models.py\n")[2].partition("```")[0]
    (tmp_path / "models.py").write_text(model)
    (tmp_path / "celery.py").write_text("raise SystemExit('theirs was started')\n")
    words = ["--model", "models:MyModel", "--data", "synthetic:linear", "--passes", 1]
    trained = project.run("distbelief", "train", *words, folder=tmp_path)
    assert trained.returncode == 0, trained.stderr


def test_the_module_that_is_installed_is_the_engine(project: Project) -> None:
    if shutil.which("cc") is None:
        pytest.skip("there is no C compiler to build the native engine with")
    said = project.run("distbelief", "train", "--passes", 1, "--processes", 1)
    assert "(native engine)" in said.stderr, said.stderr


def test_a_program_trains_beside_packages_of_its_own(project: Project) -> None:
    (project.folder / "program.py").write_text(textwrap.dedent(PROGRAM))
    said = project.run("python", "program.py")
    assert (said.returncode, said.stdout) == (0, "all passes done\n"), said.stderr


@pytest.fixture
def worker(project: Project, until: Until) -> Iterator[LocalCluster]:
    """Servers, and a worker that was started as a user starts it, in the user's folder."""
    with LocalCluster(servers=1, processes=0, wait_s=DEADLINE_S) as cluster:
        command = ["env", "-C", str(project.folder), str(project.python), "-m", "celery"]
        command += ["-A", "distbelief", "worker", "--concurrency=1", "--without-gossip"]
        variables = dict(cluster.environment)
        variables.pop("PYTHONPATH", None)
        started = Child.start("worker", command, project.folder, variables)
        try:
            with closing(Messages(cluster.endpoints.broker)) as messages:
                until(messages.queues_served, f"the answer of a worker ({started.log})")
            yield cluster
        finally:
            end([started], 5.0)


def test_celery_finds_the_application_of_the_package(
    project: Project, worker: LocalCluster
) -> None:
    where = worker.endpoints
    servers = ["--broker", where.broker, "--parameter-servers", *where.parameter_servers]
    trained = project.run("distbelief", "train", "--passes", 1, "--replicas", 1, *servers)
    assert trained.returncode == 0, trained.stderr


def test_a_users_program_has_types(project: Project) -> None:
    (project.folder / "typed.py").write_text(textwrap.dedent(TYPED))
    checker = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--no-error-summary",
        f"--cache-dir={os.devnull}",
    ]
    checked = subprocess.run(
        [*checker, f"--python-executable={project.python}", "typed.py"],
        cwd=project.folder,
        env=project.variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )
    assert checked.returncode == 0, checked.stdout
    predictions, estimator = re.findall(r'Revealed type is "(.*)"', checked.stdout)
    assert predictions.startswith("numpy.ndarray[")
    assert estimator.endswith(".DownpourClassifier")
