"""What people read on a terminal breaks between words, and no command that they copy breaks."""

from __future__ import annotations

import os
import shutil
import sys

import pytest

from distbelief.coordinator.commands.output import print_lines


@pytest.mark.parametrize("terminal", [True, False])
def test_long_lines_break_between_words_on_terminals_alone(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    monkeypatch.setattr(shutil, "get_terminal_size", lambda: os.terminal_size((12, 5)))
    print_lines(["a loss of 0.0196", "figures: distbelief report run"])
    first = "a loss of\n0.0196" if terminal else "a loss of 0.0196"
    assert capsys.readouterr().out == f"{first}\nfigures: distbelief report run\n"
