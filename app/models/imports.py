"""Which modules of the user's a process may import, and importing from them."""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from distbelief.app.errors import ModelError
from distbelief.app.files.atomic import replacing
from distbelief.app.models import sources

#: Holds the comma-separated prefixes of module paths that may be imported as models.
#: A run's settings reach workers over the network; without this, whoever can write to
#: the broker could have any module on the worker's disk imported.
ALLOWED_IMPORTS_VARIABLE = "DISTBELIEF_ALLOWED_IMPORTS"

#: Names a JSON file of the program that started this worker as its own: what it allows by now, and
#: where it finds modules, ``{"allowed": [PREFIX, ...], "path": [FOLDER, ...]}``.
OWNER_FILE_VARIABLE = "DISTBELIEF_OWNER_FILE"

#: What this process was allowed beside its environment, which belongs to the program around us.
_allowed_here: list[str] = []


class ImportSettings(Protocol):
    """The settings of a run that may hold import paths."""

    @property
    def model(self) -> str: ...

    @property
    def module(self) -> str | None: ...

    @property
    def loss(self) -> str | None: ...


def allowed_imports() -> tuple[str, ...]:
    """List the prefixes of module paths that this process may import as models."""
    prefixes = os.environ.get(ALLOWED_IMPORTS_VARIABLE, "").split(",")
    ours = (*(prefix.strip() for prefix in prefixes if prefix.strip()), *_allowed_here)
    return (*ours, *(each for each in _of_the_owner("allowed") if each not in ours))


def allow_import(module_path: str) -> None:
    """Add a prefix for this process, and for the workers that are its own."""
    if module_path not in allowed_imports():
        _allowed_here.append(module_path)


def allow_imports_of(settings: ImportSettings) -> None:
    """Allow all that ``settings`` name, for one who trusts whoever wrote them."""
    for module_path in named_modules(settings):
        allow_import(module_path)


def named_modules(settings: ImportSettings) -> list[str]:
    """The modules of the user's that ``settings`` name."""
    paths = (settings.model, settings.module, settings.loss)
    return [path.partition(":")[0] for path in paths if path is not None and ":" in path]


def load(path: str, what: str = "model") -> Callable[..., Any]:
    """Import what ``package.module:Name`` names."""
    module_path, _, name = path.partition(":")
    if module_path == "__main__":
        raise ModelError(
            f'the {what} "{path}" lies in the program itself, which workers cannot import: put '
            f'{name} into a file of its own, mynets.py for instance, and name it "mynets:{name}"'
        )
    if not all(part.isidentifier() for part in (*module_path.split("."), name)):
        raise ModelError(f'the import path of a {what} is "package.module:Name", got "{path}"')
    _check_allowed(module_path)
    if module_path not in sys.modules:
        sys.path += [each for each in _of_the_owner("path") if each not in sys.path]
        importlib.invalidate_caches()  # the file may have been written just now
    try:
        module = importlib.import_module(module_path)
    except Exception as error:  # importing runs a user's own code
        missing = isinstance(error, ModuleNotFoundError) and error.name == module_path
        where = f" (neither in {Path.cwd()} nor where packages are)" if missing else ""
        raise ModelError(
            f'module "{module_path}" cannot be imported: {named(error)}{where}'
        ) from error
    sources.take(module_path)
    factory: Callable[..., Any] | None = getattr(module, name, None)
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


def tell(file: Path) -> None:
    """Write what this process allows, and where it finds modules, for workers that it started."""
    here = str(Path.cwd())
    told = {"allowed": allowed_imports(), "path": [entry or here for entry in sys.path]}
    with replacing(file) as partial:
        partial.write_text(json.dumps(told))


def _of_the_owner(what: str) -> list[str]:
    """What the program says that started this worker; nothing where an operator did."""
    name = os.environ.get(OWNER_FILE_VARIABLE)
    if not name:
        return []
    try:
        return [str(each) for each in json.loads(Path(name).read_text())[what]]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # the program has ended


def named(error: Exception) -> str:
    """An error that somebody's own code raised, in one line."""
    return f"{type(error).__name__}: {error}"
