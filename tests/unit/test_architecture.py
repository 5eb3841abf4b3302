"""The layers, the sizes and the habits of the code base, read from its syntax trees."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("app", "worker_tasks", "coordinator")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
SCRIPTS = sorted((ROOT / "app").rglob("*.lua"))
BROKER = ROOT / "app" / "broker"
CELERY_FILES = [BROKER / f"{name}.py" for name in ("application", "joining", "steps", "tasks")]
KOMBU_FILES = [BROKER / "application.py", BROKER / "transport.py"]

LONGEST_FILE = 300
LONGEST_FUNCTION = 50


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def of(package: str) -> list[Path]:
    return [path for path in SOURCES if path.relative_to(ROOT).parts[0] == package]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[str]:
    """Dotted names of everything that a file imports, wherever it does so."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{named(path)} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def importers(files: list[Path], *packages: str) -> list[str]:
    """The files that import one of ``packages`` or something inside."""
    return [
        named(path)
        for path in files
        if any(name == p or name.startswith(f"{p}.") for name in imports(path) for p in packages)
    ]


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from ``def`` to the end, without the docstring."""
    lines = (function.end_lineno or 0) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        lines -= (first.end_lineno or 0) - first.lineno + 1
    return lines


def test_there_is_something_to_look_at() -> None:
    assert SOURCES
    assert SCRIPTS


def test_the_library_imports_neither_tasks_nor_coordinator() -> None:
    assert importers(of("app"), "distbelief.worker_tasks", "distbelief.coordinator") == []


def test_tasks_do_not_import_the_coordinator() -> None:
    assert importers(of("worker_tasks"), "distbelief.coordinator") == []


def test_celery_and_kombu_have_a_room_in_the_library() -> None:
    assert importers(of("app"), "celery", "billiard") == [named(each) for each in CELERY_FILES]
    assert importers(of("app"), "kombu") == [named(each) for each in KOMBU_FILES]


def test_nothing_in_the_library_imports_the_room_with_celery_in_it() -> None:
    others = [each for each in of("app") if each.parent != BROKER]
    assert importers(others, "distbelief.app.broker") == []


@pytest.mark.parametrize(
    "file", ["app/layout/layout.py", "app/settings/config.py", "coordinator/downpour/units.py"]
)
def test_the_functional_core_knows_no_servers(file: str) -> None:
    shells = (
        "celery",
        "kombu",
        "redis",
        "distbelief.app.broker",
        "distbelief.app.store",
        "distbelief.app.runs",
    )
    assert importers([ROOT / file], *shells) == []


def test_update_rules_know_no_servers() -> None:
    files = [path for path in of("app") if path.parent.name == "optimizers"]
    assert (
        importers(files, "celery", "kombu", "redis", "distbelief.app.store", "distbelief.app.runs")
        == []
    )


def test_nothing_is_ever_unpickled() -> None:
    pickles = ("pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve")
    assert importers([*SOURCES, *TESTS], *pickles) == []


def test_no_array_file_is_read_with_pickles_allowed() -> None:
    allowing = [
        f"{named(path)}:{node.value.lineno}"
        for path in SOURCES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.keyword) and node.arg == "allow_pickle"
        if not (isinstance(node.value, ast.Constant) and node.value.value is False)
    ]
    assert allowing == []


def test_keys_are_built_in_one_file() -> None:
    builders = [
        f"{named(path)}:{node.lineno}"
        for path in SOURCES
        if path != ROOT / "app" / "layout" / "keys.py"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.startswith(("ps:", "dist:"))
    ]
    assert builders == []


def test_no_script_builds_keys() -> None:
    builders = [named(path) for path in SCRIPTS if re.search("['\"](ps:|dist:)", path.read_text())]
    assert builders == []


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < LONGEST_FILE


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_functions_are_short(path: Path) -> None:
    functions = (
        node
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    long = {each.name: code_lines(each) for each in functions}
    assert {name: lines for name, lines in long.items() if lines > LONGEST_FUNCTION} == {}


@pytest.mark.parametrize("path", SOURCES, ids=named)
def test_a_file_begins_with_what_it_is(path: Path) -> None:
    assert ast.get_docstring(tree(path)) or not path.read_text(encoding="utf-8").strip()


@pytest.mark.parametrize("path", SCRIPTS, ids=named)
def test_a_script_begins_with_what_it_does(path: Path) -> None:
    assert path.read_text().startswith("-- ")


@pytest.mark.parametrize(
    "path", [path for path in SCRIPTS if "KEYS[" in path.read_text()], ids=named
)
def test_a_script_that_takes_keys_says_which_and_what_it_replies(path: Path) -> None:
    opening = []
    for line in path.read_text().splitlines():
        if not line.startswith("--"):
            break
        opening.append(line)
    for word in ("KEYS", "ARGV", "Reply"):
        assert any(line.startswith(f"-- {word} ") for line in opening), word
