"""Settings of where a training runs and who may watch it there; see
:mod:`distbelief.app.settings.sections`.
"""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from distbelief.app.errors import ConfigError
from distbelief.app.settings.durations import FORMS, seconds_of
from distbelief.app.settings.environment import checked_key_prefix, with_key_prefix
from distbelief.app.settings.section import Positive, Section
from distbelief.app.settings.sections import WantedEngine
from distbelief.app.settings.sizes import bytes_of

#: Of ``keep_on_servers``, beside lengths of time.
KEEP_NOTHING, FOREVER = "no", "forever"

#: Of ``stage_data``, beside addresses.
CONTROL_SERVER = "control"

_PASSWORD = re.compile("://[^/]*@")


class ClusterSettings(Section):
    """Where to run"""

    # Before the URLs, which get it.
    key_prefix: str | None = Field(
        None,
        description="how all keys, queues and channels on the servers begin, so that several "
        "deployments share them and never meet (such as team1:)",
    )
    broker: str | None = Field(
        None,
        description="URL of Celery's broker, any that Celery has; a Redis is the control server, "
        "too [default: start embedded servers]",
    )
    control: str | None = Field(
        None,
        description="URL of the control server, the Redis with the ledger of runs "
        "[default: the broker, if that is a Redis]",
    )
    celery_app: str | None = Field(
        None,
        description="the Celery application of your own that trains, as Celery's -A names it, once "
        "distbelief.celery.join has joined it [default: ours]",
    )
    parameter_servers: tuple[str, ...] = Field(
        (),
        description="URLs of the parameter servers, commas between them "
        "[default: with a celery_app, the control server]",
    )
    servers: Positive = Field(2, description="embedded parameter servers to start")
    processes: Positive | None = Field(
        None, description="worker processes of the embedded worker [default: replicas]"
    )
    engine: WantedEngine = Field(
        "auto",
        description="what computes on the parameter servers: their Lua interpreter, or our native "
        "module (far faster), which auto takes wherever a server has loaded it",
    )
    durability: Literal["checkpoint", "aof"] = Field(
        "checkpoint",
        description="embedded servers that die come back from the last checkpoint, or with an "
        "append-only file from where they stood (which costs writing every change)",
    )
    folder: str = Field(
        "runs", description="folder for the checkpoints, the model and the logs of each run"
    )
    output: str | None = Field(
        None, description="file for the trained model [default: FOLDER/RUN/model.safetensors]"
    )
    wait_seconds: float = Field(
        10.0,
        gt=0,
        description="seconds to wait for servers and workers before training (a worker that was "
        "started for it has a minute at least)",
    )
    wait_for_workers: float | None = Field(
        None,
        gt=0,
        description="seconds to wait for workers before training, where something starts them once "
        "they are wanted [default: wait_seconds]",
    )
    checkpoint_address: str | None = Field(
        None,
        description="URL of a folder (s3://BUCKET/FOLDER and the like) to which each checkpoint is "
        "copied: a run that goes on elsewhere takes it from there (extra remote) [default: none]",
    )
    stage_data: str | None = Field(
        None,
        description="have workers fetch the data, each machine once, and not read them by itself: "
        "from the control server (control, or the flag alone), or a folder that they reach, "
        "s3://BUCKET/FOLDER and the like (extra remote) [default: none]",
        json_schema_extra={"alone": "control"},
    )
    stage_limit: str = Field(
        "1GB",
        description="bytes of data that may be staged on the control server, which keeps them in "
        "memory: a number and KB, MB, GB or TB",
    )
    keep_on_servers: str = Field(
        FOREVER,
        description="servers of your own: how long a run's keys stay there once it has ended: no, "
        f"forever, or {FORMS} (no: one that is to be resumed stays)",
    )

    @field_validator("key_prefix")
    @classmethod
    def _names_keys(cls, written: str | None) -> str | None:
        return None if written is None else checked_key_prefix(written)

    @field_validator("broker", "control", "parameter_servers")
    @classmethod
    def _with_key_prefix(
        cls, urls: str | tuple[str, ...] | None, known: ValidationInfo
    ) -> str | tuple[str, ...] | None:
        prefix = known.data.get("key_prefix")
        try:
            if isinstance(urls, tuple):
                return tuple(with_key_prefix(url, prefix) for url in urls)
            return None if urls is None else with_key_prefix(urls, prefix)
        except ConfigError as error:
            raise ValueError(str(error)) from None

    @property
    def embedded(self) -> bool:
        """Whether servers and workers are started for the run."""
        return self.broker is None and self.control is None

    @property
    def control_server(self) -> str | None:
        """Where the ledger is; None if it is embedded."""
        return self.control or self.broker

    @field_validator("stage_data")
    @classmethod
    def _reached_from_elsewhere(cls, written: str | None) -> str | None:
        if written is None or written == CONTROL_SERVER:
            return written
        if not ("://" in written or written.startswith("/")):
            raise ValueError(f"it must be {CONTROL_SERVER}, a URL, or a folder with its whole path")
        if _PASSWORD.search(written):
            raise ValueError(
                "it must hold no password, for it is written down with the run: give credentials "
                "to the file system of the coordinator and of each worker"
            )
        return written

    @field_validator("stage_limit")
    @classmethod
    def _says_bytes(cls, written: str) -> str:
        bytes_of(written)
        return written

    @field_validator("keep_on_servers")
    @classmethod
    def _forever_or_for_a_while(cls, written: str) -> str:
        if written not in (KEEP_NOTHING, FOREVER):
            try:
                seconds_of(written)
            except ValueError as error:
                raise ValueError(f"{error}, or no, or forever") from None
        return written


class MonitoringSettings(Section):
    """Monitoring"""

    flower: bool = Field(
        False,
        description="show tasks and workers on web pages of this machine while the run lasts "
        "(extra flower)",
    )
    page: int | None = Field(
        None,
        ge=0,
        le=65_535,
        description="serve the report of the running training to browsers of this machine, redrawn "
        "as it goes, on that port, or (0, or the flag alone) on any that is free, which is said; "
        "the last one stays in the run's folder (extra report) [default: none]",
        json_schema_extra={"alone": "0"},
    )
    metrics_port: int | None = Field(
        None,
        ge=0,
        le=65_535,
        description="serve the training's figures for Prometheus at http://ADDRESS:PORT/metrics "
        "(0: any free port, which is said) [default: none]",
    )
    metrics_address: str = Field(
        "127.0.0.1",
        description="where the figures may be asked for: this machine alone, or 0.0.0.0 for "
        "everybody who reaches it and has the password of DISTBELIEF_METRICS_PASSWORD",
    )
    tensorboard: str | None = Field(
        None,
        description="write the training's curves for TensorBoard to this folder, in one named "
        "after the run (extra tensorboard) [default: none]",
    )
