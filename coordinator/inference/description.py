"""What a model file says of its model: what it is for, where it comes from, how good it was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from distbelief.app.datasets.examples.column import IGNORED, TARGET, Column
from distbelief.app.layout.keys import PARAMETERS
from distbelief.app.models.files import SavedModel
from distbelief.app.runs.snapshot import check_outcome
from distbelief.app.settings.config import SECTIONS
from distbelief.coordinator.progress.digits import brief

#: Columns and classes that are named.
SHOWN = 20

#: Settings that the other lines say, or that say nothing of the model.
_SAID = {"model", "data", "algorithm", "name", "note"}


@dataclass(frozen=True)
class ModelDescription:
    """A saved model in words.

    Its facts are a document that anybody may have written: what is no word or number of ours is
    left out.
    """

    saved: SavedModel

    def to_json(self) -> dict[str, Any]:
        saved = self.saved
        return {
            "model": saved.settings.model,
            "task": saved.build().task,
            "parameters": self.n_parameters,
            "features": saved.schema.n_features,
            "classes": list(saved.schema.names),
            "columns": [column.to_json() for column in saved.columns],
            "settings": self.settings,
            **{name: self._fact(name, dict) for name in ("heldout", "test")},
            **{name: self._fact(name, str) for name in ("run", "reason", "fingerprint")},
            **{name: self._config.get(name) for name in ("data", "algorithm", "name", "note")},
        }

    def lines(self) -> list[str]:
        """Describe it for people, a line each."""
        saved = self.saved
        lines = [
            f"model: {saved.settings.model} for {saved.build().task}, "
            f"{self.n_parameters:,} parameters, {saved.schema.n_features:,} features"
        ]
        lines += [f"classes: {_listed(map(str, saved.schema.names))}"] if self._classes else []
        lines += self._columns()
        if run := self._fact("run", str):
            how = filter(None, (self._config.get("algorithm"), self._fact("reason", str)))
            lines.append(f"trained: run {run}, {', '.join(map(str, how))}")
        if data := self._config.get("data"):
            lines.append(f"data: {data} (fingerprint {self._fact('fingerprint', str)})")
        for name, title in (("heldout", "held-out"), ("test", "test")):
            if found := self._score(name):
                lines.append(f"{title}: {brief(found)} ({found.get('examples', '?')} examples)")
        lines += [f"note: {self._config['note']}"] if self._config.get("note") else []
        changed = (f"{name} = {value}" for name, value in self.settings.items())
        return [*lines, f"settings: {', '.join(changed) or 'the defaults'}"]

    @property
    def n_parameters(self) -> int:
        """Numbers that are in the file: of tables those of the rows that training touched."""
        tables = self.saved.tables.get(PARAMETERS, ())
        return self.saved.parameters.size + sum(table.values.size for table in tables)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of the training that were not the defaults."""
        defaults = {
            name: field.default
            for section in SECTIONS
            for name, field in section.model_fields.items()
            if name not in _SAID
        }
        return {
            name: value
            for name, value in self._config.items()
            if name in defaults and _plain(value) != _plain(defaults[name])
        }

    @property
    def _config(self) -> Mapping[str, Any]:
        return self._fact("config", dict) or {}

    @property
    def _classes(self) -> bool:
        return bool(self.saved.schema.n_classes)

    def _fact(self, name: str, kind: type) -> Any:
        found = self.saved.facts.get(name)
        return found if isinstance(found, kind) else None

    def _score(self, name: str) -> Mapping[str, Any]:
        found = self._fact(name, dict) or {}
        try:
            check_outcome({"heldout": found})
        except ValueError:
            return {}
        return found

    def _columns(self) -> list[str]:
        of = dict[str, list[Column]]()
        for column in self.saved.columns:
            of.setdefault(column.kind, []).append(column)
        lines = [
            f"{kind} columns: {_listed(column.name for column in columns)}"
            for kind, columns in of.items()
            if kind not in (TARGET, IGNORED) and any(column.name for column in columns)
        ]
        return lines + [f"target: {column.name}" for column in of.get(TARGET, []) if column.name]


def _listed(names: Any) -> str:
    found = list(names)
    more = len(found) - SHOWN
    return ", ".join(found[:SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
