"""From the name of a model in the settings to the model."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.errors import LayoutError, ModelError
from distbelief.app.layout.layout import Layout
from distbelief.app.layout.tensors import TensorSpec
from distbelief.app.models.fm import FactorizationMachine
from distbelief.app.models.imports import load, named
from distbelief.app.models.linear import LinearRegression, LogisticRegression, SoftmaxRegression
from distbelief.app.models.mlp import MLP
from distbelief.app.models.model import Model, Task
from distbelief.app.models.wide_deep import WideDeep
from distbelief.app.settings.extras import needed
from distbelief.app.settings.sections import ModelSettings


def _mlp(settings: ModelSettings, data: Schema) -> Model:
    return MLP(
        data.n_features,
        data.n_classes,
        settings.hidden,
        settings.activation,
        settings.init,
        sparse=data.sparse,
    )


def _fm(settings: ModelSettings, data: Schema) -> Model:
    return FactorizationMachine(
        data.n_features, data.n_classes, settings.rank, settings.spread, sparse=data.sparse
    )


def _wide_deep(settings: ModelSettings, data: Schema) -> Model:
    return WideDeep.of(
        data,
        hidden=settings.hidden,
        activation=settings.activation,
        init=settings.init,
        embedding=settings.embedding,
        spread=settings.spread,
    )


def _torch(settings: ModelSettings, data: Schema) -> Model:
    needed("torch", 'model "torch" needs PyTorch', "torch", ModelError)
    from distbelief.app.models.torch import build

    return build(settings.module, settings.loss, settings.model_options, data)


BUILT_IN: Mapping[str, Callable[[ModelSettings, Schema], Model]] = {
    "linear": lambda _, data: LinearRegression(data.n_features, sparse=data.sparse),
    "logistic": lambda _, data: LogisticRegression(data.n_features, sparse=data.sparse),
    "softmax": lambda _, data: SoftmaxRegression(
        data.n_features, data.n_classes, sparse=data.sparse
    ),
    "mlp": _mlp,
    "fm": _fm,
    "wide_deep": _wide_deep,
    "torch": _torch,
}

#: The tasks of those that have one only, and of losses; others take both kinds of targets.
TASKS: Mapping[str, Task] = {
    "linear": Task.REGRESSION,
    "logistic": Task.BINARY,
    "softmax": Task.MULTICLASS,
    "mse": Task.REGRESSION,
    "log_loss": Task.BINARY,
    "cross_entropy": Task.MULTICLASS,
}


def declared_task(settings: ModelSettings) -> Task | None:
    """The task of a model, as far as it is known without any data.

    Raises:
        ModelError: it is a user's own, and cannot be imported.
    """
    if ":" in settings.model:
        task = getattr(load(settings.model), "task", None)
        return task if isinstance(task, Task) else None
    return TASKS.get((settings.loss or "") if settings.model == "torch" else settings.model)


def task_for(settings: ModelSettings, schema: Schema) -> Task | None:
    """The task that a model has for data of this ``schema``; None if it takes any targets.

    Raises:
        ModelError: it is a user's own, and cannot be built.
    """
    declared = declared_task(settings)
    if declared is None and ":" in settings.model:
        return _imported(settings, schema).task
    return declared


def build_model(settings: ModelSettings, schema: Schema) -> Model:
    """Build the model that ``settings`` name, for data of this ``schema``.

    Raises:
        ModelError: unknown or forbidden name, a model that cannot be built or does not
            keep to the protocol, or one that does not fit the targets.
    """
    build = _imported if ":" in settings.model else _built_in
    model = build(settings, schema)
    # The targets first: a factory that was given no classes can make no proper tensors.
    _check_targets(settings.model, model.task, schema.n_classes)
    _check_tensors(settings.model, model.tensors)
    return model


def _built_in(settings: ModelSettings, schema: Schema) -> Model:
    name = settings.model
    if name not in BUILT_IN:
        near = difflib.get_close_matches(name.lower(), BUILT_IN, n=1)
        if name.endswith(".py"):
            near = [f"{Path(name).stem}:Name"]
        raise ModelError(
            f'unknown model "{name}": '
            + (f'did you mean "{near[0]}"? ' if near else "")
            + f'use one of {", ".join(BUILT_IN)}, or an import path "package.module:Name"'
        )
    if settings.model_options and name != "torch":
        raise ModelError(
            f'model_options are for imported models and modules, but the built-in model "{name}" '
            f"was given {', '.join(settings.model_options)}"
        )
    return BUILT_IN[name](settings, schema)


def _imported(settings: ModelSettings, schema: Schema) -> Model:
    factory = load(settings.model)
    try:
        model: Model = factory(
            n_features=schema.n_features, n_classes=schema.n_classes, **settings.model_options
        )
    except Exception as error:  # whatever a user's own code raises
        raise ModelError(f'model "{settings.model}" cannot be built: {named(error)}') from error
    _check_attributes(settings.model, model)
    return model


def _check_attributes(path: str, model: Any) -> None:
    missing = [name for name in ("tensors", "task") if not hasattr(model, name)]
    methods = ("initial", "loss_and_gradient", "predict")
    missing += [f"{name}()" for name in methods if not callable(getattr(model, name, None))]
    if missing:
        raise ModelError(f'model "{path}" lacks {", ".join(missing)}')
    if not isinstance(model.task, Task):
        raise ModelError(f'the task of model "{path}" must be a Task, got {model.task!r}')


def _check_tensors(path: str, tensors: Any) -> None:
    if not isinstance(tensors, tuple) or not all(isinstance(t, TensorSpec) for t in tensors):
        raise ModelError(f'tensors of model "{path}" must be a tuple of TensorSpec, got {tensors}')
    for tensor in tensors:
        shape = tensor.shape
        if not isinstance(shape, tuple) or not all(type(n) is int and n > 0 for n in shape):
            raise ModelError(
                f'tensor "{tensor.name}" of model "{path}" must have a shape of positive '
                f"integers, got {shape}"
            )
    try:
        Layout(tensors, block_numbers=1, n_shards=1, n_servers=1)
    except LayoutError as error:
        raise ModelError(f'model "{path}" has unusable tensors: {error}') from error


def _check_targets(name: str, task: Task, n_classes: int) -> None:
    if task is Task.REGRESSION:
        return
    if n_classes == 0:
        raise ModelError(f'model "{name}" needs class labels, but the targets are real numbers')
    if n_classes < 2 or (task is Task.BINARY and n_classes != 2):
        needed = "exactly 2" if task is Task.BINARY else "at least 2"
        raise ModelError(f'model "{name}" needs {needed} classes, but the data have {n_classes}')
