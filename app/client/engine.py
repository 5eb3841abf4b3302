"""The engine of a parameter server: its Lua interpreter, or our native module.

Both take the same keys and arguments, give the same answers and write the same bits to the
same hashes, so a run may change from one to the other at any time.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Engine(StrEnum):
    """Computes updates and sums on a server."""

    LUA = "lua"
    NATIVE = "native"


@dataclass(frozen=True)
class Choice:
    """The engine of one server. ``why`` says why it is not the module, if it is not."""

    engine: Engine
    why: str = ""
