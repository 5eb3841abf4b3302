"""The configuration of a run, and of where it runs.

:class:`RunConfig` is validated once, by the coordinator; its JSON is what workers read from the
run record. :class:`ClusterConfig` says where to run; it may hold passwords and so never becomes
part of a run record. The settings themselves are in :mod:`distbelief.app.settings.sections` and
:mod:`distbelief.app.settings.cluster`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from pydantic import ModelWrapValidatorHandler, model_validator

from distbelief.app.errors import ConfigError
from distbelief.app.settings.cluster import ClusterSettings, MonitoringSettings
from distbelief.app.settings.complaints import told, unknown
from distbelief.app.settings.data import RANDOM, DataSettings
from distbelief.app.settings.downpour import FEWEST_REPLICAS, DownpourSettings
from distbelief.app.settings.environment import control_beside
from distbelief.app.settings.rounds import RoundSettings, complain
from distbelief.app.settings.section import Section
from distbelief.app.settings.sections import (
    CheckpointSettings,
    HybridSettings,
    ModelSettings,
    ObjectiveSettings,
    RunSettings,
    SandblasterSettings,
    StopSettings,
    StoreSettings,
)

if TYPE_CHECKING:  # commands that compute nothing begin sooner without it
    import numpy as np

#: Workers that add up gradients of the batch at one moment, as far as is known beforehand.
BATCH_CALLERS = 4

#: A method of training, which is a queue of workers, too.
Stage = Literal["downpour", "sandblaster"]

#: Tasks of a run that a process does, at most, before one of somebody else's that is behind them.
TURNS = 3

#: Passes over the training data where nobody says how many, and the examples are not few.
PASSES = 40

#: Rounds in a unit where these last some seconds; and steps, of which no unit has as many.
UNIT_ROUNDS, ENDLESS = 4, 1 << 40


class RunConfig(
    RunSettings,
    ModelSettings,
    DataSettings,
    ObjectiveSettings,
    DownpourSettings,
    RoundSettings,
    SandblasterSettings,
    HybridSettings,
    StopSettings,
    CheckpointSettings,
    StoreSettings,
):
    """One training job. Frozen; equal configurations have equal JSON.

    Raises ConfigError for settings that are unknown, or not allowed.
    """

    @model_validator(mode="after")
    def _consistent_rule(self) -> RunConfig:
        if self.optimizer == "adagrad" and self.initial_accumulator == 0 and _tiny(self.epsilon):
            raise ValueError("initial_accumulator 0 needs an epsilon of at least 1e-30")
        if self.optimizer in ("rmsprop", "adam") and _tiny(self.epsilon):
            raise ValueError(f"{self.optimizer} needs an epsilon of at least 1e-30")
        if self.optimizer != "ftrl":
            return self
        if self.learning_rate_decay:
            raise ValueError(
                "learning_rate_decay must be 0 for ftrl: it slows each number down by itself"
            )
        for name in ("scale_by_staleness", "schedule", "warm_up"):
            if getattr(self, name):
                raise ValueError(f"{name} is not for ftrl, whose steps have no rate")
        return self

    @model_validator(mode="after")
    def _consistent_schedule(self) -> RunConfig:
        if self.schedule == "inverse" and not self.learning_rate_decay:
            raise ValueError("schedule inverse needs a learning_rate_decay above 0")
        if self.schedule not in (None, "inverse") and self.learning_rate_decay:
            raise ValueError(
                f"learning_rate_decay is for schedule inverse, not for {self.schedule}: leave out "
                "one of them"
            )
        if self.warm_up >= self.n_passes:
            raise ValueError(
                f"warm_up = {self.warm_up:g} must be less than passes = {self.n_passes}: the rate "
                "would not reach its full height"
            )
        return self

    @model_validator(mode="after")
    def _consistent(self) -> RunConfig:
        self._check_division()
        if why := complain(self.__dict__):
            raise ValueError(why)
        judged = (self.target, self.patience, self.metric)
        if not self.evaluates and any(each is not None for each in judged):
            raise ValueError("target, patience and metric need held-out data: set holdout above 0")
        if self.algorithm != "sandblaster" and self.l1 > 0:
            raise ValueError(
                f"l1 = {self.l1:g} needs algorithm = sandblaster; with algorithm = downpour, "
                "choose optimizer = ftrl and set ftrl_l1"
            )
        return self

    @model_validator(mode="after")
    def _one_objective(self) -> RunConfig:
        """Both parts of a hybrid minimise the same function."""
        if self.algorithm != "hybrid":
            return self
        terms = {"ftrl": ("ftrl_l1", "ftrl_l2"), "adam": ("weight_decay",)}
        for name in terms.get(self.optimizer, ()):
            if value := getattr(self, name):
                raise ValueError(
                    f"{name} = {value:g} is not for algorithm hybrid: L-BFGS would go on with "
                    "another objective; choose l2, which both parts have"
                )
        return self

    @model_validator(mode="wrap")  # the last one, so that it is around the others
    @classmethod
    def _tell(cls, data: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        return told(data, validate, [*cls.model_fields])

    def _check_division(self) -> None:
        """Examples can be divided in one way only."""
        if isinstance(self.holdout, str):
            others = {"split": self.split != RANDOM, "test": self.test}
            others["holdout_data"] = self.holdout_data is not None
            for name in (name for name, given in others.items() if given):
                raise ValueError(
                    f"{name} and a column as holdout ({self.holdout}) exclude each other: the "
                    "column says the part of each example"
                )

    @property
    def evaluates(self) -> bool:
        """Whether there are held-out data."""
        return bool(self.holdout) or self.holdout_data is not None

    @property
    def unit_length(self) -> int:
        """Steps of a full unit, in whole pushes; by ``round_seconds`` there is no such bound."""
        steps = self.unit_steps if self.round_seconds is None else ENDLESS
        return whole_pushes(steps, self.push_interval)

    @property
    def unit_time(self) -> float:
        """Seconds of a unit: those of a task, or of some rounds where others do not wait."""
        if self.unit_seconds is not None:
            return self.task_seconds
        return math.inf if self.round_seconds is None else UNIT_ROUNDS * self.round_seconds

    @property
    def task_seconds(self) -> float:
        """Seconds after which a Celery task ends, as soon as it can, that others get their turn.

        In front of somebody else's there are at most ``TURNS`` of a run in each process: two
        portions, or a unit, and a part of an evaluation.
        """
        return math.inf if self.unit_seconds is None else self.unit_seconds / TURNS

    @property
    def n_passes(self) -> int:
        """``passes``, also where none are given."""
        return self.passes or PASSES

    def with_interval(self, interval: int) -> RunConfig:
        """With numbers for ``n_push`` and ``n_fetch``: ``interval`` where both are ``auto``.

        Where one of them is given, the other is the same: a push then brings what a fetch
        would, in one round trip. With rounds they are the steps of a round.
        """
        given = {"n_push": self.n_push, "n_fetch": self.n_fetch}
        chosen = self.round_steps or interval
        known = next((each for each in given.values() if each != "auto"), chosen)
        return self.model_copy(
            update={name: known for name, each in given.items() if each == "auto"}
        )

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The methods that a run goes through, in their order."""
        return ("downpour", "sandblaster") if self.algorithm == "hybrid" else (self.algorithm,)

    @property
    def callers(self) -> int:
        """Those who call a server at the same time, and share ``call_ms``."""
        callers: dict[Stage, int] = {"downpour": self.n_replicas, "sandblaster": BATCH_CALLERS}
        return max(callers[stage] for stage in self.stages)

    @property
    def dtype(self) -> np.dtype[np.floating]:
        """Dtype of the parameters on the servers."""
        import numpy as np

        return np.dtype("f4" if self.algorithm == "downpour" else self.precision)

    def model_settings(self) -> ModelSettings:
        """The settings that rebuild the model, for a saved model's header."""
        return ModelSettings(**{name: getattr(self, name) for name in ModelSettings.model_fields})


class ClusterConfig(ClusterSettings, MonitoringSettings):
    """Where a run runs, and how it is watched; raises ConfigError like RunConfig."""

    @model_validator(mode="after")
    def _both_or_none(self) -> ClusterConfig:
        if self.embedded != (not self.parameter_servers):
            raise ValueError("broker and parameter_servers go together: give both, or neither")
        if self.control is None and self.broker is not None:
            control_beside(self.broker)
        return self

    @model_validator(mode="wrap")  # the last one, so that it is around the others
    @classmethod
    def _tell(cls, data: Any, validate: ModelWrapValidatorHandler[Self]) -> Self:
        return told(data, validate, [*cls.model_fields])


#: The groups of settings, in the order of the help.
CLUSTER_SECTIONS: tuple[type[Section], ...] = ClusterConfig.__bases__
SECTIONS: tuple[type[Section], ...] = (*RunConfig.__bases__, *CLUSTER_SECTIONS)


def _tiny(epsilon: float | None) -> bool:
    """Too small for float32 to divide by."""
    return epsilon is not None and epsilon < 1e-30


def whole_pushes(steps: int, n_push: int) -> int:
    """``steps`` rounded up to a multiple of ``n_push``."""
    return -(-steps // n_push) * n_push


#: The names of all settings.
KNOWN = [*RunConfig.model_fields, *ClusterConfig.model_fields]


def configure(settings: Mapping[str, Any]) -> tuple[RunConfig, ClusterConfig]:
    """Validate settings by name.

    Raises:
        ConfigError: naming the setting, its value, and what is allowed.
    """
    _check_names(settings)
    run = RunConfig(**_among(settings, RunConfig))
    cluster = ClusterConfig(**_among(settings, ClusterConfig))
    if cluster.embedded and run.replicas == "auto":  # its worker is ours to start
        replicas = max(FEWEST_REPLICAS, cluster.processes or 0)
        run = run.model_copy(update={"replicas": replicas})
    return run, cluster


def configure_cluster(settings: Mapping[str, Any]) -> ClusterConfig:
    """Validate those of the ``settings`` that say where a run runs; raises like configure."""
    _check_names(settings)
    return ClusterConfig(**_among(settings, ClusterConfig))


def _check_names(settings: Mapping[str, Any]) -> None:
    if odd := [name for name in settings if name not in KNOWN]:
        raise ConfigError(unknown(odd[0], KNOWN))
    for name, value in settings.items():
        if isinstance(value, bool) and not _is_switch(name):
            said = str(value).lower()
            raise ConfigError(f"{name} = {said} is not allowed: it is not a boolean setting")


def _among(settings: Mapping[str, Any], config: type[RunConfig | ClusterConfig]) -> dict[str, Any]:
    return {name: settings[name] for name in settings if name in config.model_fields}


def _is_switch(name: str) -> bool:
    field = RunConfig.model_fields.get(name) or ClusterConfig.model_fields[name]
    return bool in (field.annotation, *get_args(field.annotation))
