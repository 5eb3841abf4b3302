"""Which engine computes: what is asked, what is said, and when Lua steps in."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from distbelief.app.client.engine import Choice, Engine
from distbelief.app.errors import ServerRefused
from distbelief.app.store.engines import choose
from distbelief.app.store.native.sources import version

WHERE = "redis://somewhere"


def answering(told: bytes) -> Callable[[str], object]:
    return lambda word: told


def refusing(text: str) -> Callable[[str], object]:
    def refuse(word: str) -> object:
        try:
            raise redis.ResponseError(text)
        except redis.ResponseError as error:
            raise ServerRefused(f"refused: {error}") from error

    return refuse


WITHOUT = refusing("unknown command 'distbelief.version', with args beginning with: ")
FORBIDDEN = refusing("this user has no permissions to run the 'distbelief.version' command")


def test_a_module_of_our_version_is_used() -> None:
    for wanted in ("auto", "native"):
        assert choose(answering(version().encode()), WHERE, wanted) == Choice(Engine.NATIVE)


def test_lua_is_used_where_it_is_wanted_and_nobody_is_asked() -> None:
    assert choose(refusing("must not be asked"), WHERE, "lua") == Choice(Engine.LUA)


@pytest.mark.parametrize(
    ("ask", "why"),
    [
        (WITHOUT, "not loaded"),
        (FORBIDDEN, "no permissions"),
        (answering(b"0.9"), f"version 0.9, this program needs {version()}"),
    ],
)
def test_lua_steps_in_for_a_module_that_cannot_be_used_and_it_is_said(
    ask: Callable[[str], object], why: str
) -> None:
    choice = choose(ask, WHERE, "auto")
    assert choice.engine is Engine.LUA
    assert why in choice.why
    with pytest.raises(ServerRefused) as refusal:
        choose(ask, WHERE, "native")
    assert all(word in str(refusal.value) for word in (WHERE, why, "--engine auto"))
