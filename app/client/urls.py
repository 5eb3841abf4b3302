"""URLs of servers: checked, without their secrets, and in Celery's spelling."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

from distbelief.app.errors import ConfigError


def address(url: str) -> str:
    """The URL without its user name and password: fit for logs and run records."""
    scheme, separator, _ = url.partition("://")
    if not separator:
        return "..." if "@" in url else url
    hidden = f"{scheme}://..."
    try:
        parts = urlsplit(url)
    except ValueError:
        return hidden
    is_path = parts.scheme == "unix" and not parts.netloc
    if "@" in f"{parts.path}{parts.query}{parts.fragment}" and not is_path:
        return hidden  # a password with / ? or # in it, not quoted
    database = f"?db={parse_qs(parts.query)['db'][0]}" if "db=" in parts.query else ""
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}{database}"


def check_url(url: str) -> str:
    """Return ``url`` if it names a Redis server; ConfigError otherwise."""
    if url.partition(":")[0] not in {"redis", "rediss", "unix"}:
        raise ConfigError(
            f"'{address(url)}' is not a server URL: write redis://HOST:PORT/DB, "
            "rediss://HOST:PORT/DB or unix:///PATH"
        )
    try:
        parts = urlsplit(url)
        bad = parts.scheme != "unix" and (not parts.hostname or parts.port == 0)
    except ValueError:
        bad = True
    if bad:
        raise ConfigError(
            f"'{address(url)}' needs a host name and a port from 1 to 65535 "
            "(in a password, write / ? # @ as %2F %3F %23 %40)"
        )
    return url


def kombu_url(url: str) -> str:
    """The same server in Celery's spelling.

    Unix sockets are redis+socket:// there, and TLS must say that it wants certificates
    checked, which is redis-py's default.
    """
    if url.startswith("rediss://") and "ssl_cert_reqs" not in url:
        url += ("&" if "?" in url else "?") + "ssl_cert_reqs=required"
    return url.replace("unix://", "redis+socket://", 1)
