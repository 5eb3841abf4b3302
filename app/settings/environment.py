"""Environment variables by which an operator tells a process where, never what.

URLs may hold passwords; they belong here, not on command lines or in run records. Where an
environment is too public, NAME_FILE names a file with what NAME would say, as containers
mount their secrets.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

from distbelief.app.errors import ConfigError

BROKER = "DISTBELIEF_BROKER"
CONTROL = "DISTBELIEF_CONTROL"
PARAMETER_SERVERS = "DISTBELIEF_PARAMETER_SERVERS"
#: Of whoever asks for a training's figures from elsewhere, or in the file METRICS_PASSWORD_FILE.
METRICS_PASSWORD = "DISTBELIEF_METRICS_PASSWORD"  # noqa: S105  (the variable's name)
KEY_PREFIX = "DISTBELIEF_KEY_PREFIX"
DEFAULT_BROKER = "redis://127.0.0.1:6379/0"

#: How many threads a BLAS takes, read when NumPy is imported; workers take one unless told.
BLAS_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


#: What is no name of a file: systemd's have an @ in them, too.
_LIKE_A_URL = re.compile(r"://|^(rediss?|unix|redis\+socket):")

#: What begins names of keys: nothing that patterns of keys, or hash tags, read as something else.
_KEY_PREFIX = re.compile(r"[A-Za-z0-9_.:/-]{1,64}")

#: How URLs of Redis servers begin, which can be the control server.
_REDIS = re.compile(r"(rediss?|unix|redis\+socket|sentinel|rediss?\+(sentinel|cluster))://")

#: The files from which URLs were read in this process.
_files: dict[str, Path] = {}


@dataclass(frozen=True)
class Told:
    """What an operator said, and ``source``, which is the variable that says it."""

    text: str
    source: str


def broker_url() -> str:
    """URL of the broker of our own workers, with its prefix of keys; raises ConfigError."""
    named = named_broker() or named_control() or DEFAULT_BROKER
    return with_key_prefix(named, named_key_prefix())


def control_url() -> str:
    """URL of the control server of our own workers: the broker, if that is a Redis.

    Raises:
        ConfigError: it is none, and no control server is named.
    """
    named = named_control()
    return with_key_prefix(named, named_key_prefix()) if named else control_beside(broker_url())


def control_beside(broker: str) -> str:
    """The control server where only a broker is named; raises ConfigError if that is no Redis."""
    if not is_meant_as_redis(broker):
        scheme = broker.partition("://")[0]
        raise ConfigError(
            f"the broker is {scheme}://..., which is no Redis: name one for the ledger of runs, by "
            f"control or {CONTROL}"
        )
    return broker


def is_redis(url: str) -> bool:
    """Whether a URL is that of a Redis server, which may be broker and control server at once."""
    return _REDIS.match(url.lower()) is not None


def is_meant_as_redis(url: str) -> bool:
    """Whether an address is to be read as a Redis server's: also one that lacks its scheme."""
    return "://" not in url or is_redis(url)


def named_broker() -> str | None:
    """URL of the broker, if the operator named one; raises ConfigError."""
    found = told_broker()
    return found.text if found is not None else None


def named_control() -> str | None:
    """URL of the control server, if the operator named one; raises ConfigError."""
    found = _told(CONTROL)
    return found.text if found is not None else None


def told_broker() -> Told | None:
    """The broker, if the operator named one, and by which variable; raises ConfigError."""
    return _told(BROKER)


def parameter_server_urls() -> tuple[str, ...]:
    """URLs of the parameter servers, in the run's order; empty if the operator set none.

    Raises:
        ConfigError: their file cannot be read.
    """
    found = _told(PARAMETER_SERVERS)
    return tuple(split_urls(found.text)) if found is not None else ()


def workers_parameter_servers() -> tuple[str, ...]:
    """The same for a worker, with its prefix of keys; raises ConfigError."""
    prefix = named_key_prefix()
    return tuple(with_key_prefix(url, prefix) for url in parameter_server_urls())


def named_key_prefix() -> str | None:
    """How all keys of this deployment begin, if the operator said so; raises ConfigError."""
    said = os.environ.get(KEY_PREFIX)
    try:
        return checked_key_prefix(said) if said else None
    except ValueError as error:
        raise ConfigError(f"{KEY_PREFIX} = {said!r} is not allowed: {error}") from None


def checked_key_prefix(text: str) -> str:
    """The text if keys may begin with it; raises ValueError."""
    if _KEY_PREFIX.fullmatch(text) is None:
        raise ValueError("it must have 1 to 64 letters, digits or . _ : / - (such as team1:)")
    return text


def with_key_prefix(url: str, prefix: str | None) -> str:
    """The URL of a Redis on which keys begin with ``prefix``; of other brokers as it is.

    Raises:
        ConfigError: it has another one.
    """
    if not prefix or not is_meant_as_redis(url):
        return url
    options = dict(parse_qsl(url.partition("?")[2]))
    own = options.get("key_prefix", prefix)
    if own != prefix:
        raise ConfigError(
            f"the URL of a server has key_prefix={own}, and the prefix of keys is set to {prefix}: "
            "leave out one of them"
        )
    if "key_prefix" in options:
        return url
    said = f"{url}{'&' if '?' in url else '?'}{urlencode({'key_prefix': prefix}, safe=':/')}"
    if url in _files:
        _files[said] = _files[url]
    return said


def metrics_password() -> str | None:
    """The password for a training's figures, if the operator set one; raises ConfigError."""
    if said := os.environ.get(METRICS_PASSWORD):
        return said
    name = os.environ.get(source := f"{METRICS_PASSWORD}_FILE")
    return _read(source, name) or None if name else None


def file_of(url: str) -> Path | None:
    """The file from which this process has read a URL, if it comes from one."""
    return _files.get(url)


def _told(variable: str) -> Told | None:
    """The value of a variable, or else the content of the file that VARIABLE_FILE names."""
    if said := os.environ.get(variable):
        return Told(said, variable)
    source = f"{variable}_FILE"
    name = os.environ.get(source)
    if not name:
        return None
    if _LIKE_A_URL.search(name):
        raise ConfigError(
            f"{source} holds what looks like a URL (not shown: it may hold a password): it is to "
            f"name a file with the URL in it, or set {variable} instead"
        )
    text = _read(source, name)
    if not all("://" in url for url in split_urls(text)):
        raise ConfigError(f"{source} names {name}, in which there is something else than a URL")
    _files.update(dict.fromkeys((text, *split_urls(text)), Path(name)))
    return Told(text, source) if text else None


def _read(source: str, name: str) -> str:
    """What is in the file that a variable names; raises ConfigError."""
    try:
        return read_secret(Path(name))
    except OSError as error:
        why = error.strerror
        raise ConfigError(f"{source} names {name}, which cannot be read: {why}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{source} names {name}, which is no text in UTF-8") from error


def read_secret(path: Path) -> str:
    """The content of such a file; raises OSError or UnicodeDecodeError."""
    return path.read_text(encoding="utf-8").strip()


def split_urls(text: str) -> list[str]:
    """URLs with commas between them; a comma within a password is none of these."""
    return [url.strip() for url in re.split(r",(?=\s*(?:[\w+]+://|$))", text) if url.strip()]
