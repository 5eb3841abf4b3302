"""URLs of servers, which may name several hosts."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit


def split(url: str) -> SplitResult:
    """A URL in its parts, also if it names several hosts with an IPv6 address among them.

    Newer Pythons refuse to split such a one. Raises ValueError like ``urlsplit``.
    """
    scheme, slashes, rest = url.partition("://")
    if not slashes:
        return urlsplit(url)
    hosts = re.match("[^/?#]*", rest)
    assert hosts is not None
    return urlsplit(f"{scheme}://{rest[hosts.end() :]}")._replace(netloc=hosts[0])
