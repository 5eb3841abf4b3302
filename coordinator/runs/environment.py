"""The environment of a coordinator, for the journal: versions, host, servers. No secrets."""

from __future__ import annotations

import os
import platform
import socket
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from distbelief.app.client.info import read_info
from distbelief.app.client.servers import Servers

#: Packages whose versions may change what a run computes, or how fast.
PACKAGES = ("distbelief", "numpy", "celery", "redis", "hiredis", "scikit-learn", "torch")


def environment(control: Servers, servers: Servers) -> dict[str, Any]:
    """The environment as JSON; raises the ServerError family if a server does not answer."""
    return {
        "host": socket.gethostname(),
        "cores": os.cpu_count(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
        "control_server": {"address": control.addresses[0], "version": server_version(control, 0)},
        "parameter_servers": [
            {
                "address": address,
                "version": server_version(servers, index),
                "engine": choice.engine,
                "why": choice.why,
            }
            for index, (address, choice) in enumerate(
                zip(servers.addresses, servers.choices, strict=True)
            )
        ],
    }


def server_version(servers: Servers, index: int) -> str:
    """Name and version of a server, as "Valkey 9.0.1" or "Redis 7.0.15"."""
    info = read_info(servers, "server", server=index)
    if "valkey_version" in info:
        return f"Valkey {info['valkey_version']}"
    return f"Redis {info.get('redis_version', '?')}"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
