"""Data sources by name: ``digits``, ``synthetic:...``, or the path of files.

An .npz and images in IDX are read into memory and converted at once. Everything else, in
the formats of :mod:`distbelief.app.datasets.formats`, comes as a stream.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np

from distbelief.app.datasets.examples.checks import (
    check_features,
    check_finite,
    check_targets,
    to_float32,
)
from distbelief.app.datasets.examples.dataset import Dataset, Features
from distbelief.app.datasets.examples.dataset import Targets as TargetArray
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.datasets.examples.sparse import SparseFeatures, arrays_of
from distbelief.app.datasets.examples.targets import CLASSIFICATION, TASKS, Targets, Wanted
from distbelief.app.datasets.formats.idx import is_images, labels_of, read_images, read_labels
from distbelief.app.datasets.formats.npz import (
    FEATURE_NAMES,
    TARGET_NAMES,
    Array,
    digest,
    open_file,
    read_npz,
)
from distbelief.app.datasets.formats.options import ENDINGS, format_of, hint
from distbelief.app.datasets.formats.places import is_pattern
from distbelief.app.datasets.sources import synthetic
from distbelief.app.datasets.sources.clicks import clicks
from distbelief.app.errors import DataError

Options = Mapping[str, int | float | str]


@dataclass(frozen=True)
class Option:
    """What one option of a source may be; a default of None leaves it out."""

    kind: type[int] | type[float]
    default: int | float | None
    lowest: int

    def check(self, label: str, value: object) -> int | float:
        """``value`` as ``kind``; DataError names ``label`` when it is none, or too small."""
        if isinstance(value, bool) or not isinstance(value, int | self.kind):
            kind = "a whole number" if self.kind is int else "a number"
            raise DataError(f"{label} must be {kind}, got {value!r}")
        if not self.lowest <= value < math.inf:
            raise DataError(f"{label} must be finite and at least {self.lowest}, got {value!r}")
        return self.kind(value)


@dataclass(frozen=True)
class Generator:
    """A source that is made, not read: its options are the arguments of ``make``."""

    options: Mapping[str, Option]
    make: Callable[..., tuple[Features | SparseFeatures, TargetArray, Schema]]


def _digits() -> tuple[Features, TargetArray, Schema]:
    """1,797 handwritten digits of 8 x 8 pixels, in sixteenths (UCI, via scikit-learn)."""
    from sklearn.datasets import load_digits  # takes a second to import

    digits = load_digits()
    return (digits.data / 16).astype(np.float32), digits.target.astype(np.int64), Schema(64, 10)


def _drawn(problem: Callable[..., synthetic.Problem]) -> Callable[..., Any]:
    def make(**options: Any) -> tuple[Features, TargetArray, Schema]:
        drawn = problem(**options)
        schema = Schema(drawn.features.shape[1], drawn.n_classes)
        return drawn.features, drawn.targets, schema

    return make


def _clicks(fields: int, **options: Any) -> tuple[SparseFeatures, TargetArray, Schema]:
    drawn = clicks(fields=fields, **options)
    schema = Schema(drawn.features.n_features, 2, sparse=True, n_fields=fields)
    return drawn.features, drawn.targets, schema


_SIZES = {"examples": Option(int, 1000, 1), "features": Option(int, 20, 1)}
_SEED = {"seed": Option(int, 0, 0)}

GENERATORS: Mapping[str, Generator] = {
    "digits": Generator({}, _digits),
    "synthetic:linear": Generator(
        {**_SIZES, "noise": Option(float, 0.0, 0), **_SEED}, _drawn(synthetic.linear)
    ),
    "synthetic:logistic": Generator({**_SIZES, **_SEED}, _drawn(synthetic.logistic)),
    "synthetic:softmax": Generator(
        {**_SIZES, "classes": Option(int, 5, 2), **_SEED}, _drawn(synthetic.softmax)
    ),
    "synthetic:clicks": Generator(
        {
            "examples": Option(int, 10_000, 1),
            "features": Option(int, 65_536, 1),
            "fields": Option(int, 20, 1),
            "rank": Option(int, 0, 0),
            **_SEED,
        },
        _clicks,
    ),
}
FILE_OPTIONS = ("task", "classes")
_CLASSES = Option(int, None, 1)
_PASSWORD = re.compile("://[^/]*:[^/]*@")


def is_file(source: str) -> bool:
    """Whether the source is read, not made; it need not be there."""
    return _is_npz(source) or is_images(source) or is_stream(source)


def is_stream(source: str) -> bool:
    """Whether the source is for :func:`distbelief.app.datasets.formats.opening.open_reader`."""
    if source in GENERATORS or _is_npz(source) or is_images(source):
        return False
    if "://" in source or is_pattern(source) or format_of(source) is not None:
        return True
    return bool(source) and Path(source).expanduser().is_dir()


def is_local(source: str) -> bool:
    """Whether the source is a path on this machine."""
    return is_file(source) and "://" not in source


@contextmanager
def opened(source: str) -> Iterator[list[BufferedReader]]:
    """The files of a source that is a file: images come with their labels.

    Raises:
        DataError: one is missing or may not be read.
    """
    paths = [source, labels_of(source)] if is_images(source) else [source]
    with ExitStack() as stack:
        yield [stack.enter_context(open_file(path)) for path in paths]


def wanted(source: str, options: Options) -> Wanted:
    """What the options of a file say of its targets.

    Raises:
        DataError: a value that is not allowed, or two that contradict each other.
    """
    task, classes = options.get("task"), options.get("classes")
    if task is not None and task not in TASKS:
        raise DataError(f"{source}: option task must be {' or '.join(TASKS)}, got {task!r}")
    if classes is not None and task not in (None, CLASSIFICATION):
        raise DataError(f"{source}: the options task={task} and classes exclude each other")
    checked = None if classes is None else _CLASSES.check(f"{source}: option classes", classes)
    return Wanted(None if task is None else str(task), None if checked is None else int(checked))


def resolve(source: str, options: Options) -> dict[str, Any]:
    """Return the options of ``source``, checked and with the defaults filled in.

    Those of a stream are checked, apart from those of its targets, when it is opened.

    Raises:
        DataError: no such source, no such option, or a value out of range.
    """
    if not is_file(source) and source not in GENERATORS:
        raise DataError(
            f"unknown data source {source!r}: use {', '.join(GENERATORS)}, a path ending in .npz, "
            f"{', '.join(ENDINGS)} (text also in .gz) or images-idx3-ubyte (also .gz), a folder "
            f"or a pattern of such files, or a URL{hint(source, GENERATORS)}"
        )
    if _PASSWORD.search(source):
        raise DataError(
            "a data source must not hold a password, it is written down with the run: give "
            "credentials to the file system of the coordinator and of each worker"
        )
    if is_file(source):
        wanted(source, options)
    if is_stream(source):
        return dict(options)
    known = FILE_OPTIONS if is_file(source) else GENERATORS[source].options
    for name in options:
        if name not in known:
            raise DataError(
                f"{source}: unknown option {name!r}, known are: {', '.join(known) or 'none'}"
                f"{hint(name, known)}"
            )
    if is_file(source):
        return dict(options)
    known = GENERATORS[source].options
    given = {name: options.get(name, option.default) for name, option in known.items()}
    return {
        name: known[name].check(f"{source}: option {name}", value)
        for name, value in given.items()
        if value is not None
    }


def load(source: str, options: Options, targets: Wanted | None = None) -> Dataset:
    """Load and validate a data set that is no stream.

    ``digits`` and the ``synthetic:`` problems are made; an .npz file holds features as ``x`` and
    targets as ``y`` (other names: ``files.FEATURE_NAMES``, ``TARGET_NAMES``); images in IDX have
    their labels in a file beside them (:mod:`distbelief.app.datasets.formats.idx`). What the
    targets are, :mod:`distbelief.app.datasets.examples.targets` says, unless ``targets`` is given.

    Raises:
        DataError: the source, an option or the data is unusable.
    """
    settings = resolve(source, options)
    if is_file(source):
        dataset = _read(source, targets or wanted(source, options))
    else:
        dataset = _generate(source, settings)
    dataset.validate()
    return dataset


def features_only(path: str) -> Features:
    """Features of an .npz or IDX file, to predict from; targets are ignored.

    Returns:
        float32, shape (n_examples, n_features), C-contiguous, finite.

    Raises:
        DataError: the file or its features are unusable.
    """
    with open_file(path) as stream:
        if is_images(path):
            values = read_images(stream, path)
        else:
            (values,) = read_npz(stream, path, FEATURE_NAMES)
    features = _as_features(values, path)
    check_finite(features, "features", path)
    return features


def _read(source: str, targets: Wanted) -> Dataset:
    with opened(source) as streams:
        fingerprint = digest(*streams)
        for stream in streams:
            stream.seek(0)
        if is_images(source):
            x, y = read_images(streams[0], source), read_labels(streams[1], labels_of(source))
        else:
            x, y = read_npz(streams[0], source, FEATURE_NAMES, TARGET_NAMES)
    features = _as_features(x, source)
    check_targets(y, len(features), source, texts=True)
    with closing(Targets(source, targets)) as column:
        column.add(y)
        n_classes, labels, blocks = column.finish()
        found: Array = np.concatenate(list(blocks))
    schema = Schema(features.shape[1], n_classes, labels=labels)
    return Dataset(features, found, schema, source, fingerprint)


def _generate(source: str, settings: Mapping[str, Any]) -> Dataset:
    try:
        features, targets, schema = GENERATORS[source].make(**settings)
    except (MemoryError, ValueError) as error:  # NumPy's words for "far too large"
        raise DataError(f"{source}: the data set cannot be made: {error}") from error
    content = hashlib.blake2b(json.dumps([source, settings]).encode(), digest_size=16)
    for array in arrays_of(features, targets):
        content.update(array.data)
    return Dataset(features, targets, schema, source, content.hexdigest())


def _is_npz(source: str) -> bool:
    return source.lower().endswith(".npz")


def _as_features(values: Array, source: str) -> Features:
    check_features(values, source)
    return to_float32(values, "features", source)
