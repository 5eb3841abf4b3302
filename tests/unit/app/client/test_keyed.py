"""Where the keys of commands are, and what a prefix makes of them."""

from __future__ import annotations

import pytest

from distbelief.app.client.commands import Command
from distbelief.app.client.engine import Engine
from distbelief.app.client.scripts import Script
from distbelief.app.client.wire import Argument

SCRIPT = Script("name", "return 1", twin="distbelief.name")


@pytest.mark.parametrize(
    ("sent", "prefixed"),
    [
        (("GET", "k"), ("GET", "t:k")),
        (("HSET", "k", "f", "k"), ("HSET", "t:k", "f", "k")),
        (("UNLINK", b"k", "l"), ("UNLINK", b"t:k", "t:l")),
        (("BLPOP", "k", "1.0"), ("BLPOP", "t:k", "1.0")),
        (
            ("BLMOVE", "k", "l", "LEFT", "RIGHT", "1"),
            ("BLMOVE", "t:k", "t:l", "LEFT", "RIGHT", "1"),
        ),
        (("BLMPOP", "1", 1, "k", "LEFT"), ("BLMPOP", "1", 1, "t:k", "LEFT")),
        (("MEMORY", "USAGE", "k"), ("MEMORY", "USAGE", "t:k")),
        (("SCAN", 0, "MATCH", "k*", "COUNT", 9), ("SCAN", 0, "MATCH", "t:k*", "COUNT", 9)),
        (("MSET", "k", "v", "l", "w"), ("MSET", "t:k", "v", "t:l", "w")),
        (("INFO", "server"), ("INFO", "server")),
        (("TIME",), ("TIME",)),
        (("NO-SUCH-COMMAND",), ("NO-SUCH-COMMAND",)),
    ],
)
def test_keys_get_the_prefix_and_nothing_else(
    sent: tuple[Argument, ...], prefixed: tuple[Argument, ...]
) -> None:
    assert Command(0, sent).words(Engine.LUA, "t:") == prefixed
    assert Command(0, sent).words(Engine.LUA) == sent


@pytest.mark.parametrize("engine", Engine)
def test_a_script_says_which_of_its_words_are_keys(engine: Engine) -> None:
    command = Command.call(0, SCRIPT, ["k", "l"], ["k", 3])
    assert command.keys == ["k", "l"]
    assert command.words(engine, "t:")[-5:] == (2, "t:k", "t:l", "k", 3)
