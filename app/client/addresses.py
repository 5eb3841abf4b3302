"""Addresses of servers: each is parsed once, and every client gets it in its own words.

Written as redis-py or Celery write them. What both would take in different ways, or what is ours to
decide, is refused by its name: it would be a setting that one of them ignores.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

import redis

from distbelief.app.client.loopback import is_loopback
from distbelief.app.client.options import database_of, read_options, tls_options
from distbelief.app.client.urls import split
from distbelief.app.errors import ConfigError
from distbelief.app.layout.keys import CELERY_PREFIX, CLUSTERED_CELERY_PREFIX
from distbelief.app.settings.environment import checked_key_prefix

DEFAULT_PORT, SENTINEL_PORT = 6379, 26379


class Scheme(StrEnum):
    """How a server is reached."""

    TCP = "redis"
    TLS = "rediss"
    UNIX = "unix"


class Kind(StrEnum):
    """What answers for a server: itself, sentinels that know it, or a cluster of nodes."""

    ALONE = "alone"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


#: What URLs begin with; redis+socket is Celery's word.
SCHEMES = {
    "redis": (Scheme.TCP, Kind.ALONE),
    "rediss": (Scheme.TLS, Kind.ALONE),
    "unix": (Scheme.UNIX, Kind.ALONE),
    "redis+socket": (Scheme.UNIX, Kind.ALONE),
    "sentinel": (Scheme.TCP, Kind.SENTINEL),
    "redis+sentinel": (Scheme.TCP, Kind.SENTINEL),
    "rediss+sentinel": (Scheme.TLS, Kind.SENTINEL),
    "redis+cluster": (Scheme.TCP, Kind.CLUSTER),
    "rediss+cluster": (Scheme.TLS, Kind.CLUSTER),
}

#: Options that belong to where a server is, and may be seen.
SHOWN = ("db", "key_prefix")
#: Options that say who we are.
SECRET = ("username", "password", "credential_provider", "sentinel_username", "sentinel_password")

UNIX_SCHEMES = ("unix", "redis+socket")

#: Seconds for one sentinel until the next one is asked.
SENTINEL_S = 2.0

Place = tuple[str, int]


@dataclass(frozen=True)
class ServerAddress:
    """One server, and who we are there.

    ``host`` and ``port`` are empty for a Unix socket, which has a ``path``. ``tls`` has the options
    of redis-py that are not the default. ``nodes`` are the sentinels that know the server
    ``master``, or some nodes of a cluster; then ``host`` and ``port`` are the first of them.
    ``provider`` names what gives us the password, as module:attribute.
    """

    scheme: Scheme
    host: str = ""
    port: int = 0
    path: str = ""
    database: int = 0
    username: str | None = None
    password: str | None = None
    client_name: str | None = None
    tls: Mapping[str, Any] = field(default_factory=dict)
    kind: Kind = Kind.ALONE
    nodes: tuple[Place, ...] = ()
    master: str = ""
    sentinel_login: tuple[str | None, str | None] = (None, None)
    key_prefix: str = ""
    provider: str | None = None

    @property
    def is_local(self) -> bool:
        """Whether it is reached without leaving the machine."""
        return self.scheme is Scheme.UNIX or all(map(is_loopback, self._hosts))

    def is_beside(self, other: ServerAddress) -> bool:
        """Whether it is on the machine of another one, as far as addresses tell."""
        if self.is_local or other.is_local:
            return self.is_local and other.is_local
        return bool(self._hosts & other._hosts)

    @property
    def _hosts(self) -> set[str]:
        return {host for host, _ in self.nodes} or {self.host}

    @classmethod
    def parse(cls, url: str) -> ServerAddress:
        """Read a URL.

        Raises:
            ConfigError: it names no Redis server, or has an option that is not ours to take.
        """
        scheme, kind = SCHEMES.get(url.partition(":")[0], (None, Kind.ALONE))
        shown = address(url)
        if scheme is None:
            meant = f"redis://{shown}, or in general " if shown and "://" not in shown else ""
            raise ConfigError(
                f"'{shown}' is not a server URL: write {meant}redis://HOST:PORT/DB, "
                "rediss://HOST:PORT/DB, unix:///PATH, sentinel://HOST:PORT,HOST:PORT/NAME or "
                "redis+cluster://HOST:PORT,HOST:PORT"
            )
        try:
            parts = split(url)
            nodes = () if scheme is Scheme.UNIX else _places(parts, kind)
        except ValueError:
            raise ConfigError(
                f"'{shown}' needs a host name and a port from 1 to 65535 "
                "(in a password, write / ? # @ as %2F %3F %23 %40)"
            ) from None
        is_tls, is_sentinel = scheme is Scheme.TLS, kind is Kind.SENTINEL
        options = read_options(shown, parts.query, is_tls=is_tls, is_sentinel=is_sentinel)
        master, database = _within(shown, parts, kind, options)
        login = urlsplit(f"//{parts.netloc.rpartition('@')[0]}@")
        known: dict[str, Any] = {
            "username": _text(login.username) or options.get("username"),
            "password": _text(login.password) or options.get("password"),
            "client_name": options.get("client_name"),
            "database": database,
            "key_prefix": _key_prefix(shown, options),
            "provider": options.get("credential_provider"),
        }
        if scheme is Scheme.UNIX:
            return cls(scheme, path=unquote(parts.path), **known)
        if kind is not Kind.ALONE:
            sentinel = (options.get("sentinel_username"), options.get("sentinel_password"))
            known |= {"nodes": nodes, "master": master, "sentinel_login": sentinel, "kind": kind}
        host, port = nodes[0]
        return cls(scheme, host, port, tls=tls_options(shown, options), **known)

    @property
    def is_tls(self) -> bool:
        return self.scheme is Scheme.TLS

    @property
    def celery_prefix(self) -> str:
        """How the keys of Celery begin there, behind the prefix of all keys."""
        return CLUSTERED_CELERY_PREFIX if self.kind is Kind.CLUSTER else CELERY_PREFIX

    @property
    def place(self) -> tuple[object, ...]:
        """Where the server is, whoever we are there."""
        return (self.scheme, self.host, self.port, self.path, self.nodes, self.master)

    def connection(self) -> tuple[type[redis.connection.AbstractConnection], dict[str, Any]]:
        """The class and the arguments of redis-py's connections."""
        known: dict[str, Any] = {
            "db": self.database,
            "username": self.username,
            "password": self.password,
            "client_name": self.client_name,
        }
        if self.scheme is Scheme.UNIX:
            return redis.UnixDomainSocketConnection, {**known, "path": self.path}
        known |= {"host": self.host, "port": self.port}
        if self.is_tls:
            return redis.SSLConnection, {**known, **self.certified}
        return redis.Connection, known

    def celery_settings(self) -> dict[str, Any]:
        """Celery's settings of a broker here; ``broker_transport_options`` add to others."""
        if self.scheme is Scheme.UNIX:
            database = f"?virtual_host={self.database}"
            url = f"redis+socket://{self._login}{quote(self.path)}{database}"
        else:
            scheme = "sentinel" if self.kind is Kind.SENTINEL else self.scheme
            places = self.nodes or ((self.host, self.port),)
            netlocs = (f"{self._login}{_netloc(*place)}" for place in places)
            url = ";".join(f"{scheme}://{netloc}/{self.database}" for netloc in netlocs)
        named: dict[str, Any] = {}
        if self.client_name is not None:
            named["client_name"] = self.client_name
        if self.kind is Kind.SENTINEL:
            named |= {"master_name": self.master, "sentinel_kwargs": self.sentinel_options}
        return {
            "broker_url": url,
            "broker_use_ssl": self.certified if self.is_tls else None,
            "broker_transport_options": named,
        }

    @property
    def sentinel_options(self) -> dict[str, Any]:
        """Who we are to the sentinels, as redis-py has it."""
        name, password = self.sentinel_login
        known: dict[str, Any] = {"username": name, "password": password}
        known |= {"socket_timeout": SENTINEL_S, "socket_connect_timeout": SENTINEL_S}
        return {**known, "ssl": True, **self.certified} if self.is_tls else known

    @property
    def certified(self) -> dict[str, Any]:
        return {"ssl_cert_reqs": ssl.CERT_REQUIRED, **self.tls}

    @property
    def _login(self) -> str:
        if self.username is None and self.password is None:
            return ""
        return f"{quote(self.username or '', safe='')}:{quote(self.password or '', safe='')}@"


def address(url: str) -> str:
    """A URL, whatever it is, without its user name and password: for messages about it."""
    scheme, separator, _ = url.partition("://")
    if not separator:
        return "..." if "@" in url else url
    hidden = f"{scheme}://..."
    try:
        parts = split(url)
    except ValueError:
        return hidden
    is_path = parts.scheme in UNIX_SCHEMES and not parts.netloc
    if "@" in f"{parts.path}{parts.query}{parts.fragment}" and not is_path:
        return hidden  # a password with / ? or # in it, not quoted
    shown = [f"{name}={value}" for name, value in parse_qsl(parts.query) if name in SHOWN]
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" + (
        f"?{'&'.join(shown)}" if shown else ""
    )


def anonymous(url: str) -> str:
    """A URL without its user name and password, with which a stranger reaches the server."""
    parts = split(url)
    options = [pair for pair in parse_qsl(parts.query) if pair[0] not in SECRET]
    query = f"?{urlencode(options)}" if options else ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}{query}"


def _netloc(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _text(quoted: str | None) -> str | None:
    return unquote(quoted) if quoted else None


def _places(parts: SplitResult, kind: Kind) -> tuple[Place, ...]:
    """Hosts and ports; several only where a server is known by several. Raises ValueError."""
    default = SENTINEL_PORT if kind is Kind.SENTINEL else DEFAULT_PORT
    written = parts.netloc.rpartition("@")[2]
    each = [written] if kind is Kind.ALONE else [part.strip() for part in written.split(",")]
    found = list[Place]()
    for part in map(urlsplit, (f"//{part}" for part in each)):
        port = part.port
        if not part.hostname or port == 0:
            raise ValueError("no host, or no port")
        found.append((part.hostname, port or default))
    return tuple(found)


def _within(
    shown: str, parts: SplitResult, kind: Kind, options: Mapping[str, str]
) -> tuple[str, int]:
    """The name that sentinels know a server by, and its database."""
    if kind is Kind.SENTINEL:
        name, _, number = parts.path.strip("/").partition("/")
        if not name:
            raise ConfigError(
                f"'{shown}' needs the name by which its sentinels know the server: write "
                "sentinel://HOST:PORT,HOST:PORT/NAME"
            )
        return unquote(name), database_of(shown, number, options)
    path = "" if parts.scheme in UNIX_SCHEMES else parts.path
    database = database_of(shown, path, options)
    if kind is Kind.CLUSTER and database:
        raise ConfigError(f"'{shown}' names database {database}, and a cluster has only 0")
    return "", database


def _key_prefix(shown: str, options: Mapping[str, str]) -> str:
    said = options.get("key_prefix", "")
    try:
        return checked_key_prefix(said) if said else ""
    except ValueError as error:
        raise ConfigError(f"'{shown}' has key_prefix={said}: {error}") from None
