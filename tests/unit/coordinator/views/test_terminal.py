"""What would command a terminal is shown as an escape, and nothing else changes."""

from __future__ import annotations

import io
import logging
import re
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text

from distbelief.app.files.visible import VisibleRecords, visible
from distbelief.coordinator.views import terminal
from distbelief.coordinator.views.panel import Panel
from distbelief.coordinator.views.screen import screen
from distbelief.coordinator.views.terminal import VisibleStream, safe_console

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@given(st.text(st.characters()))
def test_no_command_is_left_and_the_rest_is_as_it_was(text: str) -> None:
    shown = visible(text)
    for character in shown:
        assert (
            unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp") or character in "\t\n"
        )
        assert character not in BIDI
    if text.isprintable():
        assert shown == text
    assert visible(shown) == shown


def test_escapes_are_those_of_python() -> None:
    assert visible("\x1b[2J\x9b\x07\r\u202e\udc80") == r"\x1b[2J\x9b\x07\x0d\u202e\udc80"
    assert visible("a\tb\nü ☃ 🎉") == "a\tb\nü ☃ 🎉"


def test_a_log_shows_what_would_command_a_terminal_in_messages_and_tracebacks() -> None:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.addFilter(VisibleRecords())
    handler.setFormatter(logging.Formatter("\x1b[1m%(message)s"))  # as colours come
    logger = logging.Logger("of a worker")
    logger.addHandler(handler)
    try:
        raise ValueError("no \x1b[2J")
    except ValueError:
        logger.exception("unit %s of %d", "\x1b]0;title\x07", 3)
    first, *rest = written.getvalue().splitlines()
    assert first == "\x1b[1m" + r"unit \x1b]0;title\x07 of 3"
    assert rest[-1] == r"ValueError: no \x1b[2J"


def test_a_stream_passes_on_what_is_no_text() -> None:
    below = io.StringIO()
    stream = VisibleStream(below)
    assert stream.write("a\x1b") == 2
    stream.writelines(["b\x07", "c"])
    assert (below.getvalue(), stream.closed) == (r"a\x1bb\x07c", False)


@pytest.mark.parametrize("is_terminal", [True, False])
def test_output_to_other_programs_stays_as_it_is(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool
) -> None:
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(out, "isatty", lambda: is_terminal)
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    terminal.protect_terminal()
    print("\x1b", end="")  # noqa: T201
    sys.stderr.write("\x1b")
    assert out.getvalue() == (r"\x1b" if is_terminal else "\x1b")
    assert err.getvalue() == r"\x1b"


def test_a_console_draws_with_its_own_commands_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    below = io.StringIO()
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "stderr", VisibleStream(below))
    console = safe_console(stderr=True)
    table = Table()
    table.add_column("\x1b]0;a\x07")
    table.add_row(Text("\x1b[2J"))
    console.print(table, Text("\x9b8m", "bold"))
    drawn = below.getvalue()
    assert r"\x1b" in drawn  # in a cell as far as there is room
    assert r"\x9b8m" in drawn
    assert "\x1b]0" not in drawn
    assert "\x1b[2J" not in drawn
    assert "\x9b" not in drawn


@pytest.mark.parametrize("stderr", [False, True])
def test_a_panel_that_stays_moves_the_cursor_and_what_is_said_above_it_does_not(
    monkeypatch: pytest.MonkeyPatch, stderr: bool
) -> None:
    below = io.StringIO()
    monkeypatch.setattr(below, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr" if stderr else "stdout", below)
    terminal.protect_terminal()
    with screen(safe_console(stderr=stderr)) as there:
        for state in ("waiting", "running", "finished"):
            there.draw(Panel(None, "r", state))
            there.live.refresh()  # type: ignore[attr-defined]
        assert r"\x1b" not in below.getvalue()
        assert "\x1b[1A" in below.getvalue()  # up, to draw over what stands there
        there.say("said \x1b]0;title")
        print("printed\x07", file=sys.stderr if stderr else sys.stdout)
    assert r"said \x1b]0;title" in below.getvalue()
    assert "printed" in below.getvalue()
    assert not re.search(r"\x1b\]0|\x07", below.getvalue())
