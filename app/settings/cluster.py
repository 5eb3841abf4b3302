"""Settings of where a training runs and who may watch it there; see
:mod:`distbelief.app.settings.sections`.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from distbelief.app.settings.durations import FORMS, seconds_of
from distbelief.app.settings.sections import Positive, Section, WantedEngine

#: Of ``keep_on_servers``, beside lengths of time.
KEEP_NOTHING, FOREVER = "no", "forever"


class ClusterSettings(Section):
    """Where to run"""

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
    keep_on_servers: str = Field(
        FOREVER,
        description="servers of your own: how long a run's keys stay there once it has ended: no, "
        f"forever, or {FORMS} (no: one that is to be resumed stays)",
    )

    @property
    def embedded(self) -> bool:
        """Whether servers and workers are started for the run."""
        return self.broker is None and self.control is None

    @property
    def control_server(self) -> str | None:
        """Where the ledger is; None if it is embedded."""
        return self.control or self.broker

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
        "everybody who reaches it (they are no secret, and there is no password)",
    )
    tensorboard: str | None = Field(
        None,
        description="write the training's curves for TensorBoard to this folder, in one named "
        "after the run (extra tensorboard) [default: none]",
    )
