"""An event of a run, and the function that is told of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Event:
    """Something that happened, ``at`` seconds since 1970."""

    at: float
    kind: str
    fields: Mapping[str, Any]


Listener = Callable[[Event], None]
