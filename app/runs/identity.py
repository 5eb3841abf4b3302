"""What a worker's results depend on beside settings and data: our code, and the user's modules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from distbelief.app.models import sources
from distbelief.app.models.imports import ImportSettings, named_modules
from distbelief.app.runs.versions import code_digest, version_of

code_digest()  # of the files that this process imports, not of those that are there later


@dataclass(frozen=True)
class Identity:
    """The code that a process computes with.

    ``code`` is the digest of our own, empty where no source can be read: then versions are
    compared. ``modules`` are digests of the user's, by name.
    """

    version: str
    code: str
    modules: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def here(cls, settings: ImportSettings | None = None) -> Identity:
        """That of this process, with the modules of ``settings`` as far as they are imported."""
        modules = {} if settings is None else sources.digests(named_modules(settings))
        return cls(version_of("distbelief"), code_digest(), modules)

    def to_json(self) -> dict[str, Any]:
        return {"version": self.version, "code": self.code, "modules": dict(self.modules)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Identity:
        return cls(document["version"], document["code"], document.get("modules", {}))


def other_code(worker: str, there: Identity, expected: Identity) -> str | None:
    """A sentence if ``worker`` runs other code of ours than the coordinator, else None."""
    compared = there.code and expected.code
    if there.code == expected.code if compared else there.version == expected.version:
        return None
    return (
        f"worker {worker} runs other code of this program ({_told(there)}) than the coordinator "
        f"({_told(expected)}): install the same version on both, and restart the worker"
    )


def other_modules(worker: str, there: Identity, expected: Identity) -> str | None:
    """A sentence if ``worker`` imported other sources of the user's, else None."""
    names = sources.differing(there.modules, expected.modules)
    if not names:
        return None
    first, others = names[0], f" and {len(names) - 1} more" if names[1:] else ""
    return (
        f"worker {worker} imported another {first}{others} (digest {there.modules[first]}) than "
        f"the coordinator (digest {expected.modules[first]}): bring the same files to both, and "
        "restart the worker, or the program that trains, whichever imported the older ones"
    )


def _told(identity: Identity) -> str:
    digest = f"digest {identity.code}" if identity.code else "no source to compare"
    return f"version {identity.version}, {digest}"
