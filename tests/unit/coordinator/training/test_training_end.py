"""The end of a training: a model that is saved stays a success, whoever cannot be told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from distbelief.app.errors import (
    ConfigError,
    DistBeliefError,
    Fenced,
    ModelError,
    RunTaken,
    ServerUnreachable,
)
from distbelief.app.models.metric import Metric
from distbelief.app.models.metrics import Score
from distbelief.app.models.model import Task
from distbelief.app.settings.config import ClusterConfig, RunConfig
from distbelief.app.store.contract.parameters import behind
from distbelief.coordinator.progress.outcome import EndReason, HeldoutEvaluation
from distbelief.coordinator.progress.scores import ScoreFormatter
from distbelief.coordinator.runs.driver import FinalState
from distbelief.coordinator.training import conclusion
from distbelief.coordinator.training.conclusion import conclude, save
from distbelief.coordinator.training.recovery import Ending


class Farewell:
    """A training whose last word to the server, or to its folder, fails."""

    def __init__(
        self, at_server: DistBeliefError | None, at_folder: DistBeliefError | None
    ) -> None:
        self.said: list[str] = []
        self.noted: list[Any] = []
        self.closed: list[Any] = []

        def conclude(outcome: Any) -> None:
            if at_folder:
                raise at_folder
            self.noted.append(outcome)

        def close(state: Any, outcome: Any) -> None:
            if at_server:
                raise at_server
            self.closed.append((state, outcome))

        leader = SimpleNamespace(close=close)
        self.resources = cast(
            "Any",
            SimpleNamespace(
                say=self.said.append,
                cluster=ClusterConfig(),
                folder=SimpleNamespace(run="r7", file=Path("run.json"), conclude=conclude),
                hooks=SimpleNamespace(checkpoints=SimpleNamespace(note_run=lambda _: None)),
                session=SimpleNamespace(leader=leader, note=lambda *_, **__: None),
            ),
        )


FINAL = FinalState(None, np.zeros(1), {}, {})
ENDING = Ending(EndReason.PASSES, FINAL, (), Path("checkpoint"))


def test_the_end_is_noted_in_the_folder_and_on_the_server() -> None:
    farewell = Farewell(None, None)
    conclude(farewell.resources, ENDING, 1.23)
    outcome = {"reason": EndReason.PASSES, "seconds": 1.2}
    assert farewell.noted == [{"state": "finished", **outcome}]
    assert farewell.closed == [("finished", outcome)]
    assert farewell.said == []


def test_the_end_is_noted_with_all_figures_of_the_model_that_was_kept() -> None:
    farewell = Farewell(None, None)
    farewell.resources.problem = SimpleNamespace(
        score_formatter=ScoreFormatter(Task.REGRESSION, Metric.RMSE),
        config=RunConfig(),
    )
    heldout = HeldoutEvaluation(3, 2.0, 1.0, Score(4, 8.0, squared_error=16.0))
    conclude(farewell.resources, replace(ENDING, final=replace(FINAL, heldout=heldout)), 1.0)
    (noted,) = farewell.noted
    assert noted["heldout"] == {"examples": 4, "metric": "rmse", "rmse": 2.0, "loss": 2.0}
    assert noted["kept"] == {"evaluation": 3, "passes": 2.0}


@pytest.mark.parametrize(
    ("at_server", "at_folder"),
    [
        (ServerUnreachable("control:6379 does not answer"), None),
        (None, ConfigError("cannot write to runs/x: No space left on device")),
    ],
)
def test_what_could_not_be_told_is_said_and_is_no_failure(
    at_server: DistBeliefError | None, at_folder: DistBeliefError | None
) -> None:
    farewell = Farewell(at_server, at_folder)
    conclude(farewell.resources, ENDING, 1.0)
    why = at_server or at_folder
    assert farewell.said == [
        f"the model is saved, but the end of the run could not be noted: {why}"
    ]


def test_a_run_that_was_taken_at_the_last_moment_is_said_to_be() -> None:
    farewell = Farewell(Fenced("coordinator 7 has it"), None)
    with pytest.raises(RunTaken, match=r"run r7 was taken over \(coordinator 7 has it"):
        conclude(farewell.resources, ENDING, 1.0)


def test_a_server_that_went_back_when_the_model_was_saved_is_no_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    retired: list[bool] = []
    monkeypatch.setattr(conclusion, "retire", lambda *_, resumable: retired.append(resumable))
    farewell = Farewell(None, None)
    farewell.resources.cluster = ClusterConfig(
        broker="redis://control", parameter_servers=("redis://one",), keep_on_servers="7d"
    )

    def publish() -> None:
        raise behind(1)

    conclude(farewell.resources, ENDING, 1.0, publish=publish)
    assert farewell.said == [
        "the model is saved, but not all servers are left with it: shard 1 lacks what it had "
        "acknowledged: its server came back with older data"
    ]
    assert retired == [False]


class Disk:
    """Disks that are full, but for one folder."""

    def __init__(self, room: Path) -> None:
        self.room = room

    def save(self, path: Path) -> None:
        if not path.is_relative_to(self.room):
            raise ModelError(f"cannot write {path}: No space left on device")
        path.touch()


def test_a_model_whose_disk_is_full_is_saved_elsewhere_and_the_place_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    farewell = Farewell(None, None)
    farewell.resources.output = Path("/full/model.safetensors")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    found = save(farewell.resources, cast("Any", Disk(tmp_path)))
    assert (found, found.exists()) == (tmp_path / "r7.safetensors", True)
    assert farewell.said == [
        "cannot write /full/model.safetensors: No space left on device: "
        f"the model is in {found} instead"
    ]


def test_a_model_that_fits_nowhere_is_an_error_that_names_its_place(tmp_path: Path) -> None:
    farewell = Farewell(None, None)
    farewell.resources.output = Path("/full/model.safetensors")
    with pytest.raises(ModelError, match=r"^cannot write /full/model.safetensors: No space left"):
        save(farewell.resources, cast("Any", Disk(tmp_path / "nowhere")))
    assert farewell.said == []
