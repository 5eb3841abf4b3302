"""What is said of a file that is no model, and what may be meant instead."""

from __future__ import annotations

from pathlib import Path

from distbelief.app.errors import ModelError
from distbelief.app.files.near import near
from distbelief.app.settings.cluster import ClusterSettings

#: Where a training leaves its model, unless it is told otherwise.
RUNS: str = ClusterSettings.model_fields["folder"].default
NAME = "model.safetensors"


def missing(path: Path) -> ModelError:
    """The error for a model file that is not there; a run, or its folder, has one."""
    for folder in (path, Path(RUNS) / path):
        if (model := folder / NAME).is_file():
            return ModelError(f"there is no model file {path} (did you mean '{model}'?)")
    there = near(path, "*.safetensors")
    return ModelError(f"there is no model file {path}{there}: train --output {path} writes one")


def odd(path: Path, error: Exception) -> ModelError:
    """The error for a file that holds something else."""
    return ModelError(
        f"{path} is damaged or no safetensors file: {error}; train writes models, as {RUNS}/RUN/"
        f"{NAME}"
    )
