"""The record of a run: what a worker must know to take part, and how the run ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from app.config import RunConfig
from app.errors import ConfigError, Fenced
from app.keys import control
from app.layout import Layout
from app.store.servers import Command, Servers

FORMAT = 1

#: The fence under which a run begins; whoever takes over, or ends it, raises it.
FIRST_FENCE = 1


@dataclass(frozen=True)
class RunRecord:
    """Written once, before the first unit. Holds no secret: addresses, never passwords.

    ``fingerprint`` identifies the data, so that a worker whose file differs from the
    coordinator's says so instead of training on something else. ``n_classes`` is 0 for
    real-valued targets.
    """

    run: str
    config: RunConfig
    layout: Layout
    parameter_servers: tuple[str, ...]
    fingerprint: str
    n_features: int
    n_classes: int

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "config": self.config.model_dump(mode="json"),
            "layout": self.layout.to_json(),
            "parameter_servers": list(self.parameter_servers),
            "fingerprint": self.fingerprint,
            "n_features": self.n_features,
            "n_classes": self.n_classes,
        }

    @classmethod
    def from_json(cls, run: str, document: Mapping[str, Any]) -> RunRecord:
        if document.get("format") != FORMAT:
            raise ConfigError(
                f"run {run} was written in format {document.get('format')}, this program reads "
                f"format {FORMAT}: use the same version for coordinator and workers"
            )
        try:
            config = RunConfig(**document["config"])
        except ValidationError as error:
            raise ConfigError(
                f"run {run} has settings that this version does not know: use the same version "
                f"for coordinator and workers ({error.errors()[0]['loc']})"
            ) from None
        return cls(
            run,
            config,
            Layout.from_json(document["layout"]),
            tuple(document["parameter_servers"]),
            document["fingerprint"],
            document["n_features"],
            document["n_classes"],
        )


def open_run(servers: Servers, record: RunRecord) -> None:
    """Write the record and let the run's units be claimed."""
    key = control(record.run, "record")
    document = json.dumps(record.to_json())
    servers.call(
        [
            Command(0, ("HSETNX", key, "document", document)),
            Command(0, ("HSET", key, "fence", FIRST_FENCE, "state", "running")),
        ]
    )


def read_run(servers: Servers, run: str) -> RunRecord:
    """The record of ``run``; raises Fenced if there is none, or it has ended."""
    state, document = servers.one("HMGET", control(run, "record"), "state", "document")
    if document is None or state != b"running":
        raise Fenced(f"run {run} is not running")
    return RunRecord.from_json(run, json.loads(document))


def close_run(servers: Servers, run: str, outcome: Mapping[str, Any]) -> None:
    """End a run: from now on no unit of it can be claimed, renewed or reported."""
    fields = ("state", "ended", "outcome", json.dumps(outcome))
    servers.one("HSET", control(run, "record"), *fields)
    servers.one("UNLINK", control(run, "wakeup"))
