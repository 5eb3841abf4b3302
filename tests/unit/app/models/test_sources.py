"""Digests of a user's modules are of what was imported, whatever lies on disk by now."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from distbelief.app.models import sources
from distbelief.app.models.imports import ALLOWED_IMPORTS_VARIABLE, load

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write a module to a folder that is imported from; what was imported is forgotten."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv(ALLOWED_IMPORTS_VARIABLE, "theirs,alone")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)

    def write_module(name: str, text: str) -> Path:
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        importlib.invalidate_caches()
        return file

    yield write_module
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("theirs", "alone", "helper"):
            del sys.modules[name]


def test_a_package_counts_with_the_modules_that_importing_it_brought_in(write: Write) -> None:
    write("theirs/__init__.py", "")
    write("theirs/models.py", "from theirs.layers import width\ndef Model(): ...\n")
    write("theirs/layers.py", "width = 1\n")
    write("theirs/unused.py", "")
    load("theirs.models:Model")
    found = sources.digests(["theirs.models"])
    assert list(found) == ["theirs", "theirs.layers", "theirs.models"]
    assert all(len(digest) == 12 for digest in found.values())


def test_a_module_without_a_package_counts_with_those_beside_it(write: Write) -> None:
    write("alone.py", "import json, helper\ndef Model(): ...\n")
    write("helper.py", "")
    load("alone:Model")
    assert list(sources.digests(["alone"])) == ["alone", "helper"]


def test_a_file_that_changes_after_the_import_counts_as_it_was(write: Write) -> None:
    file = write("alone.py", "def Model(): ...\n")
    load("alone:Model")
    before = sources.digests(["alone"])
    file.write_text("def Model(): return 2\n")
    assert sources.digests(["alone"]) == before


@pytest.mark.parametrize("how", ["forget", "reload"])
def test_what_is_imported_anew_counts_anew(write: Write, how: str) -> None:
    file = write("alone.py", "def Model(): ...\n")
    load("alone:Model")
    before = sources.digests(["alone"])
    file.write_text("def Model(): return 2\n")
    if how == "forget":
        sources.forget(["alone"])
    else:
        importlib.reload(sys.modules["alone"])
    assert load("alone:Model")() == 2
    assert sources.differing(sources.digests(["alone"]), before) == ["alone"]


def test_line_endings_do_not_count(write: Write) -> None:
    file = write("alone.py", "def Model(): ...\n# end\n")
    load("alone:Model")
    before = sources.digests(["alone"])
    file.write_bytes(b"def Model(): ...\r\n# end\r\n")
    sources.forget(["alone"])
    load("alone:Model")
    assert sources.digests(["alone"]) == before


def test_what_only_one_side_has_or_can_read_is_not_compared() -> None:
    here = {"a": "1", "b": "", "c": "3", "d": "4"}
    assert sources.differing(here, {"a": "1", "b": "2", "c": "", "e": "5"}) == []
    assert sources.differing(here, {"a": "2", "d": "4"}) == ["a"]


def test_of_a_very_large_package_only_the_module_named_counts(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "MOST_MODULES", 2)
    write("theirs/__init__.py", "")
    write("theirs/models.py", "import theirs.layers\ndef Model(): ...\n")
    write("theirs/layers.py", "")
    load("theirs.models:Model")
    assert list(sources.digests(["theirs.models"])) == ["theirs.models"]


def test_modules_beside_an_installed_one_are_not_its_companions() -> None:
    """``threadpoolctl`` is one file, among all packages of the environment."""
    sources.take("threadpoolctl")
    assert set(sources.digests(["threadpoolctl"])) <= {"threadpoolctl"}


def test_a_module_whose_file_changed_is_outdated_until_it_is_imported_anew(write: Write) -> None:
    file = write("alone.py", "def Model(): ...\n")
    load("alone:Model")
    assert sources.outdated(["alone"]) == []
    file.write_text("WIDTH = 2\ndef Model(): ...\n")
    assert sources.outdated(["alone"]) == ["alone"]
    importlib.reload(sys.modules["alone"])
    assert sources.outdated(["alone"]) == []


def test_so_is_one_that_was_imported_before_anybody_took_its_digest(write: Write) -> None:
    text = "class Model:\n    def width(self): return {}\n\ndef other(): ...\n"
    file = write("alone.py", text.format(1))
    importlib.import_module("alone")
    file.write_text(text.format(2))
    load("alone:Model")
    assert sources.outdated(["alone"]) == ["alone"]
    importlib.reload(sys.modules["alone"])
    assert sources.outdated(["alone"]) == []


def test_what_makes_functions_does_not_make_a_module_outdated(write: Write) -> None:
    write(
        "alone.py",
        "from dataclasses import dataclass\n"
        "from functools import cache, partial\n"
        "@dataclass\nclass Model:\n    width: int = 1\n"
        "    @property\n    def twice(self): return [2 * each for each in (self.width,)]\n"
        "@cache\ndef made(): return lambda: 1\n"
        "kept = made()\nadd = eval('lambda a: a + 1')\n",
    )
    importlib.import_module("alone")
    load("alone:Model")
    assert sources.outdated(["alone"]) == []
