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

from distbelief.app.errors import ConfigError

BROKER = "DISTBELIEF_BROKER"
CONTROL = "DISTBELIEF_CONTROL"
PARAMETER_SERVERS = "DISTBELIEF_PARAMETER_SERVERS"
DEFAULT_BROKER = "redis://127.0.0.1:6379/0"

#: How many threads a BLAS takes, read when NumPy is imported; workers take one unless told.
BLAS_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


#: What is no name of a file: systemd's have an @ in them, too.
_LIKE_A_URL = re.compile(r"://|^(rediss?|unix|redis\+socket):")

#: How URLs of Redis servers begin, which can be the control server.
_REDIS = re.compile(r"(rediss?|unix|redis\+socket)://")

#: The files from which URLs were read in this process.
_files: dict[str, Path] = {}


@dataclass(frozen=True)
class Told:
    """What an operator said, and ``source``, which is the variable that says it."""

    text: str
    source: str


def broker_url() -> str:
    """URL of the broker of our own workers; raises ConfigError."""
    return named_broker() or named_control() or DEFAULT_BROKER


def control_url() -> str:
    """URL of the control server of our own workers: the broker, if that is a Redis.

    Raises:
        ConfigError: it is none, and no control server is named.
    """
    return named_control() or control_beside(broker_url())


def control_beside(broker: str) -> str:
    """The control server where only a broker is named; raises ConfigError if that is no Redis."""
    scheme, separator, _ = broker.partition("://")
    if separator and not is_redis(broker):
        raise ConfigError(
            f"the broker is {scheme}://..., which is no Redis: name one for the ledger of runs, by "
            f"control or {CONTROL}"
        )
    return broker


def is_redis(url: str) -> bool:
    """Whether a URL is that of a Redis server, which may be broker and control server at once."""
    return _REDIS.match(url.lower()) is not None


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
    try:
        text = read_secret(Path(name))
    except OSError as error:
        why = error.strerror
        raise ConfigError(f"{source} names {name}, which cannot be read: {why}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{source} names {name}, which is no text in UTF-8") from error
    if not all("://" in url for url in split_urls(text)):
        raise ConfigError(f"{source} names {name}, in which there is something else than a URL")
    _files.update(dict.fromkeys((text, *split_urls(text)), Path(name)))
    return Told(text, source) if text else None


def read_secret(path: Path) -> str:
    """The content of such a file; raises OSError or UnicodeDecodeError."""
    return path.read_text(encoding="utf-8").strip()


def split_urls(text: str) -> list[str]:
    """URLs with commas between them; a comma within a password is none of these."""
    return [url.strip() for url in re.split(r",(?=\s*(?:[\w+]+://|$))", text) if url.strip()]
