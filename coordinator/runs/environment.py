"""The environment of a coordinator, for the journal: versions, host, servers. No secrets."""

from __future__ import annotations

import os
import platform
import socket
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from distbelief.app.client.info import read_info, server_name
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
    """Name and version of a server, with a question mark where it does not say."""
    return server_name(read_info(servers, server=index) or {})


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
