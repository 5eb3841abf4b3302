"""Saved models: safetensors, with what is needed to rebuild the model in the header.

A file holds each tensor of the model by its name, and the optimizer's slots beside them
as ``slot:<slot>/<tensor>``, so that a training can go on from it. Of a table there are only
the rows that were touched, and their ids as ``<tensor>:rows``. There is no code and no pickle
in it: reading a file from a stranger runs nothing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from distbelief.app.datasets.examples.column import Column
from distbelief.app.datasets.examples.compatibility import Compatibility
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.errors import ModelError
from distbelief.app.files.atomic import replacing
from distbelief.app.files.documents import parse, parse_object
from distbelief.app.layout.keys import PARAMETERS, slot
from distbelief.app.layout.rows import Ids, TableRows, Tables
from distbelief.app.layout.tensors import TensorSpec, Vector, views
from distbelief.app.models import sources
from distbelief.app.models.complaints import missing, odd
from distbelief.app.models.folding import fold, fold_untouched, shifted
from distbelief.app.models.imports import named_modules
from distbelief.app.models.initial import drawn_values
from distbelief.app.models.model import Model
from distbelief.app.models.parameters import Source, joined, looked_up, whole
from distbelief.app.models.registry import build_model
from distbelief.app.models.scaling import Foldable, Scaling
from distbelief.app.settings.sections import ModelSettings

FORMAT = "distbelief-2"

#: Behind the name of a table: the ids of the rows that are there.
ROWS = ":rows"


@dataclass(frozen=True)
class SavedModel:
    """A trained model. ``parameters`` and each slot are flat vectors.

    With ``tables`` these hold the dense tensors only, and of each sparse one there are the rows
    that training touched, for the parameters and for each slot (the keys are those of
    :mod:`distbelief.app.layout.keys`); all others are as ``seed`` draws them. ``facts`` is JSON
    about the
    training: data, split, held-out score.

    Parameters are those for the columns as they are. With a ``scaling`` they were trained on
    scaled ones, to which the slots belong.
    """

    settings: ModelSettings
    schema: Schema
    parameters: Vector
    slots: Mapping[str, Vector] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, Tables] = field(default_factory=dict)
    seed: int = 0
    scaling: Scaling | None = None

    @property
    def columns(self) -> tuple[Column, ...]:
        """How the columns of the training data became features; raises ModelError."""
        try:
            return tuple(Column.from_json(column) for column in self.facts.get("columns", ()))
        except (TypeError, AttributeError) as error:
            raise ModelError(f"the model file does not say what its columns are: {error}") from None

    def build(self) -> Model:
        """The model that the parameters belong to; raises ModelError."""
        return build_model(self.settings, self.schema)

    def compatibility(self, name: str = "the model") -> Compatibility:
        """What data must be for the model, which messages call ``name``; raises ModelError."""
        reading, facts = self.facts.get("reading", {}), self.facts
        names = [facts.get(key, []) for key in ("features", "all_columns")]
        if not isinstance(reading, dict) or not all(isinstance(each, list) for each in names):
            raise ModelError("the model file does not say how its data were read")
        features, columns = (tuple(map(str, each)) for each in names)
        return Compatibility(self.schema, name, reading, features, columns, self.columns)

    def changed_modules(self) -> list[str]:
        """The user's modules that are not as they were in the training; raises ModelError."""
        self.build()  # imports them
        trained = self.facts.get("modules", {})
        return sources.differing(sources.digests(named_modules(self.settings)), trained)

    def source(self) -> Source:
        """The model with its numbers, for any examples; raises ModelError."""
        model = self.build()
        if not self.tables:
            return whole(model, self.parameters)
        sparse = [tensor for tensor in model.tensors if tensor.sparse]

        def look_up(rows: Sequence[Ids]) -> list[Vector]:
            tables = zip(sparse, self.tables[PARAMETERS], rows, strict=True)
            return [self._rows(tensor, table, ids) for tensor, table, ids in tables]

        return looked_up(model, self.parameters, look_up)

    def flat(self) -> Vector:
        """All parameters as one vector, shape (D,), whatever was touched; raises ModelError."""
        tensors = self.build().tensors
        if not self.tables:
            return self.parameters
        sparse = [tensor for tensor in tensors if tensor.sparse]
        pairs = zip(sparse, self.tables[PARAMETERS], strict=True)
        rows = [self._rows(tensor, table, np.arange(tensor.shape[0])) for tensor, table in pairs]
        return joined(tensors, self.parameters, rows)

    def folded(self, scaling: Scaling | None) -> SavedModel:
        """The model for the columns as they are, this being one for those under ``scaling``."""
        found = self if scaling is None else self._under(scaling, scaling)
        log_odds = math.log(self.settings.negative_rate)
        return replace(found, parameters=shifted(found.parameters, log_odds))

    def unfolded(self) -> SavedModel:
        """The model as it was trained, for columns under its :attr:`scaling`."""
        log_odds = -math.log(self.settings.negative_rate)
        found = replace(self, parameters=shifted(self.parameters, log_odds))
        return found if self.scaling is None else found._under(self.scaling.inverse, None)

    def _under(self, scaling: Scaling, known: Scaling | None) -> SavedModel:
        model = cast("Foldable", self.build())
        tables = self.tables.get(PARAMETERS, ())
        parameters, tables = fold(model, scaling, self.parameters, tables)
        by_name = {**self.tables, PARAMETERS: tables} if self.tables else self.tables
        return replace(self, parameters=parameters, tables=by_name, scaling=known)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """The parameters by the name of their tensor; of a table the rows there are, and ids."""
        return _named("", self.parameters, self.build().tensors, self.tables.get(PARAMETERS))

    def _rows(self, tensor: TensorSpec, table: TableRows, ids: Ids) -> Vector:
        """Rows of a table, shape (len(ids), width), drawn where nobody touched them."""
        width = tensor.size // tensor.shape[0]
        numbers = (ids[:, None] * width + np.arange(width)).ravel()
        rows = drawn_values(tensor, self.seed, numbers).reshape(-1, width)
        rows = rows.astype(self.parameters.dtype)
        positions = np.searchsorted(table.ids, ids)
        known = np.append(table.ids, -1)[positions] == ids
        if self.scaling is not None and not known.all():
            rows[~known] = fold_untouched(
                cast("Foldable", self.build()),
                self.scaling,
                self.parameters,
                table,
                ids[~known],
                rows[~known],
            )
        rows[known] = table.values[positions[known]]
        return rows

    def save(self, path: Path) -> None:
        """Write the file in one step: a reader sees the old file or the new, never half.

        Raises:
            ConfigError: there is something else than a file.
            ModelError: it cannot be written.
        """
        tensors, arrays = self.build().tensors, self.arrays()
        for name, values in self.slots.items():
            arrays |= _named(f"slot:{name}/", values, tensors, self.tables.get(slot(name)))
        header = {
            "format": FORMAT,
            "model": self.settings.model_dump_json(),
            "schema": json.dumps(self.schema.to_json()),
            "facts": json.dumps(self.facts),
            "seed": str(self.seed),
        }
        if self.scaling is not None:
            header["scaling"] = json.dumps(self.scaling.to_json())
        try:
            with replacing(path) as partial:
                save_file(arrays, partial, header)
        except (SafetensorError, OSError) as error:
            raise ModelError(f"cannot write {path}: {error}") from error


def read_model(path: Path) -> SavedModel:
    """Read a file that :meth:`SavedModel.save` wrote.

    Raises ModelError: missing or damaged file, another format, or tensors that do not fit.
    """
    if not path.is_file():
        raise missing(path)
    try:
        with safe_open(path, framework="numpy") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT:
                raise ModelError(
                    f"{path} is not a model of this program: its format is "
                    f"{header.get('format')}, expected {FORMAT}"
                )
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        return _rebuild(header, arrays, path)
    except (SafetensorError, OSError, KeyError, ValueError, ValidationError) as error:
        raise odd(path, error) from error


def _rebuild(header: Mapping[str, str], arrays: Mapping[str, Any], path: Path) -> SavedModel:
    settings = ModelSettings.model_validate_json(header["model"])
    schema = Schema.from_json(parse(header["schema"]))
    facts, seed = parse_object(header["facts"]), int(header["seed"])
    tensors = build_model(settings, schema).tensors
    slots = sorted(
        {name.split(":")[1].split("/")[0] for name in arrays if name.startswith("slot:")}
    )
    prefixes = {PARAMETERS: ""} | {slot(name): f"slot:{name}/" for name in slots}
    tabled = any(name.endswith(ROWS) for name in arrays)
    dense = [tensor for tensor in tensors if not (tabled and tensor.sparse)]
    sparse = [tensor for tensor in tensors if tabled and tensor.sparse]
    expected = {name for prefix in prefixes.values() for name in _names(prefix, dense, sparse)}
    if missing := sorted(expected - set(arrays)):
        raise ModelError(f"{path}: tensor {missing[0]} is missing")
    if strange := sorted(set(arrays) - expected):
        raise ModelError(f"{path}: tensor {strange[0]} is none of this model's")
    if seed < 0:
        raise ValueError(f"its seed is {seed}")
    for prefix in prefixes.values():
        for tensor in tensors:
            _check(tensor, prefix, arrays, path, tabled=tabled)
    return SavedModel(
        settings,
        schema,
        _flat("", arrays, dense),
        {name: _flat(f"slot:{name}/", arrays, dense) for name in slots},
        facts,
        {name: _tables(prefix, arrays, sparse) for name, prefix in prefixes.items() if tabled},
        seed,
        Scaling.from_json(json.loads(header["scaling"])) if "scaling" in header else None,
    )


def _names(prefix: str, dense: Sequence[TensorSpec], sparse: Sequence[TensorSpec]) -> list[str]:
    """The names of all arrays of some parameters."""
    names = [prefix + tensor.name for tensor in (*dense, *sparse)]
    return names + [prefix + tensor.name + ROWS for tensor in sparse]


def _check(
    tensor: TensorSpec, prefix: str, arrays: Mapping[str, Any], path: Path, *, tabled: bool
) -> None:
    name, shape = prefix + tensor.name, tensor.shape
    if tabled and tensor.sparse:
        ids = arrays[name + ROWS]
        if ids.dtype != np.int64 or ids.ndim != 1 or not _ascend(ids, shape[0]):
            raise ModelError(f"{path}: {name + ROWS} are no rows of a table of {shape[0]}")
        shape = (len(ids), *shape[1:])
    if arrays[name].shape != shape:
        raise ModelError(f"{path}: tensor {name} is not {shape}, but {arrays[name].shape}")
    if arrays[name].dtype not in (np.float32, np.float64):
        raise ModelError(f"{path}: tensor {name} is not of floating-point numbers")


def _ascend(ids: Ids, n_rows: int) -> bool:
    return not len(ids) or bool(ids[0] >= 0 and ids[-1] < n_rows and (np.diff(ids) > 0).all())


def _named(
    prefix: str, vector: Vector, tensors: Sequence[TensorSpec], tables: Tables | None
) -> dict[str, npt.NDArray[Any]]:
    dense = [tensor for tensor in tensors if tables is None or not tensor.sparse]
    pairs = zip(dense, views(np.ascontiguousarray(vector), dense), strict=True)
    arrays: dict[str, npt.NDArray[Any]] = {prefix + tensor.name: view for tensor, view in pairs}
    sparse = [tensor for tensor in tensors if tensor.sparse]
    for tensor, rows in zip(sparse, tables, strict=True) if tables is not None else ():
        shape = (len(rows.ids), *tensor.shape[1:])
        arrays[prefix + tensor.name] = np.ascontiguousarray(rows.values).reshape(shape)
        arrays[prefix + tensor.name + ROWS] = rows.ids
    return arrays


def _flat(prefix: str, arrays: Mapping[str, Any], tensors: Sequence[TensorSpec]) -> Vector:
    return np.concatenate([arrays[prefix + tensor.name].ravel() for tensor in tensors])


def _tables(
    prefix: str, arrays: Mapping[str, Any], tensors: Sequence[TensorSpec]
) -> list[TableRows]:
    tables = []
    for tensor in tensors:
        name, width = prefix + tensor.name, tensor.size // tensor.shape[0]
        ids = arrays[name + ROWS]
        tables.append(TableRows(ids, arrays[name].reshape(len(ids), width)))
    return tables
