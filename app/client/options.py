"""The options behind the question mark of a server's URL."""

from __future__ import annotations

import difflib
import ssl
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from distbelief.app.errors import ConfigError

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
#: Who we are to the sentinels, which have users of their own.
SENTINEL_OPTIONS = ("sentinel_username", "sentinel_password")
OPTIONS = (
    "db",
    "virtual_host",
    "username",
    "password",
    "client_name",
    "key_prefix",
    "credential_provider",
    *SENTINEL_OPTIONS,
    *TLS_OPTIONS,
)

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


def read_options(shown: str, query: str, *, is_tls: bool, is_sentinel: bool) -> dict[str, str]:
    """The options of the URL that is ``shown`` so, each of them known and there once.

    Raises:
        ConfigError: one is not ours to take, or not for such a server.
    """
    found: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in OURS:
            raise ConfigError(
                f"'{shown}' has the option {name}, which is this program's to decide: leave it out"
            )
        if name not in OPTIONS:
            near = difflib.get_close_matches(name, OPTIONS, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise ConfigError(f"'{shown}' has an unknown option {name}{hint}")
        if name in TLS_OPTIONS and not is_tls:
            raise ConfigError(f"'{shown}' has the option {name}, which only rediss:// (TLS) has")
        if name in SENTINEL_OPTIONS and not is_sentinel:
            raise ConfigError(f"'{shown}' has the option {name}, which only sentinel:// has")
        if found.setdefault(name, value) != value:
            raise ConfigError(f"'{shown}' has the option {name} twice")
    return found


def tls_options(shown: str, options: Mapping[str, str]) -> dict[str, Any]:
    """Those of TLS as redis-py takes them; raises ConfigError."""
    found: dict[str, Any] = {name: options[name] for name in TLS_OPTIONS if name in options}
    if "ssl_cert_reqs" in found:
        said = found["ssl_cert_reqs"].lower().removeprefix("cert_")
        if said not in CERTIFICATES:
            raise ConfigError(
                f"'{shown}': ssl_cert_reqs must be {', '.join(CERTIFICATES)}, "
                f"got {found['ssl_cert_reqs']!r}"
            )
        found["ssl_cert_reqs"] = CERTIFICATES[said]
    if "ssl_check_hostname" in found:
        said = found["ssl_check_hostname"].lower()
        if said not in ("true", "false"):
            raise ConfigError(f"'{shown}': ssl_check_hostname must be true or false, got {said!r}")
        found["ssl_check_hostname"] = said == "true"
    return found


def database_of(shown: str, path: str, options: Mapping[str, str]) -> int:
    """The number that the path or an option names; raises ConfigError unless they agree."""
    said = {options[name] for name in ("db", "virtual_host") if name in options}
    if path.strip("/"):
        said.add(path.strip("/"))
    numbers = {text.strip("/") for text in said}
    if len(numbers) > 1 or not all(text.isdecimal() for text in numbers):
        raise ConfigError(
            f"'{shown}' must name its database once and by a number, as in "
            f"redis://HOST:PORT/2, got {' and '.join(sorted(said))}"
        )
    return int(numbers.pop()) if numbers else 0
