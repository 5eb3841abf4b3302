"""Chooses the engine of each parameter server: the native module where it fits, else Lua.

The module is used where a server has loaded it in exactly our version; managed servers allow no
modules.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import redis

from distbelief.app.client.engine import Choice, Engine
from distbelief.app.client.failures import is_unknown
from distbelief.app.client.scripts import COMMANDS
from distbelief.app.client.servers import Servers
from distbelief.app.errors import ServerRefused
from distbelief.app.settings.sections import WantedEngine
from distbelief.app.store.native.sources import version

ASK = f"{COMMANDS}.version"


def choose_engines(servers: Servers, wanted: WantedEngine, timeout_s: float) -> None:
    """Ask every server what it can compute with, and have it used from now on.

    Raises:
        ServerRefused: the native engine is wanted and is not there.
        ServerError: as :meth:`~distbelief.app.client.servers.Servers.call`.
    """
    servers.choices = [
        _choose_for_all(servers.parts(index), wanted, timeout_s) for index in range(len(servers))
    ]


def _choose_for_all(parts: Sequence[Servers], wanted: WantedEngine, timeout_s: float) -> Choice:
    """The engine of all nodes of a server: our module if each of them has it."""
    choices = [
        choose(partial(part.one, timeout_s=timeout_s), part.addresses[0], wanted) for part in parts
    ]
    return next((each for each in choices if each.engine is Engine.LUA), choices[0])


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
    told = answer.decode() if isinstance(answer, bytes) else answer
    if told != version():
        return f"its module has version {told}, this program needs {version()}"
    return None
