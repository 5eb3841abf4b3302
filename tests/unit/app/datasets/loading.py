"""Data sets that are loaded as a whole, without the cache."""

from __future__ import annotations

from distbelief.app.datasets.examples.compatibility import Compatibility
from distbelief.app.datasets.examples.dataset import Dataset, Features
from distbelief.app.datasets.examples.schema import Schema
from distbelief.app.datasets.formats.options import Options
from distbelief.app.datasets.sources.source import File, Generated, parse


def load(source: str, options: Options) -> Dataset:
    found = parse(source)
    assert isinstance(found, Generated | File)
    return found.load(options)


def features_only(path: str) -> Features:
    found = parse(path)
    assert isinstance(found, File)
    return found.features({}, Compatibility(Schema(0), "other data"))
