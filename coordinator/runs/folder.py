"""A run's folder: what resuming it needs, its checkpoints, its logs and its model."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from distbelief.app.errors import ConfigError
from distbelief.app.files.atomic import obstacle, replacing
from distbelief.app.files.documents import parse
from distbelief.app.settings.config import ClusterConfig

FORMAT = 1

#: Settings of a cluster that may hold passwords, which are not written down.
SECRETS = ("broker", "parameter_servers")


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run, ``CLUSTER.FOLDER/RUN``."""

    path: Path

    @classmethod
    def of(cls, cluster: ClusterConfig, run: str) -> RunFolder:
        return cls(Path(cluster.folder) / run)

    @property
    def run(self) -> str:
        return self.path.name

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

    def read(self) -> dict[str, Any] | None:
        """Read what was written down; None if there is no such folder.

        Raises:
            ConfigError: it is damaged, or of another version.
        """
        try:
            document = parse((self.path / "run.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise ConfigError(f"cannot read {self.path / 'run.json'}: {error}") from error
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise ConfigError(f"{self.path / 'run.json'} was written by another version")
        if not _is_whole(document):
            raise ConfigError(
                f"{self.path / 'run.json'} is damaged: it does not say what it should"
            )
        return document

    def _write(self, document: Mapping[str, Any]) -> None:
        text = json.dumps({**document, "format": FORMAT}, indent=2)
        make_folder(self.path)
        try:
            with replacing(self.path / "run.json") as partial:
                partial.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"cannot write to {self.path}: {error.strerror}") from error


def _is_whole(document: Mapping[str, Any]) -> bool:
    """Whether a record has the parts that :meth:`RunFolder.describe` writes, as it does."""
    parts = [document.get(name) for name in ("record", "cluster", "place", "outcome")]
    if not all(isinstance(part, dict) for part in parts):
        return False
    record, _, place, _ = (cast("dict[str, Any]", part) for part in parts)
    servers = place.get("parameter_servers")
    return (
        isinstance(record.get("config"), dict)
        and isinstance(place.get("embedded"), bool)
        and isinstance(place.get("broker"), str)
        and isinstance(servers, list)
        and all(isinstance(each, str) for each in servers)
    )


def make_folder(folder: Path) -> Path:
    """Make a folder; raises ConfigError if that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"cannot make the folder {folder}: {error.strerror}") from error
    return folder
