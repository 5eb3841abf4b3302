"""docs/programs.md is true of real trainings, and its recipes run with the real trackers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from distbelief import LocalCluster, train
from tests.documents import ROOT

PAGE = (ROOT / "docs" / "programs.md").read_text(encoding="utf-8")
KINDS = dict(re.findall(r"^\| `(\w+)` \| [^|]+ \| (.+) \|$", PAGE, re.MULTILINE))
RECIPES = re.findall(r"```python\n(# with_(\w+)\.py\n.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("algorithm", ["downpour", "sandblaster"])
def test_events_have_the_fields_that_the_page_names(
    algorithm: str, shared: LocalCluster, tmp_path: Path
) -> None:
    result = train(
        data="digits",
        model="softmax",
        algorithm=algorithm,
        passes=3,
        iterations=3,
        test=0.1,
        cluster=shared,
        folder=str(tmp_path),
        wait_seconds=60,
    )
    told = {event.kind: event.fields.keys() for event in result.history}
    unit = "unit" if algorithm == "downpour" else "iteration"
    assert told.keys() >= {"surroundings", "start", unit, "evaluation", "checkpoint", "end"}
    for kind in told.keys() & KINDS.keys():
        named = set(re.findall(r"`(\w+)`", KINDS[kind])) - {"error"}
        assert named <= told[kind], kind


def test_a_run_of_a_program_is_in_the_cache_and_goes_with_its_result(
    shared: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTBELIEF_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    result = train(data="digits", model="softmax", passes=1, cluster=shared, wait_seconds=60)
    left = result.model_file
    assert left.is_file()
    assert left.is_relative_to(tmp_path / "cache" / "runs")
    assert os.listdir(tmp_path) == ["cache"]
    del result
    assert not left.parent.exists()


@pytest.mark.parametrize(("recipe", "tracker"), RECIPES)
def test_a_recipe_runs_with_the_real_tracker(recipe: str, tracker: str, tmp_path: Path) -> None:
    if find_spec(tracker) is None:
        pytest.skip(f"{tracker} is not installed")
    patient = recipe.replace("**SETTINGS)", "wait_seconds=60, **SETTINGS)")
    (tmp_path / "recipe.py").write_text(patient, encoding="utf-8")
    offline = {
        "MLFLOW_TRACKING_URI": (tmp_path / "tracked").as_uri(),
        "MLFLOW_ALLOW_FILE_STORE": "true",
        "WANDB_MODE": "offline",
        "WANDB_DIR": str(tmp_path),
    }
    subprocess.run(
        [sys.executable, "recipe.py"],
        cwd=tmp_path,
        env={**os.environ, **offline, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        timeout=120,
        check=True,
    )
    assert list(tmp_path.rglob("model.safetensors" if tracker == "mlflow" else "*.wandb"))
