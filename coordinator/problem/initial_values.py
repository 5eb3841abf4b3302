"""The values that the shards begin with: from the seed, or those of a saved model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from distbelief.app.datasets.examples.schema import Label, Schema
from distbelief.app.errors import ModelError
from distbelief.app.layout.keys import PARAMETERS, slot
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.rows import NO_TABLES, TableRows, Tables
from distbelief.app.layout.tensors import Vector
from distbelief.app.models.files import SavedModel, read_model
from distbelief.app.models.initial import initial_values
from distbelief.app.models.model import Model
from distbelief.app.models.parameters import parted
from distbelief.app.models.scaling import Scaling
from distbelief.app.optimizers.registry import shard_rule
from distbelief.app.optimizers.rule import NO_SLOTS, Slots
from distbelief.app.settings.config import RunConfig

_SHOWN = 5  # classes in a message


@dataclass(frozen=True)
class InitialValues:
    """Parameters and slots: vectors of shape (D,), D being the size of the layout.

    ``tables`` are the rows that do not begin as the seed draws them.
    """

    parameters: Vector
    slots: Mapping[str, Vector]
    tables: Mapping[str, Tables]


def model_to_go_on_from(config: RunConfig) -> SavedModel | None:
    """The model in ``init_from``, None without; raises ModelError."""
    return None if config.init_from is None else read_model(Path(config.init_from))


def make_initial_values(
    config: RunConfig,
    model: Model,
    layout: Layout,
    schema: Schema,
    saved: SavedModel | None = None,
    scaling: Scaling | None = None,
) -> InitialValues:
    """Draw values from the seed, or take those of a ``saved`` model, slots included.

    ``schema`` is that of the training data. Under another ``scaling`` than that of the saved model
    its slots mean nothing, and begin anew.

    Raises:
        ModelError: the saved model is another one, has other classes, or values are not finite.
    """
    if saved is None:
        return _from_seed(config, model, layout)
    if saved.schema.names != schema.names:
        raise ModelError(
            f"{config.init_from} has the classes {_listed(saved.schema.names)}, the training data "
            f"have {_listed(schema.names)}: name and number them as there"
        )
    if saved.build().tensors != model.tensors:
        raise ModelError(
            f"{config.init_from} holds a {saved.settings.model} for {saved.schema.n_features} "
            f"features with other tensors than this run's {config.model}: "
            "choose the same model settings and data"
        )
    if saved.scaling != scaling:
        by_name = {name: each for name, each in saved.tables.items() if name == PARAMETERS}
        saved = replace(saved, slots=NO_SLOTS, tables=by_name, scaling=scaling)
    first = _from_saved(saved.unfolded(), config, layout)
    if not _finite(first):
        raise ModelError(f"{config.init_from} holds NaN or infinity")
    return first


def _listed(names: Sequence[Label]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return (", ".join(map(str, names[:_SHOWN])) or "none, but numbers") + more


def _from_seed(config: RunConfig, model: Model, layout: Layout) -> InitialValues:
    if not layout.tables:
        return _begun(config, initial_values(model.tensors, model, config.model, config.seed))
    # Rows with a spread come into being on the shards.
    given = [each for each in model.tensors if not each.sparse or each.spread is None]
    values, tables = parted(given, initial_values(given, model, config.model, config.seed))
    begun = iter(tables)
    rows = [_all(next(begun)) if t.spec.spread is None else _none(t.width) for t in layout.tables]
    return _begun(config, values, tables=_with_slots(config, rows))


def _from_saved(saved: SavedModel, config: RunConfig, layout: Layout) -> InitialValues:
    if not layout.tables:
        return _begun(config, saved.flat(), {} if saved.tables else saved.slots)
    if saved.tables:
        tables = _with_slots(config, saved.tables[PARAMETERS], saved.tables)
        return _begun(config, saved.parameters, saved.slots, tables)
    values, rows = parted(layout.tensors, saved.parameters)
    return _begun(config, values, tables=_with_slots(config, [_all(each) for each in rows]))


def _begun(
    config: RunConfig,
    parameters: Vector,
    slots: Slots = NO_SLOTS,
    tables: Mapping[str, Tables] = NO_TABLES,
) -> InitialValues:
    first = shard_rule(config).initial_slots(parameters.astype(np.float64), slots)
    return InitialValues(parameters, first, tables)


def _with_slots(
    config: RunConfig, rows: Sequence[TableRows], saved: Mapping[str, Tables] = NO_TABLES
) -> dict[str, Tables]:
    """Rows of parameters, with those of each slot beside them."""
    rule, tables = shard_rule(config), dict[str, list[TableRows]]()
    tables[PARAMETERS] = list(rows)
    for index, part in enumerate(rows):
        known = {name: saved.get(slot(name)) for name in rule.slots}
        before = {name: each[index].values for name, each in known.items() if each is not None}
        slots = rule.initial_slots(part.values.astype(np.float64), before)
        for name in rule.slots:
            tables.setdefault(slot(name), []).append(TableRows(part.ids, slots[name]))
    return dict(tables)


def _all(values: Vector) -> TableRows:
    return TableRows(np.arange(len(values)), values)


def _none(width: int) -> TableRows:
    return TableRows(np.empty(0, np.int64), np.empty((0, width)))


def _finite(first: InitialValues) -> bool:
    tables = (rows.values for part in first.tables.values() for rows in part)
    vectors = (first.parameters, *first.slots.values(), *tables)
    return all(np.isfinite(values).all() for values in vectors)
