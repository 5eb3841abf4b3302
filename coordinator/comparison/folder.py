"""The folder of a comparison: what is compared, and a file for each trial that was made."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distbelief.app.errors import ConfigError
from distbelief.app.files.atomic import replacing
from distbelief.app.files.documents import parse_object
from distbelief.coordinator.comparison.outcome import Outcome

#: Of the folder: what is compared, and where its trials lie.
SPECIFICATION, TRIALS = "comparison.json", "trials"


@dataclass(frozen=True)
class ComparisonFolder:
    """Where a comparison keeps what was made, so that it can be gone on with."""

    path: Path

    @property
    def trials(self) -> Path:
        return self.path / TRIALS

    def begin(self, specification: Mapping[str, Any]) -> None:
        """Say what is compared here, or check that it is the same as before.

        Raises:
            ConfigError: trials of another comparison are there, or the folder cannot be written.
        """
        file = self.path / SPECIFICATION
        if file.is_file() and any(self.trials.glob("*.json")):
            before = self._read(file)
            for name in {**before, **specification}:
                self._check(name, before.get(name), specification.get(name))
        try:
            self.trials.mkdir(parents=True, exist_ok=True)
            with replacing(file) as partial:
                partial.write_text(json.dumps(specification, indent=1), "utf-8")
        except OSError as error:
            raise ConfigError(f"cannot write to {self.path}: {error.strerror}") from error

    def outcomes(self) -> dict[str, Outcome]:
        """The outcomes that are there, by the key of their trial; raises ConfigError."""
        return {outcome.trial.key: outcome for outcome in self._outcomes()}

    def keep(self, outcome: Outcome) -> None:
        """Write an outcome down; raises ConfigError."""
        try:
            with replacing(self.file(outcome.trial.key)) as partial:
                partial.write_text(json.dumps(outcome.to_json()), "utf-8")
        except OSError as error:
            raise ConfigError(f"cannot write to {self.trials}: {error.strerror}") from error

    def file(self, key: str) -> Path:
        return self.trials / f"{key}.json"

    def _outcomes(self) -> Iterator[Outcome]:
        for file in sorted(self.trials.glob("*.json")):
            document = self._read(file)
            try:
                yield Outcome.from_json(document)
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise ConfigError(
                    f"{file} is no trial of this version ({type(error).__name__}: {error}): remove "
                    "it, and it is made again"
                ) from None

    def _read(self, file: Path) -> dict[str, Any]:
        try:
            return parse_object(file.read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigError(f"cannot read {file}: {error}") from error

    def _check(self, name: str, before: Any, now: Any) -> None:
        if json.dumps(before) != json.dumps(now):
            raise ConfigError(
                f"{self.path} holds trials with {name} = {before}, and now it is {now}: name "
                "another --folder, or remove that one to begin anew"
            )
