"""A program that trains has its own Celery, environment, threads and signals as they were."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]
DEADLINE_S = 300.0

#: A program with a Celery application of its own, which looks around before and after.
PROGRAM = """
import json, logging, os, signal, sys, threading, warnings
import celery, numpy, scipy.sparse, sklearn.datasets  # which have habits of their own
from celery import Celery, current_app, shared_task, signals
from celery._state import default_app
from threadpoolctl import threadpool_info

numpy.zeros((2, 2)) @ numpy.zeros((2, 2))
shop = Celery("shop", broker="memory://", backend="cache+memory://")
shop.set_default()

@shared_task(name="shop.order")
def order(): return 7

def state():
    receivers = {name: len(each.receivers or ()) for name, each in vars(signals).items()
                 if hasattr(each, "receivers")}
    root = logging.getLogger()
    return {
        "current": current_app.main,
        "default": order.app.main,
        "broker": order.app.connection().as_uri(),
        "environment": dict(os.environ),
        "receivers": receivers,
        "handlers": [repr(signal.getsignal(number)) for number in (2, 15, 17)],
        "threads": sorted(each["num_threads"] for each in threadpool_info()),
        "logging": [root.level, len(root.handlers), logging.getLogger("celery").level],
        "warnings": len(warnings.filters),
        "tasks": sorted(name for name in shop.tasks if not name.startswith("celery.")),
        "running": sorted(thread.name for thread in threading.enumerate()),
    }

states = [state()]
import distbelief
for name in distbelief.__all__:
    getattr(distbelief, name)
states.append(state())
if sys.argv[1:]:
    model = sys.argv[1]
    result = distbelief.train(data="synthetic:linear", model=model, passes=1, replicas=1)
    assert result.details[0].startswith("25 steps; updates applied: "), result.details
    states.append(state())
json.dump(states, sys.stdout)
"""

#: What Celery or its command would take for the address of a broker, or for a module of settings.
ODD = (
    "CELERY_BROKER_URL",
    "BROKER_URL",
    "CELERY_BROKER_READ_URL",
    "CELERY_BROKER_WRITE_URL",
    "CELERY_RESULT_BACKEND",
    "RESULT_BACKEND",
    "CONFIG_MODULE",
    "CELERY_CONFIG_MODULE",
    "CELERY_LOADER",
    "APP",
    "DJANGO_SETTINGS_MODULE",
    "CELERY_TASK_ALWAYS_EAGER",
)

#: A model of the program's own.
MODEL = (REPOSITORY / "README.md").read_text().partition("# mypackage/models.py\n")[2]


def states(folder: Path, *words: str, **variables: str) -> list[dict[str, Any]]:
    """What the program finds at its begin, after importing us, and after a training."""
    package = folder / "mypackage"
    package.mkdir(exist_ok=True)
    (package / "models.py").write_text(MODEL.partition("\n```")[0])
    (folder / "program.py").write_text(PROGRAM)
    inherited = {name: value for name, value in os.environ.items() if name not in ODD}
    said = subprocess.run(
        [sys.executable, "program.py", *words],
        cwd=folder,
        env={**inherited, "PYTHONPATH": f"{folder}{os.pathsep}{REPOSITORY}", **variables},
        check=False,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert said.returncode == 0, said.stderr
    found: list[dict[str, Any]] = json.loads(said.stdout)
    return found


def test_importing_every_public_name_changes_nothing_around_it(tmp_path: Path) -> None:
    before, imported = states(tmp_path)
    assert imported == before


def test_training_a_model_of_its_own_changes_nothing_around_it(tmp_path: Path) -> None:
    before, _, trained = states(tmp_path, "mypackage.models:MyModel")
    assert before["current"] == before["default"] == "shop"
    assert trained == before


def test_variables_of_celerys_that_are_somebody_elses_change_no_training(tmp_path: Path) -> None:
    """The program's own application goes by them, ours does not: nobody listens there."""
    elsewhere = "amqp://nobody:nothing@127.0.0.1:1//"
    odd = dict.fromkeys((name for name in ODD if name.endswith("URL")), elsewhere)
    odd |= {name: "no.such.module" for name in ODD if "MODULE" in name or name == "APP"}
    odd |= {"CELERY_RESULT_BACKEND": "rpc://", "CELERY_TASK_ALWAYS_EAGER": "1"}
    del odd["CELERY_CONFIG_MODULE"], odd["DJANGO_SETTINGS_MODULE"]  # the program would not start
    before, _, trained = states(tmp_path, "linear", **odd)
    assert "amqp" in before["broker"]
    assert trained == before


@pytest.mark.parametrize("variable", ["CELERY_CONFIG_MODULE", "DJANGO_SETTINGS_MODULE"])
def test_settings_of_another_application_are_not_ours(tmp_path: Path, variable: str) -> None:
    (tmp_path / "theirs.py").write_text("broker_url = 'memory://'\nSECRET_KEY = 'x'\n")
    before, _, trained = states(tmp_path, "linear", **{variable: "theirs"})
    assert trained == before


def test_a_project_with_a_module_called_celery_trains(tmp_path: Path) -> None:
    """As in the documentation of either, in a package: the worker that is started is ours."""
    (tmp_path / "celery_app.py").write_text("raise SystemExit('theirs was started')\n")
    (tmp_path / "celeryconfig.py").write_text("broker_url = 'amqp://127.0.0.1:1//'\n")
    before, _, trained = states(tmp_path, "linear")
    assert trained == before
