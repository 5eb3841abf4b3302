"""The record of a run: all that a worker must know to take part."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from distbelief.app.client.engine import Engine
from distbelief.app.datasets.examples.compatibility import Compatibility
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.errors import ConfigError, RunDamaged
from distbelief.app.layout.layout import Layout
from distbelief.app.models.scaling import Scaling
from distbelief.app.runs.damage import Whole, damaged
from distbelief.app.runs.identity import Identity
from distbelief.app.settings.config import RunConfig

FORMAT = 3

#: What digests of staged data look like.
HEX = r"^[0-9a-f]{32}$"

#: More than anybody has.
MOST_SHARDS = 1 << 20

#: Seconds that a key stays which nobody removes, because its coordinator or worker died.
KEEP_S = 86_400


class _Part(BaseModel):
    """Of a record as it is written: each thing is what it is, whether or not it fits the others."""

    model_config = ConfigDict(strict=True, extra="allow")


class _Layout(_Part):
    tensors: list[list[Any]]
    block_numbers: Whole
    n_shards: int = Field(ge=1, le=MOST_SHARDS)
    n_servers: int = Field(ge=1, le=MOST_SHARDS)
    n_table_shards: Whole
    seed: int


class _Schema(_Part):
    n_features: Whole
    n_classes: Whole = 0
    sparse: bool = False
    n_dense: Whole = 0
    n_fields: Whole = 0
    labels: Sequence[int | str]
    target_origin: float = 0.0


class _Identity(_Part):
    version: str
    code: str
    modules: dict[str, str] = {}


class _Written(_Part):
    config: dict[str, Any]
    layout: _Layout
    parameter_servers: list[str]
    fingerprint: str
    data_schema: _Schema = Field(alias="schema")
    engines: list[str]
    identity: _Identity | None = None
    staged: _Staged | None = None
    chosen: list[str] = []


class _Staged(_Part):
    address: str | None = None
    digests: dict[Literal["data", "holdout_data", "test_data"], Annotated[str, Field(pattern=HEX)]]


@dataclass(frozen=True)
class Staged:
    """Data that workers fetch: from ``address``, or where it is None from the control server.

    ``digests`` are (setting, digest of the manifest) of each of the run's data that is there.
    """

    address: str | None
    digests: tuple[tuple[str, str], ...]

    def to_json(self) -> dict[str, Any]:
        return {"address": self.address, "digests": dict(self.digests)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Staged:
        return cls(document["address"], tuple(document["digests"].items()))


@dataclass(frozen=True)
class RunRecord:
    """Written by the coordinator that takes the run. Holds no secret: addresses, never passwords.

    ``fingerprint`` identifies the data, so that a worker whose file differs from the
    coordinator's says so instead of training on something else. ``engines`` are what the
    parameter servers compute with (empty: Lua). ``identity`` is the code that workers must
    share; None in records of older programs, which workers do not compare. ``scaling`` is that
    under which the model is trained, None if it is trained on the columns as they are. ``fits``
    is what the training data must fit, the model that the run goes on from. ``staged`` is there if
    workers fetch data and do not read them as ``config`` names them. ``chosen`` are the settings
    that nobody gave, and that were chosen by measuring.
    """

    run: str
    config: RunConfig
    layout: Layout
    parameter_servers: tuple[str, ...]
    fingerprint: str
    schema: Schema
    engines: tuple[Engine, ...] = ()
    identity: Identity | None = None
    scaling: Scaling | None = None
    fits: Compatibility | None = None
    staged: Staged | None = None
    chosen: tuple[str, ...] = ()

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
            "scaling": self.scaling.to_json() if self.scaling is not None else None,
            "fits": self.fits.to_json() if self.fits is not None else None,
            "staged": self.staged.to_json() if self.staged is not None else None,
            "chosen": list(self.chosen),
        }

    @classmethod
    def from_json(cls, run: str, document: Mapping[str, Any]) -> RunRecord:
        """Read what :meth:`to_json` made.

        Raises:
            RunDamaged: it is of another version, or says what cannot be.
        """
        if document.get("format") != FORMAT:
            raise RunDamaged(
                f"run {run} was written in format {document.get('format')}, this program reads "
                f"format {FORMAT}: use the same version for coordinator and workers"
            )
        try:
            _Written.model_validate(document)
            return cls._read(run, document)
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            raise damaged(run, "its record", error) from None

    @classmethod
    def _read(cls, run: str, document: Mapping[str, Any]) -> RunRecord:
        try:
            config = RunConfig(**document["config"])
        except ConfigError as error:
            raise RunDamaged(
                f"run {run} has settings that this version does not know: use the same version "
                f"for coordinator and workers ({error})"
            ) from None
        identity, scaling = document.get("identity"), document.get("scaling")
        fits, staged = document.get("fits"), document.get("staged")
        return cls(
            run,
            config,
            Layout.from_json(document["layout"]),
            tuple(document["parameter_servers"]),
            document["fingerprint"],
            Schema.from_json(document["schema"]),
            tuple(Engine(name) for name in document["engines"]),
            Identity.from_json(identity) if identity is not None else None,
            Scaling.from_json(scaling) if scaling is not None else None,
            Compatibility.from_json(fits) if fits is not None else None,
            Staged.from_json(staged) if staged is not None else None,
            tuple(document.get("chosen", ())),
        )
