"""A run's folder: what resuming it needs, its checkpoints, its logs and its model."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from distbelief.app.errors import ConfigError, RunDamaged
from distbelief.app.files.atomic import obstacle, replacing
from distbelief.app.files.documents import parse, read_regular
from distbelief.app.runs.damage import damaged
from distbelief.app.runs.snapshot import check_outcome
from distbelief.coordinator.runs import summary
from distbelief.coordinator.runs.ids import check_id

if TYPE_CHECKING:  # to look at a run is not to configure one
    from distbelief.app.settings.config import ClusterConfig

FORMAT = 1

#: Settings of a cluster that may hold passwords, which are not written down.
SECRETS = ("broker", "control", "parameter_servers")


class _Place(BaseModel):
    model_config = ConfigDict(strict=True)

    embedded: bool
    broker: str
    control: str = ""
    parameter_servers: list[str]


class _Written(BaseModel):
    """What run.json says, beside how the run ended."""

    model_config = ConfigDict(strict=True)

    record: dict[str, Any]
    cluster: dict[str, Any]
    place: _Place
    outcome: dict[str, Any]


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run, ``CLUSTER.FOLDER/RUN``."""

    path: Path

    @classmethod
    def of(cls, cluster: ClusterConfig, run: str) -> RunFolder:
        """The folder of the run of that id; raises RunDamaged if no run can be called so."""
        check_id(run)
        return cls(Path(cluster.folder) / run)

    @property
    def run(self) -> str:
        return self.path.name

    @property
    def file(self) -> Path:
        """What the run is, where its servers are, and how it ended."""
        return self.path / "run.json"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def journal(self) -> Path:
        """The events of the run; see :mod:`distbelief.coordinator.runs.journal`."""
        return self.path / "events.jsonl"

    @property
    def servers(self) -> Path:
        """Where embedded servers keep their append-only files."""
        return self.path / "servers"

    def make_logs(self) -> Path:
        """The folder of the logs, which is made if it is not there."""
        return make_folder(self.path / "logs")

    def model_file(self, cluster: ClusterConfig) -> Path:
        """Where the model is, or will be."""
        return Path(cluster.output) if cluster.output else self.path / "model.safetensors"

    def check_model_file(self, cluster: ClusterConfig) -> Path:
        """The model's file, once its folder is made; raises ConfigError if it cannot be written."""
        output = self.model_file(cluster)
        if found := obstacle(output):
            raise ConfigError(f"output = {output} is not allowed: it is {found}, name a file")
        # Behind a link it is the file itself that is replaced.
        target = Path(os.path.realpath(output)) if output.is_symlink() else output
        make_folder(target.parent)
        try:
            with tempfile.TemporaryFile(dir=target.parent):
                return output
        except OSError as error:
            raise ConfigError(f"cannot write to {target.parent}: {error.strerror}") from error

    def describe(
        self, record: Mapping[str, Any], cluster: ClusterConfig, servers: Mapping[str, Any]
    ) -> None:
        """Write down what the run is and where its servers are (addresses, no passwords)."""
        settings = cluster.model_dump(mode="json", exclude=set(SECRETS))
        self._write({"record": record, "cluster": settings, "place": servers, "outcome": {}})

    def conclude(self, outcome: Mapping[str, Any]) -> None:
        """Write down how the run ended: its servers may be gone when somebody asks."""
        document = self.read()
        if document is not None:
            self._write({**document, "outcome": outcome})

    def outcome(self) -> dict[str, Any]:
        """How the run ended; empty if it did not, or was killed."""
        document = self.read()
        return document["outcome"] if document is not None else {}

    def keep_curves(self, document: Mapping[str, Any]) -> None:
        """Write down the curves of the saved model, which a report draws."""
        self._replace("curves.json", json.dumps(document))

    def curves(self) -> Any:
        """The curves of the saved model; None if there are none that can be read."""
        try:
            return parse(read_regular(self.path / "curves.json"))
        except (OSError, ValueError):
            return None

    def read(self) -> dict[str, Any] | None:
        """Read what was written down; None if there is no such folder.

        Raises:
            RunDamaged: it is damaged, or of another version.
        """
        file = self.file
        try:
            document = parse(read_regular(file))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise RunDamaged(f"cannot read {file}: {error}") from error
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise RunDamaged(f"{file} was written by another version")
        try:
            _Written.model_validate(document)
            check_outcome(document["outcome"])
        except ValueError as error:
            raise damaged(self.run, str(file), error) from None
        return document

    def _write(self, document: Mapping[str, Any]) -> None:
        text = json.dumps({**document, "format": FORMAT}, indent=2)
        self._replace("run.json", text)
        summary.write(self.path, text.encode(), document)

    def _replace(self, name: str, text: str) -> None:
        make_folder(self.path)
        try:
            with replacing(self.path / name) as partial:
                partial.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"cannot write to {self.path}: {error.strerror}") from error


def make_folder(folder: Path) -> Path:
    """Make a folder; raises ConfigError if that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = "a file is called so" if isinstance(error, FileExistsError) else error.strerror
        raise ConfigError(f"cannot make the folder {folder}: {why}") from error
    return folder
