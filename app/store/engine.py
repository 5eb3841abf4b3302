"""Which engine computes on a parameter server: its Lua interpreter, or our native module.

Both take the same keys and arguments, give the same answers and write the same bits to the
same hashes, so a run may change from one to the other at any time. The module is used where a
server has loaded it in exactly our version; managed servers allow no modules.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import redis

from app.errors import ServerRefused
from app.scripts import COMMANDS
from app.settings import WantedEngine
from app.store.failures import is_unknown
from app.store.native import VERSION

ASK = f"{COMMANDS}.version"


class Engine(StrEnum):
    """What computes."""

    LUA = "lua"
    NATIVE = "native"


@dataclass(frozen=True)
class Choice:
    """The engine of one server. ``why`` says why it is not the module, if it is not."""

    engine: Engine
    why: str = ""


def choose(ask: Callable[[str], object], address: str, wanted: WantedEngine) -> Choice:
    """The engine for the server at ``address``; ``ask`` sends a command to it.

    Raises:
        ServerRefused: the module is ``wanted`` and cannot be used there.
    """
    if wanted == "lua":
        return Choice(Engine.LUA)
    why = _unfit(ask)
    if why is None:
        return Choice(Engine.NATIVE)
    if wanted == "native":
        raise ServerRefused(
            f"{address} cannot use the native engine: {why}. Load the module there (see "
            "deploy/README.md), or use --engine auto"
        )
    return Choice(Engine.LUA, why)


def _unfit(ask: Callable[[str], object]) -> str | None:
    """Why the server cannot use our module; None if it can."""
    try:
        answer = ask(ASK)
    except ServerRefused as refusal:
        error = refusal.__cause__
        if isinstance(error, redis.ResponseError) and is_unknown(ASK, error):
            return "the module is not loaded"
        return f"it refuses '{ASK}' ({error})"
    version = answer.decode() if isinstance(answer, bytes) else answer
    if version != VERSION:
        return f"its module has version {version}, this program needs {VERSION}"
    return None
