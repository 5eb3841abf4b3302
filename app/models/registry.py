"""From the name of a model in the settings to the model."""

from __future__ import annotations

import difflib
import importlib
import os
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from app.datasets.schema import Schema
from app.errors import LayoutError, ModelError
from app.layout import Layout, TensorSpec
from app.models.linear import LinearRegression, LogisticRegression, SoftmaxRegression
from app.models.mlp import MLP
from app.models.model import Model, Task

#: Holds the comma-separated prefixes of module paths that may be imported as models.
#: A run's settings reach workers over the network; without this, whoever can write to
#: the broker could have any module on the worker's disk imported.
ALLOWED_IMPORTS_VARIABLE = "DISTBELIEF_ALLOWED_IMPORTS"


Factory = Callable[..., Any]


class ModelSettings(Protocol):
    """The settings of a run that choose its model."""

    @property
    def model(self) -> str:
        """A built-in name, or the import path ``package.module:Name``."""
        ...

    @property
    def hidden(self) -> tuple[int, ...]: ...

    @property
    def activation(self) -> str: ...

    @property
    def init(self) -> str: ...

    @property
    def model_options(self) -> Mapping[str, Any]:
        """JSON values, handed to an imported model as keyword arguments."""
        ...


BUILT_IN: Mapping[str, Callable[[ModelSettings, Schema], Model]] = {
    "linear": lambda _, data: LinearRegression(data.n_features, sparse=data.sparse),
    "logistic": lambda _, data: LogisticRegression(data.n_features, sparse=data.sparse),
    "softmax": lambda _, data: SoftmaxRegression(
        data.n_features, data.n_classes, sparse=data.sparse
    ),
    "mlp": lambda settings, data: MLP(
        data.n_features, data.n_classes, settings.hidden, settings.activation, settings.init
    ),
}


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


def allowed_imports() -> tuple[str, ...]:
    """List the prefixes of module paths that this process may import as models."""
    prefixes = os.environ.get(ALLOWED_IMPORTS_VARIABLE, "").split(",")
    return tuple(prefix.strip() for prefix in prefixes if prefix.strip())


def allow_import(module_path: str) -> None:
    """Add a prefix for this process, and for the processes that it starts from now on."""
    os.environ[ALLOWED_IMPORTS_VARIABLE] = ",".join((*allowed_imports(), module_path))


def _built_in(settings: ModelSettings, schema: Schema) -> Model:
    name = settings.model
    if name not in BUILT_IN:
        near = difflib.get_close_matches(name, BUILT_IN, n=1)
        raise ModelError(
            f'unknown model "{name}": '
            + (f'did you mean "{near[0]}"? ' if near else "")
            + f'use one of {", ".join(BUILT_IN)}, or an import path "package.module:Name"'
        )
    if settings.model_options:
        raise ModelError(
            f'model_options are for imported models, but the built-in model "{name}" '
            f"was given {', '.join(settings.model_options)}"
        )
    return BUILT_IN[name](settings, schema)


def _imported(settings: ModelSettings, schema: Schema) -> Model:
    factory = _load(settings.model)
    try:
        model: Model = factory(
            n_features=schema.n_features, n_classes=schema.n_classes, **settings.model_options
        )
    except Exception as error:  # whatever a user's own code raises
        raise ModelError(f'model "{settings.model}" cannot be built: {_named(error)}') from error
    _check_attributes(settings.model, model)
    return model


def _load(path: str) -> Factory:
    """Import what ``package.module:Name`` names."""
    module_path, _, name = path.partition(":")
    if not all(part.isidentifier() for part in (*module_path.split("."), name)):
        raise ModelError(f'the import path of a model is "package.module:Name", got "{path}"')
    _check_allowed(module_path)
    try:
        module = importlib.import_module(module_path)
    except Exception as error:  # importing runs a user's own code
        raise ModelError(f'module "{module_path}" cannot be imported: {_named(error)}') from error
    factory: Factory | None = getattr(module, name, None)
    if not callable(factory):
        problem = f'has no "{name}"' if factory is None else f'has "{name}", but cannot call it'
        raise ModelError(f'module "{module_path}" {problem}')
    return factory


def _check_allowed(module_path: str) -> None:
    allowed = allowed_imports()
    if any(f"{module_path}.".startswith(f"{prefix}.") for prefix in allowed):
        return
    raise ModelError(
        f'importing "{module_path}" is not allowed: set the environment variable '
        f"{ALLOWED_IMPORTS_VARIABLE}={','.join((*allowed, module_path))} here and for the workers"
    )


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


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
