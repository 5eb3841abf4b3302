"""Parameters that a trial had at some moments: kept in files, and scored when it is over."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from distbelief.app.layout.keys import PARAMETERS
from distbelief.app.layout.rows import TableRows, Tables
from distbelief.app.layout.tensors import Vector
from distbelief.app.models.batch_norm import recompute_statistics
from distbelief.app.models.files import SavedModel
from distbelief.app.models.metrics import Score, score
from distbelief.app.models.predictions import CHUNK_EXAMPLES
from distbelief.coordinator.inference.scoring import score_examples
from distbelief.coordinator.problem.problem import Problem

#: Training examples of which the loss is taken, at most: of more, as many at equal distances.
MOST_EXAMPLES = 20_000


@dataclass(frozen=True)
class Snapshots:
    """Files of one trial, in a folder of its own."""

    folder: Path

    def keep(self, number: int, vector: Vector, tables: Tables = ()) -> None:
        rows = {
            f"{kind}{index}": array
            for index, table in enumerate(tables)
            for kind, array in (("ids", table.ids), ("values", table.values))
        }
        np.savez(self._file(number), vector=vector, **rows)  # type: ignore[arg-type]  # arrays

    def read(self, number: int, n_tables: int) -> tuple[Vector, Tables]:
        with np.load(self._file(number), allow_pickle=False) as found:
            tables = [
                TableRows(found[f"ids{index}"], found[f"values{index}"])
                for index in range(n_tables)
            ]
            return found["vector"], tables

    def _file(self, number: int) -> Path:
        return self.folder / f"snapshot{number}.npz"


def scored(problem: Problem, vector: Vector, tables: Tables) -> tuple[float, float]:
    """The held-out metric of some parameters, and the objective on the training examples."""
    config, data = problem.config, problem.data
    by_name = {PARAMETERS: tables} if tables else {}
    settings, schema = config.model_settings(), data.dataset.schema
    saved = SavedModel(settings, schema, vector, {}, {}, by_name, config.seed)
    dense = recompute_statistics(
        problem.model, vector, saved.source(), data.dataset, data.train, config.batch_size
    )
    folded = replace(saved, parameters=dense).folded(problem.scaling)
    metric = problem.score_formatter.metric
    heldout = score_examples(folded, data.heldout)
    loss = _training(problem, folded) + _penalty(problem, vector, tables)
    return float(heldout.metric(metric)), loss


def _training(problem: Problem, saved: SavedModel) -> float:
    """The mean loss over the training examples."""
    data, source, total = problem.data, saved.source(), Score()
    dataset, every = data.dataset, -(-problem.n_train // MOST_EXAMPLES)
    for start in range(0, problem.n_train, every * CHUNK_EXAMPLES):
        stop = min(start + every * CHUNK_EXAMPLES, problem.n_train)
        rows = data.train[np.arange(start, stop, every)]
        weights = None if dataset.weights is None else dataset.weights[rows]
        total += score(source, dataset.features[rows], dataset.targets[rows], weights=weights)
    return total.loss


def _penalty(problem: Problem, vector: Vector, tables: Tables) -> float:
    """The L2 and L1 terms; rows of tables that were never touched have none."""
    layout, config = problem.layout, problem.config
    numbers = [vector[layout.penalty_mask()]]
    for table, rows in zip(layout.tables, tables, strict=True) if tables else ():
        numbers += [rows.values.ravel()] if table.spec.penalised else []
    weights = np.concatenate(numbers).astype(np.float64)
    ridge, lasso = 0.5 * (config.l2 or 0.0), config.l1
    return float(ridge * weights @ weights + lasso * np.abs(weights).sum()) * problem.loss_unit
