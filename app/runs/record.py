"""The record of a run: all that a worker must know to take part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from distbelief.app.client.engine import Engine
from distbelief.app.datasets.examples.compatibility import Compatibility
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.errors import ConfigError
from distbelief.app.layout.layout import Layout
from distbelief.app.runs.identity import Identity
from distbelief.app.settings.config import RunConfig

FORMAT = 3

#: Seconds that a key stays which nobody removes, because its coordinator or worker died.
KEEP_S = 86_400


@dataclass(frozen=True)
class RunRecord:
    """Written by the coordinator that takes the run. Holds no secret: addresses, never passwords.

    ``fingerprint`` identifies the data, so that a worker whose file differs from the
    coordinator's says so instead of training on something else. ``engines`` are what the
    parameter servers compute with (empty: Lua). ``identity`` is the code that workers must
    share; None in records of older programs, which workers do not compare. ``fits`` is what
    the training data must fit, the model that the run goes on from.
    """

    run: str
    config: RunConfig
    layout: Layout
    parameter_servers: tuple[str, ...]
    fingerprint: str
    schema: Schema
    engines: tuple[Engine, ...] = ()
    identity: Identity | None = None
    fits: Compatibility | None = None

    def to_json(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "config": self.config.model_dump(mode="json"),
            "layout": self.layout.to_json(),
            "parameter_servers": list(self.parameter_servers),
            "fingerprint": self.fingerprint,
            "schema": self.schema.to_json(),
            "engines": list(self.engines),
            "identity": self.identity.to_json() if self.identity is not None else None,
            "fits": self.fits.to_json() if self.fits is not None else None,
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
        identity, fits = document.get("identity"), document.get("fits")
        return cls(
            run,
            config,
            Layout.from_json(document["layout"]),
            tuple(document["parameter_servers"]),
            document["fingerprint"],
            Schema.from_json(document["schema"]),
            tuple(Engine(name) for name in document["engines"]),
            Identity.from_json(identity) if identity is not None else None,
            Compatibility.from_json(fits) if fits is not None else None,
        )
