"""What the targets are: the model's task says it first, then the option, then they themselves."""

from __future__ import annotations

from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.datasets.formats.options import wanted_targets
from distbelief.app.datasets.sources.source import Generated, parse
from distbelief.app.datasets.targets.wanted import CLASSIFICATION, REGRESSION
from distbelief.app.errors import ConfigError
from distbelief.app.models.model import Task
from distbelief.app.models.registry import declared_task, task_for
from distbelief.app.settings.config import RunConfig


def told(config: RunConfig) -> RunConfig:
    """``config`` with the option ``task`` that its model asks for, if it has one task only.

    So it is written down with the run, and means the same to each worker.

    Raises:
        ConfigError: the options say otherwise.
        ModelError: the model cannot be imported.
    """
    task = declared_task(config)
    return config if task is None else _with_task(config, task)


def agreed(config: RunConfig, schema: Schema) -> RunConfig:
    """``config`` itself if its model is for the targets of ``schema``; else told, to read again.

    Of a user's own model the task may be known only now, when it can be built.

    Raises:
        ConfigError: it is not for these targets, and they are what they are.
        ModelError: the model cannot be built.
    """
    task = task_for(config, schema)
    if task is None or task.targets == (CLASSIFICATION if schema.n_classes else REGRESSION):
        return config
    again = _with_task(config, task)
    if again is config:
        found = f"{schema.n_classes} classes" if schema.n_classes else "numbers"
        raise ConfigError(f"{_words(config, task)}, but the targets of {config.data} are {found}")
    return again


def _with_task(config: RunConfig, task: Task) -> RunConfig:
    """With the option, where the data have it and it is not given."""
    known = wanted_targets(config.data, config.data_options).kind
    if known is not None and known != task.targets:
        name = "classes" if "classes" in config.data_options else "task"
        raise ConfigError(
            f"{_words(config, task)}, but the data option {name}={config.data_options[name]} says "
            f"that the targets are for a {known}: leave one of them out"
        )
    if known is not None or isinstance(parse(config.data), Generated):
        return config
    options = {**config.data_options, "task": task.targets}
    return config.model_copy(update={"data_options": options})


def _words(config: RunConfig, task: Task) -> str:
    kind = "a regression" if task is Task.REGRESSION else "for classes"
    loss = f" with loss {config.loss}" if config.model == "torch" else ""
    return f'model "{config.model}"{loss} is {kind}'
