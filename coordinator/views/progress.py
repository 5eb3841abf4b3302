"""Live progress: a panel on a terminal, plain lines elsewhere."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table

from app.models.model import Task
from coordinator.opening import Display
from coordinator.outcome import Outcome
from coordinator.views.figures import figures, score_text
from coordinator.views.overview import Overview
from coordinator.views.status import DownpourStatus, Status
from coordinator.yardstick import Yardstick, brief

#: Plain output: a line at every held-out evaluation, but not more often than the first
#: figure, and after as many seconds as the second without one.
LINE_AT_MOST_EVERY_S = 0.5
LINE_AT_LEAST_EVERY_S = 2.0


@contextmanager
def display(console: Console, yardstick: Yardstick) -> Iterator[Display]:
    """Show a training on ``console`` as it goes."""
    if not console.is_terminal:
        lines = _Lines(console, yardstick)
        yield Display(lines.say, lines.show)
        lines.finish()
        return
    with Live(console=console, refresh_per_second=8, transient=False) as live:
        yield Display(
            lambda text: console.print(text, markup=False, highlight=False),
            lambda status: live.update(_panel(status, yardstick)),
        )


def summary(outcome: Outcome, yardstick: Yardstick) -> list[str]:
    """What a person wants to know at the end, a line each."""
    lines = [f"finished: {outcome.reason}, after {outcome.seconds:.1f} s", *outcome.details]
    if outcome.heldout is not None:
        number, n_evaluations = outcome.heldout.number, len(outcome.evaluations)
        when = f"{outcome.heldout.passes:.3g} {outcome.unit}"
        lines.append(
            f"held-out {score_text(outcome.heldout, yardstick)} "
            f"(evaluation {number} of {n_evaluations}, after {when})"
        )
        if rest := yardstick.rest(outcome.heldout.score):
            lines.append(f"held-out {rest}")
        if yardstick.task is Task.BINARY:  # of more classes, `evaluate` tells
            lines += yardstick.confusion(outcome.heldout.score)
    if outcome.checkpoint is not None:
        lines.append(f"checkpoint: {outcome.checkpoint}")
        lines.append(f"to go on: python -m coordinator resume {outcome.run}")
    lines.append(f"figures: python -m coordinator report {outcome.run}")
    return [*lines, f"model: {outcome.model_file}"]


def described(seen: Overview) -> list[str]:
    """A run at a glance, a line each."""
    lines = [f"run {seen.run}: {seen.state}, {seen.algorithm} of {seen.model} on {seen.data}"]
    if seen.coordinator is not None:
        lines.append(f"coordinator: {seen.coordinator}")
    facts = dict(seen.figures) | seen.outcome
    facts.pop("state", None)  # the first line says it
    if (heldout := facts.pop("heldout", None)) is not None:
        facts["held-out"] = brief(heldout)
    lines += [f"{name}: {value}" for name, value in facts.items()]
    if seen.checkpoints:
        lines.append(f"checkpoints: {len(seen.checkpoints)}, the last is {seen.checkpoints[-1]}")
    lines += [f"event: {event}" for event in seen.events]
    if seen.state in ("dead", "stopped", "failed"):
        lines.append(f"to go on: python -m coordinator resume {seen.run}")
    return lines


def listed(runs: Sequence[Overview]) -> Table:
    """Runs, a line each."""
    table = Table(box=None, pad_edge=False)
    for title in ("run", "state", "algorithm", "model", "data", "progress"):
        table.add_column(title, no_wrap=True)
    for each in runs:
        progress = "  ".join(f"{name} {value}" for name, value in each.figures[:1])
        what = (each.algorithm, each.model, each.data)
        table.add_row(each.run, each.state, *what, progress)
    return table


class _Lines:
    """Plain lines for logs and pipes."""

    def __init__(self, console: Console, yardstick: Yardstick) -> None:
        self._console, self._yardstick = console, yardstick
        self._shown_at, self._shown = -math.inf, 0
        self._held_back: Status | None = None

    def say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def show(self, status: Status) -> None:
        number = status.evaluation.number if status.evaluation else 0
        now = time.monotonic()
        every = LINE_AT_LEAST_EVERY_S if number == self._shown else LINE_AT_MOST_EVERY_S
        if now - self._shown_at < every:
            self._held_back = status
            return
        self._shown_at, self._shown = now, number
        self._print(status)

    def finish(self) -> None:
        """Show how it ended, if that was held back."""
        if self._held_back is not None:
            self._print(self._held_back)

    def _print(self, status: Status) -> None:
        self._held_back = None
        self.say("  ".join(f"{name} {value}" for name, value in figures(status, self._yardstick)))


def _panel(status: Status, yardstick: Yardstick) -> Panel:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column()
    for name, value in figures(status, yardstick):
        table.add_row(name, value)
    if isinstance(status, DownpourStatus):
        title = "Downpour SGD" + (", warm start" if status.warming else "")
        bar = ProgressBar(total=status.total_steps, completed=status.steps, width=40)
    else:
        title = f"Sandblaster {'L-BFGS' if status.nonzeros is None else 'OWL-QN'}"
        bar = ProgressBar(total=status.n_portions, completed=status.portions_done, width=40)
    table.add_row("", bar)
    return Panel(table, title=title, title_align="left")
