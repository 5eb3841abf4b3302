"""Addresses of servers: each is parsed once, and every client gets it in its own words.

Written as redis-py or Celery write them. What both would take in different ways, or what is ours to
decide, is refused by its name: it would be a setting that one of them ignores.
"""

from __future__ import annotations

import difflib
import ipaddress
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

import redis

from distbelief.app.errors import ConfigError

DEFAULT_PORT = 6379


class Scheme(StrEnum):
    """How a server is reached."""

    TCP = "redis"
    TLS = "rediss"
    UNIX = "unix"


#: Celery's word for one of them.
SCHEMES = {**{str(scheme): scheme for scheme in Scheme}, "redis+socket": Scheme.UNIX}

#: What a certificate of the server is good for, as redis-py and as Celery say it.
CERTIFICATES = {"required": ssl.CERT_REQUIRED, "optional": ssl.CERT_OPTIONAL, "none": ssl.CERT_NONE}

#: Options of TLS, all of them known to redis-py; Celery hands them on.
TLS_OPTIONS = (
    "ssl_cert_reqs",
    "ssl_ca_certs",
    "ssl_ca_path",
    "ssl_certfile",
    "ssl_keyfile",
    "ssl_check_hostname",
)
OPTIONS = ("db", "virtual_host", "username", "password", "client_name", *TLS_OPTIONS)

#: What clients of ours decide, for what they promise depends on it.
OURS = (
    "protocol",
    "socket_timeout",
    "socket_connect_timeout",
    "socket_keepalive",
    "health_check_interval",
    "max_connections",
    "retry",
    "retry_on_timeout",
    "retry_on_error",
    "timeout",
    "encoding",
    "decode_responses",
)


#: Names of a machine for itself, beside the addresses that are.
LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def is_loopback(host: str) -> bool:
    """Whether only a machine itself calls itself so."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in LOOPBACK


@dataclass(frozen=True)
class ServerAddress:
    """One server, and who we are there.

    ``host`` and ``port`` are empty for a Unix socket, which has a ``path``. ``tls`` has the options
    of redis-py that are not the default.
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

    @property
    def is_local(self) -> bool:
        """Whether it is reached without leaving the machine."""
        return self.scheme is Scheme.UNIX or is_loopback(self.host)

    def is_beside(self, other: ServerAddress) -> bool:
        """Whether it is on the machine of another one, as far as addresses tell."""
        if self.is_local or other.is_local:
            return self.is_local and other.is_local
        return self.host == other.host

    @classmethod
    def parse(cls, url: str) -> ServerAddress:
        """Read a URL.

        Raises:
            ConfigError: it names no Redis server, or has an option that is not ours to take.
        """
        scheme = SCHEMES.get(url.partition(":")[0])
        if scheme is None:
            raise ConfigError(
                f"'{address(url)}' is not a server URL: write redis://HOST:PORT/DB, "
                "rediss://HOST:PORT/DB or unix:///PATH"
            )
        try:
            parts = urlsplit(url)
            port = parts.port
            bad = scheme is not Scheme.UNIX and (not parts.hostname or port == 0)
        except ValueError:
            bad = True
        if bad:
            raise ConfigError(
                f"'{address(url)}' needs a host name and a port from 1 to 65535 "
                "(in a password, write / ? # @ as %2F %3F %23 %40)"
            )
        options = _options(url, parts, scheme)
        known: dict[str, Any] = {
            "username": _text(parts.username) or options.get("username"),
            "password": _text(parts.password) or options.get("password"),
            "client_name": options.get("client_name"),
            "database": _database(url, parts, scheme, options),
        }
        if scheme is Scheme.UNIX:
            return cls(scheme, path=unquote(parts.path), **known)
        return cls(
            scheme, parts.hostname or "", port or DEFAULT_PORT, tls=_tls(url, options), **known
        )

    @property
    def is_tls(self) -> bool:
        return self.scheme is Scheme.TLS

    @property
    def place(self) -> tuple[str, str, int, str]:
        """Where the server is, whoever we are there."""
        return (self.scheme, self.host, self.port, self.path)

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
            return redis.SSLConnection, {**known, **self._certified}
        return redis.Connection, known

    def celery_settings(self) -> dict[str, Any]:
        """Celery's settings of a broker here; ``broker_transport_options`` add to others."""
        if self.scheme is Scheme.UNIX:
            database = f"?virtual_host={self.database}"
            url = f"redis+socket://{self._login}{quote(self.path)}{database}"
        else:
            url = f"{self.scheme}://{self._login}{self._netloc}/{self.database}"
        named = {} if self.client_name is None else {"client_name": self.client_name}
        return {
            "broker_url": url,
            "broker_use_ssl": self._certified if self.is_tls else None,
            "broker_transport_options": named,
        }

    @property
    def _certified(self) -> dict[str, Any]:
        return {"ssl_cert_reqs": ssl.CERT_REQUIRED, **self.tls}

    @property
    def _netloc(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

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
        parts = urlsplit(url)
    except ValueError:
        return hidden
    is_path = parts.scheme in ("unix", "redis+socket") and not parts.netloc
    if "@" in f"{parts.path}{parts.query}{parts.fragment}" and not is_path:
        return hidden  # a password with / ? or # in it, not quoted
    shown = [f"db={value}" for name, value in parse_qsl(parts.query) if name == "db"]
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}" + (
        f"?{shown[0]}" if shown else ""
    )


def anonymous(url: str) -> str:
    """A URL without its user name and password, with which a stranger reaches the server."""
    parts = urlsplit(url)
    options = [pair for pair in parse_qsl(parts.query) if pair[0] not in ("username", "password")]
    query = f"?{urlencode(options)}" if options else ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}{query}"


def _text(quoted: str | None) -> str | None:
    return unquote(quoted) if quoted else None


def _options(url: str, parts: SplitResult, scheme: Scheme) -> dict[str, str]:
    """The options behind the question mark, each of them known and there once."""
    found: dict[str, str] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name in OURS:
            raise ConfigError(
                f"'{address(url)}' has the option {name}, which is this program's to decide: "
                "leave it out"
            )
        if name == "credential_provider":
            raise ConfigError(
                f"'{address(url)}' has the option credential_provider, which is not supported: "
                "write user name and password, or name a file with the URL (..._FILE)"
            )
        if name not in OPTIONS:
            near = difflib.get_close_matches(name, OPTIONS, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise ConfigError(f"'{address(url)}' has an unknown option {name}{hint}")
        if name in TLS_OPTIONS and scheme is not Scheme.TLS:
            raise ConfigError(
                f"'{address(url)}' has the option {name}, which only rediss:// (TLS) has"
            )
        if found.setdefault(name, value) != value:
            raise ConfigError(f"'{address(url)}' has the option {name} twice")
    return found


def _database(url: str, parts: SplitResult, scheme: Scheme, options: Mapping[str, str]) -> int:
    said = {options[name] for name in ("db", "virtual_host") if name in options}
    if scheme is not Scheme.UNIX and parts.path.strip("/"):
        said.add(parts.path.strip("/"))
    numbers = {text.strip("/") for text in said}
    if len(numbers) > 1 or not all(text.isdecimal() for text in numbers):
        raise ConfigError(
            f"'{address(url)}' must name its database once and by a number, as in "
            f"redis://HOST:PORT/2, got {' and '.join(sorted(said))}"
        )
    return int(numbers.pop()) if numbers else 0


def _tls(url: str, options: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {name: options[name] for name in TLS_OPTIONS if name in options}
    if "ssl_cert_reqs" in found:
        said = found["ssl_cert_reqs"].lower().removeprefix("cert_")
        if said not in CERTIFICATES:
            raise ConfigError(
                f"'{address(url)}': ssl_cert_reqs must be {', '.join(CERTIFICATES)}, "
                f"got {found['ssl_cert_reqs']!r}"
            )
        found["ssl_cert_reqs"] = CERTIFICATES[said]
    if "ssl_check_hostname" in found:
        said = found["ssl_check_hostname"].lower()
        if said not in ("true", "false"):
            raise ConfigError(
                f"'{address(url)}': ssl_check_hostname must be true or false, got {said!r}"
            )
        found["ssl_check_hostname"] = said == "true"
    return found
