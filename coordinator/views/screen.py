"""Draws a training: a panel that stays in its place on a terminal, else plain lines."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from rich.console import Console
from rich.live import Live

from distbelief.coordinator.views.figures import figures
from distbelief.coordinator.views.panel import Panel

#: The panel is drawn anew as often as this; statuses may come with every portion.
DRAWN_EVERY_S = 0.25

#: Plain output: a line at every held-out evaluation, but not more often than the first
#: figure, and after as many seconds as the second without one.
LINE_AT_MOST_EVERY_S = 0.5
LINE_AT_LEAST_EVERY_S = 2.0

#: A panel of a notebook: seconds between drawings, characters, and what it is put into.
NOTEBOOK_EVERY_S = 1.0
NOTEBOOK_WIDTH = 90
_FRAME = '<pre style="line-height: 1.2; font-family: monospace">{code}</pre>'


@contextmanager
def screen(console: Console) -> Iterator[Screen]:
    """Draw on ``console`` as long as this is open."""
    if console.is_jupyter:
        yield Notebook(console)
        return
    if not console.is_interactive:
        yield Lines(console)
        return
    with Live(console=console, refresh_per_second=1 / DRAWN_EVERY_S) as live:
        yield Terminal(console, live=live)


@dataclass
class Screen:
    """Words and panels. ``drawn_at`` is when, ``evaluation`` with which one it drew last."""

    console: Console
    drawn_at: float = -math.inf
    evaluation: int = 0

    def say(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def due(self, evaluation: int) -> bool:
        """Say whether it is time to draw, ``evaluation`` being the number of the last one."""
        raise NotImplementedError

    def draw(self, panel: Panel) -> None:
        snapshot = panel.snapshot
        found = snapshot.heldout if snapshot is not None else None
        self.drawn_at = time.monotonic()
        self.evaluation = found.number if found else 0


@dataclass
class Lines(Screen):
    """For logs, pipes and terminals that cannot move their cursor."""

    state: str = ""

    def due(self, evaluation: int) -> bool:
        known = evaluation == self.evaluation
        every_s = LINE_AT_LEAST_EVERY_S if known else LINE_AT_MOST_EVERY_S
        return time.monotonic() - self.drawn_at >= every_s

    def draw(self, panel: Panel) -> None:
        super().draw(panel)
        if panel.state != self.state:
            self.say(f"run {panel.run}: {panel.state}" + (f", {panel.note}" if panel.note else ""))
            self.state = panel.state
        if panel.snapshot is not None:
            self.say(
                "  ".join(f"{name} {text}" for name, text in figures(panel.snapshot, log=True))
            )


@dataclass(kw_only=True)
class Terminal(Screen):
    """A terminal on which the panel stays, and what is said moves up above it."""

    live: Live

    def due(self, evaluation: int) -> bool:
        return time.monotonic() - self.drawn_at >= DRAWN_EVERY_S

    def draw(self, panel: Panel) -> None:
        super().draw(panel)
        self.live.update(panel)


@dataclass(kw_only=True)
class Notebook(Screen):
    """A notebook, whose cell has one panel, which is drawn anew."""

    handle: Any = None

    def due(self, evaluation: int) -> bool:
        return time.monotonic() - self.drawn_at >= NOTEBOOK_EVERY_S

    def draw(self, panel: Panel) -> None:
        super().draw(panel)
        shown = {"text/html": _as_html(panel), "text/plain": ""}
        if self.handle is None:
            display = import_module("IPython.display").display  # it is there: this is a notebook
            self.handle = display(shown, raw=True, display_id=True)
        else:
            self.handle.update(shown, raw=True)


def _as_html(panel: Panel) -> str:
    paper = Console(record=True, file=io.StringIO(), width=NOTEBOOK_WIDTH, force_jupyter=False)
    paper.print(panel)
    return paper.export_html(inline_styles=True, code_format=_FRAME)
