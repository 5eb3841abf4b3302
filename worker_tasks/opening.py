"""Chooses the copy of the parameters that a replica works on."""

from __future__ import annotations

from distbelief.app.models.model import Model
from distbelief.app.settings.config import RunConfig
from distbelief.app.store.contract.parameters import ParameterStore
from distbelief.worker_tasks.copies import Copy, Examples, FlatCopy
from distbelief.worker_tasks.round_copy import OwnStates, RoundCopy
from distbelief.worker_tasks.round_table_copy import RoundTableCopy
from distbelief.worker_tasks.table_copy import TableCopy


def open_copy(
    model: Model,
    examples: Examples,
    store: ParameterStore,
    config: RunConfig,
    stream: int,
    states: OwnStates,
) -> Copy:
    """The copy that the settings and the layout ask for; with rounds, ``states`` are kept."""
    if config.round_steps is not None:
        by_round = RoundTableCopy if store.layout.tables else RoundCopy
        return by_round(model, examples, store, config, stream, states)
    copy = TableCopy if store.layout.tables else FlatCopy
    return copy(model, examples, store, config, stream)
