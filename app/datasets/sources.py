"""Data sources by name: ``digits``, ``synthetic:...``, or the path of an .npz or IDX file."""

from __future__ import annotations

import difflib
import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BufferedReader
from typing import Any

import numpy as np

from app.datasets import synthetic
from app.datasets.checks import (
    check_features,
    check_finite,
    check_labels,
    check_targets,
    guess_classes,
    to_float32,
)
from app.datasets.dataset import Dataset, Features, Targets
from app.datasets.files import (
    FEATURE_NAMES,
    TARGET_NAMES,
    Array,
    digest,
    open_file,
    read_npy,
    read_npz,
)
from app.datasets.idx import is_images, labels_of, read_images, read_labels
from app.datasets.schema import Schema
from app.errors import DataError

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
    make: Callable[..., tuple[Features, Targets, int]]


def _digits() -> tuple[Features, Targets, int]:
    """1,797 handwritten digits of 8 x 8 pixels, in sixteenths (UCI, via scikit-learn)."""
    from sklearn.datasets import load_digits  # takes a second to import

    digits = load_digits()
    return (digits.data / 16).astype(np.float32), digits.target.astype(np.int64), 10


def _drawn(problem: Callable[..., synthetic.Problem]) -> Callable[..., Any]:
    def make(**options: Any) -> tuple[Features, Targets, int]:
        drawn = problem(**options)
        return drawn.features, drawn.targets, drawn.n_classes

    return make


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
}
FILE_OPTIONS: Mapping[str, Option] = {"classes": Option(int, None, 1)}


def is_file(source: str) -> bool:
    return _is_npz(source) or is_images(source)


@contextmanager
def opened(source: str) -> Iterator[list[BufferedReader]]:
    """The files of a source that is a file: images come with their labels.

    Raises:
        DataError: one is missing or may not be read.
    """
    paths = [source, labels_of(source)] if is_images(source) else [source]
    with ExitStack() as stack:
        yield [stack.enter_context(open_file(path)) for path in paths]


def resolve(source: str, options: Options) -> dict[str, int | float]:
    """Return the options of ``source``, checked and with the defaults filled in.

    Raises:
        DataError: no such source, no such option, or a value out of range.
    """
    if not is_file(source) and source not in GENERATORS:
        raise DataError(
            f"unknown data source {source!r}: use {', '.join(GENERATORS)}, a path ending in "
            f"images-idx3-ubyte or .gz of it, or a path ending in .npz{_hint(source, GENERATORS)}"
        )
    known = FILE_OPTIONS if is_file(source) else GENERATORS[source].options
    for name in options:
        if name not in known:
            raise DataError(
                f"{source}: unknown option {name!r}, known are: {', '.join(known) or 'none'}"
                f"{_hint(name, known)}"
            )
    given = {name: options.get(name, option.default) for name, option in known.items()}
    return {
        name: known[name].check(f"{source}: option {name}", value)
        for name, value in given.items()
        if value is not None
    }


def load(source: str, options: Options) -> Dataset:
    """Load and validate a data set.

    ``digits`` and the ``synthetic:`` problems are made; an .npz file holds features as
    ``x`` and targets as ``y`` (other names: ``files.FEATURE_NAMES``, ``TARGET_NAMES``);
    images in IDX have their labels in a file beside them (:mod:`app.datasets.idx`).
    Whole-number targets are labels, of as many classes as the option ``classes`` says or
    else the largest label plus one; floating-point targets are regression, unless
    ``classes`` is given.

    Raises:
        DataError: the source, an option or the data is unusable.
    """
    settings = resolve(source, options)
    dataset = _read(source, settings) if is_file(source) else _generate(source, settings)
    dataset.validate()
    return dataset


def features_only(path: str) -> Features:
    """Features to predict from: an .npz or IDX file (targets are ignored) or a 2-D .npy.

    Returns:
        float32, shape (n_examples, n_features), C-contiguous, finite.

    Raises:
        DataError: the file or its features are unusable.
    """
    if _is_npz(path):
        with open_file(path) as stream:
            (values,) = read_npz(stream, path, FEATURE_NAMES)
    elif is_images(path):
        with open_file(path) as stream:
            values = read_images(stream, path)
    elif path.lower().endswith(".npy"):
        values = read_npy(path)
    else:
        raise DataError(f"{path}: features must come from a file ending in .npz or .npy")
    features = _as_features(values, path)
    check_finite(features, "features", path)
    return features


def _read(source: str, settings: Mapping[str, Any]) -> Dataset:
    with opened(source) as streams:
        fingerprint = digest(*streams)
        for stream in streams:
            stream.seek(0)
        if is_images(source):
            x, y = read_images(streams[0], source), read_labels(streams[1], labels_of(source))
        else:
            x, y = read_npz(streams[0], source, FEATURE_NAMES, TARGET_NAMES)
    features = _as_features(x, source)
    check_targets(y, len(features), source)
    targets, n_classes = _as_targets(y, settings.get("classes"), source)
    return Dataset(features, targets, Schema(features.shape[1], n_classes), source, fingerprint)


def _generate(source: str, settings: Mapping[str, Any]) -> Dataset:
    try:
        features, targets, n_classes = GENERATORS[source].make(**settings)
    except (MemoryError, ValueError) as error:  # NumPy's words for "far too large"
        raise DataError(f"{source}: the data set cannot be made: {error}") from error
    content = hashlib.blake2b(json.dumps([source, settings]).encode(), digest_size=16)
    for array in (features, targets):
        content.update(array.data)
    schema = Schema(features.shape[1], n_classes)
    return Dataset(features, targets, schema, source, content.hexdigest())


def _is_npz(source: str) -> bool:
    return source.lower().endswith(".npz")


def _as_features(values: Array, source: str) -> Features:
    check_features(values, source)
    return to_float32(values, "features", source)


def _as_targets(values: Array, classes: int | None, source: str) -> tuple[Targets, int]:
    if classes is None and values.dtype.kind == "f":
        return to_float32(values, "targets", source), 0
    n_classes = guess_classes(values, source) if classes is None else classes
    check_labels(values, n_classes, source)
    return values.astype(np.int64), n_classes


def _hint(name: str, known: Iterable[str]) -> str:
    nearest = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {nearest[0]!r}?)" if nearest else ""
