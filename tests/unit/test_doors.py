"""How the package is entered: its public names, and the two doors of a checkout."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import distbelief
from distbelief.app import errors

ROOT = Path(__file__).parents[2]

#: The application and the tasks by a door of Celery's, and what came into being more than once.
FOUND = """
import sys
from celery.app.utils import find_app
app = find_app(sys.argv[1])
app.loader.import_default_modules()
assert app is sys.modules["distbelief.app.broker.application"].worker_application()
tasks = sorted(name for name in app.tasks if not name.startswith("celery."))
folders = ("app", "worker_tasks", "coordinator")
twice = sorted(name for name in sys.modules if name.split(".")[0] in folders)
print(*tasks, "|", *twice)
"""


def python(code: str, *words: str) -> str:
    """What a program prints that runs in the checkout."""
    command = [sys.executable, "-c", code, *words]
    said = subprocess.run(
        command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=60
    )
    assert said.returncode == 0, said.stderr
    return said.stdout.strip()


def test_importing_the_package_imports_nothing_else() -> None:
    before = "import sys, importlib.util, typing; before = {*sys.modules}; import distbelief; "
    new = python(before + "print(*sorted({*sys.modules} - before))")
    assert new.split() == ["distbelief"]


def test_a_model_of_ones_own_imports_nothing_of_a_training() -> None:
    code = "import sys; from distbelief import Task, TensorSpec, views; print(*sys.modules)"
    heavy = {"celery", "kombu", "redis", "pydantic", "sklearn", "scipy", "rich", "click"}
    assert heavy & set(python(code).split()) == set()


def test_an_embedded_worker_imports_no_other_command_of_celery_and_nobodys_plugins() -> None:
    code = "import sys; from distbelief.coordinator.cluster.celery_worker import made; "
    code += "made('worker', '1'); print(*sys.modules)"
    needless = {"celery.bin", "celery.bin.worker", "click_repl", "prompt_toolkit", "flower"}
    assert needless & set(python(code).split()) == set()


def test_a_training_imports_no_client_before_it_starts_its_servers() -> None:
    """What talks to servers is imported while they come up, and their worker."""
    code = "import sys; from distbelief.coordinator.commands.train import train as command; "
    code += "from distbelief.coordinator.views.progress import display; "
    code += "from distbelief import train; from distbelief.coordinator.cluster import binaries; "
    code += "assert binaries.find(); print(*sys.modules)"
    later = {"celery", "kombu", "redis", "valkey", "prometheus_client"}
    later |= {f"distbelief.coordinator.{name}" for name in ("training.course", "runs.session")}
    assert later & set(python(code).split()) == set()


def test_what_only_lists_flags_computes_nothing() -> None:
    code = "import sys; from distbelief.coordinator.commands import runs; print(*sys.modules)"
    assert {"numpy", "pydantic", "redis"} & set(python(code).split()) == set()


@pytest.mark.parametrize("name", distbelief.__all__)
def test_a_public_name_is_there(name: str) -> None:
    assert getattr(distbelief, name) is not None
    assert name in dir(distbelief)


def test_all_names_are_imported_where_scikit_learn_is_not_there() -> None:
    hidden = "import sys, importlib.util as u; found = u.find_spec; "
    hidden += "u.find_spec = lambda name, *a: None if name == 'sklearn' else found(name, *a); "
    said = python(hidden + "from distbelief import *; print(train, 'DownpourClassifier' in dir())")
    assert said.endswith("False")
    assert "function train" in said


def test_a_name_that_is_not_public_is_told() -> None:
    with pytest.raises(AttributeError, match="module 'distbelief' has no attribute 'trian'"):
        distbelief.trian  # noqa: B018


def test_every_error_is_public() -> None:
    ours = {name for name, each in vars(errors).items() if _is_error(each)}
    assert ours <= set(distbelief.__all__)


def _is_error(each: object) -> bool:
    return isinstance(each, type) and issubclass(each, errors.DistBeliefError)


def test_checkers_of_types_see_the_same_names_from_the_same_places() -> None:
    tree = ast.parse((ROOT / "distbelief" / "__init__.py").read_text())
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == {name: f"distbelief.{at}" for name, at in distbelief._MODULES.items()}
    assert sorted(seen) == distbelief.__all__ == sorted(distbelief.__all__)


@pytest.mark.parametrize("door", ["app", "distbelief"])
def test_celery_finds_one_application_and_its_tasks_once(door: str) -> None:
    tasks, _, twice = python(FOUND, door).partition(" |")
    kinds = ("calibration", "downpour", "evaluation", "sandblaster")
    assert tasks.split() == [f"distbelief.{kind}" for kind in kinds]
    assert twice.split() == (["app"] if door == "app" else [])


def test_a_module_of_the_folder_app_is_no_second_copy() -> None:
    code = "import app\ntry:\n import app.errors\nexcept ModuleNotFoundError as e:\n print(e)"
    assert python(code) == "No module named 'app.errors'"


@pytest.mark.parametrize("door", ["coordinator", "distbelief"])
def test_the_command_line_opens_by_both_names(door: str) -> None:
    command = [sys.executable, "-m", door, "--help"]
    said = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=60)
    assert "Usage:" in said.stdout
