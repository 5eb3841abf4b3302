"""Arrays that the program hands over, in files for as long as its training takes."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from distbelief.app.datasets.cache.opening import default_cache_folder, open_cached
from distbelief.app.datasets.examples.compatibility import Compatibility
from distbelief.app.datasets.formats import arrays
from distbelief.app.datasets.formats.options import TARGET_OPTIONS, wanted_targets
from distbelief.app.datasets.run_data import compatibility_of
from distbelief.app.datasets.targets.wanted import Wanted
from distbelief.app.errors import ConfigError, DataError
from distbelief.app.models.files import read_model
from distbelief.app.settings.config import RunConfig
from distbelief.coordinator.problem.targets import agreed, told

#: A source as on the command line, or features, targets and perhaps weights in memory.
Data = str | Path | tuple[Any, Any] | tuple[Any, Any, Any]


def sources(given: Mapping[str, Data | None]) -> dict[str, str]:
    """Settings for the data; those in memory have no place yet. Raises ConfigError."""
    sources = {}
    for name, each in given.items():
        if isinstance(each, str | Path):
            sources[name] = str(each)
        elif _is_pair(each):
            sources[name] = arrays.PREFIX
        elif each is not None:
            raise ConfigError(
                f"{name} must be a source, or (features, targets), or these and weights, got "
                f"{type(each).__name__}"
            )
    return sources


@contextmanager
def handed_over(run: RunConfig, given: Mapping[str, Data | None]) -> Iterator[RunConfig]:
    """``run`` with arrays written to files for as long as it takes, targets as its model needs."""
    in_memory: dict[str, Any] = {name: each for name, each in given.items() if _is_pair(each)}
    if not in_memory:
        yield run
        return
    with _private_folder() as folder:
        yield _written(told(run), in_memory, folder)


def _written(run: RunConfig, in_memory: Mapping[str, Any], folder: Path) -> RunConfig:
    """``run`` with the sources that the arrays are once they lie in ``folder``.

    Those to train on come first: the others must be like them, or like the file trained on.
    """
    options = run.data_options
    of_columns = {key: each for key, each in options.items() if key not in TARGET_OPTIONS}
    known = _model_known(run.init_from)
    if "data" in in_memory:
        run = _training_data(run, in_memory["data"], folder, known, of_columns)
        place = Path(run.data.removeprefix(arrays.PREFIX))
        found = arrays.open_arrays(place, run.data)
    else:
        found = open_cached(run.data, options, default_cache_folder(), compatibility=known)
    known = compatibility_of(found, "the training data")
    like = Wanted(schema=known.schema, known_by=known.name)
    for name in in_memory.keys() - {"data"}:
        features, targets, *weights = in_memory[name]
        source = arrays.hand_over(features, targets, folder / name, like, known, {}, *weights)
        run = run.model_copy(update={name: source})
    return run


def _training_data(
    run: RunConfig,
    data: Any,
    folder: Path,
    known: Compatibility | None,
    of_columns: Mapping[str, Any],
) -> RunConfig:
    """``run`` with the arrays to train on, written again if its model needs other targets."""
    features, targets, *weights = data

    def written(run: RunConfig, place: Path) -> RunConfig:
        wanted = wanted_targets(arrays.NAME, run.data_options)
        if known is not None:
            wanted = Wanted(schema=known.schema, known_by=known.name)
        source = arrays.hand_over(features, targets, place, wanted, known, of_columns, *weights)
        return run.model_copy(update={"data": source})

    place = folder / "data"
    first = written(run, place)
    again = agreed(run, arrays.open_arrays(place, first.data).schema)
    return first if again is run else written(again, folder / "again")


def _model_known(path: str | Path | None) -> Compatibility | None:
    """What arrays must fit that a training goes on with, from the model in ``path``."""
    return None if path is None else read_model(Path(path)).compatibility(f"the model {path}")


def _is_pair(data: Any) -> bool:
    return isinstance(data, tuple | list) and len(data) in (2, 3)


@contextmanager
def _private_folder() -> Iterator[Path]:
    """A private folder that is removed again, where there is room for data."""
    home = default_cache_folder()
    try:
        home.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="arrays-", dir=home))
    except OSError as error:
        raise DataError(
            f"cannot write the arrays to {home} ({error.strerror}): set DISTBELIEF_CACHE to a "
            "folder with room that you may write to"
        ) from error
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
