"""A trained model in the hands of a program: predictions for arrays, parameters by name."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from distbelief.app.datasets.examples.schema import Label, Schema
from distbelief.app.datasets.examples.sparse import csr, is_sparse
from distbelief.app.datasets.formats.arrays import as_table
from distbelief.app.errors import ModelError
from distbelief.app.layout.tensors import Vector, views
from distbelief.app.models.files import SavedModel, read_model
from distbelief.app.models.model import Task
from distbelief.app.models.predictions import CHUNK_EXAMPLES, likeliest


def changed_text(modules: Sequence[str]) -> str:
    """The sentence on modules that are not as they were in the training."""
    return (
        f"{', '.join(modules)} changed since the training, what the model computes may be another "
        "thing now: bring back the source that it was trained with"
    )


@dataclass(frozen=True)
class TrainedModel:
    """A trained model. It needs no server; any number of threads may use it at once."""

    saved: SavedModel

    @classmethod
    def load(cls, path: str | Path) -> TrainedModel:
        """Read a model file; raises ModelError if it is none, or damaged.

        Warns if a module of yours is not as it was in the training.
        """
        model = cls(read_model(Path(path)))
        if changed := model.saved.changed_modules():
            warnings.warn(changed_text(changed), stacklevel=2)
        return model

    def save(self, path: str | Path) -> None:
        """Write a file that ``--init-from``, ``predict`` and :meth:`load` take."""
        self.saved.save(Path(path))

    def __repr__(self) -> str:
        schema, task = self.saved.schema, self.task
        classes = f", {schema.n_classes} classes" if schema.n_classes else ""
        size = sum(tensor.size for tensor in self.saved.build().tensors)
        return (
            f"<{self.saved.settings.model} for {task}: {schema.n_features} features{classes}, "
            f"{size:,} parameters>"
        )

    @cached_property
    def task(self) -> Task:
        """Regression, or classification with two or more classes."""
        return self.saved.build().task

    @property
    def classes(self) -> tuple[Label, ...]:
        """The names of the classes, in the order of :meth:`predict_proba`'s columns."""
        return self.saved.schema.names

    @property
    def parameters(self) -> Mapping[str, Vector]:
        """Each tensor by its name; they are views, where there are no tables."""
        tensors = self.saved.build().tensors
        flat = views(self.saved.flat(), tensors)
        return {tensor.name: view for tensor, view in zip(tensors, flat, strict=True)}

    def state_dict(self) -> dict[str, Any]:
        """The state of a PyTorch module: ``module.load_state_dict`` takes it, strictly.

        Raises:
            ModelError: the model is no module of PyTorch.
        """
        if self.saved.settings.model != "torch":
            raise ModelError(
                f"the model is {self.saved.settings.model}, which is no module of PyTorch: its "
                "numbers are in parameters"
            )
        from distbelief.app.models.torch import TorchModel

        model = self.saved.build()
        assert isinstance(model, TorchModel)
        return model.state_dict(self.saved.flat())

    def predict(self, features: Any) -> npt.NDArray[Any]:
        """The value, or the name of the likeliest class, of each example: shape (n,).

        Args:
            features: numbers, shape (n, n_features), a sparse matrix of SciPy, or a DataFrame,
                whose columns are taken by the names that they had in the training.

        Raises:
            DataError: they do not fit the model.
        """
        answers = self._answers(features)
        if self.task is Task.REGRESSION:
            return self.saved.schema.values(answers)
        return np.asarray(self.classes)[likeliest(answers, self.saved.settings.threshold)]

    def predict_proba(self, features: Any) -> npt.NDArray[np.floating]:
        """The probability of each class, shape (n, n_classes).

        Raises:
            ModelError: it is a regression.
            DataError: the features do not fit the model.
        """
        if self.task is Task.REGRESSION:
            raise ModelError("a regression has no probabilities: use predict")
        answers = self._answers(features)
        if self.task is Task.BINARY:
            return np.stack([1 - answers, answers], axis=1)
        return answers

    def features(self, values: Any) -> Any:
        """Features as the model takes them: what is missing filled in, categories hashed, ...

        Args:
            values: as for :meth:`predict`.

        Returns:
            float32, shape (n, n_features of the model), dense or a sparse matrix of SciPy.

        Raises:
            DataError: they do not fit the model.
        """
        known = self.saved.compatibility()
        found = as_table(values, "X", known).features
        # Which of the two kinds they are is no matter here.
        known.check(Schema(found.shape[1], sparse=self.saved.schema.sparse), "X")
        return found

    def _answers(self, features: Any) -> npt.NDArray[np.floating]:
        """The predictions of the model, see :class:`distbelief.app.models.model.Model`."""
        found, sparse = self.features(features), self.saved.schema.sparse
        source, parts = self.saved.source(), []
        for start in range(0, found.shape[0], CHUNK_EXAMPLES):
            chunk = found[start : start + CHUNK_EXAMPLES]
            if is_sparse(chunk) != sparse:
                chunk = csr(chunk) if sparse else chunk.toarray()
            model, parameters, chunk = source(chunk)
            # In double precision an answer does not depend on the examples beside it: BLAS adds
            # in another order for another number of them.
            parts.append(np.asarray(model.predict(parameters.astype(np.float64), chunk)))
        return np.concatenate(parts)


def load_model(path: str | Path) -> TrainedModel:
    """Read a model file, as ``train`` writes one.

    Raises:
        ModelError: there is none, or it is damaged.
    """
    return TrainedModel.load(path)
