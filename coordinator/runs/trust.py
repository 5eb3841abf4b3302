"""Runs that this user has begun on this machine: their modules may be imported again.

A run's folder names modules, and whoever may write to the folder could name others, or hand the
whole folder on. So what was begun here is noted apart from it, in the user's own cache; the modules
of every other folder need the word of the user, as those of a model file do.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from pathlib import Path

from distbelief.app.datasets.cache.opening import default_cache_folder
from distbelief.app.models.imports import ImportSettings, allow_imports_of, named_modules


def note_begun(folder: Path, settings: ImportSettings) -> None:
    """Note that the run of ``folder`` was begun here, with the modules that ``settings`` name."""
    if not named_modules(settings):
        return
    note = _note(folder, settings)
    with suppress(OSError):  # then whoever resumes it has to say that they may be imported
        note.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        note.touch()


def allow_if_begun(folder: Path, settings: ImportSettings) -> None:
    """Allow the modules that ``settings`` name, if a run was begun here in ``folder`` with them."""
    if named_modules(settings) and _note(folder, settings).is_file():
        allow_imports_of(settings)


def _note(folder: Path, settings: ImportSettings) -> Path:
    what = json.dumps([str(folder.resolve()), named_modules(settings)])
    return default_cache_folder() / "begun" / hashlib.sha256(what.encode()).hexdigest()[:32]
