"""Names by which a machine reaches only itself."""

from __future__ import annotations

import ipaddress

#: Names of a machine for itself, beside the addresses that are.
LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def is_loopback(host: str) -> bool:
    """Whether only a machine itself calls itself so."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in LOOPBACK
