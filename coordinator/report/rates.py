"""The learning rate of each parameter, from the squares that its update rule keeps.

The formula is the rule's: :meth:`distbelief.app.optimizers.rule.Rule.rates`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from distbelief.app.errors import CheckpointError, ConfigError
from distbelief.app.files import checkpoint
from distbelief.app.files.checkpoint import Checkpoint
from distbelief.app.layout.keys import slot
from distbelief.app.models.files import ROWS
from distbelief.app.optimizers.registry import shard_rule
from distbelief.app.optimizers.rule import Rule
from distbelief.app.settings.config import RunConfig
from distbelief.coordinator.report.history import Rates
from distbelief.coordinator.runs.folder import RunFolder

#: More parameters than this are sampled evenly.
SAMPLE = 100_000

#: What comes of files that do not say what they should.
ODD = (KeyError, ValueError, TypeError, AttributeError, IndexError, OverflowError)


def rule_of(config: Mapping[str, Any]) -> Rule | None:
    """The update rule of a run; None if one rate is for all parameters, or none is known."""
    if config.get("algorithm") == "sandblaster":
        return None
    try:
        rule = shard_rule(RunConfig(**config))
    except ConfigError:  # settings of another version
        return None
    return None if rule.squares is None else rule


def rates_in_checkpoints(folder: Path, rule: Rule, shifts: Mapping[int, float]) -> Iterator[Rates]:
    """The rates in a run's checkpoints, oldest first.

    ``shifts`` is by the fence of a coordinator what to add to the seconds that it counted.
    """
    checkpoints = RunFolder(folder).checkpoints
    for name in checkpoint.names(checkpoints):
        try:
            body = checkpoint.manifest(checkpoints / name)
            fence, document = int(name.partition("-")[0]), body["document"]
            before = [known for known in shifts if known <= fence]
            shift = shifts[max(before)] if before else 0.0
            updates = max(int(shard["applied"]) for shard in document["shards"])
            files = {key: entry["file"] for key, entry in body["vectors"].items()}
            squares = _in_checkpoint(Checkpoint(checkpoints / name, {}, files), rule)
            yield _rates(rule, document["driver"]["seconds"] + shift, squares, updates)
        except (CheckpointError, OSError, *ODD):
            continue  # damaged, or a run that goes on has just removed it


def rates_in_model(file: Path, rule: Rule, time_s: float, updates: int) -> Iterator[Rates]:
    """The rates in a saved model, if it is there and has any."""
    if not file.is_file():  # a pipe would be waited for
        return
    prefix = f"slot:{rule.squares}/"
    try:
        with safe_open(file, framework="numpy") as tensors:
            names = [
                name
                for name in tensors.keys()  # noqa: SIM118
                if name.startswith(prefix) and not name.endswith(ROWS)
            ]
            squares = [tensors.get_tensor(name).ravel() for name in names]
    except (OSError, SafetensorError, *ODD):
        return
    if squares:
        yield _rates(rule, time_s, squares, updates)


def _in_checkpoint(saved: Checkpoint, rule: Rule) -> list[Any]:
    name = slot(str(rule.squares))
    tables = [each for each in saved.files if each.startswith(f"{name}/values")]
    return [saved.vector(each).ravel() for each in (name, *tables)]


def _rates(rule: Rule, time_s: float, squares: list[Any], updates: int) -> Rates:
    every = math.ceil(sum(part.size for part in squares) / SAMPLE)
    sample = np.concatenate([part[:: max(1, every)] for part in squares]).astype(np.float64)
    rates = rule.rates(sample, updates)
    return Rates(time_s, np.sort(rates[np.isfinite(rates)]))
