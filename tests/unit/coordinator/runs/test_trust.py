"""Modules of a run are imported again where it was begun, and nowhere else without a word."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from distbelief.app.models import imports
from distbelief.app.models.imports import ALLOWED_IMPORTS_VARIABLE, allowed_imports
from distbelief.app.settings.config import RunConfig
from distbelief.coordinator.runs.trust import allow_if_begun, note_begun

MINE = RunConfig(model="mynets:Net", loss="mylosses:huber")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(ALLOWED_IMPORTS_VARIABLE, raising=False)
    monkeypatch.setenv("DISTBELIEF_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(imports, "_allowed_here", [])
    folder = tmp_path / "runs" / "run"
    folder.mkdir(parents=True)
    return folder


def test_the_modules_of_a_run_that_was_begun_here_are_allowed(folder: Path) -> None:
    note_begun(folder, MINE)
    assert allowed_imports() == ()
    allow_if_begun(folder, MINE)
    assert allowed_imports() == ("mynets", "mylosses")


def test_those_of_a_strangers_folder_and_others_of_ours_are_not(folder: Path) -> None:
    note_begun(folder, MINE)
    allow_if_begun(folder, RunConfig(model="other:Net", loss="mylosses:huber"))
    elsewhere = shutil.copytree(folder, folder.parent / "copy")
    allow_if_begun(elsewhere, MINE)
    assert allowed_imports() == ()


def test_a_note_of_somebody_else_allows_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    note_begun(folder, MINE)
    (note,) = (tmp_path / "cache" / "begun").iterdir()
    with monkeypatch.context() as another:
        another.setattr(os, "geteuid", lambda: 4_711)
        allow_if_begun(folder, MINE)
    note.write_text("linked from elsewhere")
    allow_if_begun(folder, MINE)
    note.unlink()
    note.symlink_to(tmp_path)
    allow_if_begun(folder, MINE)
    assert allowed_imports() == ()


def test_a_run_with_a_model_of_ours_leaves_no_note(folder: Path, tmp_path: Path) -> None:
    note_begun(folder, RunConfig())
    assert not (tmp_path / "cache").exists()
