"""Runs that this user has begun on this machine: their modules may be imported again.

A run's folder names modules, and whoever may write to the folder could name others, or hand the
whole folder on. So what was begun here is noted apart from it, in the user's own cache; the modules
of every other folder need the word of the user, as those of a model file do.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from contextlib import suppress
from pathlib import Path

from distbelief.app.datasets.cache.place import default_cache_folder
from distbelief.app.files.atomic import replacing
from distbelief.app.models.imports import ImportSettings, allow_imports_of, named_modules


def note_begun(folder: Path, settings: ImportSettings) -> None:
    """Note that the run of ``folder`` was begun here, with the modules that ``settings`` name."""
    if not named_modules(settings):
        return
    note, text = _note(folder, settings)
    with suppress(OSError):  # then whoever resumes it has to say that they may be imported
        note.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with replacing(note) as partial:
            partial.write_text(text, encoding="utf-8")


def allow_if_begun(folder: Path, settings: ImportSettings) -> None:
    """Allow the modules that ``settings`` name, if a run was begun here in ``folder`` with them."""
    if named_modules(settings) and _is_mine(*_note(folder, settings)):
        allow_imports_of(settings)


def _note(folder: Path, settings: ImportSettings) -> tuple[Path, str]:
    """Where the note is, and what it says."""
    text = json.dumps([str(folder.resolve()), named_modules(settings)])
    name = hashlib.sha256(text.encode()).hexdigest()[:32]
    return default_cache_folder() / "begun" / name, text


def _is_mine(note: Path, text: str) -> bool:
    """Whether this user wrote the note: the cache may lie where others write, too."""
    try:
        descriptor = os.open(note, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    with open(descriptor, encoding="utf-8") as stream:
        found = os.fstat(descriptor)
        mine = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()
        return mine and stream.read(len(text) + 1) == text
