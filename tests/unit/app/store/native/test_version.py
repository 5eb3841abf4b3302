"""The native engine's version says which sources it was made of, and which scripts it mirrors."""

from __future__ import annotations

import ctypes
import runpy
import shutil
from itertools import chain
from pathlib import Path

import pytest

from distbelief.app.client.scripts import Script
from distbelief.app.store.native import library
from distbelief.app.store.native.sources import FOLDER, ONLY_LUA, RULES, version
from reference import ON_PARAMETER_SERVERS  # docs/reference.py

APP = FOLDER.parents[1]


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """A copy of all that the version is computed of."""
    for folder in (FOLDER, FOLDER.parent / "lua", RULES):
        unneeded = shutil.ignore_patterns("*.so", "__pycache__")
        shutil.copytree(folder, tmp_path / folder.relative_to(APP), ignore=unneeded)
    return tmp_path


def version_in(app: Path) -> str:
    found: str = runpy.run_path(str(app / "store" / "native" / "sources.py"))["version"]()
    return found


def test_the_version_does_not_depend_on_where_the_sources_lie(app: Path) -> None:
    assert version_in(app) == version()


@pytest.mark.parametrize(
    "changed",
    [
        "store/native/push.c",
        "store/native/numbers.h",
        "store/lua/protocol.lua",
        "optimizers/rules/adagrad.h",
        "optimizers/rules/adagrad.lua",
    ],
)
def test_another_engine_has_another_version(app: Path, changed: str) -> None:
    """Else a server would go on with an older module, whose bits are not the scripts'."""
    path = app / changed
    text, comment = path.read_text(), "-- {}\n" if path.suffix == ".lua" else "/* {}\n*/\n"
    path.write_text(f"{comment.format('Said otherwise')}\n\n{text}")
    assert version_in(app) == version()
    path.write_text(text.replace("(", "(1 + ", 1) if path.suffix == ".h" else f"{text} more")
    assert version_in(app) != version()


def test_a_script_without_a_command_in_the_engine_does_not_change_its_version(app: Path) -> None:
    for name in ONLY_LUA:
        (app / "store" / "lua" / f"{name}.lua").write_text("return 1")
    assert version_in(app) == version()


def test_the_scripts_without_a_command_in_the_engine_are_known() -> None:
    found = chain.from_iterable(vars(module).values() for module in ON_PARAMETER_SERVERS)
    scripts = {each for each in found if isinstance(each, Script)}
    assert {each.name for each in scripts if each.twin is None} == set(ONLY_LUA)


@pytest.mark.skipif(library() is None, reason="the native engine is not built")
def test_the_built_engine_is_of_these_sources() -> None:
    engine = ctypes.CDLL(str(library()))
    engine.distbelief_version.restype = ctypes.c_char_p
    assert engine.distbelief_version() == version().encode(), "build it: pip install -e ."
