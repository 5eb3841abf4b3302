"""Passwords that change while a process lives: asked for again for each connection."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import redis

from distbelief.app.client.addresses import ServerAddress, address
from distbelief.app.errors import ConfigError
from distbelief.app.settings.environment import file_of, read_secret, split_urls


class Credentials(redis.CredentialProvider):
    """What redis-py asks for user name and password whenever it connects.

    ``accepted`` says whether the server has ever let us in: then a refusal may be a change that
    has not reached both of us yet.
    """

    accepted = False


class FileCredentials(Credentials):
    """The user name and the password that a file has at the moment for a server.

    As long as the file cannot be read, or names the server no more, they are the last ones.
    """

    def __init__(self, server: ServerAddress, path: Path) -> None:
        self._last = server
        self._path = path

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


class ProvidedCredentials(Credentials):
    """Those of somebody else's provider: a cloud's tokens, for instance, which last some minutes.

    ``provider`` is anything with redis-py's ``get_credentials``.
    """

    def __init__(self, provider: Any) -> None:
        self._provider = provider

    def get_credentials(self) -> Any:
        """Raises AuthenticationError, as if the server had, where there are none at the moment."""
        try:
            return self._provider.get_credentials()
        except Exception as error:  # whatever a provider of the team's raises
            raise redis.AuthenticationError(f"the credential provider failed: {error!r}") from error


def credentials_for(url: str) -> Credentials | None:
    """The credentials for a URL that names a provider, or was read from a file; else None.

    Raises:
        ConfigError: it names a provider that cannot be made.
    """
    server = ServerAddress.parse(url)
    if server.provider is not None:
        return ProvidedCredentials(_provider(url, server.provider))
    path = file_of(url)
    return None if path is None else FileCredentials(server, path)


def _provider(url: str, name: str) -> Any:
    """Call what ``name`` is, a class or a function, for a provider."""
    module, _, attribute = name.partition(":")
    shown = f"'{address(url)}' has credential_provider={name}"
    if not module or not attribute:
        raise ConfigError(f"{shown}: write MODULE:NAME, which is called for a provider")
    try:
        made = getattr(import_module(module), attribute)()
    except Exception as error:  # whatever a module of the team's raises
        raise ConfigError(f"{shown}, which cannot be made: {error!r}") from error
    if not callable(getattr(made, "get_credentials", None)):
        raise ConfigError(f"{shown}, which has no get_credentials as redis-py's providers have")
    return made
