"""Passwords that change while a process lives: read again from their file for each connection."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import redis

from distbelief.app.client.addresses import ServerAddress
from distbelief.app.errors import ConfigError
from distbelief.app.settings.environment import file_of, read_secret, split_urls


class FileCredentials(redis.CredentialProvider):
    """The user name and the password that a file has at the moment for a server.

    As long as the file cannot be read, or names the server no more, they are the last ones.
    ``accepted`` says whether the server has ever let us in: then a refusal may be a change that
    has not reached both of them yet.
    """

    def __init__(self, server: ServerAddress, path: Path) -> None:
        self._last = server
        self._path = path
        self.accepted = False

    def get_credentials(self) -> Any:
        """As redis-py asks for them whenever it connects; none for a server that wants none."""
        self._last = self._found() or self._last
        name, password = self._last.username, self._last.password
        if name is None:
            return () if password is None else (password,)
        return (name, password or "")

    def _found(self) -> ServerAddress | None:
        try:
            urls = split_urls(read_secret(self._path))
            there = [ServerAddress.parse(url) for url in urls]
        except (OSError, UnicodeDecodeError, ConfigError):
            return None
        return next((each for each in there if each.place == self._last.place), None)


def file_credentials(url: str) -> FileCredentials | None:
    """The credentials for a URL that this process has read from a file; else None."""
    path = file_of(url)
    return None if path is None else FileCredentials(ServerAddress.parse(url), path)
